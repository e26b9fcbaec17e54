import type { Clock, Random, TaskScope } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { Heads } from './heads.ts'
import { BURST_MESSAGES, MAX_SETTLE_MS, SETTLE_MS } from './limits.ts'
import { linkOf } from './node.ts'

export interface SettlerComponents {
  readonly clock: Clock
  readonly random: Random
  readonly scope: TaskScope
  readonly heads: () => Heads
  /** Announces all heads. */
  readonly announce: (signal: AbortSignal) => Promise<void>
}

/**
 * After a burst of announcements, has all heads announced once more: a Go peer has dropped what did not fit in its buffer, and would learn of
 * it only by the rebroadcast, a minute later (interop.md 5). One peer is enough: whoever hears it from another keeps quiet.
 */
export class Settler {
  readonly #components: SettlerComponents
  #messages = 0
  #last = 0
  #waiting = false

  constructor(components: SettlerComponents) {
    this.#components = components
  }

  /** An announcement was sent, or received with these heads. */
  message(heads: readonly CID[]): void {
    const { clock, scope } = this.#components
    const now = clock.monotonic()
    const isQuiet = now - this.#last > SETTLE_MS / 4
    if (now - this.#last > MAX_SETTLE_MS) this.#messages = 0
    this.#last = now
    if (this.#waiting && isQuiet && this.#areAll(heads)) {
      this.#messages = 0
      return
    }
    this.#messages++
    if (this.#messages < BURST_MESSAGES || this.#waiting) return
    this.#waiting = true
    scope.run('crdt settle', signal => this.#settle(signal))
  }

  async #settle(signal: AbortSignal): Promise<void> {
    const { clock, random, announce } = this.#components
    const latest = clock.monotonic() + MAX_SETTLE_MS
    let wait = 0
    do {
      wait = SETTLE_MS * (0.5 + random.float())
      await clock.sleep(wait, { signal })
    } while (clock.monotonic() - this.#last < wait && clock.monotonic() < latest)
    this.#waiting = false
    const isNeeded = this.#messages > 0
    this.#messages = 0
    if (isNeeded) await announce(signal)
  }

  #areAll(announced: readonly CID[]): boolean {
    const ids = new Set(announced.map(cid => linkOf(cid)?.id))
    return [...this.#components.heads().keys()].every(id => ids.has(id))
  }
}
