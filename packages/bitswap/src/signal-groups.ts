/**
 * Members that leave when their signal fires, with a single listener per signal: thousands of wants share one, and
 * adding a listener costs as much as there are listeners.
 */
export class SignalGroups<T> {
  readonly #groups = new Map<AbortSignal, { readonly members: Set<T>; readonly listener: () => void }>()
  readonly #onAbort: (member: T, reason: unknown) => void

  /** @param onAbort called for each member; may delete it. */
  constructor(onAbort: (member: T, reason: unknown) => void) {
    this.#onAbort = onAbort
  }

  add(signal: AbortSignal | undefined, member: T): void {
    if (signal === undefined) return
    let group = this.#groups.get(signal)
    if (group === undefined) {
      const members = new Set<T>()
      const listener = () => {
        for (const member of members) this.#onAbort(member, signal.reason)
      }
      group = { members, listener }
      this.#groups.set(signal, group)
      signal.addEventListener('abort', listener)
    }
    group.members.add(member)
  }

  delete(signal: AbortSignal | undefined, member: T): void {
    const group = signal === undefined ? undefined : this.#groups.get(signal)
    if (signal === undefined || group === undefined) return
    group.members.delete(member)
    if (group.members.size > 0) return
    signal.removeEventListener('abort', group.listener)
    this.#groups.delete(signal)
  }
}
