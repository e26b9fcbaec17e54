/**
 * The rows of this room in the root store. The pins themselves are entries of the CRDT; these rows are written in the same batch.
 *
 * | row | value |
 * |---|---|
 * | `state/o` + sequence (8 bytes, big-endian) | changes not yet acknowledged, up to `MAX_OUTBOX_CIDS`: for each the length (4 bytes) and the bytes of its CID; the sequence is that of the last |
 * | `state/e` + expiry (Unix seconds, 8 bytes, big-endian) + CID bytes | empty: this pin expires then |
 * | `state/n` + up to 255 bytes of the name + 0 + CID bytes | length of the CID, 2 bytes: a pin that has a name |
 * | `state/s` + time of creation (as expiry) + `createdSlot` (2 bytes) + CID bytes | empty: every pin; time 0 for those that do not say when they were created |
 * | `state/k` + type (1 byte, the number of its enum in protobuf) + key of the pin | empty: a pin that is not plain data, but the root or a part of sharded content |
 * | `state/indexed` | version of the indexes (1 byte): every pin has its `n`, `s` and `k` rows, also those written before there were such rows |
 *
 * `state/t` were rows of creation without a slot; they are removed when the others are built.
 */
import { concatBytes, prefixRange, utf8, utf8Text, type StoreRange } from '@ipfs-cluster/base'

export const OUTBOX_PREFIX: Uint8Array = utf8('state/o')
export const EXPIRY_PREFIX: Uint8Array = utf8('state/e')
export const NAME_PREFIX: Uint8Array = utf8('state/n')
export const TIME_PREFIX: Uint8Array = utf8('state/s')
export const FORMER_TIME_PREFIX: Uint8Array = utf8('state/t')
export const TYPE_PREFIX: Uint8Array = utf8('state/k')
export const INDEXED_ROW: Uint8Array = utf8('state/indexed')
/** Of the indexes that every pin is in; stores of before there was a second have another value. */
export const INDEXES_VERSION: Uint8Array = Uint8Array.of(3)

/** Changes in one row of the outbox: few enough that taking some of them and writing the rest anew is cheap. */
export const MAX_OUTBOX_CIDS = 256

const NUMBER_BYTES = 8
const LENGTH_BYTES = 4

export function outboxRow(sequence: number): Uint8Array {
  return concatBytes([OUTBOX_PREFIX, bigEndian(BigInt(sequence))])
}

export function sequenceOf(outboxRow: Uint8Array): number {
  return Number(new DataView(outboxRow.buffer, outboxRow.byteOffset).getBigUint64(OUTBOX_PREFIX.length))
}

export function encodeOutboxCids(cids: readonly Uint8Array[]): Uint8Array {
  let size = 0
  for (const cid of cids) size += LENGTH_BYTES + cid.length
  const out = new Uint8Array(size)
  const lengths = new DataView(out.buffer)
  let at = 0
  for (const cid of cids) {
    lengths.setUint32(at, cid.length)
    out.set(cid, at + LENGTH_BYTES)
    at += LENGTH_BYTES + cid.length
  }
  return out
}

/** Views of `row`. */
export function decodeOutboxCids(row: Uint8Array): Uint8Array[] {
  const lengths = new DataView(row.buffer, row.byteOffset, row.byteLength)
  const cids: Uint8Array[] = []
  for (let at = 0; at < row.length;) {
    const end = at + LENGTH_BYTES + lengths.getUint32(at)
    cids.push(row.subarray(at + LENGTH_BYTES, end))
    at = end
  }
  return cids
}

/** The row of a pin that expires at `seconds`; without `cid`, where the rows of that second begin. */
export function expiryRow(seconds: bigint, cid?: Uint8Array): Uint8Array {
  return concatBytes([EXPIRY_PREFIX, bigEndian(seconds), ...(cid === undefined ? [] : [cid])])
}

/** Unix seconds of an expiry row. */
export function secondsOf(expiryRow: Uint8Array): bigint {
  return new DataView(expiryRow.buffer, expiryRow.byteOffset).getBigUint64(EXPIRY_PREFIX.length)
}

export function cidBytesOf(expiryRow: Uint8Array): Uint8Array {
  return expiryRow.subarray(EXPIRY_PREFIX.length + NUMBER_BYTES)
}

/** Bytes of a name in its row: longer names are in the order of their beginning. */
const NAME_BYTES = 255
const NAME_END = Uint8Array.of(0)

/** The row of a pin of that name (UTF-8). */
export function nameRow(name: Uint8Array, cid: Uint8Array): { key: Uint8Array; value: Uint8Array } {
  const kept = name.length > NAME_BYTES ? name.subarray(0, NAME_BYTES) : name
  return {
    key: concatBytes([NAME_PREFIX, kept, NAME_END, cid]),
    value: Uint8Array.of(cid.length >> 8, cid.length & 255),
  }
}

/** Where the rows of names that begin with this text begin. */
export function namesFrom(name: Uint8Array): Uint8Array {
  return concatBytes([NAME_PREFIX, name.subarray(0, NAME_BYTES)])
}

/** The range of the rows of pins whose name is this one, and of others: names may have a 0, or be longer than what is kept of them. */
export function nameRange(name: Uint8Array): StoreRange {
  return prefixRange(concatBytes([namesFrom(name), NAME_END]))
}

/** The CID at the end of a row. */
export function cidBytesOfName(row: Uint8Array, value: Uint8Array): Uint8Array {
  const length = ((value[0] ?? 0) << 8) | (value[1] ?? 0)
  return row.subarray(row.length - length)
}

const SLOT_BYTES = 2
/** Milliseconds of a second. */
const SLOTS = 1_000

/**
 * Where in its second a pin stands, in milliseconds: the pinset keeps whole seconds, and whoever reads a list page by page by time needs times that
 * tell its pins apart. It follows from the CID alone, so that it is the same on every peer and at any time.
 */
export function createdSlot(cid: Uint8Array): number {
  const { length } = cid
  return (((cid[length - 2] ?? 0) << 8) | (cid[length - 1] ?? 0)) % SLOTS
}

/** The row of a pin created at `seconds`; without `cid`, where the rows of that second begin. Times before 1970 count as then. */
export function timeRow(seconds: number, cid?: Uint8Array): Uint8Array {
  const row = new Uint8Array(
    TIME_PREFIX.length + NUMBER_BYTES + (cid === undefined ? 0 : SLOT_BYTES + cid.length),
  )
  row.set(TIME_PREFIX)
  // By hand: every pin that comes in has one, and a DataView costs more than all the rest.
  let rest = Math.min(Math.max(0, seconds), Number.MAX_SAFE_INTEGER)
  for (let i = TIME_PREFIX.length + NUMBER_BYTES - 1; rest > 0; i--) {
    row[i] = rest % 256
    rest = Math.floor(rest / 256)
  }
  if (cid === undefined) return row
  setSlot(row, createdSlot(cid))
  row.set(cid, TIME_PREFIX.length + NUMBER_BYTES + SLOT_BYTES)
  return row
}

/** Where the rows of that second and slot begin. */
export function slotRow(seconds: number, slot: number): Uint8Array {
  const row = concatBytes([timeRow(seconds), new Uint8Array(SLOT_BYTES)])
  setSlot(row, slot)
  return row
}

function setSlot(row: Uint8Array, slot: number): void {
  const at = TIME_PREFIX.length + NUMBER_BYTES
  row[at] = slot >> 8
  row[at + 1] = slot & 255
}

export function cidBytesOfTime(row: Uint8Array): Uint8Array {
  return row.subarray(TIME_PREFIX.length + NUMBER_BYTES + SLOT_BYTES)
}

/** The row of a pin of that type (number of the enum); without `key`, where the rows of that type begin. */
export function typeRow(type: number, key = ''): Uint8Array {
  return concatBytes([TYPE_PREFIX, Uint8Array.of(type), utf8(key)])
}

/** The key of the pin in a row by type. */
export function keyOfType(row: Uint8Array): string {
  return utf8Text(row.subarray(TYPE_PREFIX.length + 1))
}

function bigEndian(value: bigint): Uint8Array {
  const bytes = new Uint8Array(NUMBER_BYTES)
  new DataView(bytes.buffer).setBigUint64(0, value)
  return bytes
}
