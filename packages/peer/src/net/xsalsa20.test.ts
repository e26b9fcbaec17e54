import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { instantiateSalsa, STEP_BYTES } from './salsa20-wasm.ts'
import { createXsalsa20, fastestEngine, plainEngine, type SalsaEngine } from './xsalsa20.ts'

const engines = [
  ['WebAssembly', fastestEngine()],
  ['JavaScript', plainEngine],
] as const

test('this process has the fast engine', () => {
  assert.ok(instantiateSalsa(STEP_BYTES))
  assert.notEqual(fastestEngine(), plainEngine)
})

for (const [name, engine] of engines) {
  test(`${name}: known answers`, () => {
    const [key, nonce] = [
      Buffer.from('this is 32-byte key for xsalsa20'),
      Buffer.from('24-byte nonce for xsalsa20'),
    ]
    const cipher = () => createXsalsa20(key, nonce, engine)
    assert.equal(
      Buffer.from(cipher().update(Buffer.from('Hello world!'))).toString('hex'),
      '002d4513843fc240c401e541',
    )
    assert.equal(
      Buffer.from(cipher().update(new Uint8Array(64))).toString('hex'),
      '4848297feb1fb52fb66d81609bd547fabcbe7026edc8b5e5e449d088bfa69c08' +
        '8f5d8da1d791267c2c195a7f8cae9c4b4050d08ce6d3a151ec265f3a58e47648',
    )
  })

  test(`${name}: the cut of a stream into pieces does not matter, nor where the result goes`, () => {
    const [key, nonce] = [new Uint8Array(32).fill(7), new Uint8Array(24).fill(9)]
    const message = Uint8Array.from({ length: 150_000 }, (_, i) => i % 251)
    const whole = createXsalsa20(key, nonce, engine).update(message)
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: message.length }), { maxLength: 6 }), cuts => {
        const cipher = createXsalsa20(key, nonce, engine)
        const inPlace = Uint8Array.from(message)
        const ends = [...cuts.toSorted((a, b) => a - b), message.length]
        ends.forEach((end, i) => {
          const piece = inPlace.subarray(ends[i - 1] ?? 0, end)
          cipher.update(piece, piece)
        })
        return Buffer.compare(inPlace, whole) === 0
      }),
      { numRuns: 10 },
    )
    assert.deepEqual(Buffer.from(createXsalsa20(key, nonce, engine).update(whole)), Buffer.from(message))
  })
}

test('the engines agree where the lower half of the block counter ends', () => {
  const state = Uint32Array.from({ length: 16 }, (_, i) => i * 0x01020305)
  const data = new Uint8Array(1000)
  const at = (engine: SalsaEngine, position: number) => {
    const target = new Uint8Array(data.length)
    engine.encrypt(state, position, data, target)
    return target
  }
  for (const position of [2 ** 32 * 64 - 100, 2 ** 32 * 64 - 3 * 64, 2 ** 32 * 64, 2 ** 45 + 5]) {
    assert.deepEqual(at(fastestEngine(), position), at(plainEngine, position), `${position}`)
  }
})
