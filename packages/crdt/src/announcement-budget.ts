import type { Clock } from '@ipfs-cluster/base'
import { ANNOUNCED_BYTES_AT_ONCE, ANNOUNCED_BYTES_PER_SECOND, MAX_ANNOUNCING_PEERS } from './limits.ts'

/** What a message costs besides its bytes. */
const MESSAGE_BYTES = 64

interface Budget {
  left: number
  at: number
}

/** How much each peer may announce. Reading an announcement costs time, so that has to be decided before. */
export class AnnouncementBudget {
  readonly #clock: Clock
  /** Those heard last at the end. */
  readonly #peers = new Map<string, Budget>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether `peer` may announce `bytes` now. */
  take(peer: string, bytes: number): boolean {
    const now = this.#clock.monotonic()
    const { left, at } = this.#peers.get(peer) ?? { left: ANNOUNCED_BYTES_AT_ONCE, at: now }
    const earned = ((now - at) / 1000) * ANNOUNCED_BYTES_PER_SECOND
    const available = Math.min(ANNOUNCED_BYTES_AT_ONCE, left + earned)
    const cost = bytes + MESSAGE_BYTES
    const isAllowed = cost <= available
    this.#peers.delete(peer)
    const [silent] = this.#peers.keys()
    if (silent !== undefined && this.#peers.size >= MAX_ANNOUNCING_PEERS) this.#peers.delete(silent)
    this.#peers.set(peer, { left: isAllowed ? available - cost : available, at: now })
    return isAllowed
  }
}
