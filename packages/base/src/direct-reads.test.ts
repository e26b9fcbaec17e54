import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DirectReads } from './direct-reads.ts'

test('few rows are read at once, many by a thread', () => {
  const reads = new DirectReads({ monotonic: () => 0 })
  assert.equal(reads.suits(1), true)
  assert.equal(reads.suits(64), false)
  assert.equal(
    reads.run(() => 'row'),
    'row',
  )
})

test('a disk that has to be waited for, or that fails slowly, is left to the threads for a second', () => {
  let now = 0
  const reads = new DirectReads({ monotonic: () => now })
  reads.run(() => (now += 0.2))
  assert.equal(reads.suits(1), true)
  reads.run(() => (now += 8))
  assert.equal(reads.suits(1), false)
  now += 999
  assert.equal(reads.suits(1), false)
  now += 1
  assert.equal(reads.suits(1), true)
  const fail = () => {
    now += 8
    throw new Error('bad sector')
  }
  assert.throws(() => reads.run(fail), /bad sector/)
  assert.equal(reads.suits(1), false)
})
