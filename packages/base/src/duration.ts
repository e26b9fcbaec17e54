/**
 * Durations as Go's `time.Duration` writes and reads them (`2m0s`, `1.5s`, `200ms`, `1h30m`). Unit here: nanoseconds in a
 * bigint where exactness matters, milliseconds in a number where it does not.
 */
const UNIT_NS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
}

const MAX_NS = 2n ** 63n - 1n

/** One number with its unit: whole, fraction, and whatever stands up to the next number. */
const TERM = /^(\d*)(\.\d*)?([^\d.]*)/u

/** @throws RangeError with Go's text (`time: invalid duration "x"`, `time: missing unit in duration "1"`). */
export function parseDurationNs(text: string): bigint {
  const failure = (why: string) => new RangeError(`time: ${why} duration ${JSON.stringify(text)}`)
  let rest = text.replace(/^[+-]/, '')
  if (rest === '0') return 0n
  if (rest === '') throw failure('invalid')
  let total = 0n
  while (rest !== '') {
    const [term = '', whole = '', point = '', unit = ''] = TERM.exec(rest) ?? []
    const fraction = point.slice(1)
    if (whole === '' && fraction === '') throw failure('invalid')
    if (unit === '') throw failure('missing unit in')
    const scale = Object.hasOwn(UNIT_NS, unit) ? UNIT_NS[unit] : undefined
    if (scale === undefined) throw failure(`unknown unit ${JSON.stringify(unit)} in`)
    total += BigInt(whole === '' ? '0' : whole) * scale
    if (fraction !== '') total += (BigInt(fraction) * scale) / 10n ** BigInt(fraction.length)
    if (total > MAX_NS) throw failure('invalid')
    rest = rest.slice(term.length)
  }
  return text.startsWith('-') ? -total : total
}

/** Go's canonical form: `1h0m0s`, `2m0s`, `1.5s`, `200ms`, `0s`. */
export function formatDurationNs(ns: bigint): string {
  if (ns === 0n) return '0s'
  const sign = ns < 0n ? '-' : ''
  const abs = ns < 0n ? -ns : ns
  if (abs < 1_000n) return `${sign}${abs}ns`
  if (abs < 1_000_000n) return `${sign}${decimal(abs, 1_000n)}µs`
  if (abs < 1_000_000_000n) return `${sign}${decimal(abs, 1_000_000n)}ms`
  const hours = abs / 3_600_000_000_000n
  const minutes = (abs / 60_000_000_000n) % 60n
  const seconds = decimal(abs % 60_000_000_000n, 1_000_000_000n)
  if (hours > 0n) return `${sign}${hours}h${minutes}m${seconds}s`
  return minutes > 0n ? `${sign}${minutes}m${seconds}s` : `${sign}${seconds}s`
}

export function parseDurationMs(text: string): number {
  return Number(parseDurationNs(text)) / 1e6
}

export function formatDurationMs(ms: number): string {
  return formatDurationNs(BigInt(Math.round(ms * 1e6)))
}

function decimal(value: bigint, unit: bigint): string {
  const digits = unit.toString().length - 1
  const fraction = (value % unit).toString().padStart(digits, '0').replace(/0+$/, '')
  return fraction === '' ? `${value / unit}` : `${value / unit}.${fraction}`
}
