import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { concatBytes } from './bytes.ts'
import { createGatherer, lengthOf, piecesOf, withPieces } from './pieces.ts'

const somePieces = fc.array(fc.uint8Array({ maxLength: 60_000 }), { maxLength: 50 })

test('bytes in pieces are the bytes of the pieces', () => {
  fc.assert(
    fc.property(somePieces, pieces => {
      const whole = concatBytes(pieces)
      const held = withPieces({ name: 'a' }, pieces)
      assert.equal(held.name, 'a')
      assert.equal(lengthOf(held), whole.length)
      assert.deepEqual(concatBytes(piecesOf(held)), whole)
      assert.deepEqual({ ...held }.data, whole)
      // Once joined, the pieces are let go.
      assert.deepEqual(piecesOf(held), [held.data])
      assert.equal(lengthOf(held), whole.length)
    }),
    { numRuns: 50 },
  )
})

test('large bytes are joined when somebody looks at them, and once', () => {
  const pieces = [new Uint8Array(40_000), new Uint8Array(40_000)]
  const held = withPieces({}, pieces)
  assert.equal(piecesOf(held), pieces)
  const { data } = held
  assert.equal(held.data, data)
  assert.equal(piecesOf(held)[0], data)
})

test('what is gathered is what came, however small the pieces', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ minLength: 1, maxLength: 9 }), { maxLength: 200 }), pieces => {
      const whole = concatBytes(pieces)
      const gatherer = createGatherer(whole.length)
      for (const piece of pieces) gatherer.add(piece)
      assert.equal(gatherer.length, whole.length)
      const taken = gatherer.take()
      assert.deepEqual(concatBytes(taken), whole)
      assert.ok(taken.length <= 32)
      assert.equal(gatherer.length, 0)
      assert.deepEqual(gatherer.take(), [])
    }),
  )
})

test('few pieces are not copied', () => {
  const gatherer = createGatherer(1_000_000)
  const pieces = Array.from({ length: 32 }, () => new Uint8Array(10))
  for (const piece of pieces) gatherer.add(piece)
  assert.deepEqual(
    gatherer.take().map(piece => piece.buffer),
    pieces.map(piece => piece.buffer),
  )
})
