import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Stream } from '@libp2p/interface'
import { systemClock } from '@ipfs-cluster/base'
import { InboundWork, TURN_MESSAGES } from './inbound-work.ts'

const MIB = 1024 * 1024

class FakeStream extends EventTarget {
  readonly status = 'open'
  readStatus = 'readable'

  pause(): void {
    this.readStatus = 'paused'
  }

  resume(): void {
    this.readStatus = 'readable'
  }
}

function createStream(work: InboundWork, peer: string): FakeStream {
  const stream = new FakeStream()
  work.opened(peer, stream as unknown as Stream)
  return stream
}

describe('what peers send', () => {
  test('is worked off in order for each peer, while others have their turn', async () => {
    const work = new InboundWork(systemClock)
    const done: string[] = []
    const rpc = (name: string, messages: number) =>
      Array.from({ length: messages }, (_, index) => ({
        weight: 1,
        run: async () => void done.push(`${name}${index}`),
      }))
    const greedy = work.run('greedy', 1, rpc('a', 10 * TURN_MESSAGES))
    const after = work.run('greedy', 1, rpc('b', 1))
    await work.run('modest', 1, rpc('c', 1))
    assert.ok(done.indexOf('c0') <= TURN_MESSAGES + 1, String(done.indexOf('c0')))
    await Promise.all([greedy, after])
    assert.equal(done.at(-1), 'b0')
    assert.equal(done.length, 10 * TURN_MESSAGES + 2)
  })

  test('is not read while there is too much of it, on no stream of that peer', async () => {
    const work = new InboundWork(systemClock)
    const [first, other] = [createStream(work, 'a'), createStream(work, 'b')]
    const gate = Promise.withResolvers<void>()
    const blocked = [3, 1, 1].map(size => work.run('a', size * MIB, [{ weight: 1, run: () => gate.promise }]))
    assert.deepEqual([first.readStatus, other.readStatus], ['paused', 'readable'])
    // A new stream is no way around it.
    first.dispatchEvent(new Event('close'))
    assert.equal(createStream(work, 'a').readStatus, 'paused')
    const second = createStream(work, 'a')
    gate.resolve()
    await Promise.all(blocked)
    await systemClock.sleep(0)
    assert.equal(second.readStatus, 'readable')
  })

  test('may fail without stopping what comes after', async () => {
    const work = new InboundWork(systemClock)
    const failure = work.run('a', 1, [{ weight: 1, run: () => Promise.reject(new Error('broken')) }])
    let ran = false
    await Promise.all([
      assert.rejects(failure, /broken/),
      work.run('a', 1, [{ weight: 1, run: async () => void (ran = true) }]),
    ])
    assert.ok(ran)
  })
})
