/** The work of a cluster: several peers, daemons that take their time, files that are added. */
import { setTimeout as sleep } from 'node:timers/promises'
import { benchCid, completedPins, pinPaths, startBed } from './bed.ts'
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
/** What the daemon can do for as many pins at a time as peers are configured for. Pins a second. */
const SLOW_LIMIT = (10 * 1000) / SLOW_MS
const DEAD_SHARE = 0.2
/** How long is watched what may never come to an end. */
const WATCH_MS = 40_000
const LISTINGS = 3

/** Pins a second that a slow daemon completes, of those that can be completed. */
async function completing(options: ScenarioOptions, deadShare: number): Promise<number> {
  const pins = bounded(options.pins / 25, 200, 4_000)
  await using bed = await startBed({ kind: options.kind, batching: true, pinDelayMs: SLOW_MS, deadShare })
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

const slowDaemon: Scenario = async options => [
  {
    what: `completed, ${SLOW_MS} ms a pin (limit ${SLOW_LIMIT})`,
    unit: 'pins/s',
    value: await completing(options, 0),
  },
]

const deadPins: Scenario = async options => [
  {
    what: `completed, with ${DEAD_SHARE * 100} % dead among them`,
    unit: 'pins/s',
    value: await completing(options, DEAD_SHARE),
  },
]

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
