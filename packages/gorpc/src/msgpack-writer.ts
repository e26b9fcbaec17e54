import { concatBytes, EMPTY_BYTES, utf8 } from '@ipfs-cluster/base'
import { MsgpackError } from './msgpack-error.ts'

const INITIAL_BYTES = 256
/** No more room than this is made before it is needed: enough for the objects that are gathered for one send. */
const MOST_EXPECTED_BYTES = 64 * 1024
/** Bytes from this length on are not copied. A copy of less costs no more than to send it as a piece of its own. */
const LARGE_BYTES = 16 * 1024
/** Texts up to here are tried as ASCII, character by character, which beats the encoder's call. */
const SHORT_TEXT = 64
const NS_PER_SECOND = 1_000_000_000n

/**
 * Writes the "old raw" msgpack of ugorji's default handle: text and bytes share the raw forms, signed integers never take unsigned
 * forms, and there are neither `str8`, `bin` nor extension types (wire.md 5.2).
 */
export class MsgpackWriter {
  /** What stands before `#bytes`, and how long it is. */
  #pieces: Uint8Array[] = []
  #piecesLength = 0
  #bytes: Uint8Array = new Uint8Array(0)
  #view = new DataView(this.#bytes.buffer)
  #length = 0
  /** Bytes copied since the last `take`, but for those in `#bytes`. */
  #copied = 0
  /** Room to begin with: what was copied last time is likely to be needed again. */
  #expected = INITIAL_BYTES

  /** Bytes written since the start or the last `take`. */
  get length(): number {
    return this.#piecesLength + this.#length
  }

  /** Forgets everything after the first `length` bytes. */
  truncate(length: number): void {
    if (length >= this.#piecesLength) {
      this.#length = Math.min(length - this.#piecesLength, this.#length)
      return
    }
    this.#length = 0
    while (this.#piecesLength > length) {
      const last = this.#pieces.pop() as Uint8Array
      this.#piecesLength -= last.length
      if (this.#piecesLength < length) this.#add(last.subarray(0, length - this.#piecesLength))
    }
  }

  /** Hands over what was written and starts anew. */
  take(): Uint8Array {
    const [only, ...others] = this.takePieces()
    return others.length === 0 ? (only ?? EMPTY_BYTES) : concatBytes([only ?? EMPTY_BYTES, ...others])
  }

  /** As `take`, uncopied. Large bytes are those that were given to be written. */
  takePieces(): Uint8Array[] {
    this.#cut()
    const pieces = this.#pieces
    this.#expected = Math.min(Math.max(INITIAL_BYTES, this.#copied), MOST_EXPECTED_BYTES)
    this.#copied = 0
    this.#pieces = []
    this.#piecesLength = 0
    this.#bytes = new Uint8Array(0)
    return pieces
  }

  nil(): void {
    this.#byte(0xc0)
  }

  bool(value: boolean): void {
    this.#byte(value ? 0xc3 : 0xc2)
  }

  /** A value of one of Go's signed types. @throws MsgpackError when it is no integer or does not fit 64 bits. */
  int(value: number | bigint): void {
    if (typeof value === 'bigint') return this.#bigInt(value)
    if (!Number.isSafeInteger(value)) throw badNumber(value)
    if (value >= -32 && value <= 127) this.#byte(value & 0xff)
    else if (value >= -0x80 && value < 0) this.#sized(0xd0, 1, value)
    else if (value >= -0x8000 && value <= 0x7fff) this.#sized(0xd1, 2, value)
    else if (value >= -0x80000000 && value <= 0x7fffffff) this.#sized(0xd2, 4, value)
    else this.#bigInt(BigInt(value))
  }

  /** A value of one of Go's unsigned types. @throws MsgpackError when it is no integer, negative or does not fit 64 bits. */
  uint(value: number | bigint): void {
    if (typeof value === 'bigint') return this.#bigUint(value)
    if (!Number.isSafeInteger(value) || value < 0) throw badNumber(value)
    if (value <= 0x7f) this.#byte(value)
    else if (value <= 0xff) this.#sized(0xcc, 1, value)
    else if (value <= 0xffff) this.#sized(0xcd, 2, value)
    else if (value <= 0xffffffff) this.#sized(0xce, 4, value)
    else this.#bigUint(BigInt(value))
  }

  float(value: number): void {
    const at = this.#claim(9)
    this.#view.setUint8(at, 0xcb)
    this.#view.setFloat64(at + 1, value)
  }

  string(text: string): void {
    const at = this.#length
    if (text.length < SHORT_TEXT) {
      this.#rawHeader(text.length)
      const start = this.#claim(text.length)
      let i = 0
      for (; i < text.length; i++) {
        const code = text.charCodeAt(i)
        if (code >= 0x80) break
        this.#bytes[start + i] = code
      }
      if (i === text.length) return
      this.#length = at
    }
    this.bytes(utf8(text))
  }

  bytes(value: Uint8Array): void {
    this.#rawHeader(value.length)
    this.encoded(value)
  }

  /** Unix nanoseconds as Go writes them, a timestamp payload inside a raw value; `null` is Go's zero time. */
  time(ns: bigint | null): void {
    if (ns === null) return this.nil()
    const nanos = ((ns % NS_PER_SECOND) + NS_PER_SECOND) % NS_PER_SECOND
    const seconds = (ns - nanos) / NS_PER_SECOND
    if (BigInt.asIntN(64, seconds) !== seconds) throw badNumber(ns)
    const long = seconds < 0n || seconds >= 1n << 34n
    const size = long ? 12 : nanos === 0n && seconds <= 0xffffffffn ? 4 : 8
    this.#rawHeader(size)
    const at = this.#claim(size)
    if (size === 4) return this.#view.setUint32(at, Number(seconds))
    if (size === 8) return this.#view.setBigUint64(at, (nanos << 34n) | seconds)
    this.#view.setUint32(at, Number(nanos))
    this.#view.setBigInt64(at + 4, seconds)
  }

  listHeader(length: number): void {
    if (length < 16) this.#byte(0x90 | length)
    else if (length < 0x10000) this.#sized(0xdc, 2, length)
    else this.#sized(0xdd, 4, length)
  }

  /** @param size number of pairs. */
  mapHeader(size: number): void {
    if (size < 16) this.#byte(0x80 | size)
    else if (size < 0x10000) this.#sized(0xde, 2, size)
    else this.#sized(0xdf, 4, size)
  }

  /** Adds bytes that are msgpack already. Large ones must not change until they have been sent. */
  encoded(value: Uint8Array): void {
    if (value.length >= LARGE_BYTES) {
      this.#cut()
      this.#add(value)
      return
    }
    const at = this.#claim(value.length)
    this.#bytes.set(value, at)
  }

  #bigInt(value: bigint): void {
    if (value >= -0x80000000n && value <= 0x7fffffffn) return this.int(Number(value))
    if (BigInt.asIntN(64, value) !== value) throw badNumber(value)
    const at = this.#claim(9)
    this.#view.setUint8(at, 0xd3)
    this.#view.setBigInt64(at + 1, value)
  }

  #bigUint(value: bigint): void {
    if (value >= 0n && value <= 0xffffffffn) return this.uint(Number(value))
    if (BigInt.asUintN(64, value) !== value) throw badNumber(value)
    const at = this.#claim(9)
    this.#view.setUint8(at, 0xcf)
    this.#view.setBigUint64(at + 1, value)
  }

  #rawHeader(length: number): void {
    if (length < 32) this.#byte(0xa0 | length)
    else if (length < 0x10000) this.#sized(0xda, 2, length)
    else this.#sized(0xdb, 4, length)
  }

  #byte(value: number): void {
    const at = this.#claim(1)
    this.#bytes[at] = value
  }

  /** A head byte and a big-endian number of `size` bytes; negative numbers in two's complement. */
  #sized(head: number, size: 1 | 2 | 4, value: number): void {
    const at = this.#claim(1 + size)
    this.#view.setUint8(at, head)
    if (size === 1) this.#view.setUint8(at + 1, value)
    else if (size === 2) this.#view.setUint16(at + 1, value)
    else this.#view.setUint32(at + 1, value)
  }

  /** Makes a piece of what was written, so that another can follow. */
  #cut(): void {
    if (this.#length === 0) return
    this.#add(this.#bytes.subarray(0, this.#length))
    this.#copied += this.#length
    this.#bytes = this.#bytes.subarray(this.#length)
    this.#view = new DataView(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length)
    this.#length = 0
  }

  #add(piece: Uint8Array): void {
    this.#pieces.push(piece)
    this.#piecesLength += piece.length
  }

  /** Makes room for `size` bytes and returns where they start. */
  #claim(size: number): number {
    const at = this.#length
    const needed = at + size
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#expected, this.#bytes.length * 2, needed))
      grown.set(this.#bytes.subarray(0, at))
      this.#bytes = grown
      this.#view = new DataView(grown.buffer)
    }
    this.#length = needed
    return at
  }
}

function badNumber(value: number | bigint): MsgpackError {
  return new MsgpackError(`msgpack encode error: ${value} is not an integer of the wanted range`, {
    code: 'MSGPACK_BAD_VALUE',
  })
}
