import { assert } from '@ipfs-cluster/base'

const WIRE_VARINT = 0
const WIRE_BYTES = 2
/** Bytes; the buffer doubles when a message needs more. */
const FIRST_SIZE = 1024
const MAX_VARINT = 10
const MAX_TAG = 2
/** Characters; up to here, writing ASCII by hand costs less than a TextEncoder does. */
const SHORT = 100

const encoder = new TextEncoder()

/**
 * Writes proto3 messages into one growing buffer, field by field in the order of the calls. Zero values are the caller's to leave
 * out. Field numbers up to 2047.
 */
export class ProtoWriter {
  #buffer = new Uint8Array(FIRST_SIZE)
  #length = 0

  /** Forgets what was written; the buffer stays. */
  reset(): void {
    this.#length = 0
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    return this.#buffer.slice(0, this.#length)
  }

  /** @param value an integer from 0 to 2^53−1. */
  varintField(field: number, value: number): void {
    this.#reserve(MAX_TAG + MAX_VARINT)
    this.#tag(field, WIRE_VARINT)
    this.#varint(value)
  }

  /** The low 64 bits of `value`, as uint64. */
  uint64Field(field: number, value: bigint): void {
    this.#reserve(MAX_TAG + MAX_VARINT)
    this.#tag(field, WIRE_VARINT)
    let rest = BigInt.asUintN(64, value)
    while (rest > 0x7fn) {
      this.#buffer[this.#length++] = Number(rest & 0x7fn) | 0x80
      rest >>= 7n
    }
    this.#buffer[this.#length++] = Number(rest)
  }

  /** The low 32 bits of `value`, as sint32 (zigzag). */
  sint32Field(field: number, value: number): void {
    this.varintField(field, ((value << 1) ^ (value >> 31)) >>> 0)
  }

  /** Bytes that are fields already. */
  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
  }

  bytesField(field: number, bytes: Uint8Array): void {
    this.#reserve(MAX_TAG + MAX_VARINT + bytes.length)
    this.#tag(field, WIRE_BYTES)
    this.#varint(bytes.length)
    this.#buffer.set(bytes, this.#length)
    this.#length += bytes.length
  }

  stringField(field: number, text: string): void {
    // The length is not known before: write the text behind a place for it.
    this.messageField(field, () => {
      this.#reserve(text.length * 3)
      if (text.length > SHORT || !this.#writeAscii(text)) {
        this.#length += encoder.encodeInto(text, this.#buffer.subarray(this.#length)).written
      }
    })
  }

  /** A nested message whose fields `write` writes. */
  messageField(field: number, write: () => void): void {
    this.#reserve(MAX_TAG + MAX_VARINT)
    this.#tag(field, WIRE_BYTES)
    const start = this.#length + 1
    this.#length = start
    write()
    const size = this.#length - start
    const extra = varintLength(size) - 1
    if (extra > 0) {
      this.#reserve(extra)
      this.#buffer.copyWithin(start + extra, start, start + size)
    }
    this.#length = start - 1
    this.#varint(size)
    this.#length += size
  }

  /** False, with nothing written, when `text` is not ASCII. Room must be there. */
  #writeAscii(text: string): boolean {
    const start = this.#length
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i)
      if (unit > 0x7f) return false
      this.#buffer[start + i] = unit
    }
    this.#length = start + text.length
    return true
  }

  #tag(field: number, wire: number): void {
    assert(field > 0 && field < 2048, 'a field number of at most two bytes')
    this.#varint((field << 3) | wire)
  }

  #varint(value: number): void {
    let rest = value
    while (rest > 0x7f) {
      this.#buffer[this.#length++] = (rest % 128) | 0x80
      rest = Math.floor(rest / 128)
    }
    this.#buffer[this.#length++] = rest
  }

  #reserve(size: number): void {
    const needed = this.#length + size
    if (needed <= this.#buffer.length) return
    const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2))
    grown.set(this.#buffer.subarray(0, this.#length))
    this.#buffer = grown
  }
}

function varintLength(value: number): number {
  let length = 1
  for (let rest = value; rest > 0x7f; rest = Math.floor(rest / 128)) length++
  return length
}
