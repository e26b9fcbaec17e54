/**
 * A long run of adds, pins and unpins on three peers: `node test/soak/soak.ts [MINUTES]`. Prints heap, resident memory, handles and file
 * descriptors of each peer at intervals, and how it stopped. Not part of `npm test`: it takes as long as it is told.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { identity } from 'multiformats/hashes/identity'
import { startCluster, type TestPeer } from '../e2e/cluster.ts'
import { inspectProcess } from './inspect.ts'

const minutes = Number(process.argv[2] ?? '10')
const SAMPLE_EVERY_MS = 30_000
/** Content kept at any time; beyond it the oldest is unpinned. */
const KEPT = 300
const PAUSE_MS = 20
const GC_EVERY = 2_000

process.env['NODE_OPTIONS'] = '--inspect=127.0.0.1:0'
await using cluster = await startCluster(3)
delete process.env['NODE_OPTIONS']
const peers = cluster.peers

const kept: CID[] = []
let adds = 0
let pins = 0
let unpins = 0
let failures = 0
const end = Date.now() + minutes * 60_000
let nextSample = Date.now()

const anyPeer = () => peers[randomInt(peers.length)] as TestPeer

async function* bytes(content: Uint8Array) {
  yield content
}

async function* onePart(content: Uint8Array) {
  yield { path: 'file', kind: 'file' as const, content: bytes(content) }
}

async function add(): Promise<CID> {
  const pin = { replicationFactorMin: 2, replicationFactorMax: 2 }
  const outputs = await Array.fromAsync(
    anyPeer().client.add({
      params: { pin: { ...EMPTY, ...pin } },
      parts: onePart(randomBytes(randomInt(1_000, 600_000))),
    }),
  )
  adds++
  return outputs.at(-1)?.cid as CID
}

const EMPTY = {
  name: 'soak',
  mode: 'recursive' as const,
  shardSize: 0n,
  userAllocations: [],
  expireAt: null,
  metadata: {},
  pinUpdate: null,
  origins: [],
}

async function pin(): Promise<CID> {
  const cid = CID.createV1(raw.code, identity.digest(randomBytes(16)))
  await anyPeer().client.pin({ cid, options: { name: 'soak' } })
  pins++
  return cid
}

for (let round = 0; Date.now() < end; round++) {
  if (Date.now() >= nextSample) {
    await report()
    nextSample += SAMPLE_EVERY_MS
  }
  try {
    kept.push(round % 3 === 0 ? await add() : await pin())
    if (kept.length > KEPT) {
      await anyPeer().client.unpin({ cid: kept.shift() as CID })
      unpins++
    }
    if (round % GC_EVERY === GC_EVERY - 1) await anyPeer().client.repoGC()
  } catch (error) {
    // An unpin may reach a peer before the pin has: that is a 404, counted and shown.
    failures++
    if (failures <= 5) console.log(`failed: ${String(error)}`)
  }
  await sleep(PAUSE_MS)
}
await report()
for (const peer of peers) {
  const started = performance.now()
  const { code, stderr } = await peer.stop()
  const bad = stderr.split('\n').filter(line => /unhandled|ERROR/i.test(line))
  console.log(
    `${peer.name}: exit ${code} after ${Math.round(performance.now() - started)} ms; error lines: ${bad.length}${bad.length > 0 ? `, first: ${bad[0]}` : ''}`,
  )
}

async function report(): Promise<void> {
  console.log(`${new Date().toISOString()} adds ${adds} pins ${pins} unpins ${unpins} failures ${failures}`)
  for (const peer of peers) {
    const { heapUsed, rss, handles } = await inspectProcess(peer.process.stderr)
    const descriptors = (await readdir(`/proc/${peer.process.pid}/fd`)).length
    const counted = Object.entries(handles).map(([name, count]) => `${name} ${count}`)
    console.log(
      `  ${peer.name}: heap ${mb(heapUsed)} MB, resident ${mb(rss)} MB, descriptors ${descriptors}, ${counted.join(', ')}`,
    )
  }
}

function mb(bytes: number): string {
  return (bytes / 1e6).toFixed(1)
}
