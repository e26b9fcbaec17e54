/**
 * How fast pins are started while the pinset changes and somebody waits for the peer, or it has more to do than it can: what somebody waits for goes
 * first. Few daemons pin faster than that, and those that do catch up as soon as there is time. Pure but for the time it is told.
 */

/** Pins started in a second meanwhile: as many as ten places can be at 50 ms each. */
export const BUSY_STARTS_PER_SECOND = 200
/** Of these, at once. */
const BURST = 5
/** Share of its time that the process works from which on it is busy. */
const BUSY_SHARE = 0.9
/** Milliseconds after the last change of the pinset that starting is held back. */
export const CHANGES_FRESH_MS = 500

export interface Pace {
  /** The pinset has changed. @param now milliseconds of a monotonic clock, here and below. */
  changed(now: number): void
  /** Takes the right to start one, if there is one now. */
  mayStart(now: number): boolean
}

/**
 * @param utilization share of its time, from 0 to 1, that the process worked of late.
 * @param isAwaited whether somebody waits for the peer right now.
 */
export function createPace(utilization: () => number, isAwaited: () => boolean): Pace {
  let changedAt = Number.NEGATIVE_INFINITY
  let rights = BURST
  let at = Number.NEGATIVE_INFINITY
  return {
    changed(now) {
      changedAt = now
    },
    mayStart(now) {
      rights = Math.min(BURST, rights + ((now - at) / 1000) * BUSY_STARTS_PER_SECOND)
      at = now
      const isBusy = now - changedAt < CHANGES_FRESH_MS && (isAwaited() || utilization() >= BUSY_SHARE)
      if (isBusy && rights < 1) return false
      rights = Math.max(0, rights - 1)
      return true
    },
  }
}
