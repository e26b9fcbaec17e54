import { badMessage } from './errors.ts'

/** Cuts a stream of bytes into messages with a varint length in front. Holds no more than what has arrived. */
export class FrameReader {
  readonly #maxBytes: number
  readonly #onMessage: (message: Uint8Array) => void
  #length = 0
  #shift = 0
  /** Bytes of the message still to come; negative while its length is being read. */
  #missing = -1
  #parts: Uint8Array[] = []
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
        if (this.#missing === 0) this.#finish([])
        continue
      }
      const part = chunk.subarray(at, at + this.#missing)
      at += part.length
      this.#missing -= part.length
      if (this.#missing > 0) {
        this.#parts.push(part)
        this.#pending += part.length
      } else {
        this.#finish([...this.#parts, part])
      }
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

  #finish(parts: readonly Uint8Array[]): void {
    this.#length = 0
    this.#shift = 0
    this.#missing = -1
    this.#parts = []
    this.#pending = 0
    this.#onMessage(parts.length === 1 ? (parts[0] as Uint8Array) : joined(parts))
  }
}

/** As `concatBytes`, without zeroing what is overwritten at once. */
function joined(parts: readonly Uint8Array[]): Uint8Array {
  const { buffer, byteOffset, byteLength } = Buffer.concat(parts)
  return new Uint8Array(buffer, byteOffset, byteLength)
}
