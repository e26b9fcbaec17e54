/** How `GET /pins` lists what matches both a filter of statuses and one of pins. */
import { isAnyPin, pinOrder, type PinFilter, type PinOrder } from './pin-filter.ts'
import { TRACKER_STATUS, type TrackerStatus } from './status.ts'

/** True for a filter of statuses that few pins have at a time, of which peers keep an index: neither `pinned` nor `remote`, nor everything. */
export function isRareStatus(filter: TrackerStatus): boolean {
  return filter !== 0 && (filter & (TRACKER_STATUS.pinned | TRACKER_STATUS.remote)) === 0
}

/**
 * True when a listing starts from the statuses and looks at the pins of those that match; else it starts from the pins, in the order of
 * `GET /allocations`, and asks for their statuses.
 */
export function startsFromStatus(filter: TrackerStatus, pins: PinFilter): boolean {
  return isAnyPin(pins) || isRareStatus(filter)
}

/** The order of `GET /pins` with this filter of statuses, for cursors. */
export function statusOrder(filter: TrackerStatus): (pins: PinFilter) => PinOrder {
  return pins => (startsFromStatus(filter, pins) ? 'cid' : pinOrder(pins))
}
