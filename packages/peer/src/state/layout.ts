/**
 * The rows of this room in the root store. The pins themselves are entries of the CRDT; these rows are written in the same batch.
 *
 * | row | value |
 * |---|---|
 * | `state/o` + sequence (8 bytes, big-endian) | changes not yet acknowledged, up to `MAX_OUTBOX_CIDS`: for each the length (4 bytes) and the bytes of its CID; the sequence is that of the last |
 * | `state/e` + expiry (Unix seconds, 8 bytes, big-endian) + CID bytes | empty: this pin expires then |
 */
import { concatBytes, utf8 } from '@ipfs-cluster/base'

export const OUTBOX_PREFIX: Uint8Array = utf8('state/o')
export const EXPIRY_PREFIX: Uint8Array = utf8('state/e')

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

export function cidBytesOf(expiryRow: Uint8Array): Uint8Array {
  return expiryRow.subarray(EXPIRY_PREFIX.length + NUMBER_BYTES)
}

function bigEndian(value: bigint): Uint8Array {
  const bytes = new Uint8Array(NUMBER_BYTES)
  new DataView(bytes.buffer).setBigUint64(0, value)
  return bytes
}
