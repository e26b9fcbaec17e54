/** The little of protobuf that bitswap needs: varints and length-delimited fields. */
import { assert } from '@ipfs-cluster/base'
import { badMessage } from './errors.ts'

const WIRE_VARINT = 0
const WIRE_64 = 1
const WIRE_BYTES = 2
const WIRE_32 = 5

/** @param value 0 … 2³² - 1 */
export function varintSize(value: number): number {
  let size = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 128)) size++
  return size
}

/** Negative numbers are sign-extended to 64 bits. */
export function int32Size(value: number): number {
  return value < 0 ? 10 : varintSize(value)
}

/** Size of a field with a number below 16 whose content has `length` bytes. */
export function bytesFieldSize(length: number): number {
  return 1 + varintSize(length) + length
}

/** From this size on, bytes are handed on as they are instead of being copied into the message. Bytes. */
const SHARED_BYTES = 32 * 1024

/** Writes a message whose size was computed before. */
export class ProtoWriter {
  readonly #bytes: Uint8Array
  readonly #parts: Uint8Array[] = []
  #at = 0
  #partStart = 0

  /** @param large byte fields among which there may be some to hand on as they are */
  constructor(size: number, large: Iterable<Uint8Array>) {
    let copied = size
    for (const bytes of large) if (bytes.length >= SHARED_BYTES) copied -= bytes.length
    // Not zeroed, because every byte is written: `finish` makes sure that none of the old content gets out.
    const { buffer, byteOffset } = Buffer.allocUnsafeSlow(copied)
    this.#bytes = new Uint8Array(buffer, byteOffset, copied)
  }

  /** What was written, in parts; they must not be changed. */
  finish(): readonly Uint8Array[] {
    assert(this.#at === this.#bytes.length, 'a message is as long as computed')
    this.#cut()
    return this.#parts
  }

  #cut(): void {
    if (this.#at > this.#partStart) this.#parts.push(this.#bytes.subarray(this.#partStart, this.#at))
    this.#partStart = this.#at
  }

  varint(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest & 0x7f) | 0x80
      rest = Math.floor(rest / 128)
    }
    this.#bytes[this.#at++] = rest
  }

  /** Opens a length-delimited field. */
  header(field: number, length: number): void {
    this.#bytes[this.#at++] = (field << 3) | WIRE_BYTES
    this.varint(length)
  }

  bytesField(field: number, value: Uint8Array): void {
    this.header(field, value.length)
    if (value.length >= SHARED_BYTES) {
      this.#cut()
      this.#parts.push(value)
      return
    }
    this.#bytes.set(value, this.#at)
    this.#at += value.length
  }

  int32Field(field: number, value: number): void {
    this.#bytes[this.#at++] = (field << 3) | WIRE_VARINT
    if (value >= 0) {
      this.varint(value)
      return
    }
    let rest = BigInt.asUintN(64, BigInt(value))
    for (; rest >= 0x80n; rest >>= 7n) this.#bytes[this.#at++] = Number(rest & 0x7fn) | 0x80
    this.#bytes[this.#at++] = Number(rest)
  }
}

/** Walks over the fields of one message: `next()`, then exactly one of the value methods or `skip()`. */
export class ProtoReader {
  readonly #bytes: Uint8Array
  readonly #end: number
  #at: number
  #field = 0
  #wire = 0

  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  /** False at the end. */
  next(): boolean {
    if (this.#at >= this.#end) return false
    const tag = this.#uint32()
    this.#field = tag >>> 3
    this.#wire = tag & 7
    if (this.#field === 0) throw badMessage('field number 0')
    return true
  }

  isBytes(field: number): boolean {
    return this.#field === field && this.#wire === WIRE_BYTES
  }

  isVarint(field: number): boolean {
    return this.#field === field && this.#wire === WIRE_VARINT
  }

  int32Value(): number {
    return this.#uint32() | 0
  }

  bytesValue(): Uint8Array {
    const start = this.#span()
    return this.#bytes.subarray(start, this.#at)
  }

  nested(): ProtoReader {
    const start = this.#span()
    return new ProtoReader(this.#bytes, start, this.#at)
  }

  skip(): void {
    if (this.#wire === WIRE_VARINT) this.#uint32()
    else if (this.#wire === WIRE_BYTES) this.#span()
    else if (this.#wire === WIRE_64) this.#advance(8)
    else if (this.#wire === WIRE_32) this.#advance(4)
    else throw badMessage(`wire type ${this.#wire}`)
  }

  #span(): number {
    const length = this.#uint32()
    const start = this.#at
    this.#advance(length)
    return start
  }

  #advance(length: number): void {
    if (length > this.#end - this.#at) throw badMessage('a field runs past the end')
    this.#at += length
  }

  /** The low 32 bits of a varint. */
  #uint32(): number {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.#at >= this.#end) throw badMessage('ends inside a number')
      const byte = this.#bytes[this.#at++] as number
      if (shift < 32) value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value >>> 0
    }
    throw badMessage('a number of more than 10 bytes')
  }
}
