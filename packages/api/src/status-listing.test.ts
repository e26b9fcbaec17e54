import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ANY_PIN, isRareStatus, startsFromStatus, statusOrder, TRACKER_STATUS } from './index.ts'

const { pinned, remote, pin_error: failed, error } = TRACKER_STATUS

test('a status is rare that is neither of those in which pins rest', () => {
  assert.deepEqual([0, pinned, remote, pinned | failed, failed, error].map(isRareStatus), [
    false,
    false,
    false,
    false,
    true,
    true,
  ])
})

test('a listing starts from what is fewer, and cursors follow its order', () => {
  const prefix = { ...ANY_PIN, name: 'a', match: 'prefix' as const }
  assert.equal(startsFromStatus(0, ANY_PIN), true)
  assert.equal(startsFromStatus(pinned, ANY_PIN), true)
  assert.equal(startsFromStatus(error, prefix), true)
  assert.equal(startsFromStatus(pinned, prefix), false)
  assert.deepEqual(
    [0, pinned, error].map(status => statusOrder(status)(prefix)),
    ['name', 'name', 'cid'],
  )
  assert.equal(statusOrder(pinned)({ ...ANY_PIN, createdAfter: 1n }), 'created')
})
