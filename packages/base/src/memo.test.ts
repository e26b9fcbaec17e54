import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoize } from './memo.ts'

test('long texts are not remembered', () => {
  let computed = 0
  const length = memoize(10, (text: string) => {
    computed++
    return text.length
  })
  const [short, long] = ['x'.repeat(1024), 'x'.repeat(1025)]
  for (const text of [short, long, short, long]) assert.equal(length(text), text.length)
  assert.equal(computed, 3)
})
