/** How fast pins are accepted: one by one, together, in bulk; how fast they are gone again. */
import { waitFor } from '@ipfs-cluster/testkit'
import { pinPaths, startBed } from './bed.ts'
import { bulkLoad } from './bulk-load.ts'
import { benchCids } from './cids.ts'
import type { Figure } from './figures.ts'
import { load, readListing } from './http-load.ts'
import { diskBytes } from './sample.ts'
import {
  accepted,
  bounded,
  CONNECTIONS,
  costOf,
  cpuFigure,
  firstPeer,
  loadFigures,
  MB,
  pinnedEverywhere,
  patience,
  type Scenario,
  type ScenarioOptions,
} from './scenario.ts'

/** `POST /pins/{cid}` over one connection and over 32. */
async function ingestWith({ kind, pins }: ScenarioOptions, batching: boolean): Promise<Figure[]> {
  await using bed = await startBed({ kind, batching })
  const peer = firstPeer(bed)
  const how = batching ? 'batched' : 'unbatched'
  const figures: Figure[] = []
  // Some ten seconds each: within three, what else the machine does decides.
  for (const [connections, count] of [
    [1, bounded(pins / 5, 200, 20_000)],
    [CONNECTIONS, bounded(pins / 2, 1000, 50_000)],
  ] as const) {
    const what = `ingest, ${how}, ${connections} connection${connections > 1 ? 's' : ''}`
    const { result, cpu } = await costOf(peer, () =>
      load(peer.rest, pinPaths(`${connections}`, count), { connections, method: 'POST' }),
    )
    figures.push(...loadFigures(what, 'pins', result), cpuFigure(what, cpu, count))
  }
  return figures
}

const ingest: Scenario = options => ingestWith(options, false)
const batched: Scenario = options => ingestWith(options, true)

/** `POST /pins` and `DELETE /pins`; ours alone. Not batched; each answer line means that it is on disk. */
const bulk: Scenario = async ({ kind, pins }) => {
  if (kind === 'go') return []
  // Made beforehand: making them costs about as much as taking them.
  const lines = Array.from(benchCids('bulk', pins), cid => `{"cid":"${cid}"}`)
  await using bed = await startBed({ kind })
  const peer = firstPeer(bed)
  const figures: Figure[] = []
  for (const [what, method] of [
    ['bulk pins', 'POST'],
    ['bulk unpins', 'DELETE'],
  ] as const) {
    const { result, cpu, peakBytes } = await costOf(peer, () => bulkLoad(peer.rest, lines, { method }))
    if (result.done !== pins || result.error !== '') {
      throw new Error(
        `${method} /pins: ${result.done} of ${pins} done; ${result.error} ${result.refused[0] ?? ''}`,
      )
    }
    figures.push(
      { what, unit: 'pins/s', value: pins / result.seconds },
      cpuFigure(what, cpu, pins),
      { what: `${what}: first answer`, unit: 'ms', value: result.firstMs },
      { what: `${what}: peak memory`, unit: 'MB', value: peakBytes / MB },
    )
    if (method === 'POST') await pinnedEverywhere(bed, pins)
  }
  return figures
}

const ROUNDS = 4

/** Rounds of pin and unpin of everything. */
const churn: Scenario = async options => {
  await using bed = await startBed({ kind: options.kind, batching: true })
  const peer = firstPeer(bed)
  const figures: Figure[] = []
  const pins = Math.round(options.churn / ROUNDS)
  for (let round = 1; round <= ROUNDS; round++) {
    const each = { connections: CONNECTIONS, url: peer.rest, series: `churn ${round}`, pins }
    const added = await all('POST', each)
    const removed = await all('DELETE', each)
    await waitFor(async () => (await readListing(peer.rest, '/allocations')).items === 0, {
      timeoutMs: patience(pins),
      intervalMs: 200,
      what: 'an empty pinset',
    })
    figures.push(
      { what: 'churn: pins', unit: 'pins/s', value: accepted(added) / added.seconds },
      { what: 'churn: unpins', unit: 'pins/s', value: accepted(removed) / removed.seconds },
    )
  }
  const disk = async (what: string) => {
    figures.push({ what, unit: 'MB', value: (await diskBytes(peer.folder)) / MB })
  }
  await disk(`churn: disk after ${ROUNDS} rounds`)
  await peer.stop()
  await peer.start()
  await disk('churn: disk after a restart')
  return figures
}

interface Requests {
  readonly url: string
  readonly connections: number
  readonly series: string
  readonly pins: number
}

const all = (method: 'POST' | 'DELETE', { url, connections, series, pins }: Requests) =>
  load(url, pinPaths(series, pins), { connections, method })

export const INGEST_SCENARIOS = { ingest, batched, bulk, churn } satisfies Record<string, Scenario>
