import type { Clock } from '@ipfs-cluster/base'

/**
 * Ids of messages that were there already. Each is kept for at least half of `ttlMs` and at most all of it, in two
 * generations, so that an id costs little more than its text; less when more than `maxIds` come in that time: peers offer a
 * message again for a minute (six heartbeats) at most.
 *
 * Stands in for js gossipsub's own cache, whose methods these are.
 */
export class SeenMessages {
  readonly #clock: Pick<Clock, 'monotonic'>
  readonly #halfLifeMs: number
  readonly #maxGeneration: number
  #young = new Set<string>()
  #old = new Set<string>()
  #since: number

  constructor(
    clock: Pick<Clock, 'monotonic'>,
    { ttlMs, maxIds }: { readonly ttlMs: number; readonly maxIds: number },
  ) {
    this.#clock = clock
    this.#halfLifeMs = ttlMs / 2
    this.#maxGeneration = Math.max(1, Math.floor(maxIds / 2))
    this.#since = clock.monotonic()
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  has(id: string): boolean {
    return this.#young.has(id) || this.#old.has(id)
  }

  /** True when it was there. */
  put(id: string): boolean {
    if (this.has(id)) return true
    if (this.#young.size >= this.#maxGeneration) this.#turn()
    this.#young.add(id)
    return false
  }

  /** Called at every heartbeat. */
  prune(): void {
    if (this.#clock.monotonic() - this.#since >= this.#halfLifeMs) this.#turn()
  }

  clear(): void {
    this.#young = new Set()
    this.#old = new Set()
  }

  #turn(): void {
    this.#old = this.#young
    this.#young = new Set()
    this.#since = this.#clock.monotonic()
  }
}
