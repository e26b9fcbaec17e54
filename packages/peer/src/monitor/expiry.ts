import type { Metric } from '@ipfs-cluster/api'

/** The latest metric of one name from one peer. Times are Unix nanoseconds by our clock. */
export interface Sample {
  readonly metric: Metric
  /** When it stops to say something: its expiry, or later when its sender's clock is behind ours. */
  readonly until: bigint
  /** Time between its arrival and that of the one before; 0 for the first. */
  readonly interval: bigint
  /** Its expiry has been reported, and nothing valid has arrived since. */
  readonly alerted: boolean
}

/** How much longer than the last a gap between two announcements may be to belong to the same rhythm. */
const RHYTHM_FACTOR = 4n

/** Whether the metric says something now. */
export function isLive({ metric, until }: Sample, now: bigint): boolean {
  return metric.valid && now <= until
}

/**
 * The sample after `metric` has arrived: only a live one ends the silence after an alert, and what never lived does not expire.
 *
 * The expiry was set by the sender's clock. Peers announce a metric twice in its lifetime, so one that would expire before the next is due
 * comes from a clock behind ours: once its rhythm is known, it lives for two intervals, as it was meant to.
 */
export function nextSample(previous: Sample | undefined, metric: Metric): Sample {
  const { interval, isRhythm } = nextInterval(previous, metric)
  const isBehind = isRhythm && metric.expire - metric.receivedAt < interval
  const until = isBehind ? metric.receivedAt + 2n * interval : metric.expire
  const sample = { metric, until, interval, alerted: false }
  return { ...sample, alerted: !isLive(sample, metric.receivedAt) && (previous?.alerted ?? true) }
}

/** Follows shorter gaps at once, as a peer that joins announces itself more often for a moment, and longer ones step by step. */
function nextInterval(previous: Sample | undefined, { receivedAt }: Metric) {
  if (previous === undefined) return { interval: 0n, isRhythm: false }
  const gap = receivedAt - previous.metric.receivedAt
  if (previous.interval === 0n) return { interval: gap, isRhythm: false }
  const limit = RHYTHM_FACTOR * previous.interval
  return gap > limit ? { interval: limit, isRhythm: false } : { interval: gap, isRhythm: true }
}

/** A metric that was valid, has expired, and has not been reported. */
export function shouldAlert({ metric, until, alerted }: Sample, now: bigint): boolean {
  return !alerted && metric.valid && until < now
}

/** Nothing has come for `retentionNs` and the last is expired: its peer is gone for good, or no longer has that informer. */
export function isForgotten({ metric, until }: Sample, now: bigint, retentionNs: bigint): boolean {
  return until < now && metric.receivedAt + retentionNs < now
}
