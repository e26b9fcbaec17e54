import { EMPTY_BYTES } from '@ipfs-cluster/base'

/** Puts a payload together that comes in pieces: copied into one buffer, so that small pieces never keep large ones alive. */
export class Assembly {
  #bytes: Uint8Array = EMPTY_BYTES
  #length = 0

  get length(): number {
    return this.#length
  }

  add(piece: Uint8Array): void {
    const needed = this.#length + piece.length
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(2 * needed)
      grown.set(this.#bytes.subarray(0, this.#length))
      this.#bytes = grown
    }
    this.#bytes.set(piece, this.#length)
    this.#length = needed
  }

  /** Everything added so far, uncopied. */
  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.#length)
  }
}
