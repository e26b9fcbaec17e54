import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock } from '@ipfs-cluster/testkit'
import { createStallGuard } from './stall-guard.ts'

describe('createStallGuard', () => {
  it('fires exactly its limit after the last progress', async () => {
    const clock = createManualClock()
    using guard = createStallGuard(clock, 100)
    await clock.advance(99)
    guard.progress()
    await clock.advance(99)
    assert.equal(guard.signal.aborted, false)
    await clock.advance(1)
    assert.equal(guard.signal.reason.name, 'TimeoutError')
  })

  it('does not count time in which the other side owes nothing', async () => {
    const clock = createManualClock()
    let waiting = false
    using guard = createStallGuard(clock, 100, () => waiting)
    await clock.advance(1000)
    assert.equal(guard.signal.aborted, false)
    waiting = true
    guard.progress()
    await clock.advance(100)
    assert.equal(guard.signal.aborted, true)
  })

  it('leaves no timer behind', async () => {
    const clock = createManualClock()
    const guard = createStallGuard(clock, 100)
    guard[Symbol.dispose]()
    await clock.advance(1000)
    assert.equal(guard.signal.aborted, false)
    assert.equal(clock.pending, 0)
  })
})
