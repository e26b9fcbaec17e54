/** How many pins at once the daemon bears, by its answers. Pure but for the time it is told. */

/** Milliseconds between two cuts: what was asked before the first says nothing about it. */
export const CUT_INTERVAL_MS = 1_000
/** Milliseconds for which nothing is started after a cut; doubled with each that follows without an answer in between, up to the longest. */
export const FIRST_PAUSE_MS = 1_000
export const LONGEST_PAUSE_MS = 30_000

export interface DaemonLoad {
  /** Pins that may be under way, from 1 to the configured maximum. */
  limit(): number
  /** Milliseconds of the clock until which nothing is started. */
  pausedUntil(): number
  answered(): void
  /** It said that it is overloaded (429, 503), or did not answer a short question in time. */
  overloaded(now: number): void
}

/** Halves at an overload, and grows by one for every round of good answers, as TCP does. */
export function createDaemonLoad(most: number): DaemonLoad {
  let limit = most
  let lastCut = Number.NEGATIVE_INFINITY
  let pauseMs = FIRST_PAUSE_MS
  let pausedUntil = 0
  return {
    limit: () => Math.floor(limit),
    pausedUntil: () => pausedUntil,
    answered() {
      if (limit < most) limit = Math.min(most, limit + 1 / limit)
      pauseMs = FIRST_PAUSE_MS
    },
    overloaded(now) {
      if (now - lastCut < CUT_INTERVAL_MS || now < pausedUntil) return
      lastCut = now
      limit = Math.max(1, limit / 2)
      pausedUntil = now + pauseMs
      pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)
    },
  }
}
