import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock, waitFor } from '@ipfs-cluster/testkit'
import { DESTINATION_STALL_MS } from './block-sink.ts'
import type { AddPart } from './index.ts'
import { setUp, type PutBlocks } from './test-adder.ts'
import { file, testBytes } from './test-content.ts'

const content = testBytes(3_000_000)

describe('destinations of an add', () => {
  /** 77 leaves and a root: more than the queues hold. */
  const manyBlocks = [file('f', testBytes(770_000))]
  const refuse: PutBlocks = () => Promise.reject(new Error('connection refused'))
  const dieAfter =
    (count: number): PutBlocks =>
    async (_peer, blocks) => {
      let seen = 0
      for await (const _ of blocks) if (++seen === count) throw new Error('died')
    }

  it('may fail as long as one is left', async () => {
    const { add, blocks, pins } = setUp({ special: { a: refuse, c: dieAfter(3) } })
    await add(manyBlocks, { chunker: 'size-10000' })
    assert.equal(blocks.get('b')?.length, 78)
    assert.equal(pins.length, 1)
  })

  it('may not all fail', async () => {
    const { add, pins } = setUp({ special: { a: refuse, b: dieAfter(1), c: dieAfter(5) } })
    await assert.rejects(add(manyBlocks, { chunker: 'size-10000' }), {
      code: 'ADD_ALL_DESTINATIONS_FAILED',
      message: 'failed to put block on all destinations: a: connection refused; b: died; c: died',
    })
    assert.equal(pins.length, 0)
  })

  it('may not all fail at the very end', async () => {
    const fail: PutBlocks = async (_peer, blocks) => {
      for await (const _ of blocks);
      throw new Error('disk full')
    }
    const { add, pins } = setUp({ special: { a: fail, b: fail, c: fail } })
    await assert.rejects(add([file('f', 'x')]), { code: 'ADD_ALL_DESTINATIONS_FAILED' })
    assert.equal(pins.length, 0)
  })

  it('count as failed when they leave before the end', async () => {
    const leave: PutBlocks = async (_peer, blocks) => {
      for await (const _ of blocks) return
    }
    const { add } = setUp({ special: { a: leave, b: leave, c: leave } })
    await assert.rejects(add([file('f', content)]), { code: 'ADD_ALL_DESTINATIONS_FAILED' })
  })

  it('are an error when there are none', async () => {
    const { add } = setUp({ allocate: () => Promise.resolve([]) })
    await assert.rejects(add([file('f', 'x')]), { code: 'ADD_ALL_DESTINATIONS_FAILED' })
  })

  it('are dropped when they take nothing for too long', async () => {
    const clock = createManualClock()
    const hang: PutBlocks = (_peer, _blocks, { signal }) =>
      new Promise((_, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason))
      })
    const { add, blocks, pins } = setUp({ clock, special: { b: hang } })
    const adding = add(manyBlocks, { chunker: 'size-10000' })
    await waitFor(() => (blocks.get('a')?.length ?? 0) > 20)
    await clock.advance(DESTINATION_STALL_MS - 1000)
    assert.equal(pins.length, 0)
    await clock.advance(1000)
    await adding
    assert.equal(blocks.get('a')?.length, 78)
    assert.equal(pins.length, 1)
  })

  it('are not dropped because the client is slow', async () => {
    const clock = createManualClock()
    const { add, blocks } = setUp({ clock })
    const more = Promise.withResolvers<void>()
    const slow = async function* (): AsyncGenerator<AddPart> {
      const pieces = async function* () {
        yield testBytes(300_000, 'first')
        await more.promise
        yield testBytes(300_000, 'second')
      }
      yield { path: 'f', kind: 'file', content: pieces() }
    }
    const adding = add(slow())
    await waitFor(() => blocks.get('a')?.length === 1)
    await clock.advance(DESTINATION_STALL_MS * 10)
    more.resolve()
    await adding
    assert.equal(blocks.get('c')?.length, 4)
  })

  it('decide how fast the content is read', async () => {
    const go = Promise.withResolvers<void>()
    const slow: PutBlocks = async (_peer, blocks) => {
      await go.promise
      for await (const _ of blocks);
    }
    let read = 0
    const endless = async function* (): AsyncGenerator<AddPart> {
      const pieces = async function* () {
        for (; read < 1000; read++) yield testBytes(262_144, `${read}`)
      }
      yield { path: 'f', kind: 'file', content: pieces() }
    }
    const stop = new AbortController()
    const { add } = setUp({ special: { b: slow } })
    const adding = add(endless(), {}, stop.signal)
    adding.catch(() => undefined)
    await waitFor(() => read >= 32)
    let before = -1
    await waitFor(
      () => {
        const still = read === before
        before = read
        return still
      },
      { intervalMs: 50 },
    )
    assert.ok(read < 40, `${read} chunks read`)
    stop.abort(new Error('enough'))
    go.resolve()
    await assert.rejects(adding, /enough/)
  })
})
