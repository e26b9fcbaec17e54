/**
 * The rows of this room in the root store. The pins themselves are entries of the CRDT; these rows are written in the same batch.
 *
 * | row | value |
 * |---|---|
 * | `state/o` + sequence (8 bytes, big-endian) | a change not yet acknowledged: the CID's bytes |
 * | `state/e` + expiry (Unix seconds, 8 bytes, big-endian) + CID bytes | empty: this pin expires then |
 */
import { concatBytes, utf8 } from '@ipfs-cluster/base'

export const OUTBOX_PREFIX: Uint8Array = utf8('state/o')
export const EXPIRY_PREFIX: Uint8Array = utf8('state/e')

const NUMBER_BYTES = 8

export function outboxRow(sequence: number): Uint8Array {
  return concatBytes([OUTBOX_PREFIX, bigEndian(BigInt(sequence))])
}

export function sequenceOf(outboxRow: Uint8Array): number {
  return Number(new DataView(outboxRow.buffer, outboxRow.byteOffset).getBigUint64(OUTBOX_PREFIX.length))
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
