const WORDS = 4
const MAX_LOAD = 0.7

/**
 * A set of multihashes for marking millions of blocks: 16 bytes of the digest each, 23-46 bytes of memory an entry, no objects.
 * Two digests that share their last 16 bytes count as one; for cryptographic hashes that takes 2^64 deliberate attempts, and it
 * can only make the garbage collector keep a block too many.
 */
export class FingerprintSet {
  #slots = new Uint32Array(1024 * WORDS)
  #size = 0
  readonly #probe = new Uint32Array(WORDS)

  get size(): number {
    return this.#size
  }

  /** True when it was not there before. */
  add(multihash: Uint8Array): boolean {
    this.#load(multihash)
    const slot = find(this.#slots, this.#probe)
    if (!isFree(this.#slots, slot)) return false
    this.#slots.set(this.#probe, slot)
    this.#size++
    if (this.#size * WORDS > this.#slots.length * MAX_LOAD) this.#grow()
    return true
  }

  has(multihash: Uint8Array): boolean {
    this.#load(multihash)
    return !isFree(this.#slots, find(this.#slots, this.#probe))
  }

  #load(multihash: Uint8Array): void {
    const probe = this.#probe
    probe.fill(0)
    const start = Math.max(0, multihash.length - WORDS * 4)
    for (let i = start; i < multihash.length; i++) {
      const word = (i - start) >> 2
      probe[word] = ((probe[word] as number) << 8) | (multihash[i] as number)
    }
    // All zero marks a free slot.
    if (probe.every(word => word === 0)) probe[0] = 1
  }

  #grow(): void {
    const old = this.#slots
    const slots = new Uint32Array(old.length * 2)
    for (let slot = 0; slot < old.length; slot += WORDS) {
      if (isFree(old, slot)) continue
      const entry = old.subarray(slot, slot + WORDS)
      slots.set(entry, find(slots, entry))
    }
    this.#slots = slots
  }
}

/** Index of the slot that holds `entry`, or of the free one where it belongs. */
function find(slots: Uint32Array, entry: Uint32Array): number {
  const mask = slots.length / WORDS - 1
  const [first, second, third, fourth] = entry
  let index = ((first as number) ^ (fourth as number)) & mask
  while (true) {
    const slot = index * WORDS
    const same =
      slots[slot] === first &&
      slots[slot + 1] === second &&
      slots[slot + 2] === third &&
      slots[slot + 3] === fourth
    if (same || isFree(slots, slot)) return slot
    index = (index + 1) & mask
  }
}

function isFree(slots: Uint32Array, slot: number): boolean {
  return slots[slot] === 0 && slots[slot + 1] === 0 && slots[slot + 2] === 0 && slots[slot + 3] === 0
}
