import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '@ipfs-cluster/base'

/** A clock that stands still until it is advanced. */
export interface ManualClock extends Clock {
  /**
   * Moves time on, firing everything that falls due in its order; what is woken runs before the next is fired. Pending I/O of this
   * process gets a few turns of the event loop too.
   */
  advance(ms: number): Promise<void>
  /** Sleeps and timeouts that are waiting. */
  readonly pending: number
}

interface Timer {
  readonly at: number
  readonly fire: () => void
}

/** Turns of the event loop after each timer: enough for a chain of promises and an answer over loopback or two. */
const TURNS = 5

/** @param startMs Unix time it shows first. */
export function createManualClock(startMs = Date.UTC(2026, 0, 1)): ManualClock {
  let now = startMs
  let lastNs = 0n
  const timers = new Set<Timer>()
  const settle = async () => {
    for (let i = 0; i < TURNS; i++) await turn()
  }
  const nextDue = (end: number) => {
    let next: Timer | undefined
    for (const timer of timers)
      if (timer.at <= end && (next === undefined || timer.at < next.at)) next = timer
    return next
  }
  return {
    now: () => now,
    nowNs() {
      const ns = BigInt(Math.round(now * 1e6))
      lastNs = ns > lastNs ? ns : lastNs + 1n
      return lastNs
    },
    monotonic: () => now - startMs,
    async sleep(ms, { signal } = {}) {
      signal?.throwIfAborted()
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const timer = { at: now + Math.max(0, ms), fire: resolve }
      const onAbort = () => {
        timers.delete(timer)
        reject(signal?.reason)
      }
      timers.add(timer)
      signal?.addEventListener('abort', onAbort, { once: true })
      await promise
      signal?.removeEventListener('abort', onAbort)
    },
    timeout(ms) {
      const controller = new AbortController()
      timers.add({
        at: now + ms,
        fire: () => controller.abort(new DOMException('the operation timed out', 'TimeoutError')),
      })
      return controller.signal
    },
    async advance(ms) {
      const end = now + ms
      await settle()
      for (let timer = nextDue(end); timer !== undefined; timer = nextDue(end)) {
        now = Math.max(now, timer.at)
        timers.delete(timer)
        timer.fire()
        await settle()
      }
      now = end
      await settle()
    },
    get pending() {
      return timers.size
    },
  }
}
