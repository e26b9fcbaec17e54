/** The work of a cluster: several peers, daemons that take their time, files that are added. */
import { setTimeout as sleep } from 'node:timers/promises'
import { kuboBinary, startRealKubo } from '@ipfs-cluster/testkit'
import { benchCid, completedPins, pinPaths, startBed } from './bed.ts'
import { isDead } from './cids.ts'
import { median, type Figure } from './figures.ts'
import { addFiles, bigFile, smallFiles, type Files } from './http-add.ts'
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

/** Files through one peer, and through its daemon alone. */
const add: Scenario = async ({ kind, pins }) => {
  const cases = [
    ['one file', bigFile(bounded(pins / 400, 4, 256))],
    ['files of 4 KiB', smallFiles(bounded(pins / 50, 100, 2_000))],
  ] as const
  const figures: Figure[] = []
  if (kind === 'ts') {
    await using bed = await startBed({ kind, daemon: 'embedded' })
    for (const [what, files] of cases) {
      figures.push(
        addFigure(`add, ${what}, built-in node`, files, await addFiles(`${firstPeer(bed).rest}/add`, files)),
      )
    }
  }
  if (kuboBinary === undefined) return figures
  await using bed = await startBed({ kind, daemon: 'kubo' })
  for (const [what, files] of cases) {
    figures.push(addFigure(`add, ${what}, Kubo`, files, await addFiles(`${firstPeer(bed).rest}/add`, files)))
  }
  // Fresh, so that it has none of the blocks.
  await using kubo = await startRealKubo(kuboBinary)
  const port = /\/tcp\/(\d+)/.exec(kubo.api)?.[1]
  for (const [what, files] of cases) {
    const seconds = await addFiles(`http://127.0.0.1:${port}/api/v0/add`, files)
    figures.push(addFigure(`add, ${what}, Kubo without a peer`, files, seconds))
  }
  return figures
}

function addFigure(what: string, { bytes, count }: Files, seconds: number): Figure {
  return count === 1
    ? { what, unit: 'MB/s', value: bytes / MB / seconds }
    : { what, unit: 'files/s', value: count / seconds }
}

export const WORK_SCENARIOS = { three, join, slowDaemon, deadPins, add } satisfies Record<string, Scenario>
