/** The status of a pin object from what the peers say of the pin: pure. */
import { TRACKER_STATUS, type GlobalPinInfo, type Pin, type TrackerStatus } from '@ipfs-cluster/api'
import type { PinStatusName } from './types.ts'

const {
  cluster_error,
  error,
  pin_error,
  pin_queued,
  pinned,
  pinning,
  sharded,
  unexpectedly_unpinned,
  unpin_error,
} = TRACKER_STATUS

/** Statuses that make a pin anything but `pinned`. Few pins have them at a time, and peers have an index of them. */
export const UNSETTLED: TrackerStatus = error | pin_queued | pinning | unexpectedly_unpinned

/**
 * As in Go, but for errors: there a single peer that fails, or that is away, makes a pin `failed`. Here it is `failed` only when so few other peers keep
 * it, or have yet to, that its least number of copies cannot be reached; of a pin for every peer, when one has failed, or when nobody else is known to
 * keep it. In Go what none of the statuses fits is hidden; here it is `queued`: of a pin just submitted, nobody may know yet.
 */
export function pinStatusOf(
  { replicationFactorMin }: Pick<Pin, 'replicationFactorMin'>,
  statuses: readonly TrackerStatus[],
): PinStatusName {
  const count = (bits: TrackerStatus) => statuses.filter(status => (status & bits) !== 0).length
  const copies = count(pinned | pin_queued | pinning | unexpectedly_unpinned)
  const failures = count(pin_error | unpin_error)
  const unreachable = count(cluster_error)
  const isFailed =
    replicationFactorMin > 0
      ? failures + unreachable > 0 && copies < replicationFactorMin
      : failures > 0 || (unreachable > 0 && copies === 0)
  if (isFailed) return 'failed'
  if (count(pin_queued | unexpectedly_unpinned) > 0) return 'queued'
  if (count(pinning) > 0) return 'pinning'
  // Of the root of sharded content; its parts are pins of their own.
  return count(pinned | sharded) > 0 ? 'pinned' : 'queued'
}

export function statusesIn({ peerMap }: Pick<GlobalPinInfo, 'peerMap'>): TrackerStatus[] {
  return Object.values(peerMap).map(({ status }) => status)
}

/** Statuses of all peers, from a list that has only the `UNSETTLED` ones: whoever keeps a pin and is not in it has it pinned. */
export function completedStatuses(
  pin: Pick<Pin, 'allocations'>,
  { peerMap }: Pick<GlobalPinInfo, 'peerMap'>,
) {
  const settled = pin.allocations.filter(peer => peerMap[peer] === undefined)
  return [...statusesIn({ peerMap }), ...settled.map(() => pinned)]
}
