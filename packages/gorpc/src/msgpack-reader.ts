import { utf8Text } from '@ipfs-cluster/base'
import { MsgpackError } from './msgpack-error.ts'
import { measure, ObjectScanner } from './msgpack-scanner.ts'

/** Texts up to here are tried as ASCII, which beats the decoder's call. */
const SHORT_TEXT = 32
const NS_PER_SECOND = 1_000_000_000n
/** Go's zero time, 0001-01-01T00:00:00Z, in Unix seconds. */
const GO_ZERO_SECONDS = -62_135_596_800n
const TIME_EXTENSION = 0xff

export type MsgpackKind = 'nil' | 'bool' | 'number' | 'raw' | 'list' | 'map' | 'ext'

/**
 * Reads msgpack as leniently as ugorji does: any integer form and integral floats for integers, `str` and `bin` forms for text and
 * bytes, timestamps as raw bytes or as extension −1 (wire.md 5.2). Every method reads one object or header and moves on.
 *
 * @throws MsgpackError from every reading method.
 */
export class MsgpackReader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  readonly #end: number
  #offset: number

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#offset = start
    this.#end = end
  }

  /** Where the next object starts. */
  get offset(): number {
    return this.#offset
  }

  get remaining(): number {
    return this.#end - this.#offset
  }

  /** What comes next, without reading it. */
  kind(): MsgpackKind {
    return kindOf(this.#peek())
  }

  /** Reads a nil if one is next. */
  tryNil(): boolean {
    if (this.#peek() !== 0xc0) return false
    this.#offset++
    return true
  }

  bool(): boolean {
    const head = this.#peek()
    if (head !== 0xc2 && head !== 0xc3) throw this.#wrong('bool')
    this.#offset++
    return head === 0xc3
  }

  /** An integer that is exact as a number. */
  int(): number {
    const start = this.#offset
    const value = this.#integer()
    if (typeof value === 'number') return value
    if (value > Number.MAX_SAFE_INTEGER || value < Number.MIN_SAFE_INTEGER) throw overflow(value, start)
    return Number(value)
  }

  /** A non-negative integer that is exact as a number. */
  uint(): number {
    const start = this.#offset
    const value = this.int()
    if (value < 0) throw overflow(value, start)
    return value
  }

  int64(): bigint {
    const start = this.#offset
    const value = BigInt(this.#integer())
    if (BigInt.asIntN(64, value) !== value) throw overflow(value, start)
    return value
  }

  uint64(): bigint {
    const start = this.#offset
    const value = BigInt(this.#integer())
    if (BigInt.asUintN(64, value) !== value) throw overflow(value, start)
    return value
  }

  float(): number {
    const head = this.#peek()
    if (head === 0xcb) return this.#view.getFloat64(this.#advance(9) + 1)
    if (head === 0xca) return this.#view.getFloat32(this.#advance(5) + 1)
    return Number(this.#integer())
  }

  /** Text or bytes as a view of the input: copy it to keep it. */
  raw(): Uint8Array {
    if (kindOf(this.#peek()) !== 'raw') throw this.#wrong('string or bytes')
    const { header, payload } = this.#header()
    const start = this.#advance(header + payload) + header
    return this.#bytes.subarray(start, start + payload)
  }

  /** A copy of the bytes. */
  bytes(): Uint8Array {
    return new Uint8Array(this.raw())
  }

  string(): string {
    const raw = this.raw()
    if (raw.length > SHORT_TEXT) return utf8Text(raw)
    let text = ''
    for (const byte of raw) {
      if (byte >= 0x80) return utf8Text(raw)
      text += String.fromCharCode(byte)
    }
    return text
  }

  /** Unix nanoseconds; `null` for Go's zero time. */
  time(): bigint | null {
    const start = this.#offset
    const payload = kindOf(this.#peek()) === 'ext' ? this.#timeExtension() : this.raw()
    const view = new DataView(payload.buffer, payload.byteOffset, payload.length)
    if (payload.length === 4) return BigInt(view.getUint32(0)) * NS_PER_SECOND
    if (payload.length === 8) {
      const both = view.getBigUint64(0)
      return (both & 0x3ffffffffn) * NS_PER_SECOND + (both >> 34n)
    }
    if (payload.length === 12) {
      const seconds = view.getBigInt64(4)
      const nanos = BigInt(view.getUint32(0))
      return seconds === GO_ZERO_SECONDS && nanos === 0n ? null : seconds * NS_PER_SECOND + nanos
    }
    throw new MsgpackError(decodeError(start, `a time of ${payload.length} bytes`), {
      code: 'MSGPACK_BAD_VALUE',
      offset: start,
    })
  }

  /** Number of items that follow; never more than the input can hold. */
  listHeader(): number {
    if (kindOf(this.#peek()) !== 'list') throw this.#wrong('list')
    return this.#container()
  }

  /** Number of pairs that follow; never more than the input can hold. */
  mapHeader(): number {
    if (kindOf(this.#peek()) !== 'map') throw this.#wrong('map')
    return this.#container() / 2
  }

  /** Passes over one object, however deep: without recursion. */
  skip(): void {
    const scanner = new ObjectScanner()
    if (!scanner.scan(this.#bytes, this.#offset, this.#end, Number.POSITIVE_INFINITY)) throw this.#truncated()
    this.#offset += scanner.length
  }

  /** Reads `expected` if exactly these bytes are next. */
  tryBytes(expected: Uint8Array): boolean {
    if (expected.length > this.remaining) return false
    for (let i = 0; i < expected.length; i++) {
      if (this.#bytes[this.#offset + i] !== expected[i]) return false
    }
    this.#offset += expected.length
    return true
  }

  #integer(): number | bigint {
    const head = this.#peek()
    if (head <= 0x7f) return this.#bytes[this.#advance(1)] as number
    if (head >= 0xe0) return (this.#bytes[this.#advance(1)] as number) - 256
    switch (head) {
      case 0xcc:
        return this.#view.getUint8(this.#advance(2) + 1)
      case 0xcd:
        return this.#view.getUint16(this.#advance(3) + 1)
      case 0xce:
        return this.#view.getUint32(this.#advance(5) + 1)
      case 0xcf:
        return this.#view.getBigUint64(this.#advance(9) + 1)
      case 0xd0:
        return this.#view.getInt8(this.#advance(2) + 1)
      case 0xd1:
        return this.#view.getInt16(this.#advance(3) + 1)
      case 0xd2:
        return this.#view.getInt32(this.#advance(5) + 1)
      case 0xd3:
        return this.#view.getBigInt64(this.#advance(9) + 1)
      case 0xca:
      case 0xcb:
        return this.#integralFloat()
      default:
        throw this.#wrong('integer')
    }
  }

  #integralFloat(): number | bigint {
    const start = this.#offset
    const value = this.float()
    if (!Number.isInteger(value)) throw overflow(value, start)
    return Number.isSafeInteger(value) ? value + 0 : BigInt(value)
  }

  #timeExtension(): Uint8Array {
    const { header, payload } = this.#header()
    const start = this.#offset
    if (this.remaining < header + payload) throw this.#truncated()
    // The type byte is the first of the payload.
    if (this.#bytes[start + header] !== TIME_EXTENSION) throw this.#wrong('time')
    this.#offset += header + payload
    return this.#bytes.subarray(start + header + 1, start + header + payload)
  }

  #container(): number {
    const { header, children } = this.#header()
    if (children > this.remaining - header) throw this.#truncated()
    this.#offset += header
    return children
  }

  #header() {
    const found = measure(this.#bytes, this.#offset, this.#end)
    if (found === undefined) throw this.#truncated()
    return found
  }

  #peek(): number {
    if (this.#offset >= this.#end) throw this.#truncated()
    return this.#bytes[this.#offset] as number
  }

  /** Moves past `size` bytes and returns where they started. */
  #advance(size: number): number {
    const start = this.#offset
    if (this.#end - start < size) throw this.#truncated()
    this.#offset += size
    return start
  }

  #truncated(): MsgpackError {
    return new MsgpackError(decodeError(this.#offset, 'unexpected end of input'), {
      code: 'MSGPACK_TRUNCATED',
      offset: this.#offset,
    })
  }

  #wrong(wanted: string): MsgpackError {
    const head = (this.#bytes[this.#offset] as number).toString(16).padStart(2, '0')
    return new MsgpackError(decodeError(this.#offset, `want ${wanted}, got descriptor 0x${head}`), {
      code: 'MSGPACK_WRONG_TYPE',
      offset: this.#offset,
    })
  }
}

function kindOf(head: number): MsgpackKind {
  if (head <= 0x7f || head >= 0xe0) return 'number'
  if (head <= 0x8f) return 'map'
  if (head <= 0x9f) return 'list'
  if (head <= 0xbf) return 'raw'
  if (head === 0xc0) return 'nil'
  if (head === 0xc2 || head === 0xc3) return 'bool'
  if (head >= 0xca && head <= 0xd3) return 'number'
  if (head === 0xdc || head === 0xdd) return 'list'
  if (head === 0xde || head === 0xdf) return 'map'
  // What is left: bin c4–c6, str d9–db; ext c7–c9, d4–d8; and c1, which `measure` refuses.
  return (head >= 0xc4 && head <= 0xc6) || head >= 0xd9 ? 'raw' : 'ext'
}

function overflow(value: number | bigint, offset: number): MsgpackError {
  return new MsgpackError(decodeError(offset, `${value} is out of range`), {
    code: 'MSGPACK_BAD_VALUE',
    offset,
  })
}

/** The shape of ugorji's own texts, which callers see in error replies. */
export function decodeError(offset: number, what: string): string {
  return `msgpack decode error [pos ${offset}]: ${what}`
}
