/**
 * A set of CIDs by 52-bit fingerprints, keyed by chance for each audit. Two different CIDs share one with a probability of about
 * n / 2^52, and then only until the next audit.
 */

/** Fingerprints are below it. */
export const FINGERPRINT_LIMIT: number = 2 ** 52

/** A CID's fingerprint: an integer in [1, 2^52). */
export function fingerprint(cid: Uint8Array, seed: number): number {
  let a = 0xdeadbeef ^ seed
  let b = 0x41c6ce57 ^ seed
  for (const byte of cid) {
    a = Math.imul(a ^ byte, 0x9e3779b1)
    b = Math.imul(b ^ byte, 0x5f356495)
  }
  a = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35)
  b = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35)
  return Math.max(1, (b & 0xfffff) * 2 ** 32 + (a >>> 0))
}

const MIN_SLOTS = 1024
/** Entries per slot at most; above it the table doubles. */
const MAX_LOAD = 0.6

/** Positive integers below 2^53 in one flat array: 8 to 27 bytes each, outside the heap. */
export class NumberSet {
  #slots: Float64Array
  #size = 0

  /** @param expected entries to make room for. */
  constructor(expected: number) {
    this.#slots = new Float64Array(slotsFor(expected))
  }

  get size(): number {
    return this.#size
  }

  add(value: number): void {
    if ((this.#size + 1) / this.#slots.length > MAX_LOAD) this.#resize(this.#slots.length * 2)
    const slot = find(this.#slots, value)
    if (this.#slots[slot] === value) return
    this.#slots[slot] = value
    this.#size++
  }

  has(value: number): boolean {
    return this.#slots[find(this.#slots, value)] === value
  }

  /** Keeps only the values that pass. */
  filter(test: (value: number) => boolean): void {
    this.#resize(this.#slots.length, test)
  }

  #resize(length: number, test: (value: number) => boolean = () => true): void {
    const old = this.#slots
    this.#slots = new Float64Array(length)
    this.#size = 0
    for (const value of old) {
      if (value === 0 || !test(value)) continue
      this.#slots[find(this.#slots, value)] = value
      this.#size++
    }
  }
}

function slotsFor(expected: number): number {
  let slots = MIN_SLOTS
  while (expected / slots > MAX_LOAD) slots *= 2
  return slots
}

/** The slot of the value, or the free one where it belongs. */
function find(slots: Float64Array, value: number): number {
  const mask = slots.length - 1
  let slot = (value ^ (value / 2 ** 32)) & mask
  while (slots[slot] !== 0 && slots[slot] !== value) slot = (slot + 1) & mask
  return slot
}
