import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { describe, it } from 'node:test'
import { raceSignal } from './abort.ts'

describe('raceSignal', () => {
  it('settles as the promise does, and leaves no listener', async () => {
    const { signal } = new AbortController()
    assert.equal(await raceSignal(Promise.resolve(1), signal), 1)
    assert.equal(await raceSignal(Promise.resolve(2)), 2)
    await assert.rejects(raceSignal(Promise.reject(new Error('failed')), signal), /^Error: failed$/)
    assert.equal(getEventListeners(signal, 'abort').length, 0)
  })

  it('rejects with the reason as soon as the signal fires, and hears of no later failure', async t => {
    const unhandled = t.mock.fn()
    process.on('unhandledRejection', unhandled)
    t.after(() => process.off('unhandledRejection', unhandled))
    const controller = new AbortController()
    const late = Promise.withResolvers<number>()
    const racing = assert.rejects(raceSignal(late.promise, controller.signal), /^Error: stop$/)
    controller.abort(new Error('stop'))
    await racing
    const after = Promise.withResolvers<number>()
    await assert.rejects(raceSignal(after.promise, controller.signal), /^Error: stop$/)
    late.reject(new Error('too late'))
    after.reject(new Error('too late'))
    await new Promise(setImmediate)
    assert.equal(unhandled.mock.callCount(), 0)
  })
})
