/**
 * Frames of `MUX_PROTOCOL`: varint length, then type byte, varint call id and payload. Varints are unsigned LEB128 as in multiformats.
 *
 * | type | way | payload |
 * |---|---|---|
 * | request | caller to server | ServiceID object, argument object |
 * | reply | server to caller | body object |
 * | error | server to caller | Response object with Error and ErrType |
 * | cancel | caller to server | none: nobody waits for the answer any more |
 * | cancel | server to caller | none: the call was given up, as by resetting its stream on the Go protocol |
 *
 * The objects are those of the Go protocol (reference wire.md 5.1). A payload of more than `MAX_CHUNK_BYTES` comes in several frames of the
 * same type and id, all but the last with `MORE` set in the type; frames of other calls may stand between them. Ids are the caller's,
 * rising from 1.
 */
import { CodedError, EMPTY_BYTES } from '@ipfs-cluster/base'

export const FRAME = { request: 0, reply: 1, error: 2, cancel: 3 } as const

export type FrameType = (typeof FRAME)[keyof typeof FRAME]

/** Set in the type byte: the payload goes on in another frame. */
const MORE = 0x80

/** Payload of one frame. Bytes: so little that a large reply never holds a small one for long. */
export const MAX_CHUNK_BYTES = 64 * 1024

/** Type byte, and an id of up to 53 bits as a varint. Bytes. */
const MAX_HEAD_BYTES = 1 + 8
/** Length field of the largest frame. Bytes. */
const MAX_LENGTH_BYTES = 3

export interface Frame {
  readonly type: FrameType
  readonly more: boolean
  readonly id: number
  /** A view of what arrived: copy it to keep it. */
  readonly payload: Uint8Array
}

/** The other side does not keep to the protocol; nothing more can be read of its stream. */
export class FrameError extends CodedError<{ readonly code: 'FRAME_MALFORMED' | 'FRAME_TOO_LARGE' }> {
  override readonly name = 'FrameError'
}

const INITIAL_BYTES = 1024

/** Gathers frames in one buffer. */
export class FrameWriter {
  #bytes: Uint8Array = EMPTY_BYTES
  #length = 0

  get length(): number {
    return this.#length
  }

  /** @param payload at most `MAX_CHUNK_BYTES`. */
  add(type: FrameType, id: number, payload: Uint8Array, more: boolean): void {
    this.#reserve(MAX_LENGTH_BYTES + MAX_HEAD_BYTES + payload.length)
    this.#varint(1 + varintSize(id) + payload.length)
    this.#bytes[this.#length++] = more ? type | MORE : type
    this.#varint(id)
    this.#bytes.set(payload, this.#length)
    this.#length += payload.length
  }

  /** Hands over what was gathered, uncopied, and starts anew. */
  take(): Uint8Array {
    const out = this.#bytes.subarray(0, this.#length)
    this.#bytes = EMPTY_BYTES
    this.#length = 0
    return out
  }

  #varint(value: number): void {
    let rest = value
    // No bit operations: ids have more than 32 bits.
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#length++] = rest
  }

  #reserve(size: number): void {
    const needed = this.#length + size
    if (needed <= this.#bytes.length) return
    const grown = new Uint8Array(Math.max(INITIAL_BYTES, 2 * this.#bytes.length, needed))
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
  }
}

function varintSize(value: number): number {
  let size = 1
  for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size++
  return size
}

/** Takes frames out of bytes that arrive piece by piece; holds at most one unfinished frame, and allocates it only when its length is known to be allowed. */
export class FrameReader {
  /** Of the length field that is being read. */
  #length = 0
  #lengthBytes = 0
  /** The frame that has arrived in part. */
  #body: Uint8Array | undefined
  #filled = 0

  /** True while a frame, or its length, has arrived in part. */
  get partial(): boolean {
    return this.#body !== undefined || this.#lengthBytes > 0
  }

  /** @throws FrameError, after which the reader must not be used. */
  push(bytes: Uint8Array, onFrame: (frame: Frame) => void): void {
    let at = 0
    while (at < bytes.length) {
      if (this.#body !== undefined) {
        const part = bytes.subarray(at, at + this.#body.length - this.#filled)
        this.#body.set(part, this.#filled)
        this.#filled += part.length
        at += part.length
        if (this.#filled < this.#body.length) return
        const body = this.#body
        this.#body = undefined
        onFrame(parseFrame(body))
        continue
      }
      const isWhole = this.#takeLength(bytes[at++] as number)
      if (!isWhole) continue
      const length = this.#length
      this.#length = 0
      this.#lengthBytes = 0
      if (at + length <= bytes.length) {
        onFrame(parseFrame(bytes.subarray(at, at + length)))
        at += length
      } else {
        this.#body = new Uint8Array(length)
        this.#filled = 0
      }
    }
  }

  /** One byte of the length field; true when it was the last. */
  #takeLength(byte: number): boolean {
    this.#length += (byte & 0x7f) * 0x80 ** this.#lengthBytes++
    if (this.#length > MAX_HEAD_BYTES + MAX_CHUNK_BYTES) throw tooLarge()
    if (byte < 0x80) {
      if (this.#length < 2) throw malformed('a frame without a type and an id')
      return true
    }
    if (this.#lengthBytes >= MAX_LENGTH_BYTES) throw tooLarge()
    return false
  }
}

function parseFrame(body: Uint8Array): Frame {
  const type = (body[0] as number) & ~MORE
  if (type > FRAME.cancel) throw malformed(`a frame of type ${type}`)
  const more = (body[0] as number) >= MORE
  let id = 0
  let at = 1
  let byte = 0x80
  for (; byte >= 0x80; at++) {
    if (at >= body.length || at >= MAX_HEAD_BYTES) throw malformed('a call id without an end')
    byte = body[at] as number
    id += (byte & 0x7f) * 0x80 ** (at - 1)
  }
  if (id > Number.MAX_SAFE_INTEGER) throw malformed('a call id of more than 53 bits')
  const payload = body.subarray(at)
  if (payload.length > MAX_CHUNK_BYTES) throw tooLarge()
  // Empty pieces would be frames without end for the price of three bytes each.
  if (more && payload.length === 0) throw malformed('an empty piece of a payload')
  return { type: type as FrameType, more, id, payload }
}

/** @param what e.g. "a frame of type 9". */
export function malformed(what: string): FrameError {
  return new FrameError(`rpc: ${what}`, { code: 'FRAME_MALFORMED' })
}

function tooLarge(): FrameError {
  return new FrameError(`rpc: a frame of more than ${MAX_CHUNK_BYTES} bytes`, { code: 'FRAME_TOO_LARGE' })
}
