import { latin1Text } from './base-text.ts'

const WIRE_VARINT = 0
const WIRE_64 = 1
const WIRE_BYTES = 2
const WIRE_32 = 5

// `ignoreBOM` keeps a leading U+FEFF, which is part of the string.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/**
 * Reads a proto3 message: `next()` gives the number of each field in turn, after which exactly one of the value methods or `skip`
 * must be called.
 *
 * @throws RangeError from every method when the bytes are not such a message.
 */
export class ProtoReader {
  readonly #bytes: Uint8Array
  #at: number
  readonly #end: number
  #wire = 0

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  /** The number of the next field; 0 at the end. */
  next(): number {
    if (this.#at >= this.#end) return 0
    const tag = this.#varint()
    this.#wire = tag & 7
    const field = Math.floor(tag / 8)
    if (field === 0 || tag > 0xffffffff) throw new RangeError('invalid field number')
    return field
  }

  /** A uint64. */
  uint64(): bigint {
    this.#expect(WIRE_VARINT)
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte()
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return BigInt.asUintN(64, value)
    }
    throw new RangeError('varint longer than 10 bytes')
  }

  /** An enum, whose numbers are small; larger ones are rounded. */
  enum(): number {
    this.#expect(WIRE_VARINT)
    return this.#varint()
  }

  /** A sint32 (zigzag). */
  sint32(): number {
    this.#expect(WIRE_VARINT)
    const value = this.#varint()
    const low = value <= 0xffffffff ? value : value % 0x100000000
    return (low >>> 1) ^ -(low & 1)
  }

  /** A view of the input. */
  bytes(): Uint8Array {
    this.#expect(WIRE_BYTES)
    const length = this.#varint()
    const start = this.#at
    this.#advance(length)
    return this.#bytes.subarray(start, start + length)
  }

  string(): string {
    const bytes = this.bytes()
    if (bytes.length === 0) return ''
    if (isShortAscii(bytes)) return latin1Text(bytes)
    try {
      return decoder.decode(bytes)
    } catch (cause) {
      throw new RangeError('string is not valid UTF-8', { cause })
    }
  }

  /** A nested message. */
  message(): ProtoReader {
    this.#expect(WIRE_BYTES)
    const length = this.#varint()
    const start = this.#at
    this.#advance(length)
    return new ProtoReader(this.#bytes, start, start + length)
  }

  /** Passes over a field of any kind, as proto3 does with unknown ones. */
  skip(): void {
    switch (this.#wire) {
      case WIRE_VARINT:
        this.#varint()
        break
      case WIRE_64:
        this.#advance(8)
        break
      case WIRE_BYTES:
        this.#advance(this.#varint())
        break
      case WIRE_32:
        this.#advance(4)
        break
      default:
        throw new RangeError(`unknown wire type ${this.#wire}`)
    }
  }

  #expect(wire: number): void {
    if (this.#wire !== wire) throw new RangeError(`wire type ${this.#wire} where ${wire} was expected`)
  }

  /** Exact up to 2^53; larger values are rounded, which no length or enum of a valid message is. */
  #varint(): number {
    let value = 0
    let factor = 1
    for (let i = 0; i < 10; i++) {
      const byte = this.#byte()
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
      factor *= 128
    }
    throw new RangeError('varint longer than 10 bytes')
  }

  #byte(): number {
    if (this.#at >= this.#end) throw new RangeError('message is cut off')
    return this.#bytes[this.#at++] as number
  }

  #advance(length: number): void {
    if (length > this.#end - this.#at) throw new RangeError('message is cut off')
    this.#at += length
  }
}

/** Up to this many bytes, looking at each costs less than a TextDecoder does. */
const SHORT = 100

function isShortAscii(bytes: Uint8Array): boolean {
  if (bytes.length > SHORT) return false
  for (let i = 0; i < bytes.length; i++) if ((bytes[i] as number) > 0x7f) return false
  return true
}
