import type { Metric } from '@ipfs-cluster/api'

/** The latest metric of one name from one peer. */
export interface Sample {
  readonly metric: Metric
  /** Its expiry has been reported, and nothing valid has arrived since. */
  readonly alerted: boolean
}

/** @param now Unix nanoseconds on our clock; the expiry was set by the sender's. */
export function isExpired(metric: Metric, now: bigint): boolean {
  return metric.expire < now
}

/** Whether the metric says something now. */
export function isLive(metric: Metric, now: bigint): boolean {
  return metric.valid && !isExpired(metric, now)
}

/** The sample after `metric` has arrived: only a live one ends the silence after an alert. */
export function nextSample(previous: Sample | undefined, metric: Metric, now: bigint): Sample {
  return { metric, alerted: (previous?.alerted ?? false) && !isLive(metric, now) }
}

/** A metric that was valid, has expired, and has not been reported. */
export function shouldAlert({ metric, alerted }: Sample, now: bigint): boolean {
  return !alerted && metric.valid && isExpired(metric, now)
}

/** Nothing has come for `retentionNs` and the last is expired: its peer is gone for good, or no longer has that informer. */
export function isForgotten({ metric }: Sample, now: bigint, retentionNs: bigint): boolean {
  return isExpired(metric, now) && metric.receivedAt + retentionNs < now
}
