/**
 * One block in a segment file: magic "BLK1", flags (1 byte), 0 (1 byte), multihash length (u16), data length (u32), multihash, data.
 * Numbers are big-endian. The multihash doubles as checksum. The index normally tells where a record is; the header is what
 * the index is rebuilt from when it was lost.
 */
const MAGIC = 0x424c4b31
const FIXED_BYTES = 12

const FLAG_LEAF = 1

export interface RecordHeader {
  readonly multihash: Uint8Array
  readonly dataLength: number
  /** Known to link to nothing when read as dag-pb. */
  readonly leaf: boolean
}

export function recordLength(multihash: Uint8Array, dataLength: number): number {
  return FIXED_BYTES + multihash.length + dataLength
}

export function writeHeader(target: Buffer, offset: number, header: RecordHeader): number {
  target.writeUInt32BE(MAGIC, offset)
  target.writeUInt16BE((header.leaf ? FLAG_LEAF : 0) << 8, offset + 4)
  target.writeUInt16BE(header.multihash.length, offset + 6)
  target.writeUInt32BE(header.dataLength, offset + 8)
  target.set(header.multihash, offset + FIXED_BYTES)
  return offset + FIXED_BYTES + header.multihash.length
}

/** Bytes enough for every header: multihashes longer than this are never stored. */
export const MAX_MULTIHASH_BYTES = 128
export const MAX_HEADER_BYTES = FIXED_BYTES + MAX_MULTIHASH_BYTES

/** The header at the start of `bytes`; `undefined` when there is none, or only part of one. */
export function readHeader(bytes: Buffer): RecordHeader | undefined {
  if (bytes.length < FIXED_BYTES || bytes.readUInt32BE(0) !== MAGIC) return undefined
  const multihashLength = bytes.readUInt16BE(6)
  if (multihashLength > MAX_MULTIHASH_BYTES || bytes.length < FIXED_BYTES + multihashLength) return undefined
  return {
    multihash: Uint8Array.from(bytes.subarray(FIXED_BYTES, FIXED_BYTES + multihashLength)),
    dataLength: bytes.readUInt32BE(8),
    leaf: ((bytes[4] as number) & FLAG_LEAF) !== 0,
  }
}

/** Where a block lies: the value of its index row. */
export interface Location {
  readonly segment: number
  /** Of the data, behind the header. */
  readonly offset: number
  readonly length: number
  readonly leaf: boolean
}

export function encodeLocation({ segment, offset, length, leaf }: Location): Uint8Array {
  const row = Buffer.alloc(13)
  row.writeUInt32BE(segment, 0)
  row.writeUInt32BE(offset, 4)
  row.writeUInt32BE(length, 8)
  row.writeUInt8(leaf ? FLAG_LEAF : 0, 12)
  return row
}

export function decodeLocation(row: Uint8Array): Location {
  const view = new DataView(row.buffer, row.byteOffset, row.byteLength)
  return {
    segment: view.getUint32(0),
    offset: view.getUint32(4),
    length: view.getUint32(8),
    leaf: (view.getUint8(12) & FLAG_LEAF) !== 0,
  }
}

/** A segment's row: committed bytes of the file, and of these the bytes and number of records still in the index. */
export interface SegmentStats {
  readonly size: number
  readonly liveBytes: number
  readonly liveCount: number
}

export function encodeStats({ size, liveBytes, liveCount }: SegmentStats): Uint8Array {
  const row = Buffer.alloc(12)
  row.writeUInt32BE(size, 0)
  row.writeUInt32BE(liveBytes, 4)
  row.writeUInt32BE(liveCount, 8)
  return row
}

export function decodeStats(row: Uint8Array): SegmentStats {
  const view = new DataView(row.buffer, row.byteOffset, row.byteLength)
  return { size: view.getUint32(0), liveBytes: view.getUint32(4), liveCount: view.getUint32(8) }
}

/** A multihash as a map key. */
export function keyOf(multihash: Uint8Array): string {
  return Buffer.from(multihash.buffer, multihash.byteOffset, multihash.length).toString('latin1')
}
