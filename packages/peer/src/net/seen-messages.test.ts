import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SeenMessages } from './seen-messages.ts'

function create(maxIds = 1000) {
  let now = 0
  const seen = new SeenMessages({ monotonic: () => now }, { ttlMs: 1000, maxIds })
  const pass = (ms: number) => {
    now += ms
    seen.prune()
  }
  return { seen, pass }
}

test('an id is there for half its time at least, and for all of it at most', () => {
  const { seen, pass } = create()
  assert.equal(seen.put('a'), false)
  assert.equal(seen.put('a'), true)
  pass(499)
  seen.put('b')
  pass(499)
  assert.ok(seen.has('a') && seen.has('b'))
  pass(500)
  assert.ok(!seen.has('a') && !seen.has('b'))
  assert.equal(seen.size, 0)
})

test('more ids than there is room for push out the oldest half', () => {
  const { seen } = create(10)
  for (let id = 0; id < 1000; id++) {
    assert.equal(seen.put(String(id)), false)
    assert.ok(seen.size <= 10)
    for (let recent = Math.max(0, id - 4); recent <= id; recent++) assert.ok(seen.has(String(recent)))
  }
  seen.clear()
  assert.equal(seen.size, 0)
})
