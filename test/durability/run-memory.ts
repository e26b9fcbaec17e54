/**
 * `node test/durability/run-memory.ts [--pins 1000000] [--heap 200] [--drain 20000] [--ingest single|bulk]`: what a peer keeps in memory while pins come in
 * faster than its daemon takes them, with all of them queued, after a restart, and while they are listed, recovered and pinned. `--heap` is in MiB, for
 * ours (`--max-old-space-size`). With IPFS_CLUSTER_GO_BIN the Go implementation beside it.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { waitFor } from '@ipfs-cluster/testkit'
import { benchCids, pinPaths } from '../bench/cids.ts'
import { completedPins, startBed, type Bed } from '../bench/bed.ts'
import { load, readListing } from '../bench/http-load.ts'
import { cpuSeconds, memoryOf } from '../bench/sample.ts'
import { goBinary, type InteropPeer, type Json, type Kind } from '../interop/peers.ts'
import { bulk } from './bulk-load.ts'

const { values } = parseArgs({
  options: {
    pins: { type: 'string', default: '1000000' },
    heap: { type: 'string', default: '200' },
    drain: { type: 'string', default: '20000' },
    ingest: { type: 'string', default: 'single' },
    only: { type: 'string', default: '' },
  },
})
const pins = Number(values.pins)
const MIB = 1024 * 1024
const IDLE_MS = 15_000
const SAMPLE_MS = 50
/** Of the pins, when the tracker has taken all: others are under way, or failed because the daemon says nothing. */
const QUEUED_SHARE = 0.95
const NEWLINE = 0x0a
const NEVER_MS = 24 * 3_600_000

const kinds = (goBinary === undefined ? ['ts'] : ['ts', 'go']).filter(
  kind => values.only === '' || kind === values.only,
) as Kind[]
const columns = new Map<Kind, Map<string, string>>()
for (const kind of kinds) columns.set(kind, await measure(kind))

console.log(
  `\n${pins} pins, heap of ${values.heap} MiB (ours), ${values.ingest}; resident memory in MiB: peak, without mapped files, seconds, CPU seconds`,
)
for (const what of columns.get(kinds[0] as Kind)?.keys() ?? []) {
  console.log(`| ${what} | ${kinds.map(kind => columns.get(kind)?.get(what) ?? '').join(' | ')} |`)
}

async function measure(kind: Kind): Promise<Map<string, string>> {
  const figures = new Map<string, string>()
  await using bed = await startBed({
    kind,
    batching: true,
    pinDelayMs: NEVER_MS,
    env: kind === 'ts' ? { NODE_OPTIONS: `--max-old-space-size=${values.heap}` } : {},
    edit: config => forLong(config),
  })
  const peer = bed.peers[0] as InteropPeer
  const step = async (what: string, work: () => Promise<unknown>) => {
    const began = performance.now()
    const cpu = await cpuSeconds(peer.pid)
    const { resident, own } = await peaks(peer, work)
    const after = await cpuSeconds(peer.pid)
    const seconds = (performance.now() - began) / 1000
    const text = `${(resident / MIB).toFixed(0)}, ${(own / MIB).toFixed(0)}, ${seconds.toFixed(1)} s, ${after >= cpu ? (after - cpu).toFixed(1) : '-'} s`
    figures.set(what, text)
    console.error(`${kind} ${what}: ${text}`)
  }
  await step('empty, idle', () => delay(3_000))
  await step('ingest', () => ingest(peer))
  await step('until the tracker has taken all', () => taken(peer))
  await step('all queued, idle', () => delay(IDLE_MS))
  await step('GET /allocations', () => listed(peer, '/allocations'))
  await step('GET /pins?local=true', () => listed(peer, '/pins?local=true'))
  await step('GET /pins?local=true&filter=error', () =>
    readListing(peer.rest, '/pins?local=true&filter=error'),
  )
  await step('GET /pins', () => listed(peer, '/pins'))
  await step('recover all', () =>
    peer.request('POST', '/pins/recover?local=true').then(answer => answer.text()),
  )
  await peer.kill9()
  const began = performance.now()
  await peer.start()
  figures.set('kill -9, start until REST answers', `${((performance.now() - began) / 1000).toFixed(1)} s`)
  await step('after it', () => delay(IDLE_MS))
  await step(`${values.drain} pinned`, () => drain(bed))
  await step('at the end, idle', () => delay(IDLE_MS))
  return figures
}

/** No other timer disturbs, and the daemon's silence is no failure. */
function forLong(config: Json): void {
  config.ipfs_connector.ipfshttp.pin_timeout = '24h0m0s'
  config.ipfs_connector.ipfshttp.ipfs_request_timeout = '24h0m0s'
}

async function ingest(peer: InteropPeer): Promise<void> {
  if (values.ingest === 'bulk') {
    let failed = ''
    await bulk(peer.rest, texts(), {
      method: 'POST',
      answered: (_cid, line) => {
        if (line.includes('"error"')) failed = line
      },
    })
    if (failed !== '') throw new Error(failed)
    return
  }
  // Whoever is told to wait comes again.
  let paths: Iterable<string> = pinPaths('memory', pins)
  while (true) {
    const refused: string[] = []
    await load(peer.rest, paths, {
      connections: 32,
      method: 'POST',
      answered: (path, status) => {
        if (status === 429) refused.push(path)
        else if (status !== 200) throw new Error(`${path}: ${status}`)
      },
    })
    if (refused.length === 0) return
    paths = refused
    await delay(1_000)
  }
}

function* texts(): Generator<string> {
  for (const cid of benchCids('memory', pins)) yield cid.toString()
}

async function taken(peer: InteropPeer): Promise<void> {
  // Asking by a listing would keep the peer from getting on.
  const queued = async () =>
    Number(((await peer.json('/monitor/metrics/pinqueue')) as Json[])[0]?.value ?? '0')
  await waitFor(async () => (await queued()) >= pins * QUEUED_SHARE, {
    timeoutMs: 1_200_000,
    intervalMs: 1_000,
    what: 'the pins in the queue',
  })
}

async function listed(peer: InteropPeer, path: string): Promise<void> {
  const response = await fetch(peer.rest + path)
  let lines = 0
  for await (const chunk of response.body ?? []) {
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, at + 1)) lines++
  }
  if (lines !== pins) throw new Error(`${path} lists ${lines} of ${pins}`)
}

async function drain(bed: Bed): Promise<void> {
  const daemon = bed.daemons[0] as string
  await fetch(`${daemon}/bench/delay?ms=0`)
  const wanted = Number(values.drain)
  await waitFor(async () => (await completedPins(daemon)) >= wanted, {
    timeoutMs: 600_000,
    intervalMs: 100,
    what: `${wanted} pinned`,
  })
  await fetch(`${daemon}/bench/delay?ms=${NEVER_MS}`)
}

/** The largest of each, sampled while `work` runs. @throws when the peer is gone. */
async function peaks(
  peer: InteropPeer,
  work: () => Promise<unknown>,
): Promise<{ resident: number; own: number }> {
  const peak = { resident: 0, own: 0 }
  const over = new AbortController()
  const watch = async () => {
    while (!over.signal.aborted) {
      const { resident, own } = await memoryOf(peer.pid)
      peak.resident = Math.max(peak.resident, resident)
      peak.own = Math.max(peak.own, own)
      await delay(SAMPLE_MS)
    }
  }
  const watching = watch()
  try {
    await work()
  } finally {
    over.abort()
    await watching
  }
  return peak
}
