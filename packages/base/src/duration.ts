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

/** @throws RangeError with Go's text (`time: invalid duration "x"`). */
export function parseDurationNs(text: string): bigint {
  const invalid = () => new RangeError(`time: invalid duration ${JSON.stringify(text)}`)
  const match = /^([+-]?)(.*)$/su.exec(text)
  const body = match?.[2] ?? ''
  if (body === '0') return 0n
  if (!/^((\d+(\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h))+$/u.test(body)) throw invalid()
  let total = 0n
  for (const [, whole = '', fraction = '', unit = ''] of body.matchAll(
    /(\d*)\.?(\d*)(ns|us|µs|μs|ms|s|m|h)/gu,
  )) {
    const scale = UNIT_NS[unit] as bigint
    total += BigInt(whole === '' ? '0' : whole) * scale
    if (fraction !== '') total += (BigInt(fraction) * scale) / 10n ** BigInt(fraction.length)
  }
  if (total > MAX_NS) throw invalid()
  return match?.[1] === '-' ? -total : total
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
