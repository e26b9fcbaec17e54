/**
 * A Bloom filter of CIDs: a few bits for each, whatever their number, in one flat array outside the heap. What was added is always found;
 * of what was not, a share is found by mistake, and another one with another seed.
 */

/** Bits set for each CID. */
const HASHES = 8
const WORD_BITS = 32

export class CidFilter {
  readonly #words: Uint32Array
  readonly #mask: number
  readonly #seed: number
  readonly #positions = new Uint32Array(HASHES)
  #size = 0

  /**
   * @param bits a power of two from 32 to 2^32. With 24 for each CID one in 24,000 is found by mistake, with 12 one in 300, with 6 one in 12.
   * @param seed a 32-bit integer.
   */
  constructor(bits: number, seed: number) {
    this.#words = new Uint32Array(bits / WORD_BITS)
    this.#mask = bits - 1
    this.#seed = seed
  }

  /** Calls of `add`. */
  get size(): number {
    return this.#size
  }

  /** @param kind a small integer; the same CID with another one is something else. */
  add(cid: Uint8Array, kind: number): void {
    this.#size++
    this.#locate(cid, kind)
    for (const position of this.#positions) {
      const word = position >>> 5
      this.#words[word] = (this.#words[word] as number) | (1 << (position & 31))
    }
  }

  has(cid: Uint8Array, kind: number): boolean {
    this.#locate(cid, kind)
    for (const position of this.#positions) {
      if (((this.#words[position >>> 5] as number) & (1 << (position & 31))) === 0) return false
    }
    return true
  }

  #locate(cid: Uint8Array, kind: number): void {
    const seed = this.#seed ^ Math.imul(kind, 0x9e3779b1)
    let a = 0xdeadbeef ^ seed
    let b = 0x41c6ce57 ^ seed
    for (const byte of cid) {
      a = Math.imul(a ^ byte, 0x9e3779b1)
      b = Math.imul(b ^ byte, 0x5f356495)
    }
    a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35)
    b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
    // Odd: as the number of positions is a power of two, no step comes back to one before all were visited.
    b |= 1
    for (let i = 0; i < HASHES; i++) {
      this.#positions[i] = a & this.#mask
      a = (a + b) | 0
    }
  }
}
