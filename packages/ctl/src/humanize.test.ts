import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesText, relativeTime } from './humanize.ts'

const SIZES: readonly (readonly [bigint, string])[] = [
  [0n, '0 B'],
  [9n, '9 B'],
  [10n, '10 B'],
  [999n, '999 B'],
  [1000n, '1.0 kB'],
  [1234n, '1.2 kB'],
  [9949n, '9.9 kB'],
  [9950n, '10 kB'],
  [99_950n, '100 kB'],
  [999_999n, '1000 kB'],
  [82_854_982n, '83 MB'],
  [10_000_000_000n, '10 GB'],
  [18_446_744_073_709_551_615n, '18 EB'],
]

for (const [size, text] of SIZES) {
  test(`${size} bytes are ${text}`, () => assert.equal(bytesText(size), text))
}

const DAY = 86_400
const TIMES: readonly (readonly [number, string])[] = [
  [0, 'now'],
  [0.9, 'now'],
  [-0.9, 'now'],
  [1, '1 second from now'],
  [27.9, '27 seconds from now'],
  [-59, '59 seconds ago'],
  [60, '1 minute from now'],
  [120, '2 minutes from now'],
  [3600, '1 hour from now'],
  [-7200, '2 hours ago'],
  [DAY, '1 day from now'],
  [6 * DAY, '6 days from now'],
  [7 * DAY, '1 week from now'],
  [-20 * DAY, '2 weeks ago'],
  [30 * DAY, '1 month from now'],
  [90 * DAY, '3 months from now'],
  [360 * DAY, '1 year from now'],
  [600 * DAY, '2 years from now'],
  [3 * 360 * DAY, '3 years from now'],
  [-40 * 360 * DAY, 'a long while ago'],
]

for (const [seconds, text] of TIMES) {
  test(`${seconds} s ahead is ${text}`, () => {
    const now = 1_700_000_000_000_000_000n
    assert.equal(relativeTime(now + BigInt(Math.round(seconds * 1e9)), now), text)
  })
}
