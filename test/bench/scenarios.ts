/** What is measured, one function a scenario; each starts its own cluster and gives its figures. */
import { waitFor } from '@ipfs-cluster/testkit'
import type { InteropPeer, Kind } from '../interop/peers.ts'
import { benchCid, completedPins, pinPaths, startBed, type Bed } from './bed.ts'
import type { Figure } from './figures.ts'
import { load, percentile, readListing, type LoadResult } from './http-load.ts'
import { cpuSeconds, diskBytes, peakResident, residentBytes } from './sample.ts'

export interface ScenarioOptions {
  readonly kind: Kind
  /** Pins of the large pinset. */
  readonly pins: number
}

export type Scenario = (options: ScenarioOptions) => Promise<readonly Figure[]>

const MIB = 1024 * 1024
const ONE_BY_ONE = 5_000
const STATUS_REQUESTS = 20_000
/** Time for a daemon to be given everything. */
const DRAIN_TIMEOUT_MS = 600_000

const rest = (bed: Bed) => (bed.peers[0] as InteropPeer).rest

function accepted(result: LoadResult): number {
  const { 200: taken = 0, ...others } = result.answers
  if (Object.keys(others).length > 0)
    throw new Error(`not all were accepted: ${JSON.stringify(result.answers)}`)
  return taken
}

function ingestFigures(what: string, result: LoadResult): Figure[] {
  return [
    { what: `${what}: accepted`, unit: 'pins/s', value: accepted(result) / result.seconds },
    { what: `${what}: p50`, unit: 'ms', value: percentile(result, 0.5) },
    { what: `${what}: p99`, unit: 'ms', value: percentile(result, 0.99) },
  ]
}

/** `POST /pins/{cid}`, unbatched, over one connection and over 32. */
export const ingest: Scenario = async ({ kind }) => {
  await using bed = await startBed({ kind })
  const one = await load(rest(bed), pinPaths('one', ONE_BY_ONE), { connections: 1, method: 'POST' })
  const many = await load(rest(bed), pinPaths('many', 4 * ONE_BY_ONE), { connections: 32, method: 'POST' })
  return [...ingestFigures('ingest, 1 connection', one), ...ingestFigures('ingest, 32 connections', many)]
}

/** Everything around one large pinset: how it gets in, what it costs, how it is listed, and a restart. */
export const pinset: Scenario = async ({ kind, pins }) => {
  await using bed = await startBed({ kind, batching: true })
  const peer = bed.peers[0] as InteropPeer
  const cpuBefore = await cpuSeconds(peer.pid)
  const { result, peakBytes } = await peakResident(peer.pid, () =>
    load(peer.rest, pinPaths('set', pins), { connections: 32, method: 'POST' }),
  )
  const figures = ingestFigures('ingest, batching, 32 connections', result)
  const drainBegan = performance.now()
  await waitFor(async () => (await completedPins(bed.daemons[0] as string)) >= pins, {
    timeoutMs: DRAIN_TIMEOUT_MS,
    intervalMs: 200,
    what: 'all pins on the daemon',
  })
  const drained = result.seconds + (performance.now() - drainBegan) / 1000
  figures.push(
    { what: 'all pins on the daemon', unit: 'pins/s', value: pins / drained },
    {
      what: 'CPU of it',
      unit: 's / 1,000 pins',
      value: ((await cpuSeconds(peer.pid)) - cpuBefore) / (pins / 1000),
    },
    { what: 'peak memory of it', unit: 'MiB', value: peakBytes / MIB },
    ...(await listings(peer, pins)),
    ...(await statusUnder(peer, pins)),
    { what: 'memory after it', unit: 'MiB', value: (await residentBytes(peer.pid)) / MIB },
    { what: 'disk', unit: 'B / pin', value: (await diskBytes(peer.folder)) / pins },
    ...(await restart(peer)),
  )
  return figures
}

async function listings(peer: InteropPeer, pins: number): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const [what, path] of [
    ['GET /allocations', '/allocations'],
    ['GET /pins?local=true', '/pins?local=true'],
    ['GET /pins, one peer', '/pins'],
  ] as const) {
    const { result, peakBytes } = await peakResident(peer.pid, () => readListing(peer.rest, path))
    if (result.items !== pins) throw new Error(`${path} lists ${result.items} of ${pins}`)
    figures.push(
      { what, unit: 'pins/s', value: result.items / result.seconds },
      { what: `${what}: first byte`, unit: 'ms', value: result.firstByteMs },
      { what: `${what}: peak memory`, unit: 'MiB', value: peakBytes / MIB },
    )
  }
  const { seconds } = await readListing(peer.rest, '/pins?local=true&filter=error')
  figures.push({ what: 'GET /pins?filter=error, none', unit: 'ms', value: seconds * 1000 })
  return figures
}

async function statusUnder(peer: InteropPeer, pins: number): Promise<Figure[]> {
  const some = function* () {
    for (let i = 0; i < STATUS_REQUESTS; i++) yield `/pins/${benchCid('set', (i * 7919) % pins)}`
  }
  const result = await load(peer.rest, some(), { connections: 32, method: 'GET' })
  return [
    { what: 'GET /pins/{cid}, 32 connections', unit: 'requests/s', value: accepted(result) / result.seconds },
    { what: 'GET /pins/{cid}: p99', unit: 'ms', value: percentile(result, 0.99) },
  ]
}

async function restart(peer: InteropPeer): Promise<Figure[]> {
  const stopping = performance.now()
  await peer.stop()
  const stopped = performance.now()
  await peer.start()
  const answering = performance.now()
  const { firstByteMs } = await readListing(peer.rest, '/allocations')
  const recovering = performance.now()
  await peer.list('/pins/recover?local=true', 'POST')
  return [
    { what: 'stop', unit: 'ms', value: stopped - stopping },
    { what: 'start until REST answers', unit: 'ms', value: answering - stopped },
    { what: 'first listing after it: first byte', unit: 'ms', value: firstByteMs },
    { what: 'recover with nothing to do', unit: 'ms', value: performance.now() - recovering },
    { what: 'memory after restart', unit: 'MiB', value: (await residentBytes(peer.pid)) / MIB },
    { what: 'disk after restart', unit: 'MB', value: (await diskBytes(peer.folder)) / 1e6 },
  ]
}

/** Four rounds of pin and unpin of everything. */
export const churn: Scenario = async ({ kind }) => {
  await using bed = await startBed({ kind, batching: true })
  const peer = bed.peers[0] as InteropPeer
  const figures: Figure[] = []
  for (let round = 1; round <= 4; round++) {
    const paths = () => pinPaths(`churn ${round}`, 50_000)
    await load(peer.rest, paths(), { connections: 32, method: 'POST' })
    const removed = await load(peer.rest, paths(), { connections: 32, method: 'DELETE' })
    await waitFor(async () => (await readListing(peer.rest, '/allocations')).items === 0, {
      timeoutMs: DRAIN_TIMEOUT_MS,
      what: 'an empty pinset',
    })
    figures.push(
      { what: 'churn: unpins', unit: 'pins/s', value: accepted(removed) / removed.seconds },
      { what: `churn: disk after round ${round}`, unit: 'MB', value: (await diskBytes(peer.folder)) / 1e6 },
    )
  }
  return figures
}

/** A daemon that takes 50 ms a pin, 10 at a time. */
export const slowDaemon: Scenario = async ({ kind }) => {
  const pins = 4_000
  await using bed = await startBed({ kind, batching: true, pinDelayMs: 50 })
  const began = performance.now()
  await load(rest(bed), pinPaths('slow', pins), { connections: 32, method: 'POST' })
  await waitFor(async () => (await completedPins(bed.daemons[0] as string)) >= pins, {
    timeoutMs: DRAIN_TIMEOUT_MS,
    intervalMs: 20,
    what: 'all pins on the daemon',
  })
  const rate = pins / ((performance.now() - began) / 1000)
  return [{ what: 'completed on a daemon of 50 ms a pin (limit 200)', unit: 'pins/s', value: rate }]
}

/** Three peers: cluster-wide status, and one that joins. */
export const three: Scenario = async ({ kind }) => {
  const pins = 50_000
  await using bed = await startBed({ kind, peers: 3, batching: true })
  const peer = bed.peers[0] as InteropPeer
  await load(peer.rest, pinPaths('three', pins), { connections: 32, method: 'POST' })
  const all = async (other: InteropPeer) =>
    (await readListing(other.rest, '/pins?local=true&filter=pinned')).items === pins
  const began = performance.now()
  await waitFor(async () => (await Promise.all(bed.peers.map(all))).every(Boolean), {
    timeoutMs: DRAIN_TIMEOUT_MS,
    intervalMs: 500,
    what: 'everything pinned on all three',
  })
  const { items, seconds, firstByteMs } = await readListing(peer.rest, '/pins')
  if (items !== pins) throw new Error(`GET /pins lists ${items} of ${pins}`)
  return [
    {
      what: '50k pins on all of three peers, after the last answer',
      unit: 's',
      value: (performance.now() - began) / 1000,
    },
    { what: 'GET /pins of three peers', unit: 'pins/s', value: items / seconds },
    { what: 'GET /pins of three peers: first byte', unit: 'ms', value: firstByteMs },
  ]
}

export const SCENARIOS: Readonly<Record<string, Scenario>> = { ingest, pinset, three, churn, slowDaemon }
