import type { AbortOptions } from './abort.ts'

/** The one source of time. Rooms take it as a dependency so that tests and simulations can turn it. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number
  /** Nanoseconds since the Unix epoch, strictly increasing within a process. */
  nowNs(): bigint
  /** Milliseconds from an arbitrary start, never going back: for measuring, not for dating. */
  monotonic(): number
  /** Resolves after `ms`; rejects with the signal's reason when that fires first. */
  sleep(ms: number, options?: AbortOptions): Promise<void>
  /** A signal that aborts with a `TimeoutError` after `ms`. Does not keep the process alive. */
  timeout(ms: number): AbortSignal
}

let lastNs = 0n

/** The system's time. */
export const systemClock: Clock = {
  now: () => Date.now(),
  nowNs() {
    const micros = BigInt(Math.round((performance.timeOrigin + performance.now()) * 1000))
    const ns = micros * 1000n
    lastNs = ns > lastNs ? ns : lastNs + 1n
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
