import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  EMPTY_PAUSE_MS,
  MAX_AHEAD,
  MAX_AHEAD_BYTES,
  MAX_PAUSE_MS,
  MAX_PREFETCHED_BYTES,
  MIN_AHEAD,
  MIN_PAUSE_MS,
} from './bulk-limits.ts'
import {
  answered,
  chooseProvider,
  failed,
  NEW_PROVIDER,
  nextAhead,
  type ProviderState,
} from './bulk-provider.ts'

test('reading ahead grows while it is of use, shrinks when it is not, and has limits', () => {
  assert.equal(nextAhead(MIN_AHEAD, { used: 0, wasted: 0 }), MIN_AHEAD)
  let ahead = MIN_AHEAD
  const steps = [ahead]
  for (; ahead < MAX_AHEAD; steps.push(ahead)) ahead = nextAhead(ahead, { used: ahead, wasted: 0 })
  assert.deepEqual(steps, [16, 64, 256, 1024, 2048])
  assert.equal(nextAhead(MAX_AHEAD, { used: 1, wasted: 1 }), MAX_AHEAD)
  assert.equal(nextAhead(64, { used: 1, wasted: 2 }), 32)
  assert.equal(nextAhead(MIN_AHEAD, { used: 0, wasted: 1 }), MIN_AHEAD)
  assert.ok(MAX_AHEAD_BYTES <= MAX_PREFETCHED_BYTES, 'what one call may bring has room')
})

test('who fails is left alone for longer each time, until a call works', () => {
  let state: ProviderState = { ...NEW_PROVIDER, speaks: true, ahead: 512 }
  const pauses = Array.from({ length: 9 }, () => {
    state = failed(state, 1000)
    return state.pausedUntil - 1000
  })
  assert.deepEqual(pauses.slice(0, 3), [MIN_PAUSE_MS, 2 * MIN_PAUSE_MS, 4 * MIN_PAUSE_MS])
  assert.equal(pauses.at(-1), MAX_PAUSE_MS)
  assert.equal(state.speaks, false)
  assert.equal(state.ahead, MIN_AHEAD)
  assert.deepEqual(answered(state, 1, 2000), { ...state, speaks: true, failures: 0, pausedUntil: 0 })
  assert.equal(answered(state, 0, 2000).pausedUntil, 2000 + EMPTY_PAUSE_MS)
})

test('asked first are peers believed to have the node, then those that have answered before', () => {
  const speaking = { ...NEW_PROVIDER, speaks: true }
  const paused = { ...speaking, pausedUntil: 100 }
  const choose = (
    hinted: string[],
    connected: string[],
    states: Record<string, ProviderState> = {},
    now = 50,
  ) => chooseProvider(hinted, connected, peer => states[peer], now)
  assert.equal(choose([], []), undefined)
  assert.equal(choose(['gone'], []), undefined)
  assert.equal(choose(['a', 'b'], ['c', 'b', 'a']), 'a')
  assert.equal(choose(['a', 'b'], ['c', 'b', 'a'], { b: speaking }), 'b')
  assert.equal(choose(['a'], ['c', 'a'], { c: speaking }), 'a')
  assert.equal(choose(['a'], ['b', 'c', 'a'], { a: paused, c: speaking }), 'c')
  assert.equal(choose(['a'], ['b', 'a'], { a: paused }), 'b')
  assert.equal(choose(['a'], ['a'], { a: paused }), undefined)
  assert.equal(choose(['a'], ['a'], { a: paused }, 100), 'a')
})
