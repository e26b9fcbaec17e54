import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '@ipfs-cluster/testkit'
import { createPatience, patiently } from './patience.ts'

const LIMITS = { reserveMs: 1_000, perItemMs: 1 }

test('whoever says nothing for the reserve has failed, and not before', async () => {
  const clock = createManualClock()
  using patience = createPatience(clock, LIMITS)
  patience.waiting()
  await clock.advance(999)
  assert.equal(patience.signal.aborted, false)
  await clock.advance(1)
  assert.equal(patience.signal.reason.name, 'TimeoutError')
  assert.match(patience.signal.reason.message, /no answer within 1000 ms.* 1,000 pins a second/)
})

test('time in which nobody waits does not count', async () => {
  const clock = createManualClock()
  using patience = createPatience(clock, LIMITS)
  await clock.advance(60_000)
  assert.equal(patience.signal.aborted, false)
})

test('items refill the reserve, up to its size; a trickle uses it up', async () => {
  const clock = createManualClock()
  using patience = createPatience(clock, LIMITS)
  for (let i = 0; i < 20; i++) {
    patience.waiting()
    await clock.advance(900)
    assert.equal(patience.signal.aborted, false, `at ${i}`)
    patience.came(5_000)
  }
  let steps = 0
  for (; !patience.signal.aborted; steps++) {
    patience.waiting()
    await clock.advance(250)
    if (!patience.signal.aborted) patience.came(50)
  }
  assert.equal(steps, 5)
})

test('the watch ends with the list, and its failure is the reason', async () => {
  const clock = createManualClock()
  const signal = new AbortController().signal
  const list = (items: number) =>
    patiently(
      clock,
      LIMITS,
      signal,
      async function* (each) {
        for (let i = 0; i < items; i++) yield i
        await new Promise((_, reject) => each.addEventListener('abort', () => reject(each.reason as Error)))
      },
      () => 1,
    )
  const iterator = list(1)
  assert.deepEqual(await iterator.next(), { done: false, value: 0 })
  const second = iterator.next()
  second.catch(() => undefined)
  await clock.advance(1_000)
  await assert.rejects(second, { name: 'TimeoutError' })
  assert.equal(clock.pending, 0)
})
