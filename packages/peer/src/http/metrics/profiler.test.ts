import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '@ipfs-cluster/testkit'
import { createProfiler } from './profiler.ts'

test('one profile at a time; who leaves makes room for the next', async () => {
  const clock = createManualClock()
  const profiler = createProfiler(clock)
  const left = new AbortController()
  const first = assert.rejects(profiler.take('profile', 60, { signal: left.signal }), { name: 'AbortError' })
  await assert.rejects(profiler.take('heap', 1), { name: 'ProfilerError', code: 'PROFILER_BUSY' })
  left.abort()
  await first
  const controller = new AbortController()
  const again = assert.rejects(profiler.take('heap', 60, { signal: controller.signal }), {
    name: 'AbortError',
  })
  controller.abort()
  await again
})

test('a profile of allocations holds places, not data', async () => {
  const clock = { ...createManualClock(), sleep: () => Promise.resolve() }
  const secret = `secret-${Math.PI.toString(36)}`
  const text = await createProfiler(clock).take('heap', 1)
  assert.doesNotMatch(text, new RegExp(secret))
  const { head } = JSON.parse(text) as { head: { callFrame: { functionName: string } } }
  assert.equal(head.callFrame.functionName, '(root)')
})
