import * as fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8Text } from '@ipfs-cluster/base'
import {
  cidText,
  decodePin,
  encodePin,
  newPin,
  parseCid,
  pinCodec,
  pinFacts,
  PinLines,
  type Pin,
} from './index.ts'
import { anyCid, anyPin } from './test-arbitraries.ts'

const A = '12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'
const B = '12D3KooWQnwEGNqcM2nAcPtRR9rAX8Hrg4k9kJLCHoTewJfHHq5d'
const S = 1_000_000_000n
const cid = parseCid('bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi')

/** One for all, so that what it remembers of one pin meets the next. */
const lines = new PinLines()

function lineOf(cidOfKey: string, stored: Uint8Array): string {
  try {
    lines.add(cidOfKey, stored)
  } catch (error) {
    assert.equal(lines.length, 0, 'nothing is added of what fails')
    throw error
  }
  return utf8Text(lines.take())
}

function usualLine(cidOfKey: string, stored: Uint8Array): string {
  return `${pinCodec.stringify(decodePin(stored, parseCid(cidOfKey)))}\n`
}

/** Pins as clusters are full of. */
const usualPin = fc
  .record({
    name: fc.oneof(fc.string({ maxLength: 20 }), fc.string({ unit: 'binary', maxLength: 20 })),
    metadata: fc.dictionary(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), { maxKeys: 4 }),
    allocations: fc.subarray([A, B]),
    factor: fc.constantFrom(-1, 0, 1, 3, 70_000),
    maxDepth: fc.constantFrom(-1, 0, 5),
    timestamp: fc.constantFrom(null, 1n, 1_700_000_000n, 2n ** 40n, -5n),
    expireAt: fc.constantFrom(null, null, 1_800_000_000n, -1n),
    shardSize: fc.constantFrom(0n, 0n, 1n, 2n ** 60n),
    type: fc.constantFrom('pin' as const, 'meta-pin' as const, 'bad-type' as const),
    sizes: fc.constantFrom({}, {}, { size: 0n }, { size: 2n ** 60n, maxPinSize: 5n }, { maxPinSize: 0n }),
  })
  .map(({ factor, timestamp, expireAt, sizes, ...rest }): Pin => ({
    ...newPin(cid, {
      ...rest,
      replicationFactorMin: factor,
      replicationFactorMax: factor,
      timestamp: timestamp === null ? null : timestamp * S,
      expireAt: expireAt === null ? null : expireAt * S,
    }),
    ...sizes,
  }))

test('the line of a stored pin is that of the codec, with the CID of the key', () => {
  fc.assert(
    fc.property(fc.oneof(usualPin, anyPin()), anyCid(), (pin, key) => {
      const stored = encodePin(pin)
      const line = usualLine(cidText(key), stored)
      assert.equal(lineOf(cidText(key), stored), line)
      if (key.version === 0) return
      const base32 = cidText(key).slice(1).toUpperCase()
      assert.ok(lines.addV1(base32, stored))
      assert.equal(utf8Text(lines.take()), line)
      for (const odd of [base32.toLowerCase(), `${base32}é`, `${base32}1`])
        assert.ok(!lines.addV1(odd, stored))
      assert.equal(lines.length, 0)
    }),
    { numRuns: 2000 },
  )
})

test('of bytes that are no usual pin it writes what the codec writes, or fails with it', () => {
  const mutated = fc
    .tuple(
      fc.oneof(usualPin, anyPin()).map(encodePin),
      fc.array(fc.tuple(fc.nat(400), fc.nat(255)), { maxLength: 3 }),
      fc.nat(400),
    )
    .map(([stored, changes, cut]) => {
      const bytes = stored.slice(0, cut < 40 ? cut : stored.length)
      for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte
      return bytes
    })
  const text = cidText(cid)
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 40 })), stored => {
      let expected: string
      try {
        expected = usualLine(text, stored)
      } catch {
        assert.throws(() => lineOf(text, stored), { data: { code: 'API_BAD_PIN' } })
        return
      }
      assert.equal(lineOf(text, stored), expected)
    }),
    { numRuns: 3000 },
  )
})

test('a field 0 makes it no pin, wherever it stands', () => {
  const stored = encodePin(newPin(cid, { name: 'a', metadata: { k: 'v' }, timestamp: S }))
  for (const at of [0, 38, stored.length]) {
    const broken = Uint8Array.from([...stored.subarray(0, at), 0, ...stored.subarray(at)])
    assert.throws(() => lineOf(cidText(cid), broken), { data: { code: 'API_BAD_PIN' } })
    assert.equal(pinFacts(broken), undefined)
  }
})

test('fields in another order, or more than once, are read as the codec reads them', () => {
  const stored = encodePin(newPin(cid, { name: 'a', allocations: [A], timestamp: 5n * S }))
  const other = encodePin(newPin(cid, { name: 'b', allocations: [B], replicationFactorMin: 2 }))
  const text = cidText(cid)
  for (const bytes of [
    [stored, other],
    [other, stored],
    [stored, stored],
  ]) {
    const both = Uint8Array.from(bytes.flatMap(each => [...each]))
    assert.equal(lineOf(text, both), usualLine(text, both))
    assert.equal(pinFacts(both), undefined)
  }
})

test('many lines are gathered; what was taken is not written to again', () => {
  const pins = Array.from({ length: 2000 }, (_, i) =>
    newPin(cid, { name: `pin ${i}`, timestamp: BigInt(i) * S }),
  )
  const stored = pins.map(encodePin)
  for (const each of stored) lines.add(cidText(cid), each)
  const first = lines.take()
  const copy = first.slice()
  for (const each of stored.toReversed()) lines.add(cidText(cid), each)
  lines.take()
  assert.deepEqual(first, copy)
  assert.equal(utf8Text(first), stored.map(each => usualLine(cidText(cid), each)).join(''))
})

test('facts are those of the pin, where there are any', () => {
  fc.assert(
    fc.property(fc.oneof(usualPin, anyPin()), pin => {
      const stored = encodePin(pin)
      const facts = pinFacts(stored)
      if (facts === undefined) return
      const decoded = decodePin(stored)
      assert.equal(utf8Text(facts.name), decoded.name)
      assert.equal(BigInt(facts.size), decoded.size ?? 0n)
      const timeOf = (seconds: number) => (seconds === 0 ? null : BigInt(seconds) * S)
      assert.deepEqual(
        [timeOf(facts.timestamp), timeOf(facts.expireAt)],
        [decoded.timestamp, decoded.expireAt],
      )
    }),
    { numRuns: 1000 },
  )
})
