import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDaemonLoad, CUT_INTERVAL_MS, FIRST_PAUSE_MS, LONGEST_PAUSE_MS } from './daemon-load.ts'

test('an overload halves the limit once, however many answers tell of it, and good answers bring it back', () => {
  const load = createDaemonLoad(10)
  for (let i = 0; i < 10; i++) load.overloaded(5_000)
  assert.deepEqual([load.limit(), load.pausedUntil()], [5, 5_000 + FIRST_PAUSE_MS])
  for (let i = 0; i < 6; i++) load.answered()
  assert.equal(load.limit(), 6)
  for (let i = 0; i < 1_000; i++) load.answered()
  assert.equal(load.limit(), 10)
})

test('the pauses grow as long as nothing else comes, and one pin is always tried', () => {
  const load = createDaemonLoad(4)
  let now = 0
  const pauses: number[] = []
  for (let i = 0; i < 8; i++) {
    load.overloaded(now)
    pauses.push(load.pausedUntil() - now)
    now = load.pausedUntil() + CUT_INTERVAL_MS
  }
  assert.deepEqual(pauses.slice(0, 3), [FIRST_PAUSE_MS, 2 * FIRST_PAUSE_MS, 4 * FIRST_PAUSE_MS])
  assert.equal(pauses.at(-1), LONGEST_PAUSE_MS)
  assert.equal(load.limit(), 1)
  load.answered()
  load.overloaded(now)
  assert.equal(load.pausedUntil() - now, FIRST_PAUSE_MS)
})
