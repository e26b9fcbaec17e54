/**
 * A mixed cluster under every kind of write, and what it has in the end: `node test/interop/run-mixed.ts [--pins 5000] [--batching]`.
 * Prints times and differences. With `--restart` a Go peer is restarted and a TypeScript peer killed in the middle; with `--skew` one peer's
 * clock is 20 s ahead. `--logs FOLDER` keeps what the peers wrote.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { waitFor } from '@ipfs-cluster/testkit'
import { disagreements } from './agree.ts'
import { addFile, pinMany, replaceMany, unpinMany, updateMany } from './load.ts'
import { converged, notable, startMixedCluster } from './mixed.ts'
import type { InteropPeer } from './peers.ts'
import { printWarnings } from './warnings.ts'

const { values } = parseArgs({
  options: {
    pins: { type: 'string', default: '5000' },
    batching: { type: 'boolean', default: false },
    restart: { type: 'boolean', default: false },
    skew: { type: 'boolean', default: false },
    logs: { type: 'string', default: '' },
  },
})
const pins = Number(values.pins)

const skewed = { NODE_OPTIONS: `--import=${fileURLToPath(new URL('clock-ahead.mjs', import.meta.url))}` }
await using cluster = await startMixedCluster({
  batching: values.batching,
  ...(values.skew ? { lastPeerEnv: skewed } : {}),
})
const { peers, go1, go2, ts1, ts2 } = cluster
try {
  await timed('whole run', scenario)
} catch (error) {
  for (const peer of peers) console.error(`--- ${peer.name}\n${peer.log.slice(-2000)}`)
  throw error
}

async function scenario(): Promise<void> {
  const half = Math.floor(pins / 2)
  const first = await timed(`${half} pins from four peers at once`, () => pinMany(peers, half))
  if (values.restart) await timed('restarts', restarts)
  const second = await timed(`${pins - half} pins more`, () => pinMany(peers, pins - half))
  const cids = [...first, ...second]
  const { ms } = await converged(peers, { expected: pins })
  console.log(`converged with ${pins} pins after ${Math.round(ms)} ms`)
  await timed('daemons have pinned', () => settled(go1))
  const fifth = Math.floor(pins / 5)
  await timed(`${fifth} unpins`, () => unpinMany(peers, cids.slice(0, fifth)))
  const tenth = Math.floor(pins / 10)
  await timed(`${tenth} updates`, () => updateMany(peers, cids.slice(fifth, fifth + tenth)))
  // Recursive everywhere pins without options: number 9 of each ten.
  const plain = cids
    .slice(fifth + tenth)
    .filter((_, index) => (index + fifth + tenth) % 10 === 9)
    .slice(0, tenth)
  await timed(`${plain.length} replacements`, () => replaceMany(peers, plain))
  for (const peer of peers) {
    const root = await timed(`add of 3 MB at ${peer.name}`, () =>
      addFile(peer, 3_000_000, 'replication-min=3&replication-max=3'),
    )
    await waitFor(
      async () => {
        const { peer_map } = await peer.json(`/pins/${root}`)
        return (
          Object.values<{ status: string }>(peer_map).filter(({ status }) => status === 'pinned').length === 3
        )
      },
      { timeoutMs: 60_000, intervalMs: 100, what: `three copies of ${root}` },
    )
  }
  const expected = pins - fifth + plain.length + peers.length
  const end = await converged(peers, { expected })
  console.log(`converged with ${expected} pins after ${Math.round(end.ms)} ms`)
  await timed('daemons have pinned', () => settled(ts2))
  for (const [go, ts] of [
    [go1, ts1],
    [go2, ts2],
  ] as const) {
    const differences = await timed(`views of ${go.name} and ${ts.name}`, () => disagreements(go, ts))
    console.log(`${differences.length} differences between ${go.name} and ${ts.name}`)
    for (const difference of differences.slice(0, 6)) console.log(difference)
  }
  await exportsAgree()
  await report()
}

async function restarts(): Promise<void> {
  await go2.stop()
  await ts2.kill9()
  const cids = await pinMany([go1, ts1], 40)
  await converged([go1, ts1])
  await unpinMany([ts1, go1], cids)
  await Promise.all([go2.start(), ts2.start()])
  await cluster.whole()
}

async function settled(peer: InteropPeer): Promise<void> {
  await waitFor(
    async () => (await peer.list('/pins?filter=error,queued,pinning,unpinning,cluster_error')).length === 0,
    { timeoutMs: 300_000, intervalMs: 1000, what: 'no pin is queued or failed' },
  )
}

async function exportsAgree(): Promise<void> {
  const exports: string[] = []
  for (const peer of peers) {
    await peer.stop()
    const file = join(peer.folder, 'export.json')
    const { code, stderr } = await peer.run(['state', 'export', '-f', file])
    if (code !== 0) console.log(`state export at ${peer.name} ended with ${code}: ${stderr.slice(-300)}`)
    else exports.push((await readFile(file, 'utf8')).split('\n').sort().join('\n'))
  }
  const same = exports.every(text => text === exports[0])
  console.log(
    `state exports: ${same ? 'identical' : 'DIFFERENT'}, ${exports.map(text => text.length).join(', ')} bytes`,
  )
}

async function report(): Promise<void> {
  if (values.logs !== '') await mkdir(values.logs, { recursive: true })
  for (const peer of values.logs === '' ? [] : peers) {
    await writeFile(join(values.logs, `${peer.name}.log`), notable(peer.log))
  }
  printWarnings(peers)
}

async function timed<T>(what: string, work: () => Promise<T>): Promise<T> {
  const start = performance.now()
  const result = await work()
  console.log(`${what}: ${((performance.now() - start) / 1000).toFixed(1)} s`)
  await delay(0)
  return result
}
