import type { AbortOptions } from './abort.ts'

/** The one source of time. Rooms take it as a dependency so that tests and simulations can turn it. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number
  /** Nanoseconds since the Unix epoch, strictly increasing, unless the system's clock is set back by more than a second. */
  nowNs(): bigint
  /** Milliseconds from an arbitrary start, never going back: for measuring, not for dating. */
  monotonic(): number
  /** Resolves after `ms`; rejects with the signal's reason when that fires first. */
  sleep(ms: number, options?: AbortOptions): Promise<void>
  /** A signal that aborts with a `TimeoutError` after `ms`. Does not keep the process alive. */
  timeout(ms: number): AbortSignal
}

let lastNs = 0n
/** Milliseconds from the start of `performance.now()` to the epoch, as last seen. */
let originMs = performance.timeOrigin

/** The system's clock counts milliseconds; the rest is taken from the monotonic one, which does not learn when the former is set. */
const ORIGIN_TOLERANCE_MS = 2
const SET_BACK_NS = 1_000_000_000n

/** The system's time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  nowNs() {
    const monotonic = performance.now()
    const origin = Date.now() - monotonic
    if (Math.abs(origin - originMs) > ORIGIN_TOLERANCE_MS) originMs = origin
    const ns = BigInt(Math.round((originMs + monotonic) * 1000)) * 1000n
    lastNs = ns > lastNs || lastNs - ns > SET_BACK_NS ? ns : lastNs + 1n
    return lastNs
  },
  monotonic: () => performance.now(),
  async sleep(ms, { signal } = {}) {
    signal?.throwIfAborted()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const onAbort = () => {
      clearTimeout(timer)
      reject(signal?.reason)
    }
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }, ms)
    signal?.addEventListener('abort', onAbort, { once: true })
    await promise
  },
  timeout: ms => AbortSignal.timeout(ms),
}
