/**
 * Layout of the tracker's table, below `TRACKER_PREFIX` of the root store. Integers are big-endian, CIDs binary and last in a key.
 *
 * | key | value |
 * |---|---|
 * | `m` | counts: format version (1 byte), then for each status of `ROW_STATUSES` the number of rows (6 bytes each), then the totals of `RowBytes` (8 each, doubles; missing: 0) |
 * | `r` CID | a row: status, queue, flags (1 byte each), generation, attempts (4 each), due, changed, submitted (6 each, ms), size if a flag says so (6), error text (UTF-8) |
 * | `i` status CID | nothing: index of the rows that are neither pinned nor remote |
 * | `q` queue due(6) CID | nothing: the queues, soonest first |
 *
 * Index and queue rows follow from the row; all of them change in one batch.
 */
import { concatBytes, PRESENT, utf8, utf8Text, type StoreOp, type StoreRange } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'

export const TRACKER_PREFIX: Uint8Array = utf8('/tracker/')

export const ROW_FORMAT = 1

/** Statuses that are stored; their order is part of the format. `pinning` and `unpinning` are known only while they last. */
export const ROW_STATUSES = [
  'pin_queued',
  'pin_error',
  'pinned',
  'unexpectedly_unpinned',
  'unpin_queued',
  'unpin_error',
  'remote',
  'sharded',
] as const

export type RowStatus = (typeof ROW_STATUSES)[number]

/**
 * Queues, in the order they are served; part of the format. Recent pins go before old ones, and pins that have failed wait for both, so
 * that they never hold a place a fresh one needs. Unpins have places of their own.
 */
export const QUEUES = ['priority', 'normal', 'retry', 'unpin'] as const

export type QueueName = (typeof QUEUES)[number]

/** What the tracker knows of one CID. No row: not in the pinset and nothing left to do. */
export interface Row {
  readonly status: RowStatus
  /** Where its next operation waits; none for a pin that rests. */
  readonly queue: QueueName | undefined
  /** Counts what was asked of this CID; the result of an operation for an older generation says nothing. */
  readonly generation: number
  /** Failed attempts in a row. */
  readonly attempts: number
  /** Unix ms before which the operation does not start; 0 without a queue. */
  readonly due: number
  /** Unix ms of the last change of status. */
  readonly changed: number
  /** Unix ms of the pin's own timestamp; 0 when it has none. */
  readonly submitted: number
  /** The pin is wanted direct, not recursive. */
  readonly direct: boolean
  /** Bytes of the content: measured when it was pinned, or known before, or what one had that was too large; 0: not known. */
  readonly size: number
  /** It was pinned here when it was asked for again: the space that it needs is taken already. */
  readonly kept: boolean
  /** Why the last operation failed. */
  readonly error: string
}

/** Known sizes, all rows together. Bytes. */
export interface RowBytes {
  /** Of what is pinned. */
  readonly pinned: number
  /** Of what waits for its first turn, and is not kept. */
  readonly waiting: number
}

export const NO_BYTES: RowBytes = { pinned: 0, waiting: 0 }

/** Number of rows of each status. */
export type RowCounts = Readonly<Record<RowStatus, number>>

/** Bytes of error text kept. */
export const MAX_ERROR_BYTES = 1024

const HEADER_BYTES = 29
const SIZE_BYTES = 6
const FLAG_DIRECT = 1
const FLAG_SIZE = 2
const FLAG_KEPT = 4
const MAX_SIZE = 2 ** 48 - 1
const NO_QUEUE = 0xff
const [META, ROW, INDEX, QUEUE] = [0x6d, 0x72, 0x69, 0x71] as const

export const metaKey: Uint8Array = Uint8Array.of(META)
export const rowRange: StoreRange = { gte: Uint8Array.of(ROW), lt: Uint8Array.of(ROW + 1) }

export function rowKey(cid: CID): Uint8Array {
  return concatBytes([Uint8Array.of(ROW), cid.bytes])
}

/** The binary CID of a row key. */
export function cidOfRowKey(key: Uint8Array): Uint8Array {
  return key.subarray(1)
}

export function indexRange(status: RowStatus): StoreRange {
  const prefix = ROW_STATUSES.indexOf(status)
  return { gte: Uint8Array.of(INDEX, prefix), lt: Uint8Array.of(INDEX, prefix + 1) }
}

export function indexKey(status: RowStatus, cid: CID): Uint8Array {
  return concatBytes([Uint8Array.of(INDEX, ROW_STATUSES.indexOf(status)), cid.bytes])
}

/** The binary CID of an index key. */
export function cidOfIndexKey(key: Uint8Array): Uint8Array {
  return key.subarray(2)
}

/** Below every key of the queue. */
export function queueStart(queue: QueueName): Uint8Array {
  return Uint8Array.of(QUEUE, QUEUES.indexOf(queue))
}

/** Above every key of the queue. */
export function queueEnd(queue: QueueName): Uint8Array {
  return Uint8Array.of(QUEUE, QUEUES.indexOf(queue) + 1)
}

/** @param cid without it, the key below those of all CIDs with that due time. */
export function queueKey(queue: QueueName, due: number, cid: CID | undefined): Uint8Array {
  const head = new Uint8Array(8)
  head[0] = QUEUE
  head[1] = QUEUES.indexOf(queue)
  writeUint48(new DataView(head.buffer), 2, due)
  return cid === undefined ? head : concatBytes([head, cid.bytes])
}

export interface QueueEntry {
  readonly due: number
  readonly cid: Uint8Array
}

export function readQueueKey(key: Uint8Array): QueueEntry {
  return { due: readUint48(view(key), 2), cid: key.subarray(8) }
}

export function encodeRow(row: Row): Uint8Array {
  const error = utf8(row.error).subarray(0, MAX_ERROR_BYTES)
  const head = HEADER_BYTES + (row.size > 0 ? SIZE_BYTES : 0)
  const out = new Uint8Array(head + error.length)
  const fields = view(out)
  out[0] = ROW_STATUSES.indexOf(row.status)
  out[1] = row.queue === undefined ? NO_QUEUE : QUEUES.indexOf(row.queue)
  out[2] = (row.direct ? FLAG_DIRECT : 0) | (row.size > 0 ? FLAG_SIZE : 0) | (row.kept ? FLAG_KEPT : 0)
  fields.setUint32(3, row.generation)
  fields.setUint32(7, row.attempts)
  writeUint48(fields, 11, row.due)
  writeUint48(fields, 17, row.changed)
  writeUint48(fields, 23, row.submitted)
  if (row.size > 0) writeUint48(fields, HEADER_BYTES, Math.min(row.size, MAX_SIZE))
  out.set(error, head)
  return out
}

/** @throws RangeError when the bytes are no row of this format. */
export function decodeRow(bytes: Uint8Array): Row {
  const status = ROW_STATUSES[bytes[0] ?? -1]
  const queue = QUEUES[bytes[1] ?? -1]
  if (bytes.length < HEADER_BYTES || status === undefined || (queue === undefined && bytes[1] !== NO_QUEUE)) {
    throw new RangeError('not a row of the pin tracker')
  }
  const fields = view(bytes)
  const flags = bytes[2] ?? 0
  const head = HEADER_BYTES + ((flags & FLAG_SIZE) === 0 ? 0 : SIZE_BYTES)
  if (bytes.length < head) throw new RangeError('not a row of the pin tracker')
  return {
    status,
    queue,
    direct: (flags & FLAG_DIRECT) !== 0,
    kept: (flags & FLAG_KEPT) !== 0,
    size: head === HEADER_BYTES ? 0 : readUint48(fields, HEADER_BYTES),
    generation: fields.getUint32(3),
    attempts: fields.getUint32(7),
    due: readUint48(fields, 11),
    changed: readUint48(fields, 17),
    submitted: readUint48(fields, 23),
    error: utf8Text(bytes.subarray(head)),
  }
}

/** What turns the rows of `cid` from `before` into `after`. */
export function rowOps(cid: CID, before: Row | undefined, after: Row | undefined): StoreOp[] {
  if (before === after) return []
  const ops: StoreOp[] = []
  const [gone, come] = [sideKeys(cid, before), sideKeys(cid, after)]
  // Deletions first: a key may be in both, and the last operation on a key wins.
  for (const key of gone) ops.push({ type: 'del', key })
  for (const key of come) ops.push({ type: 'put', key, value: PRESENT })
  const key = rowKey(cid)
  ops.push(after === undefined ? { type: 'del', key } : { type: 'put', key, value: encodeRow(after) })
  return ops
}

function sideKeys(cid: CID, row: Row | undefined): Uint8Array[] {
  if (row === undefined) return []
  const keys: Uint8Array[] = []
  if (row.status !== 'pinned' && row.status !== 'remote') {
    keys.push(indexKey(row.status, cid))
  }
  if (row.queue !== undefined) keys.push(queueKey(row.queue, row.due, cid))
  return keys
}

const COUNTS_BYTES = 1 + ROW_STATUSES.length * 6

export function encodeCounts(counts: RowCounts, bytes: RowBytes): Uint8Array {
  const out = new Uint8Array(COUNTS_BYTES + 16)
  const fields = view(out)
  out[0] = ROW_FORMAT
  ROW_STATUSES.forEach((status, i) => writeUint48(fields, 1 + i * 6, counts[status]))
  fields.setFloat64(COUNTS_BYTES, bytes.pinned)
  fields.setFloat64(COUNTS_BYTES + 8, bytes.waiting)
  return out
}

/** What the counts row says; only the format version when that is not ours. */
export interface StoredCounts {
  readonly format: number
  readonly counts?: RowCounts
  readonly bytes?: RowBytes
}

export function decodeCounts(row: Uint8Array): StoredCounts {
  const format = row[0] ?? 0
  const withBytes = row.length === COUNTS_BYTES + 16
  if (format !== ROW_FORMAT || (row.length !== COUNTS_BYTES && !withBytes)) return { format }
  const fields = view(row)
  const counts = { ...NO_ROWS }
  ROW_STATUSES.forEach((status, i) => {
    counts[status] = readUint48(fields, 1 + i * 6)
  })
  // No row had a size before there were totals.
  if (!withBytes) return { format, counts, bytes: NO_BYTES }
  const bytes = {
    pinned: fields.getFloat64(COUNTS_BYTES),
    waiting: fields.getFloat64(COUNTS_BYTES + 8),
  }
  return { format, counts, bytes }
}

export const NO_ROWS: RowCounts = {
  pin_queued: 0,
  pin_error: 0,
  pinned: 0,
  unexpectedly_unpinned: 0,
  unpin_queued: 0,
  unpin_error: 0,
  remote: 0,
  sharded: 0,
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function writeUint48(fields: DataView, offset: number, value: number): void {
  const whole = Math.max(0, Math.floor(value))
  fields.setUint16(offset, Math.floor(whole / 2 ** 32) & 0xffff)
  fields.setUint32(offset + 2, whole % 2 ** 32)
}

function readUint48(fields: DataView, offset: number): number {
  return fields.getUint16(offset) * 2 ** 32 + fields.getUint32(offset + 2)
}
