import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FingerprintSet } from './fingerprint-set.ts'
import { createProtection } from './protection.ts'

const key = (number: number) =>
  Uint8Array.from({ length: 34 }, (_, i) => (number * (i + 7) * 31 + (number >> i)) & 0xff)

test('a hold protects what is touched since, until the oldest one ends', () => {
  const protection = createProtection()
  const [a, b, c, d] = [key(1), key(2), key(3), key(4)]
  protection.touch(a)
  const first = protection.hold()
  protection.touch(b)
  const second = protection.hold()
  protection.touch(c)
  assert.deepEqual([a, b, c].map(protection.protects), [false, true, true])
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  assert.deepEqual([a, b, c].map(protection.protects), [false, false, true])
  const frozen = protection.freeze()
  second[Symbol.dispose]()
  protection.touch(d)
  assert.deepEqual([b, c, d].map(protection.protects), [false, true, true])
  frozen[Symbol.dispose]()
  assert.deepEqual([b, c, d].map(protection.protects), [false, false, false])
})

test('a fingerprint set behaves like a set', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 0, maxLength: 16 }), { maxLength: 3000 }), keys => {
      const set = new FingerprintSet()
      const model = new Set<string>()
      // Short keys that differ only in leading zeros would be one; multihashes start with a code.
      for (const bytes of keys.map(tail => Uint8Array.from([0x12, tail.length, ...tail]))) {
        const text = Buffer.from(bytes.subarray(-16)).toString('hex')
        assert.equal(set.has(bytes), model.has(text))
        assert.equal(set.add(bytes), !model.has(text))
        model.add(text)
      }
      assert.equal(set.size, model.size)
    }),
    { numRuns: 30 },
  )
  const large = new FingerprintSet()
  for (let i = 1; i <= 20_000; i++)
    large.add(Uint8Array.from([0x12, i >> 8, i & 0xff, ...Array.from({ length: 13 }, () => i & 7)]))
  assert.equal(large.size, 20_000)
  assert.ok(large.has(Uint8Array.from([0x12, 0, 1, ...Array.from({ length: 13 }, () => 1)])))
  // The marker of a free slot is itself a possible key.
  assert.equal(large.add(new Uint8Array(34)), true)
  assert.equal(large.add(new Uint8Array(34)), false)
})
