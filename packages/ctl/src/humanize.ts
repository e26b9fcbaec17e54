/** Sizes and times as Go's `go-humanize` words them. */

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB']

/** `5 B`, `1.2 kB`, `83 MB`: powers of 1000, one decimal below 10. */
export function bytesText(size: bigint): string {
  if (size < 10n) return `${size} B`
  let unit = 0
  let scale = 1n
  while (unit < UNITS.length - 1 && size / scale >= 1000n) {
    unit++
    scale *= 1000n
  }
  const value = Math.floor((Number(size) / Number(scale)) * 10 + 0.5) / 10
  return `${unit > 0 && value < 10 ? value.toFixed(1) : value.toFixed(0)} ${UNITS[unit]}`
}

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
