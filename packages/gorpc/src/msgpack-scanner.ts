import { MsgpackError } from './msgpack-error.ts'

/** Sizes of one object's own part: `children` objects follow it. */
export interface ObjectHeader {
  /** Bytes of the head and its length field. */
  readonly header: number
  /** Bytes of text, number or extension (its type byte included) behind the header. */
  readonly payload: number
  readonly children: number
}

/** Measures the object at `at` by its head; `undefined` when the header itself is not whole before `end`. @throws MsgpackError */
export function measure(bytes: Uint8Array, at: number, end: number): ObjectHeader | undefined {
  if (at >= end) return undefined
  const head = bytes[at] as number
  if (head <= 0x7f || head >= 0xe0) return leaf(1, 0)
  if (head <= 0x8f) return { header: 1, payload: 0, children: 2 * (head & 15) }
  if (head <= 0x9f) return { header: 1, payload: 0, children: head & 15 }
  if (head <= 0xbf) return leaf(1, head & 31)
  if (head === 0xc1) {
    throw new MsgpackError(`msgpack decode error [pos ${at}]: descriptor 0xc1 means nothing`, {
      code: 'MSGPACK_WRONG_TYPE',
      offset: at,
    })
  }
  const fixed = FIXED_PAYLOADS[head - 0xc0] as number
  if (fixed >= 0) return leaf(1, fixed)
  const lengthBytes = -fixed
  if (end - at < 1 + lengthBytes) return undefined
  let length = 0
  for (let i = 1; i <= lengthBytes; i++) length = length * 256 + (bytes[at + i] as number)
  if (head >= 0xde) return { header: 1 + lengthBytes, payload: 0, children: 2 * length }
  if (head >= 0xdc) return { header: 1 + lengthBytes, payload: 0, children: length }
  const isExtension = head >= 0xc7 && head <= 0xc9
  return leaf(1 + lengthBytes, length + (isExtension ? 1 : 0))
}

function leaf(header: number, payload: number): ObjectHeader {
  return { header, payload, children: 0 }
}

/** By head from c0 to df: bytes behind it, or minus the size of its length field. */
// prettier-ignore
const FIXED_PAYLOADS: readonly number[] = [
  0, 0, 0, 0, // nil, (never), false, true
  -1, -2, -4, // bin
  -1, -2, -4, // ext
  4, 8, // float
  1, 2, 4, 8, // uint
  1, 2, 4, 8, // int
  2, 3, 5, 9, 17, // fixext, with the type byte
  -1, -2, -4, // str
  -2, -4, // list
  -2, -4, // map
]

/**
 * Finds the end of one object in bytes that arrive piece by piece, looking at each byte once and keeping no tree and no stack:
 * an object is whole when as many objects as its headers announced have been passed.
 */
export class ObjectScanner {
  #missing = 1
  #position = 0

  /** Bytes of the object; final once `scan` returned true. */
  get length(): number {
    return this.#position
  }

  /**
   * Goes on scanning. The object lies at `start`; everything before `end` has arrived. Between calls the bytes may move.
   *
   * @returns true when the object is whole.
   * @throws MsgpackError when it is not msgpack, or as soon as it is known to need more than `limit` bytes.
   */
  scan(bytes: Uint8Array, start: number, end: number, limit: number): boolean {
    while (this.#missing > 0) {
      const found = measure(bytes, start + this.#position, end)
      if (found === undefined) return false
      this.#position += found.header + found.payload
      this.#missing += found.children - 1
      // Every announced object takes at least one byte.
      if (this.#position + this.#missing > limit) {
        throw tooLarge(limit)
      }
    }
    return start + this.#position <= end
  }
}

/** An object of more than `limit` bytes was announced or has arrived. */
export function tooLarge(limit: number): MsgpackError {
  return new MsgpackError(`msgpack decode error: an object of more than ${limit} bytes`, {
    code: 'MSGPACK_TOO_LARGE',
    limit,
  })
}
