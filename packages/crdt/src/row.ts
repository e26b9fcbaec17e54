/**
 * The row of one key: every live element and every tombstone of it, as long as there are not many.
 *
 * One element and no tombstone, by far the most rows: `01 · node digest (32) · priority varint · value`.
 * Otherwise: `02 · n varint · n × (digest · priority varint · length varint · value) · tombstone digests`.
 * When it is spilled: `03 · number of elements elsewhere varint · n varint · n × (…)`. The first elements are here, the other elements and all
 * tombstones have rows of their own (`spill.ts`).
 *
 * Elements stand in order of precedence, tombstones in bytewise order, so that equal contents have equal bytes (unless spilled) and the effective
 * value is found without reading the rest.
 */
import { compareBytes } from '@ipfs-cluster/base'
import { CrdtError, InvalidNodeError } from './errors.ts'
import { ProtoReader, ProtoWriter, varintSize } from './protobuf.ts'

const SINGLE = 1
const GENERAL = 2
const SPILLED = 3
const DIGEST_BYTES = 32

export interface LiveElement {
  /** Digest of the node that put it. */
  readonly block: Uint8Array
  readonly priority: number
  readonly value: Uint8Array
}

export interface KeyRow {
  /** The first has the effective value. */
  readonly live: readonly LiveElement[]
  /** Digests of nodes whose element is deleted, whether it has been seen or not. Empty in a spilled row. */
  readonly tombstones: readonly Uint8Array[]
  /**
   * Of a spilled row: elements that have rows of their own, all of lower precedence than those in `live`. Not 0 only when `live` has some.
   * `undefined`: everything is here.
   */
  readonly elsewhere?: number | undefined
}

export const EMPTY_ROW: KeyRow = { live: [], tombstones: [] }

/** Negative when `a` takes precedence: higher priority, then bytewise greater value (wire.md 3.5); the digest only makes rows canonical. */
export function compareElements(a: LiveElement, b: LiveElement): number {
  return b.priority - a.priority || compareBytes(b.value, a.value) || compareBytes(a.block, b.block)
}

export function encodeRow({ live, tombstones, elsewhere }: KeyRow): Uint8Array {
  const [first] = live
  if (first !== undefined && live.length === 1 && tombstones.length === 0 && elsewhere === undefined) {
    const writer = new ProtoWriter(1 + DIGEST_BYTES + varintSize(first.priority) + first.value.length)
    writer.varint(SINGLE)
    writer.raw(first.block)
    writer.varint(first.priority)
    writer.raw(first.value)
    return writer.finish()
  }
  let size = 1 + varintSize(live.length) + tombstones.length * DIGEST_BYTES
  if (elsewhere !== undefined) size += varintSize(elsewhere)
  for (const { priority, value } of live) {
    size += DIGEST_BYTES + varintSize(priority) + varintSize(value.length) + value.length
  }
  const writer = new ProtoWriter(size)
  writer.varint(elsewhere === undefined ? GENERAL : SPILLED)
  if (elsewhere !== undefined) writer.varint(elsewhere)
  writer.varint(live.length)
  for (const element of live) {
    writer.raw(element.block)
    writer.varint(element.priority)
    writer.varint(element.value.length)
    writer.raw(element.value)
  }
  for (const tombstone of tombstones) writer.raw(tombstone)
  return writer.finish()
}

/** Views of `bytes`. @throws CrdtError `CRDT_STORE_CORRUPT` */
export function decodeRow(bytes: Uint8Array): KeyRow {
  return guarded(() => {
    const reader = new ProtoReader(bytes)
    const version = readVersion(reader)
    if (version === SINGLE) {
      const block = take(reader, DIGEST_BYTES)
      const priority = reader.varint()
      return { live: [{ block, priority, value: bytes.subarray(reader.position) }], tombstones: [] }
    }
    const elsewhere = version === SPILLED ? reader.varint() : undefined
    const live: LiveElement[] = []
    for (let left = reader.varint(); left > 0; left--) {
      live.push({ block: take(reader, DIGEST_BYTES), priority: reader.varint(), value: reader.view() })
    }
    const tombstones: Uint8Array[] = []
    while (reader.position < bytes.length) tombstones.push(take(reader, DIGEST_BYTES))
    return { live, tombstones, ...(elsewhere === undefined ? {} : { elsewhere }) }
  })
}

/** The effective value, a view of `bytes`; `undefined` when the key is deleted. @throws CrdtError `CRDT_STORE_CORRUPT` */
export function rowValue(bytes: Uint8Array): Uint8Array | undefined {
  if (bytes[0] === SINGLE) {
    let start = 1 + DIGEST_BYTES
    while ((bytes[start] as number) >= 0x80) start++
    return bytes.subarray(start + 1)
  }
  return guarded(() => {
    const reader = new ProtoReader(bytes)
    if (readVersion(reader) === SPILLED) reader.varint()
    if (reader.varint() === 0) return undefined
    take(reader, DIGEST_BYTES)
    reader.varint()
    return reader.view()
  })
}

function readVersion(reader: ProtoReader): number {
  const version = reader.bytes[reader.position++]
  if (version !== SINGLE && version !== GENERAL && version !== SPILLED)
    throw new InvalidNodeError(`row version ${version}`)
  return version
}

function take(reader: ProtoReader, length: number): Uint8Array {
  const start = reader.position
  if (length > reader.bytes.length - start) throw new InvalidNodeError('row is cut off')
  reader.position = start + length
  return reader.bytes.subarray(start, start + length)
}

/** Whether part of the key's elements and tombstones have rows of their own. */
export function isSpilled(bytes: Uint8Array | undefined): bytes is Uint8Array {
  return bytes?.[0] === SPILLED
}

/** The reader knows bytes of the network only; bytes of our own store are another matter. */
export function guarded<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new CrdtError(
      'a row of the CRDT cannot be read; restore the store from a copy, or move it away and let the peer sync anew',
      { code: 'CRDT_STORE_CORRUPT', row: 'key' },
      { cause },
    )
  }
}
