/** The little of proto3 that the CRDT needs, by hand: these bytes are hashed, and a node may hold tens of thousands of elements. */
import { Buffer } from 'node:buffer'
import { assert } from '@ipfs-cluster/base'
import { InvalidNodeError } from './errors.ts'

export const WIRE_VARINT = 0
export const WIRE_FIXED64 = 1
export const WIRE_BYTES = 2
export const WIRE_FIXED32 = 5

/** Bytes of the longest varint (64 bits). */
const MAX_VARINT_BYTES = 10

const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Reads fields one after the other. @throws InvalidNodeError when the bytes are no protobuf message. */
export class ProtoReader {
  readonly bytes: Uint8Array
  position = 0
  /** Of the field read last. */
  field = 0
  wireType = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  /** Goes to the next field; false at the end. */
  next(): boolean {
    if (this.position >= this.bytes.length) return false
    const tag = this.varint()
    this.field = Math.floor(tag / 8)
    this.wireType = tag % 8
    if (this.field === 0 || tag > 0xffff_ffff) throw new InvalidNodeError(`protobuf field ${this.field}`)
    return true
  }

  /** An unsigned integer, rounded above 2^53. */
  varint(): number {
    let value = 0
    let scale = 1
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      const byte = this.bytes[this.position++]
      if (byte === undefined) break
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
      scale *= 128
    }
    throw new InvalidNodeError('protobuf varint without an end')
  }

  /** A view of the next length-delimited field. */
  view(): Uint8Array {
    const length = this.varint()
    const start = this.position
    if (length > this.bytes.length - start) throw new InvalidNodeError('protobuf field beyond the end')
    this.position = start + length
    return this.bytes.subarray(start, this.position)
  }

  string(): string {
    try {
      return text.decode(this.view())
    } catch (cause) {
      if (cause instanceof InvalidNodeError) throw cause
      throw new InvalidNodeError('protobuf string is not UTF-8', 'malformed', { cause })
    }
  }

  /** Passes over the value of the field just announced by `next`. */
  skip(): void {
    if (this.wireType === WIRE_VARINT) this.varint()
    else if (this.wireType === WIRE_BYTES) this.view()
    else if (this.wireType === WIRE_FIXED32) this.advance(4)
    else if (this.wireType === WIRE_FIXED64) this.advance(8)
    else throw new InvalidNodeError(`protobuf wire type ${this.wireType}`)
  }

  private advance(length: number): void {
    if (length > this.bytes.length - this.position)
      throw new InvalidNodeError('protobuf field beyond the end')
    this.position += length
  }
}

export function varintSize(value: number): number {
  let size = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) size++
  return size
}

/** Bytes of a length-delimited field with a one-byte tag; 0 when empty, because proto3 leaves it out. */
export function fieldSize(length: number): number {
  return length === 0 ? 0 : 1 + varintSize(length) + length
}

/** Bytes of a string in UTF-8. */
export function textSize(value: string): number {
  return Buffer.byteLength(value)
}

/**
 * Writes into a buffer of exactly the right size. Small ones share memory (Node's pool): a batch writes tens of thousands, and memory of
 * their own would cost more than all the rest.
 */
export class ProtoWriter {
  readonly #buffer: Buffer
  #position = 0

  /** @param size bytes that will be written, neither more nor fewer. */
  constructor(size: number) {
    this.#buffer = Buffer.allocUnsafe(size)
  }

  /** What was written. */
  finish(): Uint8Array {
    assert(this.#position === this.#buffer.length, 'a protobuf message has the size it was said to have')
    return new Uint8Array(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.length)
  }

  varint(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.#buffer[this.#position++] = (rest % 128) + 128
      rest = Math.floor(rest / 128)
    }
    this.#buffer[this.#position++] = rest
  }

  raw(bytes: Uint8Array): void {
    this.#buffer.set(bytes, this.#position)
    this.#position += bytes.length
  }

  text(value: string): void {
    this.#position += this.#buffer.write(value, this.#position)
  }

  /** Tag and length of a nested message. */
  head(field: number, length: number): void {
    this.varint(field * 8 + WIRE_BYTES)
    this.varint(length)
  }

  /** A bytes field, left out when empty. */
  field(field: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return
    this.head(field, bytes.length)
    this.raw(bytes)
  }

  /** A string field, left out when empty. */
  textField(field: number, value: string): void {
    if (value === '') return
    this.head(field, textSize(value))
    this.text(value)
  }

  uint(field: number, value: number): void {
    if (value === 0) return
    this.varint(field * 8 + WIRE_VARINT)
    this.varint(value)
  }
}
