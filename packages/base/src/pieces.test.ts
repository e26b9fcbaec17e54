import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { concatBytes } from './bytes.ts'
import { createGatherer, lend, lengthOf, piecesOf, withPieces } from './pieces.ts'

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

test('a lent buffer is free when all of it has come back, and not before', () => {
  const buffer = new Uint8Array(100_000)
  lend(buffer)
  const other = new Uint8Array(40_000)
  const [first, second] = [
    withPieces({}, [other, buffer.subarray(0, 60_000)]),
    withPieces({}, [buffer.subarray(60_000), other]),
  ]
  first.giveBack?.()
  first.giveBack?.()
  assert.equal(buffer.length, 100_000)
  second.giveBack?.()
  assert.equal(buffer.length, 0)
  assert.equal(other.length, 40_000, 'nobody has lent it')
})

test('bytes that somebody looks at stay, and so does what is lent in part', () => {
  const buffer = new Uint8Array(100_000).fill(7)
  lend(buffer)
  const held = withPieces({}, [buffer.subarray(0, 50_000), buffer.subarray(50_000)])
  const { data } = held
  held.giveBack?.()
  assert.equal(data.length, 100_000)
  assert.equal(buffer.length, 100_000)
  const part = new Uint8Array(200_000).subarray(100_000)
  lend(part)
  withPieces({}, [part.subarray(0, 50_000), part.subarray(50_000)]).giveBack?.()
  assert.equal(part.length, 100_000)
})

test('however a lent buffer is cut and in whatever order it comes back, no bytes are lost before their time', () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 200_000 }), { maxLength: 12 })
  fc.assert(
    fc.property(cuts, fc.infiniteStream(fc.nat()), (at, order) => {
      const buffer = new Uint8Array(200_000).fill(1)
      lend(buffer)
      const ends = [...new Set([...at, 200_000])].toSorted((a, b) => a - b)
      const blocks = ends.map((end, i) => {
        const middle = Math.floor(((ends[i - 1] ?? 0) + end) / 2)
        return withPieces({}, [buffer.subarray(ends[i - 1] ?? 0, middle), buffer.subarray(middle, end)])
      })
      const apart = blocks.filter(({ pieces }) => pieces !== undefined)
      for (const left = [...apart]; left.length > 0;) {
        for (const block of left) assert.ok(piecesOf(block).every(piece => piece.every(byte => byte === 1)))
        assert.ok(left.every(block => lengthOf(block) > 0))
        left.splice((order.next().value as number) % left.length, 1)[0]?.giveBack?.()
      }
      assert.equal(buffer.length, apart.length === blocks.length ? 0 : 200_000)
    }),
    { numRuns: 30 },
  )
})
