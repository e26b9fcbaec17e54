import * as fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineSplitter } from './request-lines.ts'

const LIMIT = 20

function split(chunks: readonly Uint8Array[], take = 1_000) {
  const splitter = new LineSplitter(LIMIT)
  const lines: (string | null)[] = []
  for (const chunk of chunks) {
    splitter.push(Buffer.from(chunk))
    if (splitter.lines.length >= take) lines.push(...splitter.take(take))
  }
  splitter.end()
  while (splitter.lines.length > 0) lines.push(...splitter.take(take))
  assert.equal(splitter.bytes, 0)
  return lines
}

const text = (...chunks: string[]) => split(chunks.map(chunk => Buffer.from(chunk)))

test('lines, with whatever ends them, and without blank ones', () => {
  assert.deepEqual(text('a\nb\r\n\n  \n\t\r\nc'), ['a', 'b', 'c'])
  assert.deepEqual(text('a', 'b', '\n', 'c\n'), ['ab', 'c'])
  assert.deepEqual(text(''), [])
  assert.deepEqual(text('\n\n'), [])
  assert.deepEqual(text('a\r', '\nb'), ['a', 'b'])
  assert.deepEqual(text(' a '), [' a '])
})

test('of a line that is too long nothing is kept, and the next ones are read', () => {
  const long = 'x'.repeat(LIMIT + 1)
  assert.deepEqual(text(`a\n${long}\nb`), ['a', null, 'b'])
  assert.deepEqual(text(`${'x'.repeat(LIMIT)}\n`), ['x'.repeat(LIMIT)])
  assert.deepEqual(text('x'.repeat(LIMIT), 'x', long, long, 'y\nb'), [null, 'b'])
  assert.deepEqual(text(long), [null])
})

test('however the bytes come, the lines are the same', () => {
  const lines = fc.array(fc.string({ unit: fc.constantFrom('a', 'ü', '€', '😀', '"', ' '), maxLength: 12 }))
  fc.assert(
    fc.property(lines, fc.array(fc.nat(300)), fc.integer({ min: 1, max: 4 }), (all, cuts, take) => {
      const bytes = Buffer.from(all.join('\n'))
      const at = [...new Set([0, ...cuts.map(cut => cut % (bytes.length + 1)), bytes.length])].sort(
        (a, b) => a - b,
      )
      const chunks = at.slice(1).map((end, i) => bytes.subarray(at[i], end))
      const wanted = all
        .filter(line => line.trim() !== '')
        .map(line => (Buffer.byteLength(line) > LIMIT ? null : line))
      const found = split(chunks, take)
      assert.deepEqual(
        found.map((line, i) => (wanted[i] === null ? null : line)),
        wanted,
      )
    }),
  )
})
