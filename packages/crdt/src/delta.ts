/** Deltas and announcements, byte for byte as go-ds-crdt 0.6.8 writes them (reference wire.md 3.1, 3.10). */
import { EMPTY_BYTES } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { InvalidNodeError } from './errors.ts'
import {
  MAX_BROADCAST_BYTES,
  MAX_BROADCAST_HEADS,
  MAX_NODE_BYTES,
  MAX_NODE_ELEMENTS,
  MAX_PRIORITY,
} from './limits.ts'
import {
  fieldSize,
  ProtoReader,
  ProtoWriter,
  textSize,
  varintSize,
  WIRE_BYTES,
  WIRE_VARINT,
} from './protobuf.ts'

export interface DeltaElement {
  readonly key: string
  /** Empty in an element (it gets the id of its node); in a tombstone the id of the node that put the value. */
  readonly id: string
  /** Empty in a tombstone. */
  readonly value: Uint8Array
}

export interface Delta {
  readonly elements: readonly DeltaElement[]
  readonly tombstones: readonly DeltaElement[]
  /** Height of the node; 1 for one without links. At most `MAX_PRIORITY`. */
  readonly priority: number
}

const DELTA = { elements: 1, tombstones: 2, priority: 3 } as const
const ELEMENT = { key: 1, id: 2, value: 3 } as const
const BROADCAST_HEADS = 1
const HEAD_CID = 1

/** Bytes that an element or tombstone adds to its delta. */
export function elementSize(element: DeltaElement): number {
  const inner = innerSize(element)
  return 1 + varintSize(inner) + inner
}

export function encodeDelta({ elements, tombstones, priority }: Delta): Uint8Array {
  let size = priority === 0 ? 0 : 1 + varintSize(priority)
  for (const element of elements) size += elementSize(element)
  for (const tombstone of tombstones) size += elementSize(tombstone)
  const writer = new ProtoWriter(size)
  for (const element of elements) writeElement(writer, DELTA.elements, element)
  for (const tombstone of tombstones) writeElement(writer, DELTA.tombstones, tombstone)
  writer.uint(DELTA.priority, priority)
  return writer.finish()
}

function writeElement(writer: ProtoWriter, field: number, element: DeltaElement): void {
  writer.head(field, innerSize(element))
  writer.textField(ELEMENT.key, element.key)
  writer.textField(ELEMENT.id, element.id)
  writer.field(ELEMENT.value, element.value)
}

/**
 * Reads a delta; values are views of `bytes`, keys are cleaned as Go's datastore keys are. Unknown fields are passed over.
 *
 * A priority above `MAX_PRIORITY` counts as `MAX_PRIORITY`. To refuse it would be worse: Go has no limit and writes on top of whatever height it
 * sees, so one node that lies would have all later nodes of Go peers refused.
 *
 * @throws InvalidNodeError when it cannot be read, or is beyond `MAX_NODE_BYTES` or `MAX_NODE_ELEMENTS`.
 */
export function decodeDelta(bytes: Uint8Array): Delta {
  if (bytes.length > MAX_NODE_BYTES) throw new InvalidNodeError(`delta of ${bytes.length} bytes`, 'too_large')
  const elements: DeltaElement[] = []
  const tombstones: DeltaElement[] = []
  let priority = 0
  const reader = new ProtoReader(bytes)
  while (reader.next()) {
    if (reader.wireType === WIRE_BYTES && reader.field === DELTA.elements) {
      elements.push(decodeElement(reader.view()))
    } else if (reader.wireType === WIRE_BYTES && reader.field === DELTA.tombstones) {
      tombstones.push(decodeElement(reader.view()))
    } else if (reader.wireType === WIRE_VARINT && reader.field === DELTA.priority) {
      priority = reader.varint()
    } else {
      reader.skip()
    }
    if (elements.length + tombstones.length > MAX_NODE_ELEMENTS) {
      throw new InvalidNodeError(`delta with more than ${MAX_NODE_ELEMENTS} elements`, 'too_many_elements')
    }
  }
  return { elements, tombstones, priority: Math.min(priority, MAX_PRIORITY) }
}

/** The form of Go's `datastore.NewKey`: one leading slash, no empty, `.` or `..` parts. */
export function cleanKey(key: string): string {
  if (key.startsWith('/') && key.length > 1 && !/\/(\/|\.|$)/.test(key)) return key
  const parts: string[] = []
  for (const part of key.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '' && part !== '.') parts.push(part)
  }
  return `/${parts.join('/')}`
}

export function encodeBroadcast(heads: readonly CID[]): Uint8Array {
  const sizes = heads.map(head => fieldSize(head.bytes.length))
  const writer = new ProtoWriter(sizes.reduce((sum, size) => sum + fieldSize(size), 0))
  for (const [i, head] of heads.entries()) {
    writer.head(BROADCAST_HEADS, sizes[i] ?? 0)
    writer.field(HEAD_CID, head.bytes)
  }
  return writer.finish()
}

/**
 * Reads an announcement. Bytes outside the known fields are the announcement of old peers: they must be one CID. A CIDv0 alone is such
 * a message; a CIDv1 alone is not one (its first byte is no protobuf tag), in Go as here.
 *
 * @throws InvalidNodeError
 */
export function decodeBroadcast(bytes: Uint8Array): readonly CID[] {
  if (bytes.length > MAX_BROADCAST_BYTES)
    throw new InvalidNodeError(`broadcast of ${bytes.length} bytes`, 'too_large')
  const heads: CID[] = []
  const unknown: number[] = []
  const reader = new ProtoReader(bytes)
  while (true) {
    const start = reader.position
    if (!reader.next()) break
    if (reader.wireType === WIRE_BYTES && reader.field === BROADCAST_HEADS) {
      heads.push(decodeHead(reader.view()))
      if (heads.length > MAX_BROADCAST_HEADS)
        throw new InvalidNodeError('broadcast with too many heads', 'too_many_heads')
    } else {
      reader.skip()
      unknown.push(...bytes.subarray(start, Math.min(reader.position, start + MAX_LEGACY_CID_BYTES)))
      if (unknown.length > MAX_LEGACY_CID_BYTES) throw new InvalidNodeError('broadcast with unknown fields')
    }
  }
  return unknown.length > 0 ? [decodeCid(Uint8Array.from(unknown))] : heads
}

const MAX_LEGACY_CID_BYTES = 128

function decodeHead(bytes: Uint8Array): CID {
  let cid = EMPTY_BYTES
  const reader = new ProtoReader(bytes)
  while (reader.next()) {
    if (reader.wireType === WIRE_BYTES && reader.field === HEAD_CID) cid = reader.view()
    else reader.skip()
  }
  return decodeCid(cid)
}

function decodeCid(bytes: Uint8Array): CID {
  // The library takes any multihash for a CIDv0, Go only sha2-256 in full.
  const isV0 = bytes.length === 34 && bytes[0] === 0x12 && bytes[1] === 0x20
  try {
    if (!isV0 && bytes[0] !== 1) throw new RangeError('neither version 0 nor 1')
    // A copy: the CID outlives the message.
    return CID.decode(bytes.slice())
  } catch (cause) {
    throw new InvalidNodeError('broadcast with something that is no CID', 'malformed', { cause })
  }
}

function decodeElement(bytes: Uint8Array): DeltaElement {
  let key = ''
  let id = ''
  let value = EMPTY_BYTES
  const reader = new ProtoReader(bytes)
  while (reader.next()) {
    if (reader.wireType !== WIRE_BYTES) reader.skip()
    else if (reader.field === ELEMENT.key) key = reader.string()
    else if (reader.field === ELEMENT.id) id = reader.string()
    else if (reader.field === ELEMENT.value) value = reader.view()
    else reader.skip()
  }
  return { key: cleanKey(key), id, value }
}

function innerSize({ key, id, value }: DeltaElement): number {
  return fieldSize(textSize(key)) + fieldSize(textSize(id)) + fieldSize(value.length)
}
