import { createTaskScope, silentLogger, systemClock } from '@ipfs-cluster/base'
import type { Stream } from '@libp2p/interface'
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { Link, type LinkOptions } from './link.ts'
import { until } from './test-hosts.ts'

/** The part of a stream that a link uses. */
class FakeStream extends EventTarget {
  readonly protocol = '/ipfs/bitswap/1.2.0'
  status = 'open'
  writableNeedsDrain = false
  readonly sent: string[] = []
  /** Takes so many frames before it needs a drain. */
  room = Number.POSITIVE_INFINITY

  send(frame: Uint8Array): boolean {
    if (this.status !== 'open') throw new Error(`the stream is ${this.status}`)
    this.sent.push(String.fromCharCode(...frame))
    this.room--
    this.writableNeedsDrain = this.room <= 0
    return !this.writableNeedsDrain
  }

  drain(room: number): void {
    this.room = room
    this.writableNeedsDrain = false
    this.dispatchEvent(new Event('drain'))
  }

  abort(): void {
    this.status = 'aborted'
    this.dispatchEvent(new Event('close'))
  }

  close(): Promise<void> {
    this.status = 'closed'
    return Promise.resolve()
  }
}

function setUp(t: TestContext, options: Partial<LinkOptions> = {}) {
  const streams: FakeStream[] = []
  const work: string[] = []
  const failures: number[] = []
  const tasks = createTaskScope(silentLogger)
  const link: Link = new Link({
    clock: systemClock,
    tasks,
    drainTimeoutMs: 60_000,
    open: () => {
      const stream = new FakeStream()
      streams.push(stream)
      return Promise.resolve(stream as unknown as Stream)
    },
    hasWork: () => work.length > 0,
    collect: () => {
      const next = work.shift()
      return next === undefined || next === 'cancelled'
        ? undefined
        : [Uint8Array.from(next, char => char.charCodeAt(0))]
    },
    onFailure: (_error, count) => void failures.push(count),
    ...options,
  })
  t.after(async () => {
    await link.close(AbortSignal.timeout(1000))
    await tasks[Symbol.asyncDispose]()
  })
  const say = (...frames: string[]) => {
    work.push(...frames)
    link.wake()
  }
  const sent = () => streams.map(stream => stream.sent.join(' '))
  return { link, streams, work, failures, say, sent }
}

test('no stream is opened before there is something to say, then one for everything', async t => {
  const { streams, say, sent } = setUp(t)
  say()
  say('a', 'cancelled', 'b')
  await until(() => sent()[0] === 'a b', 'both')
  say('c')
  await until(() => sent()[0] === 'a b c', 'the third')
  assert.equal(streams.length, 1)
})

test('every full buffer is waited for, not only the first', async t => {
  const { streams, work, say, sent } = setUp(t)
  say('a')
  await until(() => streams[0]?.sent.length === 1, 'the stream')
  const stream = streams[0] as FakeStream
  stream.room = 1
  say('b', 'c', 'd', 'e')
  await until(() => stream.sent.length === 2, 'what there was room for')
  for (const expected of ['a b c', 'a b c d']) {
    stream.drain(1)
    await until(() => sent()[0] === expected, expected)
    await new Promise(resolve => setImmediate(resolve))
    assert.equal(sent()[0], expected)
  }
  assert.deepEqual(work, ['e'])
})

test('a lost stream is reported, and replaced at the next wake', async t => {
  const { streams, failures, say, sent } = setUp(t)
  say('a')
  await until(() => sent()[0] === 'a', 'the first')
  streams[0]?.abort()
  assert.deepEqual(failures, [1])
  say('b')
  await until(() => sent()[1] === 'b', 'the second, on a new stream')
  streams[1]?.abort()
  assert.deepEqual(failures, [1, 2])
})

test('a frame that a dying stream did not take is sent on the next', async t => {
  const { streams, failures, say, sent } = setUp(t)
  say('a')
  await until(() => sent()[0] === 'a', 'the first')
  const stream = streams[0] as FakeStream
  // Dead, but its event has not come yet.
  stream.status = 'closed'
  say('b')
  await until(() => failures.length === 1, 'the failure')
  say('c')
  await until(() => sent()[1] === 'b c', 'both')
})

test('a stream that stays full is reset', async t => {
  const { streams, failures, say } = setUp(t, { drainTimeoutMs: 20 })
  say('a')
  await until(() => streams[0]?.sent.length === 1, 'the stream')
  const stream = streams[0] as FakeStream
  stream.room = 1
  say('b', 'c')
  await until(() => failures.length === 1, 'the failure')
  assert.equal(stream.status, 'aborted')
})

test('a failure to open is reported, and nothing is said after closing', async t => {
  const { link, failures, streams, say } = setUp(t, { open: () => Promise.reject(new Error('gone')) })
  say('a')
  await until(() => failures.length === 1, 'the failure')
  await link.close(AbortSignal.timeout(1000))
  say('b')
  await new Promise(resolve => setImmediate(resolve))
  assert.deepEqual([failures.length, streams.length], [1, 0])
})
