import { raceSignal, type Clock } from '@ipfs-cluster/base'

/** Lets a loop rest until there is something to do. A call of `wake` while it does not rest is remembered. */
export interface Wakeup {
  wake(): void
  /** Resolves at the next `wake`, or at the latest after `ms`; without `ms` only then. */
  wait(ms: number | undefined, signal: AbortSignal): Promise<void>
}

/** One for all: making an error with its stack costs more than the rest of a wait. */
const WOKEN = new DOMException('woken', 'AbortError')

export function createWakeup(clock: Clock): Wakeup {
  let woken = false
  let release: (() => void) | undefined
  return {
    wake() {
      woken = true
      release?.()
    },
    async wait(ms, signal) {
      if (!woken) {
        const timer = new AbortController()
        const { promise, resolve } = Promise.withResolvers<void>()
        release = resolve
        // The timer only ever rejects because it is stopped below.
        const elapsed =
          ms === undefined ? [] : [clock.sleep(ms, { signal: timer.signal }).catch(() => undefined)]
        try {
          await raceSignal(Promise.race([promise, ...elapsed]), signal)
        } finally {
          release = undefined
          timer.abort(WOKEN)
        }
      }
      woken = false
    },
  }
}
