import { EMPTY_BYTES } from '@ipfs-cluster/base'
import { badMessage } from './errors.ts'

/** First room for a message that arrives in pieces. Bytes. */
const FIRST_ROOM_BYTES = 4096

/**
 * Cuts a stream of bytes into messages with a varint length in front. Holds at most twice what has arrived, in one buffer: a piece may be
 * a single byte, and keeping each would cost a hundred times its size.
 */
export class FrameReader {
  readonly #maxBytes: number
  readonly #onMessage: (message: Uint8Array) => void
  #length = 0
  #shift = 0
  /** Bytes of the message still to come; negative while its length is being read. */
  #missing = -1
  /** The beginning of an unfinished message: the first `#pending` bytes. */
  #buffer: Uint8Array = EMPTY_BYTES
  #pending = 0

  /** @param onMessage called synchronously from `push`; the bytes may be a view of what was pushed. */
  constructor(maxBytes: number, onMessage: (message: Uint8Array) => void) {
    this.#maxBytes = maxBytes
    this.#onMessage = onMessage
  }

  /** Bytes of an unfinished message held here. */
  get pendingBytes(): number {
    return this.#pending
  }

  /** @throws BitswapError `BITSWAP_BAD_MESSAGE` when a message is longer than allowed; the stream is useless then. */
  push(chunk: Uint8Array): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#missing < 0) {
        this.#readLength(chunk[at++] as number)
        if (this.#missing === 0) this.#finish(EMPTY_BYTES)
        continue
      }
      const part = chunk.subarray(at, at + this.#missing)
      at += part.length
      this.#missing -= part.length
      if (this.#pending > 0 || this.#missing > 0) this.#keep(part)
      if (this.#missing === 0)
        this.#finish(this.#pending > 0 ? this.#buffer.subarray(0, this.#pending) : part)
    }
  }

  #readLength(byte: number): void {
    this.#length += (byte & 0x7f) * 2 ** this.#shift
    this.#shift += 7
    if (this.#length > this.#maxBytes || this.#shift > 35) {
      throw badMessage(`longer than ${this.#maxBytes} bytes`)
    }
    if (byte < 0x80) this.#missing = this.#length
  }

  #keep(part: Uint8Array): void {
    const needed = this.#pending + part.length
    if (needed > this.#buffer.length) {
      const room = Math.min(this.#length, Math.max(FIRST_ROOM_BYTES, 2 * needed))
      // Not zeroed: only what has been written is handed out.
      const { buffer, byteOffset } = Buffer.allocUnsafeSlow(room)
      const grown = new Uint8Array(buffer, byteOffset, room)
      grown.set(this.#buffer.subarray(0, this.#pending))
      this.#buffer = grown
    }
    this.#buffer.set(part, this.#pending)
    this.#pending = needed
  }

  #finish(message: Uint8Array): void {
    this.#length = 0
    this.#shift = 0
    this.#missing = -1
    // What is handed out is never written again.
    this.#buffer = EMPTY_BYTES
    this.#pending = 0
    this.#onMessage(message)
  }
}
