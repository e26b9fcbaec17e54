import { isRemotePin, type PeerId, type Pin } from '@ipfs-cluster/api'
import { isSameRequest, type Operation } from './operations.ts'
import type { TrackerEvent } from './transitions.ts'

export type Place = 'here' | 'remote' | 'sharded'

/** Where a pin of the pinset is kept, seen from `self`. */
export function placeOf(pin: Pin, self: PeerId): Place {
  if (pin.type === 'meta-pin') return 'sharded'
  return isRemotePin(pin, self) ? 'remote' : 'here'
}

/**
 * What the pinset says of a CID, as an event for its row.
 *
 * @param pin as it is now; `undefined` when it is not in the pinset.
 * @param operation the one under way for this CID.
 */
export function pinsetEvent(
  pin: Pin | undefined,
  self: PeerId,
  operation: Operation | undefined,
): TrackerEvent {
  if (pin === undefined) return { type: 'untrack' }
  return {
    type: 'track',
    place: placeOf(pin, self),
    submitted: pin.timestamp === null ? 0 : Math.max(0, Number(pin.timestamp / 1_000_000n)),
    direct: pin.maxDepth === 0,
    size: Number(pin.size ?? 0n),
    continues: operation !== undefined && serves(operation, pin),
  }
}

/** An operation that has failed already serves nobody who asks now. */
function serves({ kind, pin: asked, outcome, controller }: Operation, pin: Pin): boolean {
  if (kind !== 'pin' || asked === undefined || controller.signal.aborted) return false
  return (outcome === undefined || outcome.type === 'done') && isSameRequest(asked, pin)
}
