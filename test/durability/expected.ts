/** What a cluster must have after a crash, as far as its answers tell. */

/**
 * - `present`, `absent`: acknowledged.
 * - `open`: no answer came; both are right, and the next look decides.
 * - `expiring`: acknowledged as present, and free to go.
 */
export type Expectation = 'present' | 'absent' | 'open' | 'expiring'

export interface Difference {
  /** Acknowledged as pinned, and not there. */
  readonly missing: readonly string[]
  /** Acknowledged as unpinned, and there; or never asked for. */
  readonly surplus: readonly string[]
}

export class Expected {
  readonly #cids = new Map<string, Expectation>()
  readonly #expiring = new Set<string>()
  /** Answers so far. */
  acknowledged = 0

  get size(): number {
    return this.#cids.size
  }

  /** @param expires it is a pin that goes by itself. */
  asked(cid: string, expires = false): void {
    this.#cids.set(cid, 'open')
    if (expires) this.#expiring.add(cid)
  }

  answered(cid: string, state: Exclude<Expectation, 'open'>): void {
    this.acknowledged++
    this.#cids.set(cid, state)
  }

  knows(cid: string): boolean {
    return this.#cids.has(cid)
  }

  of(cid: string): Expectation | undefined {
    return this.#cids.get(cid)
  }

  /** Oldest first. */
  *in(state: Expectation): Generator<string> {
    for (const [cid, at] of this.#cids) if (at === state) yield cid
  }

  compare(found: ReadonlySet<string>): Difference {
    const missing = [...this.in('present')].filter(cid => !found.has(cid))
    const surplus = [...found].filter(cid => (this.#cids.get(cid) ?? 'absent') === 'absent')
    return { missing, surplus }
  }

  #decided(cid: string, found: ReadonlySet<string>): Expectation {
    if (!found.has(cid)) return 'absent'
    return this.#expiring.has(cid) ? 'expiring' : 'present'
  }

  /** What a listing says of requests without an answer holds from now on. Call only while nothing is under way. */
  settle(found: ReadonlySet<string>): void {
    for (const [cid, at] of this.#cids) {
      if (at === 'open') this.#cids.set(cid, this.#decided(cid, found))
      if (at === 'expiring' && !found.has(cid)) this.#cids.set(cid, 'absent')
    }
  }
}
