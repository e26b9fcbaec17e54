/** Statuses of chosen pins, asked for pin by pin: what a listing costs that starts from the pins. */
import {
  matchesStatus,
  TRACKER_STATUS,
  type GlobalPinInfo,
  type PeerId,
  type Pin,
  type PinInfo,
  type PinInfoShort,
  type PinListing,
  type TrackerStatus,
} from '@ipfs-cluster/api'
import { asError, mapConcurrent, type Clock } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { RPC, type Network } from '../net/index.ts'
import type { PinTracker } from '../pintracker/index.ts'
import type { PinState } from '../state/index.ts'
import { factsOfPin } from './status-facts.ts'
import { isUnknownMethod } from './status-sources.ts'
import { shortOf } from './merge-status.ts'

/** Whoever takes longer for the statuses of a batch is reported as failed, and not asked for the rest of the listing. */
export const BATCH_DEADLINE_MS = 3_000
/** The same for a Go peer, which asks its daemon for each of them. */
const GO_BATCH_DEADLINE_MS = 15_000
/** Pins asked for at once; the first batch is small, so that the first line comes soon. */
const BATCH = 250
const FIRST_BATCH = 32
/** CIDs that a Go peer is asked for at a time. */
const GO_CONCURRENCY = 16

export interface FilteredComponents {
  readonly network: Pick<Network, 'peerId' | 'rpc'>
  readonly tracker: Pick<PinTracker, 'statusMany'>
  readonly clock: Clock
}

export interface FilteredOptions {
  /** Whom to ask. */
  readonly peers: readonly PeerId[]
  /** 0: any. */
  readonly filter: TrackerStatus
  /** `null`: all. */
  readonly limit: number | null
  /** Pins of which no peer knows anything, too. @default false */
  readonly unknown?: boolean
  readonly describeFailure: (peer: PeerId, error: Error) => PinInfoShort
  readonly ignoreFailure: (error: Error) => boolean
  readonly signal: AbortSignal
}

/** In the order of `pins`. Peers that do not know a pin, or whose status does not match, are not in its entry; pins without any are left out, unless `unknown`. */
export async function* statusesOfPins(
  components: FilteredComponents,
  pins: AsyncIterable<Pin>,
  options: FilteredOptions,
): AsyncGenerator<readonly GlobalPinInfo[]> {
  const failures = new Map<PeerId, PinInfoShort | undefined>()
  for await (const batch of inBatches(pins, Math.min(BATCH, options.limit ?? BATCH))) {
    options.signal.throwIfAborted()
    const cids = batch.map(({ cid }) => cid)
    const answers = await Promise.all(
      options.peers
        .filter(peer => !failures.has(peer))
        .map(async peer => {
          try {
            return { peer, infos: await ask(components, peer, cids, options.signal) }
          } catch (thrown) {
            options.signal.throwIfAborted()
            const error = asError(thrown)
            const failure = options.ignoreFailure(error) ? undefined : options.describeFailure(peer, error)
            failures.set(peer, failure)
            return { peer, infos: [] }
          }
        }),
    )
    const entries = batch.map((pin, i): GlobalPinInfo | undefined => {
      const peerMap: Record<PeerId, PinInfoShort> = {}
      for (const { peer, infos } of answers) {
        const info = infos[i]
        if (info === undefined || info.status === TRACKER_STATUS.unpinned) continue
        if (matchesStatus(info.status, options.filter)) peerMap[peer] = shortOf(info)
      }
      if (Object.keys(peerMap).length === 0 && options.unknown !== true) return undefined
      for (const [peer, failure] of failures) if (failure !== undefined) peerMap[peer] = failure
      return { cid: pin.cid, ...factsOfPin(pin), peerMap }
    })
    yield entries.filter(entry => entry !== undefined)
  }
}

async function ask(
  { network, tracker, clock }: FilteredComponents,
  peer: PeerId,
  cids: readonly CID[],
  signal: AbortSignal,
): Promise<readonly PinInfo[]> {
  if (peer === network.peerId) return await tracker.statusMany(cids)
  const within = (ms: number) => ({ signal: AbortSignal.any([signal, deadline(clock, ms)]) })
  const { StatusMany, Status } = RPC.PinTracker
  try {
    return await network.rpc.call(peer, StatusMany, cids, within(BATCH_DEADLINE_MS))
  } catch (error) {
    if (!isUnknownMethod(error)) throw error
  }
  const infos: PinInfo[] = []
  const options = within(GO_BATCH_DEADLINE_MS)
  const calls = mapConcurrent(cids.entries(), GO_CONCURRENCY, async ([i, cid]) => {
    infos[i] = await network.rpc.call(peer, Status, cid, options)
  })
  for await (const _done of calls);
  return infos
}

function deadline(clock: Clock, ms: number): AbortSignal {
  const late = new AbortController()
  clock.timeout(ms).addEventListener('abort', () => {
    late.abort(new DOMException(`no answer within ${ms} ms`, 'TimeoutError'))
  })
  return late.signal
}

async function* inBatches(pins: AsyncIterable<Pin>, size: number): AsyncGenerator<readonly Pin[]> {
  let batch: Pin[] = []
  let limit = Math.min(FIRST_BATCH, size)
  for await (const pin of pins) {
    batch.push(pin)
    if (batch.length < limit) continue
    yield batch
    batch = []
    limit = size
  }
  if (batch.length > 0) yield batch
}

/** The pins of a listing, in its order; its limit is left to the caller, who drops some of them. */
export function listPins(
  state: Pick<PinState, 'list'>,
  { filter, cursor }: PinListing,
  signal: AbortSignal,
): AsyncIterable<Pin> {
  return state.list({ filter, cursor, signal })
}

/** At most `limit` items of the batches; `null`: all. */
export async function* limited<T>(
  batches: AsyncIterable<readonly T[]>,
  limit: number | null,
): AsyncGenerator<readonly T[]> {
  let left = limit ?? Number.POSITIVE_INFINITY
  for await (const batch of batches) {
    yield batch.length <= left ? batch : batch.slice(0, left)
    left -= batch.length
    if (left <= 0) return
  }
}
