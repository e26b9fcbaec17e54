/**
 * The rows of this room in the root store. The pins themselves are entries of the CRDT; these rows are written in the same batch.
 *
 * | row | value |
 * |---|---|
 * | `state/o` + sequence (8 bytes, big-endian) | changes not yet acknowledged, up to `MAX_OUTBOX_CIDS`: for each the length (4 bytes) and the bytes of its CID; the sequence is that of the last |
 * | `state/e` + expiry (Unix seconds, 8 bytes, big-endian) + CID bytes | empty: this pin expires then |
 * | `state/n` + up to 255 bytes of the name + 0 + CID bytes | length of the CID, 2 bytes: a pin that has a name |
 * | `state/t` + time of creation (as expiry) + CID bytes | empty: a pin that says when it was created |
 * | `state/indexed` | empty: every pin has its `n` and `t` rows, also those written before there were such rows |
 */
import { concatBytes, prefixRange, utf8, type StoreRange } from '@ipfs-cluster/base'

export const OUTBOX_PREFIX: Uint8Array = utf8('state/o')
export const EXPIRY_PREFIX: Uint8Array = utf8('state/e')
export const NAME_PREFIX: Uint8Array = utf8('state/n')
export const TIME_PREFIX: Uint8Array = utf8('state/t')
export const INDEXED_ROW: Uint8Array = utf8('state/indexed')

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

/** The row of a pin created at `seconds`; without `cid`, where the rows of that second begin. Times before 1970 count as then. */
export function timeRow(seconds: number, cid?: Uint8Array): Uint8Array {
  const row = new Uint8Array(TIME_PREFIX.length + NUMBER_BYTES + (cid?.length ?? 0))
  row.set(TIME_PREFIX)
  // By hand: every pin that comes in has one, and a DataView costs more than all the rest.
  let rest = Math.min(Math.max(0, seconds), Number.MAX_SAFE_INTEGER)
  for (let i = TIME_PREFIX.length + NUMBER_BYTES - 1; rest > 0; i--) {
    row[i] = rest % 256
    rest = Math.floor(rest / 256)
  }
  if (cid !== undefined) row.set(cid, TIME_PREFIX.length + NUMBER_BYTES)
  return row
}

export function cidBytesOfTime(row: Uint8Array): Uint8Array {
  return row.subarray(TIME_PREFIX.length + NUMBER_BYTES)
}

function bigEndian(value: bigint): Uint8Array {
  const bytes = new Uint8Array(NUMBER_BYTES)
  new DataView(bytes.buffer).setBigUint64(0, value)
  return bytes
}
