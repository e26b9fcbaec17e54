import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  DEFAULT_ADD_PARAMS,
  DEFAULT_PIN_OPTIONS,
  type AddParams,
  type NodeWithMeta,
  type Pin,
} from '@ipfs-cluster/api'
import { waitFor } from '@ipfs-cluster/testkit'
import type { AddPart } from './index.ts'
import { setUp } from './test-adder.ts'
import { directory, file, partsOf, piecesOf, sampleFolder, testBytes } from './test-content.ts'

const pinOptions = (changes: Partial<AddParams['pin']>) => ({ pin: { ...DEFAULT_PIN_OPTIONS, ...changes } })
const content = testBytes(3_000_000)

describe('what an add says', () => {
  const named = (outputs: readonly { name: string }[]) => outputs.map(({ name }) => name)

  it('names files and folders with the folder being added, children first', async () => {
    const { add } = setUp()
    const names = named(await add([directory('d'), file('d/x', '1'), file('d/sub/y', '2')]))
    assert.deepEqual(names, ['d/x', 'd/sub/y', 'd/sub', 'd'])
  })

  it('implies folders that were not sent', async () => {
    const explicit = await setUp().add([directory('d'), directory('d/e'), file('d/e/f', '1')])
    const implied = await setUp().add([file('d/e/f', '1')])
    assert.deepEqual(implied, explicit)
  })

  it('wraps everything in a folder without a name', async () => {
    const { add, pins } = setUp()
    const outputs = await add([file('x', '1'), file('d/y', '2')], { wrap: true })
    assert.deepEqual(named(outputs), ['x', 'd/y', 'd', ''])
    assert.equal(pins.length, 1)
    assert.equal(String(pins[0]?.cid), String(outputs.at(-1)?.cid))
  })

  it('adds several entries one after the other and pins the last', async () => {
    const { add, pins } = setUp()
    const outputs = await add([file('x', '1'), directory('d'), file('d/y', '2'), file('z', '3')])
    assert.deepEqual(named(outputs), ['x', 'd/y', 'd', 'z'])
    assert.deepEqual([pins.length, String(pins[0]?.cid)], [1, String(outputs.at(-1)?.cid)])
  })

  it('cleans paths as Go does', async () => {
    const { add } = setUp()
    assert.deepEqual(named(await add([file('/../d//./x/../y', '1')])), ['d/y', 'd'])
  })

  it('carries the allocations, and sizes of the whole DAG', async () => {
    const { add } = setUp()
    const [output] = await add([file('f', content)])
    assert.deepEqual(output?.allocations, ['a', 'b', 'c'])
    assert.ok((output?.size ?? 0n) > BigInt(content.length))
  })

  it('reports progress every 256 KiB when asked to', async () => {
    const { add } = setUp()
    const outputs = await add([file('d/f', testBytes(600_000)), file('d/empty', '')], { progress: true })
    const progress = outputs.filter(({ cid }) => cid === null)
    assert.deepEqual(
      progress.map(({ name, bytes }) => [name, bytes]),
      [
        ['f', 262_144n],
        ['f', 524_288n],
        ['f', 600_000n],
        ['empty', 0n],
      ],
    )
  })

  it('refuses what it cannot do, before reading anything', async () => {
    const { add, allocated } = setUp()
    const refused: [Partial<AddParams>, RegExp][] = [
      [{ shard: true }, /sharded adding is not supported here/],
      [{ shard: true, noPin: true }, /cannot be combined with no-pin/],
      [{ chunker: 'fancy' }, /unrecognized chunker option: fancy/],
      [{ chunker: 'size-0' }, /chunker size must be greater than 0/],
      [{ chunker: 'size-2096897' }, /may not exceed the maximum chunk size of 2096896/],
      [{ chunker: 'rabin-40' }, /rabin min must be greater than 16/],
      [{ hashFun: 'md5' }, /hash function name not known/],
      [{ hashFun: 'sha2-512' }, /needs CID version 1/],
    ]
    for (const [params, message] of refused) {
      await assert.rejects(add([file('f', 'x')], params), { code: 'ADD_UNSUPPORTED', message })
    }
    assert.equal(allocated.length, 0)
  })

  it('refuses an empty upload, and one that contradicts itself', async () => {
    const { add, pins } = setUp()
    await assert.rejects(add([]), { code: 'ADD_NO_CONTENT' })
    await assert.rejects(add([file('d/x', '1'), file('d/x/y', '2')]), { code: 'ADD_BAD_CONTENT' })
    await assert.rejects(add([file('d/x', '1'), file('d/x', '2')]), { code: 'ADD_BAD_CONTENT' })
    await assert.rejects(add([directory('d'), file('d', '2')]), { code: 'ADD_BAD_CONTENT' })
    await assert.rejects(add([file('x/'.repeat(2000), '2')]), { code: 'ADD_BAD_CONTENT' })
    assert.equal(pins.length, 0)
  })

  it('takes the same file twice', async () => {
    const { add, pins } = setUp()
    await add([file('d/x', '1'), file('d/x', '1')])
    assert.equal(pins.length, 1)
  })
})

describe('what an add pins', () => {
  it('is the root, recursively, with the options and where the blocks went', async () => {
    const { add, pins, allocated } = setUp()
    const expireAt = 1_900_000_000_000_000_000n
    const options = {
      name: 'n',
      metadata: { k: 'v' },
      expireAt,
      mode: 'direct',
      replicationFactorMin: 2,
      replicationFactorMax: 3,
    } as const
    const outputs = await add(sampleFolder(), pinOptions({ ...options, pinUpdate: null }))
    assert.equal(allocated.length, 1)
    assert.equal(pins.length, 1)
    const [pin] = pins
    assert.equal(String(pin?.cid), String(outputs.at(-1)?.cid))
    const { name, metadata, expireAt: expiry, mode, maxDepth, allocations, type, pinUpdate } = pin as Pin
    assert.deepEqual(
      { name, metadata, expiry, mode, maxDepth, allocations, type, pinUpdate },
      {
        name: 'n',
        metadata: { k: 'v' },
        expiry: expireAt,
        mode: 'recursive',
        maxDepth: -1,
        allocations: ['a', 'b', 'c'],
        type: 'pin',
        pinUpdate: null,
      },
    )
  })

  it('names no peers when it is pinned everywhere', async () => {
    const { add, pins } = setUp()
    await add([file('f', 'x')], pinOptions({ replicationFactorMin: -1, replicationFactorMax: -1 }))
    assert.deepEqual(pins[0]?.allocations, [])
  })

  it('is nothing with no-pin', async () => {
    const { add, pins, blocks } = setUp()
    await add([file('f', 'x')], { noPin: true })
    assert.equal(pins.length, 0)
    assert.equal(blocks.get('a')?.length, 1)
  })

  it('fails with the pin', async () => {
    const { add } = setUp({ pin: () => Promise.reject(new Error('follower mode')) })
    await assert.rejects(add([file('f', 'x')]), /follower mode/)
  })
})

describe('where the blocks of an add go', () => {
  it('is every allocation, each getting all of them once', async () => {
    const { add, blocks } = setUp()
    await add([file('f', content)])
    const cids = (peer: string) => blocks.get(peer)?.map(({ cid }) => String(cid))
    assert.equal(cids('a')?.length, 13)
    assert.deepEqual(cids('b'), cids('a'))
    assert.deepEqual(cids('c'), cids('a'))
  })

  it('is sent once when it repeats', async () => {
    const { add, blocks } = setUp()
    await add([file('zeros', new Uint8Array(262_144 * 20))])
    assert.equal(blocks.get('a')?.length, 2)
  })

  it('says how much is below each block', async () => {
    const { add, blocks } = setUp()
    const [output] = await add([file('f', content)])
    const list = blocks.get('a') ?? []
    const leaves = list.slice(0, -1).reduce((sum, { data }) => sum + data.length, 0)
    const root = list.at(-1) as NodeWithMeta
    assert.equal(root.cumulativeSize, BigInt(leaves + root.data.length))
    assert.equal(output?.size, root.cumulativeSize)
  })

  it('is this peer alone with local, which then keeps the content in the place of the last', async () => {
    const { add, blocks, pins } = setUp()
    await add([file('f', 'x')], { local: true })
    assert.deepEqual([...blocks.keys()], ['self'])
    assert.deepEqual(pins[0]?.allocations, ['a', 'b', 'self'])
  })

  it("leaves the user's choice alone with local", async () => {
    const { add, blocks, pins } = setUp()
    await add([file('f', 'x')], { local: true, ...pinOptions({ userAllocations: ['a'] }) })
    assert.deepEqual([...blocks.keys()], ['self'])
    assert.deepEqual(pins[0]?.allocations, ['a', 'b', 'c'])
  })
})

describe('an add that is aborted', () => {
  const endless = async function* (): AsyncGenerator<AddPart> {
    const pieces = async function* () {
      yield testBytes(300_000)
      await new Promise(() => undefined)
    }
    yield { path: 'f', kind: 'file', content: pieces() }
  }

  it('stops at once, even if the client sends nothing more, and pins nothing', async () => {
    const { add, blocks, pins, signals } = setUp()
    const stop = new AbortController()
    const adding = add(endless(), {}, stop.signal)
    adding.catch(() => undefined)
    await waitFor(() => blocks.get('a')?.length === 1)
    stop.abort(new Error('the client left'))
    await assert.rejects(adding, /the client left/)
    assert.equal(signals.length, 3)
    assert.ok(signals.every(signal => signal.aborted))
    assert.equal(pins.length, 0)
  })

  it('does the same when the reader of its outputs leaves', async () => {
    const { adder, pins, signals } = setUp()
    for await (const output of adder.add(partsOf(sampleFolder()), DEFAULT_ADD_PARAMS)) {
      assert.equal(output.name, 'sample/.hidden')
      break
    }
    assert.ok(signals.every(signal => signal.aborted))
    assert.equal(pins.length, 0)
  })

  it('fails as its content does, and pins nothing', async () => {
    const broken = async function* (): AsyncGenerator<AddPart> {
      const pieces = async function* () {
        yield* piecesOf(content)
        throw new RangeError('connection lost')
      }
      yield { path: 'f', kind: 'file', content: pieces() }
    }
    const { add, pins, signals } = setUp()
    await assert.rejects(add(broken()), { name: 'RangeError', message: 'connection lost' })
    assert.ok(signals.every(signal => signal.aborted))
    assert.equal(pins.length, 0)
  })

  it('does not begin when it is aborted already', async () => {
    const { add, allocated } = setUp()
    await assert.rejects(add([file('f', 'x')], {}, AbortSignal.abort(new Error('too late'))), /too late/)
    assert.equal(allocated.length, 0)
  })
})
