import type { CID } from 'multiformats/cid'

/** Identifies a block whatever the codec and version of the CID: the multihash, one character a byte. */
export type BlockKey = string

/** Longest CID accepted from a peer (a 64-byte digest needs 72): remembered wants must not cost megabytes. Bytes. */
const MAX_CID_BYTES = 256

const CIDV0_LENGTH = 34

export interface CidLayout {
  readonly multihashOffset: number
  readonly digestOffset: number
  readonly hashCode: number
}

/** Reads an unsigned varint of at most 32 bits; `undefined` when there is none, or it is longer than it need be. */
export function readVarint(
  bytes: Uint8Array,
  offset: number,
): readonly [value: number, next: number] | undefined {
  let value = 0
  for (let i = 0; i < 5; i++) {
    const byte = bytes[offset + i]
    if (byte === undefined) return undefined
    value += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) {
      // A CID has one form: the rest of the program could not read another.
      const isMinimal = byte > 0 || i === 0
      return value > 0xffffffff || !isMinimal ? undefined : [value, offset + i + 1]
    }
  }
  return undefined
}

/** Where the parts of a binary CID are; `undefined` when it is none. */
export function cidLayout(bytes: Uint8Array): CidLayout | undefined {
  if (bytes.length > MAX_CID_BYTES) return undefined
  if (bytes.length === CIDV0_LENGTH && bytes[0] === 0x12 && bytes[1] === 0x20) {
    return { multihashOffset: 0, digestOffset: 2, hashCode: 0x12 }
  }
  const version = readVarint(bytes, 0)
  if (version === undefined || version[0] !== 1) return undefined
  const codec = readVarint(bytes, version[1])
  if (codec === undefined) return undefined
  const hashCode = readVarint(bytes, codec[1])
  if (hashCode === undefined) return undefined
  const length = readVarint(bytes, hashCode[1])
  if (length === undefined || length[1] + length[0] !== bytes.length) return undefined
  return { multihashOffset: codec[1], digestOffset: length[1], hashCode: hashCode[0] }
}

export function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

export function keyOfCid(cid: CID): BlockKey {
  return latin1(cid.multihash.bytes)
}

/** The key of a binary CID; `undefined` when it is none. */
export function keyOfCidBytes(bytes: Uint8Array): BlockKey | undefined {
  const layout = cidLayout(bytes)
  return layout === undefined ? undefined : latin1(bytes.subarray(layout.multihashOffset))
}

const CIDV0_PREFIX = Uint8Array.of(0x00, 0x70, 0x12, 0x20)

/** What precedes the block in a 1.1+ payload: version, codec, hash function and digest length of the CID asked for. */
export function prefixOfCidBytes(bytes: Uint8Array): Uint8Array {
  const layout = cidLayout(bytes)
  if (layout === undefined) throw new RangeError('not a binary CID')
  return layout.multihashOffset === 0 ? CIDV0_PREFIX : bytes.subarray(0, layout.digestOffset)
}
