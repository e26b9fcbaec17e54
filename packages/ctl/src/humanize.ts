/** Sizes and times as Go's `go-humanize` words them. */
export { formatByteSize as bytesText } from '@ipfs-cluster/base'

const SECOND = 1
const MINUTE = 60
const HOUR = 3600
const DAY = 86_400
const WEEK = 7 * DAY
const MONTH = 30 * DAY
const YEAR = 12 * MONTH
const LONG = 37 * YEAR

/** Up to (not including) so many seconds, these words; with a unit, as many as fit of it. */
const MAGNITUDES: readonly (readonly [below: number, words: string, unit: number])[] = [
  [SECOND, 'now', 0],
  [2 * SECOND, '1 second', 0],
  [MINUTE, 'seconds', SECOND],
  [2 * MINUTE, '1 minute', 0],
  [HOUR, 'minutes', MINUTE],
  [2 * HOUR, '1 hour', 0],
  [DAY, 'hours', HOUR],
  [2 * DAY, '1 day', 0],
  [WEEK, 'days', DAY],
  [2 * WEEK, '1 week', 0],
  [MONTH, 'weeks', WEEK],
  [2 * MONTH, '1 month', 0],
  [YEAR, 'months', MONTH],
  [1.5 * YEAR, '1 year', 0],
  [2 * YEAR, '2 years', 0],
  [LONG, 'years', YEAR],
  [Infinity, 'a long while', 0],
]

/** `27 seconds from now`, `2 weeks ago`; both times Unix nanoseconds. */
export function relativeTime(time: bigint, now: bigint): string {
  const difference = time - now
  const seconds = Math.abs(Number(difference)) / 1e9
  const [, words = '', unit = 0] = MAGNITUDES.find(([below]) => seconds < below) ?? []
  if (words === 'now') return words
  const count = unit === 0 ? words : `${Math.floor(seconds / unit)} ${words}`
  return `${count} ${difference > 0n ? 'from now' : 'ago'}`
}
