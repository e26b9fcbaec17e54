import { isAbortError } from './abort.ts'
import type { Clock } from './clock.ts'

/** One for all: a guard is made for each request, and an error with its stack is dear. */
const WATCH_ENDED = new DOMException('watch ended', 'AbortError')

/** Aborts `signal` when `progress` has not been called for the given time. Dispose of it to stop the watch. */
export interface StallGuard extends Disposable {
  readonly signal: AbortSignal
  progress(): void
}

/**
 * @param limitMs time allowed between two calls of `progress`, counted from the last one and not from a fixed tick.
 * @param isWaiting when it says false, the other side owes us nothing and time does not count.
 */
export function createStallGuard(clock: Clock, limitMs: number, isWaiting = () => true): StallGuard {
  const stalled = new AbortController()
  const stop = new AbortController()
  let last = clock.monotonic()
  const watch = async () => {
    while (true) {
      if (!isWaiting()) last = clock.monotonic()
      const left = last + limitMs - clock.monotonic()
      if (left <= 0) break
      await clock.sleep(left, { signal: stop.signal })
    }
    stalled.abort(new DOMException(`no progress for ${limitMs} ms`, 'TimeoutError'))
  }
  watch().catch((error: unknown) => {
    // Sleep rejects only with the reason of `stop`: the guard was disposed of.
    if (!isAbortError(error)) stalled.abort(error)
  })
  return {
    signal: stalled.signal,
    progress: () => {
      last = clock.monotonic()
    },
    [Symbol.dispose]: () => stop.abort(WATCH_ENDED),
  }
}
