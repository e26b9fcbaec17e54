/** How long a pin may show no sign of life before others need not wait for it any more. Pure. */

/** Milliseconds, as long as nothing is known of this daemon. */
export const FIRST_PATIENCE_MS = 1_000
/** Bounds, in milliseconds, for a pin of which nothing has come yet. */
export const MIN_PATIENCE_MS = 50
export const MAX_PATIENCE_MS = 5_000
/** Milliseconds for a pin of which something has come: Kubo reports twice a second. */
export const MOVING_PATIENCE_MS = 5_000

export interface Patience {
  /** A pin gave its first sign of life, or succeeded, after so many milliseconds. */
  observed(ms: number): void
  /** Milliseconds without a sign of life after which a pin that has shown none is taken for one that may never come. */
  ms(): number
}

/** Learns what is usual as TCP does (RFC 6298): the mean, and four times the deviation from it. */
export function createPatience(): Patience {
  let mean: number | undefined
  let deviation = 0
  return {
    observed(ms) {
      if (mean === undefined) {
        mean = ms
        deviation = ms / 2
        return
      }
      deviation += (Math.abs(ms - mean) - deviation) / 4
      mean += (ms - mean) / 8
    },
    ms() {
      if (mean === undefined) return FIRST_PATIENCE_MS
      return Math.min(MAX_PATIENCE_MS, Math.max(MIN_PATIENCE_MS, mean + 4 * deviation))
    },
  }
}
