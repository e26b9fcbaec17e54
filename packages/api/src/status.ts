/** TrackerStatus and PinType: bit masks in Go and on the wire, names in JSON and here where a single value is meant. */

/** Bit mask; a real status has one bit, a filter may have many. */
export type TrackerStatus = number

export const TRACKER_STATUS = {
  undefined: 0,
  cluster_error: 2,
  pin_error: 4,
  unpin_error: 8,
  pinned: 16,
  pinning: 32,
  unpinning: 64,
  unpinned: 128,
  remote: 256,
  pin_queued: 512,
  unpin_queued: 1024,
  sharded: 2048,
  unexpectedly_unpinned: 4096,
  /** Filter: every kind of error. */
  error: 2 | 4 | 8,
  /** Filter: both queues. */
  queued: 512 | 1024,
} as const satisfies Record<string, TrackerStatus>

export type TrackerStatusName = keyof typeof TRACKER_STATUS

const STATUS_NAMES = Object.keys(TRACKER_STATUS) as TrackerStatusName[]

/** The name of a status; of several bits, every name that shares one, joined with commas (as Go prints it). */
export function trackerStatusText(status: TrackerStatus): string {
  const exact = STATUS_NAMES.find(name => TRACKER_STATUS[name] === status)
  if (exact !== undefined) return exact
  return STATUS_NAMES.filter(name => (TRACKER_STATUS[name] & status) !== 0).join(',')
}

/** Reads a filter such as `pinned, error`: unknown names are ignored, all unknown or none gives 0 (everything). */
export function parseTrackerStatus(text: string): TrackerStatus {
  let status = 0
  for (const name of text.replaceAll(' ', '').split(',')) {
    if (Object.hasOwn(TRACKER_STATUS, name)) status |= TRACKER_STATUS[name as TrackerStatusName]
  }
  return status
}

/** True when the filter is 0, the status is undefined, or they share a bit. */
export function matchesStatus(status: TrackerStatus, filter: TrackerStatus): boolean {
  return filter === 0 || status === 0 || (status & filter) !== 0
}

export type PinType = 'bad-type' | 'pin' | 'meta-pin' | 'clusterdag-pin' | 'shard-pin'

/** Bits in msgpack and in filters; the protobuf enum is the bit's index. */
export const PIN_TYPE_BITS: Readonly<Record<PinType, number>> = {
  'bad-type': 1,
  pin: 2,
  'meta-pin': 4,
  'clusterdag-pin': 8,
  'shard-pin': 16,
}

export const PIN_TYPE_ALL = 30

const PIN_TYPES = Object.keys(PIN_TYPE_BITS) as PinType[]

/** The type of a single bit; anything else is `bad-type`. */
export function pinTypeOfBits(bits: number): PinType {
  return PIN_TYPES.find(type => PIN_TYPE_BITS[type] === bits) ?? 'bad-type'
}

/** Bits of one name; empty and `all` are every type, unknown names `bad-type`. */
export function parsePinTypeBits(name: string): number {
  if (name === '' || name === 'all') return PIN_TYPE_ALL
  return Object.hasOwn(PIN_TYPE_BITS, name) ? PIN_TYPE_BITS[name as PinType] : PIN_TYPE_BITS['bad-type']
}
