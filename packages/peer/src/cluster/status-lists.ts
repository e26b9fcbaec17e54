/** The status of many pins: everything, or what matches filters of statuses and of pins. */
import {
  ALL_PINS,
  isAnyPin,
  pinInfoMatcher,
  startsFromStatus,
  type GlobalPinInfo,
  type PeerId,
  type Pin,
  type PinInfoShort,
  type PinListing,
  type TrackerStatus,
} from '@ipfs-cluster/api'
import { anySignal, Batched, mapBatches, type AbortOptions } from '@ipfs-cluster/base'
import type { Consensus } from '../consensus/index.ts'
import { RPC, type Network } from '../net/index.ts'
import type { PinTracker } from '../pintracker/index.ts'
import { limited, listPins, statusesOfPins } from './filtered-status.ts'
import { globalPinInfo, mergeStatus, type ReportedStatus } from './merge-status.ts'
import { withFacts } from './status-facts.ts'
import { inOrder, statusesOn, type SourceComponents } from './status-sources.ts'
import type { StatusListing } from './types.ts'

export interface StatusListComponents extends SourceComponents {
  readonly network: Pick<Network, 'peerId' | 'rpc'>
  readonly consensus: Pick<Consensus, 'state'>
  readonly tracker: Pick<PinTracker, 'statusBatches' | 'statusMany' | 'recoverAll'>
}

export interface StatusListPeers {
  readonly members: () => readonly PeerId[]
  /** A peer that failed, as an entry of `peerMap`. */
  readonly describeFailure: (peer: PeerId, error: Error) => PinInfoShort
  /** The peer does not trust us: it is left out, as if it were no member. */
  readonly isStranger: (error: Error) => boolean
}

export interface StatusLists {
  statusAll(filter: TrackerStatus, options?: StatusListing): Batched<GlobalPinInfo>
  statusAllLocal(filter: TrackerStatus, options?: StatusListing): Batched<GlobalPinInfo>
  /** Of these pins, in their order. Peers that do not know a pin are not in its entry. */
  statusOf(pins: AsyncIterable<Pin>, options?: AbortOptions): Batched<GlobalPinInfo>
  recoverAll(options?: AbortOptions): Batched<GlobalPinInfo>
}

export function createStatusLists(
  components: StatusListComponents,
  { members, describeFailure, isStranger }: StatusListPeers,
): StatusLists {
  const { network, consensus, tracker } = components
  const ended = () => new DOMException('the listing is over', 'AbortError')

  /** A listing that starts from the statuses of `peers`. */
  const fromStatuses = (
    filter: TrackerStatus,
    { filter: pins, limit, cursor }: PinListing,
    options: AbortOptions,
  ): Batched<GlobalPinInfo> => {
    const after = cursor?.cid
    const all = askAll((peer, signal) => statusesOn(components, peer, { filter, after }, signal), options)
    const matches = pinInfoMatcher(pins)
    const wanted = isAnyPin(pins) ? all : mapBatches(all.batches, batch => batch.filter(matches))
    return limit === null ? wanted : new Batched(limited(wanted.batches, limit))
  }

  /** A listing that starts from the pins, and asks `peers` for each. */
  const fromPins = (
    peers: readonly PeerId[],
    filter: TrackerStatus,
    listing: PinListing,
    { signal }: AbortOptions,
  ): Batched<GlobalPinInfo> => {
    const found = asking({ signal }, joined =>
      statusesOfPins(components, listPins(consensus.state, listing, joined), {
        peers,
        filter,
        limit: listing.limit,
        describeFailure,
        ignoreFailure: isStranger,
        signal: joined,
      }),
    )
    return new Batched(limited(found, listing.limit))
  }

  /** Questions that end with the listing. */
  const asking = async function* <T>(
    { signal }: AbortOptions,
    ask: (signal: AbortSignal) => AsyncGenerator<T>,
  ): AsyncGenerator<T> {
    const stop = new AbortController()
    try {
      yield* ask(anySignal(signal, stop.signal) ?? stop.signal)
    } finally {
      stop.abort(ended())
    }
  }

  /** Lists of all members, merged. `open` starts a peer's list, in the order of CID bytes. */
  const askAll = (
    open: (peer: PeerId, signal: AbortSignal) => AsyncIterable<readonly ReportedStatus[]>,
    { signal }: AbortOptions,
  ): Batched<GlobalPinInfo> => {
    const stop = new AbortController()
    const joined = anySignal(signal, stop.signal) ?? stop.signal
    const merged = mergeStatus(
      members().map(peer => ({ peer, batches: open(peer, joined) })),
      {
        describeFailure,
        ignoreFailure: isStranger,
        stop: () => stop.abort(ended()),
      },
    )
    return mapBatches(merged, batch => withFacts(components, batch, joined))
  }

  return {
    statusAll: (filter, { listing = ALL_PINS, signal } = {}) =>
      startsFromStatus(filter, listing.filter)
        ? fromStatuses(filter, listing, { signal })
        : fromPins(members(), filter, listing, { signal }),
    statusAllLocal(filter, { listing = ALL_PINS, signal } = {}) {
      if (!startsFromStatus(filter, listing.filter)) {
        return fromPins([network.peerId], filter, listing, { signal })
      }
      const matches = pinInfoMatcher(listing.filter)
      const infos = tracker.statusBatches(filter, { after: listing.cursor?.cid, signal })
      const found = mapBatches(infos, batch => batch.filter(matches).map(info => globalPinInfo([info])))
      return new Batched(limited(found.batches, listing.limit))
    },
    statusOf: (pins, options = {}) =>
      new Batched(
        asking(options, signal =>
          statusesOfPins(components, pins, {
            peers: members(),
            filter: 0,
            limit: null,
            unknown: true,
            describeFailure,
            ignoreFailure: isStranger,
            signal,
          }),
        ),
      ),
    recoverAll: (options = {}) =>
      askAll(
        (peer, signal) =>
          inOrder(components, signal, each =>
            peer === network.peerId
              ? tracker.recoverAll({ signal: each })
              : network.rpc.stream(peer, RPC.Cluster.RecoverAllLocal, [], { signal: each }),
          ),
        options,
      ),
  }
}
