/** Times as Go's `encoding/json` writes and reads them: RFC 3339, fractions of up to nine digits. */
import { memoize } from '@ipfs-cluster/base'
import type { Time } from './types.ts'

const NS_PER_S = 1_000_000_000n
/** Unix seconds of 0001-01-01T00:00:00Z, Go's zero time. */
const ZERO_SECONDS = -62_135_596_800
const ZERO_TEXT = '0001-01-01T00:00:00Z'
/** Unix seconds of 9999-12-31T23:59:59Z, the last that RFC 3339 can write. */
const LAST_SECONDS = 253_402_300_799
const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** Listings show the same seconds again and again. */
const secondsText = memoize(4096, (seconds: number) => new Date(seconds * 1000).toISOString().slice(0, 19))

/**
 * In UTC, without trailing zeros in the fraction; the zero time is year 1. Times that have no such text are moved to the nearest
 * that has one.
 */
export function formatTime(time: Time): string {
  if (time === null) return ZERO_TEXT
  // The entries of one pin, and many pins after each other, have the same time.
  if (time !== lastTime) {
    lastText = textOf(time)
    lastTime = time
  }
  return lastText
}

let lastTime: bigint | undefined
let lastText = ''

function textOf(time: bigint): string {
  let seconds = Number(time / NS_PER_S)
  let fraction = Number(time % NS_PER_S)
  if (fraction < 0) {
    seconds -= 1
    fraction += 1_000_000_000
  }
  if (seconds < ZERO_SECONDS) return ZERO_TEXT
  if (seconds > LAST_SECONDS) return `${secondsText(LAST_SECONDS)}Z`
  if (fraction === 0) return `${secondsText(seconds)}Z`
  return `${secondsText(seconds)}.${fraction.toString().padStart(9, '0').replace(/0+$/, '')}Z`
}

/** What Go calls the parts of the layout, in order, with what it takes for each: an hour of one digit, a comma before the fraction. */
const PARTS: readonly (readonly [name: string, pattern: RegExp])[] = [
  ['2006', /^\d{4}/],
  ['-', /^-/],
  ['01', /^\d\d/],
  ['-', /^-/],
  ['02', /^\d\d/],
  ['T', /^T/],
  ['15', /^\d\d?/],
  [':', /^:/],
  ['04', /^\d\d/],
  [':', /^:/],
  ['05', /^\d\d([.,]\d+)?/],
  ['Z07:00', /^(Z|[+-]\d\d:\d\d)/],
]

/** @throws RangeError with Go's text. */
export const parseTime: (text: string) => Time = memoize(4096, readTime)

function readTime(text: string): Time {
  const parts: string[] = []
  let rest = text
  for (const [name, pattern] of PARTS) {
    const found = pattern.exec(rest)?.[0]
    if (found === undefined) {
      throw timeError(text, ` as "2006-01-02T15:04:05Z07:00": cannot parse ${quote(rest)} as "${name}"`)
    }
    parts.push(found)
    rest = rest.slice(found.length)
  }
  if (rest !== '') throw timeError(text, `: extra text: ${quote(rest)}`)
  const [year = '', , month = '', , day = '', , hour = '', , minute = '', , second = '', zone = ''] = parts
  checkRanges(text, [year, month, day, hour, minute, second.slice(0, 2)].map(Number), zone)
  const milliseconds = Date.parse(
    `${year}-${month}-${day}T${hour.padStart(2, '0')}:${minute}:${second.slice(0, 2)}Z`,
  )
  const fraction = BigInt(second.slice(3, 12).padEnd(9, '0'))
  const time = BigInt(milliseconds / 1000 - zoneSeconds(zone)) * NS_PER_S + fraction
  return time === BigInt(ZERO_SECONDS) * NS_PER_S ? null : time
}

function checkRanges(text: string, values: readonly number[], zone: string): void {
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = values
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  const days = month === 2 && leap ? 29 : (DAYS[month - 1] ?? 0)
  const wrong =
    month < 1 || month > 12
      ? 'month'
      : day < 1 || day > days
        ? 'day'
        : hour > 23
          ? 'hour'
          : minute > 59
            ? 'minute'
            : second >= 60
              ? 'second'
              : Number(zone.slice(1, 3)) > 24
                ? 'time zone offset hour'
                : Number(zone.slice(4)) > 60
                  ? 'time zone offset minute'
                  : undefined
  if (wrong !== undefined) throw timeError(text, `: ${wrong} out of range`)
}

function zoneSeconds(zone: string): number {
  if (zone === 'Z') return 0
  const seconds = Number(zone.slice(1, 3)) * 3600 + Number(zone.slice(4)) * 60
  return zone.startsWith('-') ? -seconds : seconds
}

function timeError(text: string, why: string): RangeError {
  return new RangeError(`parsing time ${quote(text)}${why}`)
}

function quote(text: string): string {
  return JSON.stringify(text)
}
