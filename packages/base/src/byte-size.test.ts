import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { formatByteSize, parseByteSize } from './byte-size.ts'

test('sizes are read as people write them', () => {
  const sizes: readonly (readonly [string, bigint])[] = [
    ['0', 0n],
    ['1000', 1000n],
    ['10GB', 10_000_000_000n],
    ['10 gb', 10_000_000_000n],
    ['1.5 GiB', 1_610_612_736n],
    ['500k', 500_000n],
    ['2Ki', 2048n],
    ['0.1B', 0n],
    [' 7 MB ', 7_000_000n],
    ['16EB', 16n * 10n ** 18n],
  ]
  for (const [text, bytes] of sizes) assert.equal(parseByteSize(text), bytes, text)
})

test('what is no size is refused by name', () => {
  for (const text of ['', 'GB', '-1', '1,5GB', '10 XB', '1e9', '0x10', '5iB', '1.GB', '1 0']) {
    assert.throws(() => parseByteSize(text), new RegExp('is not a size such as 10GB'), text)
  }
})

test('halves go to the even number, as in go-humanize', () => {
  const sizes: readonly (readonly [bigint, string])[] = [
    [10_449n, '10 kB'],
    [10_450n, '10 kB'],
    [10_549n, '10 kB'],
    [10_550n, '11 kB'],
    [11_449n, '11 kB'],
    [11_450n, '12 kB'],
    [82_854_982n, '83 MB'],
    [9_949n, '9.9 kB'],
    [9_950n, '10 kB'],
    [999n, '999 B'],
    [1050n, '1.1 kB'],
  ]
  for (const [bytes, text] of sizes) assert.equal(formatByteSize(bytes), text, String(bytes))
})

test('what is written is read again, but for what rounding took', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 10n ** 20n }), bytes => {
      const again = parseByteSize(formatByteSize(bytes))
      const difference = again > bytes ? again - bytes : bytes - again
      // Rounded twice, a number from 10 on loses up to 0.55, which is most of 10.55.
      assert.ok(difference * 1055n <= bytes * 55n, `${bytes} became ${again}`)
    }),
  )
})
