/** The work of a cluster: several peers, daemons that take their time, files that are added. */
import { setTimeout as sleep } from 'node:timers/promises'
import { benchCid, completedPins, pinPaths, startBed, type Bed } from './bed.ts'
import { isDead } from './cids.ts'
import { median } from './figures.ts'
import { load, readListing } from './http-load.ts'
import {
  bounded,
  CONNECTIONS,
  costOf,
  cpuFigure,
  firstPeer,
  listsAll,
  MB,
  type Scenario,
  type ScenarioOptions,
} from './scenario.ts'

const SLOW_MS = 50
/** Pins at a time, as peers are configured. */
const PLACES = 10
/** What a daemon does that takes exactly so long. Pins a second. */
const SLOW_LIMIT = (PLACES * 1000) / SLOW_MS
/** Pins asked of the daemon directly. */
const DIRECT_PINS = 1_000
const DEAD_SHARE = 0.2
/** How long is watched what may never come to an end. */
const WATCH_MS = 40_000
const LISTINGS = 3

const slowBed = ({ kind }: ScenarioOptions, deadShare: number) =>
  startBed({ kind, batching: true, pinDelayMs: SLOW_MS, deadShare })

/** Pins a second that a slow daemon completes, of those that can be completed. */
async function completing(bed: Bed, { pins: most }: ScenarioOptions, deadShare: number): Promise<number> {
  const pins = bounded(most / 25, 200, 4_000)
  const [daemon = ''] = bed.daemons
  const live = Array.from({ length: pins }, (_, i) => `${benchCid('slow', i)}`).filter(
    cid => !isDead(cid, deadShare),
  ).length
  const began = performance.now()
  await load(firstPeer(bed).rest, pinPaths('slow', pins), { connections: CONNECTIONS, method: 'POST' })
  let completed = 0
  while (completed < live && performance.now() - began < WATCH_MS) {
    await sleep(20)
    completed = await completedPins(daemon)
  }
  return completed / ((performance.now() - began) / 1000)
}

/** Pins a second that the daemon does for somebody who always has as many under way: its timers are late, and it has work of its own. */
async function directly({ daemons: [daemon = ''] }: Bed): Promise<number> {
  const paths = Array.from({ length: DIRECT_PINS }, (_, i) => `/api/v0/pin/add?arg=${benchCid('direct', i)}`)
  const { seconds } = await load(daemon, paths, { connections: PLACES, method: 'POST' })
  return DIRECT_PINS / seconds
}

const slowDaemon: Scenario = async options => {
  await using bed = await slowBed(options, 0)
  const rate = await completing(bed, options, 0)
  const what = `completed, ${SLOW_MS} ms a pin (limit ${SLOW_LIMIT})`
  return [
    { what, unit: 'pins/s', value: rate },
    { what: `${what}: of what the daemon can do`, unit: '%', value: (100 * rate) / (await directly(bed)) },
  ]
}

const deadPins: Scenario = async options => {
  await using bed = await slowBed(options, DEAD_SHARE)
  return [
    {
      what: `completed, with ${DEAD_SHARE * 100} % dead among them`,
      unit: 'pins/s',
      value: await completing(bed, options, DEAD_SHARE),
    },
  ]
}

/** Pins of every peer of three, and their status across the cluster. */
const three: Scenario = async ({ kind, pins: most }) => {
  const pins = bounded(most / 2, 1000, 50_000)
  await using bed = await startBed({ kind, peers: 3, batching: true })
  const peer = firstPeer(bed)
  const began = performance.now()
  await load(peer.rest, pinPaths('three', pins), { connections: CONNECTIONS, method: 'POST' })
  await Promise.all(bed.peers.map(each => listsAll(each, '/pins?local=true&filter=pinned', pins)))
  const replicated = (performance.now() - began) / 1000
  const { result, cpu } = await costOf(peer, async () => {
    const listings = []
    for (let i = 0; i < LISTINGS; i++) {
      const listing = await readListing(peer.rest, '/pins')
      if (listing.items !== pins) throw new Error(`GET /pins lists ${listing.items} of ${pins}`)
      listings.push(listing)
    }
    return listings
  })
  const what = 'GET /pins of three peers'
  return [
    { what: 'pinned on all of three peers', unit: 'pins/s', value: pins / replicated },
    { what, unit: 'pins/s', value: median(result.map(({ items, seconds }) => items / seconds)) },
    { what: `${what}: first byte`, unit: 'ms', value: median(result.map(({ firstByteMs }) => firstByteMs)) },
    cpuFigure(`${what}: asked peer`, cpu, pins * LISTINGS),
  ]
}

/** An empty peer finds one that has pins in batches of 500. */
const join: Scenario = async ({ kind, pins: most }) => {
  const pins = bounded(most / 2, 1000, 50_000)
  await using bed = await startBed({ kind, batching: true })
  await load(firstPeer(bed).rest, pinPaths('join', pins), { connections: CONNECTIONS, method: 'POST' })
  await listsAll(firstPeer(bed), '/allocations', pins)
  const joined = await bed.join()
  const began = performance.now()
  const { peakBytes } = await costOf(joined, () => listsAll(joined, '/allocations', pins))
  const what = `join of an empty peer, ${pins.toLocaleString('en')} pins`
  return [
    { what, unit: 's', value: (performance.now() - began) / 1000 },
    { what: `${what}: peak memory`, unit: 'MB', value: peakBytes / MB },
  ]
}

export const WORK_SCENARIOS = { three, join, slowDaemon, deadPins } satisfies Record<string, Scenario>
