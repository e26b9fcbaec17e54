import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock, waitFor } from '@ipfs-cluster/testkit'
import { DESTINATION_STALL_MS, STALL_BESIDE_OTHERS_MS } from './block-sink.ts'
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

  const hang: PutBlocks = (_peer, _blocks, { signal }) =>
    new Promise((_, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason))
    })

  it('are dropped soon when they stand still and others go on; the user is warned, and the pin names them still', async () => {
    const clock = createManualClock()
    const { add, blocks, pins } = setUp({ clock, special: { b: hang } })
    const adding = add(manyBlocks, { chunker: 'size-10000' })
    await waitFor(() => (blocks.get('a')?.length ?? 0) > 20)
    await clock.advance(STALL_BESIDE_OTHERS_MS - 1000)
    assert.equal(pins.length, 0)
    await clock.advance(1000)
    const outputs = await adding
    assert.equal(blocks.get('a')?.length, 78)
    assert.deepEqual(pins[0]?.allocations, ['a', 'b', 'c'])
    const { warnings } = outputs.at(-1) ?? {}
    assert.equal(warnings?.length, 1)
    assert.match(warnings[0] as string, /^b has not taken all blocks.*it took no block for 30 s$/)
  })

  it('are dropped when they do not confirm what they took, and others have', async () => {
    const clock = createManualClock()
    let waits = false
    const silent: PutBlocks = async (peer, blocks, options) => {
      for await (const _ of blocks);
      waits = true
      return await hang(peer, blocks, options)
    }
    const { add, pins } = setUp({ clock, special: { b: silent } })
    const adding = add(manyBlocks, { chunker: 'size-10000' })
    await waitFor(() => waits)
    await clock.advance(STALL_BESIDE_OTHERS_MS + 1)
    assert.equal((await adding).at(-1)?.warnings?.length, 1)
    assert.equal(pins.length, 1)
  })

  it('get more time when none of them moves', async () => {
    const clock = createManualClock()
    const { add, signals } = setUp({ clock, special: { a: hang, b: hang, c: hang } })
    const adding = add(manyBlocks, { chunker: 'size-10000' })
    adding.catch(() => undefined)
    await waitFor(() => signals.length === 3)
    let ended = false
    void adding.finally(() => (ended = true)).catch(() => undefined)
    await clock.advance(STALL_BESIDE_OTHERS_MS)
    await clock.advance(DESTINATION_STALL_MS - STALL_BESIDE_OTHERS_MS - 1000)
    assert.equal(ended, false)
    await clock.advance(1000)
    await assert.rejects(adding, {
      code: 'ADD_ALL_DESTINATIONS_FAILED',
      message: /a: it took no block for 120 s/,
    })
  })

  it('keep the blocks from before the end of their stream until the root is pinned', async () => {
    const told: string[] = []
    const { add } = setUp({
      allocate: () => Promise.resolve(['a']),
      hold: peer => {
        told.push(`${peer} holds`)
        return Promise.resolve({
          keepFor: root => told.push(`keep for ${root}`),
          [Symbol.asyncDispose]: async () => void told.push('released'),
        })
      },
      putBlocks: async (_peer, blocks) => {
        for await (const _ of blocks);
        told.push('stored')
      },
      pin: async ({ cid }) => void told.push(`pin ${cid}`),
    })
    const [added] = await add([file('f', 'x')])
    assert.deepEqual(told, ['a holds', 'stored', `keep for ${added?.cid}`, `pin ${added?.cid}`, 'released'])
    told.length = 0
    await add([file('f', 'x')], { noPin: true })
    assert.deepEqual(told, ['a holds', 'stored', 'released'])
  })

  it('own the blocks when there is only one', async () => {
    for (const peers of [['a'], ['a', 'b']]) {
      const owned: unknown[] = []
      const { add } = setUp({
        allocate: () => Promise.resolve(peers),
        putBlocks: async (_peer, blocks, options) => {
          owned.push(options.owned)
          for await (const _ of blocks);
        },
      })
      await add([file('f', 'x')])
      assert.deepEqual(
        owned,
        peers.map(() => peers.length === 1),
      )
    }
  })

  it('may not know how to keep them', async () => {
    const { add, pins } = setUp({ hold: () => Promise.reject(new Error("rpc: can't find method")) })
    const outputs = await add(manyBlocks)
    assert.equal(outputs.at(-1)?.warnings, undefined)
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
