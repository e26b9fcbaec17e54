import { getEventListeners } from 'node:events'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import { identity } from 'multiformats/hashes/identity'
import { sha1 } from 'multiformats/hashes/sha1'
import { createNode, MemoryBlocks, testBlock, testBlocks, until, type TestBlock } from './test-hosts.ts'

const NEVER = 600_000

/** Nothing is asked twice: what arrives was answered without a retry. */
const noRetry = { retryMinMs: NEVER, retryMaxMs: NEVER, stallMs: NEVER, answerTimeoutMs: NEVER }

/** Blocks that count what is read of them. */
class CountingBlocks extends MemoryBlocks {
  lookups = 0

  override get(cid: CID): Promise<Uint8Array | undefined> {
    this.lookups++
    return super.get(cid)
  }

  override size(cid: CID): Promise<number | undefined> {
    this.lookups++
    return super.size(cid)
  }
}

test('fetches a block from the only peer', async () => {
  await using a = await createNode()
  await using b = await createNode()
  const block = await testBlock(1)
  a.blocks.put(block)
  await b.connect(a)
  assert.deepEqual(await b.bitswap.get(block.cid), block.data)
  assert.deepEqual(b.bitswap.stats(), {
    blocksReceived: 1,
    bytesReceived: 200,
    blocksSent: 0,
    bytesSent: 0,
    duplicateBlocks: 0,
    invalidBlocks: 0,
    wantsPending: 0,
    peerWants: 0,
  })
  assert.equal(a.bitswap.stats().blocksSent, 1)
})

test('serves a block under any CID of its multihash', async () => {
  await using a = await createNode()
  await using b = await createNode()
  const { cid, data } = await testBlock(2, 2000)
  a.blocks.put({ cid, data })
  await b.connect(a)
  assert.deepEqual(await b.bitswap.get(CID.createV1(0x70, cid.multihash).toV0()), data)
  assert.deepEqual(await b.bitswap.get(CID.createV1(0x71, cid.multihash)), data)
})

test('fetches 2,000 wants made at once, some of them twice', async () => {
  await using a = await createNode()
  await using b = await createNode(noRetry)
  const blocks = await testBlocks(2000)
  a.blocks.put(...blocks)
  await b.connect(a)
  using session = b.bitswap.session()
  const twice = [...blocks, ...blocks.slice(0, 100)]
  const got = await Promise.all(twice.map(({ cid }) => session.get(cid)))
  assert.deepEqual(
    got,
    twice.map(({ data }) => data),
  )
  assert.equal(b.bitswap.stats().blocksReceived, 2000)
  assert.equal(b.bitswap.stats().duplicateBlocks, 0)
  assert.equal(b.bitswap.stats().wantsPending, 0)
  assert.equal(a.bitswap.stats().peerWants, 0)
})

test('shares a wide fetch between two peers, each block once', async () => {
  await using a = await createNode()
  await using b = await createNode()
  await using c = await createNode({ ...noRetry, maxWantsInFlight: 50 })
  const blocks = await testBlocks(600, 2000)
  a.blocks.put(...blocks)
  b.blocks.put(...blocks)
  await c.connect(a)
  await c.connect(b)
  using session = c.bitswap.session()
  await Promise.all(blocks.map(({ cid }) => session.get(cid)))
  assert.equal(c.bitswap.stats().duplicateBlocks, 0)
  assert.ok(a.bitswap.stats().blocksSent > 50, 'a had its part')
  assert.ok(b.bitswap.stats().blocksSent > 50, 'b had its part')
  await until(() => a.bitswap.stats().peerWants + b.bitswap.stats().peerWants === 0, 'all is cancelled')
})

test('follows a chain of 1,000 blocks', async () => {
  await using a = await createNode()
  await using b = await createNode(noRetry)
  await using idle = await createNode()
  const blocks = await testBlocks(1000, 1500)
  a.blocks.put(...blocks)
  await b.connect(a)
  await b.connect(idle)
  using session = b.bitswap.session()
  for (const { cid, data } of blocks) assert.equal((await session.get(cid)).length, data.length)
  assert.equal(b.bitswap.stats().blocksReceived, 1000)
})

test('a want waits at the server and is answered as soon as the block is there', async () => {
  await using a = await createNode()
  await using b = await createNode(noRetry)
  await b.connect(a)
  for (const size of [200, 5000]) {
    const block = await testBlock(size, size)
    const wanted = b.bitswap.get(block.cid)
    await until(() => a.bitswap.stats().peerWants === 1, 'the want is remembered')
    a.blocks.put(block)
    a.bitswap.notify([block])
    assert.deepEqual(await wanted, block.data)
    assert.equal(a.bitswap.stats().peerWants, 0)
  }
})

test('an own want ends when the block comes by another way, and peers forget it', async () => {
  await using a = await createNode()
  await using b = await createNode(noRetry)
  await b.connect(a)
  const block = await testBlock(3)
  const wanted = b.bitswap.get(block.cid)
  await until(() => a.bitswap.stats().peerWants === 1, 'the want is remembered')
  b.bitswap.notify([block])
  assert.deepEqual(await wanted, block.data)
  await until(() => a.bitswap.stats().peerWants === 0, 'the want is cancelled')
})

test('asks the named provider alone', async () => {
  const others = new CountingBlocks()
  await using a = await createNode()
  await using other = await createNode({}, others)
  await using b = await createNode(noRetry)
  const block = await testBlock(4, 3000)
  a.blocks.put(block)
  others.put(block)
  await b.connect(other)
  await b.connect(a)
  assert.deepEqual(await b.bitswap.get(block.cid, { providers: ['unknown', a.id] }), block.data)
  assert.equal(others.lookups, 0)
})

test('a provider without the block is no dead end, nor is one that is told of later', async () => {
  await using forwarder = await createNode()
  await using author = await createNode()
  await using b = await createNode(noRetry)
  const [one, two] = (await testBlocks(2, 3000)) as [TestBlock, TestBlock]
  author.blocks.put(one)
  await b.connect(forwarder)
  await b.connect(author)
  assert.deepEqual(await b.bitswap.get(one.cid, { providers: [forwarder.id] }), one.data)

  using session = b.bitswap.session({ providers: [forwarder.id] })
  const wanted = session.get(two.cid)
  await until(() => author.bitswap.stats().peerWants === 1, 'everybody has been asked')
  author.blocks.put(two)
  session.addProviders([author.id])
  assert.deepEqual(await wanted, two.data)
})

test('asks again when nobody had it', async () => {
  await using a = await createNode()
  await using b = await createNode({ retryMinMs: 10 })
  await b.connect(a)
  const block = await testBlock(5)
  const wanted = b.bitswap.get(block.cid)
  await until(() => a.bitswap.stats().peerWants === 1, 'the want is remembered')
  // Not told by `notify`: only a second question can find it.
  a.blocks.put(block)
  assert.deepEqual(await wanted, block.data)
})

test('a peer that connects later gets the pending wants', async () => {
  await using a = await createNode()
  await using b = await createNode(noRetry)
  const blocks = await testBlocks(50)
  a.blocks.put(...blocks)
  const wanted = Promise.all(blocks.map(({ cid }) => b.bitswap.get(cid, { providers: [a.id] })))
  assert.equal(b.bitswap.stats().wantsPending, 50)
  await a.connect(b)
  assert.equal((await wanted).length, 50)
})

test('an abort cancels the want and leaves nothing behind', async () => {
  await using a = await createNode()
  await using b = await createNode(noRetry)
  await b.connect(a)
  const controller = new AbortController()
  const { signal } = controller
  const blocks = await testBlocks(100)
  const wanted = Promise.allSettled(blocks.map(({ cid }) => b.bitswap.get(cid, { signal })))
  const other = b.bitswap.get((blocks[0] as TestBlock).cid)
  assert.equal(getEventListeners(signal, 'abort').length, 1)
  await until(() => a.bitswap.stats().peerWants === 100, 'the wants are remembered')
  controller.abort(new Error('enough'))
  for (const result of await wanted) {
    assert.equal(result.status === 'rejected' && (result.reason as Error).message, 'enough')
  }
  assert.equal(getEventListeners(signal, 'abort').length, 0)
  await until(() => a.bitswap.stats().peerWants === 1, 'all but the shared want are cancelled')
  assert.equal(b.bitswap.stats().wantsPending, 1)
  a.bitswap.notify(blocks)
  assert.deepEqual(await other, blocks[0]?.data)
  assert.equal(b.bitswap.stats().wantsPending, 0)
  await assert.rejects(b.bitswap.get((blocks[1] as TestBlock).cid, { signal }), { message: 'enough' })
})

test('a closed session rejects its calls and cancels its wants', async () => {
  await using a = await createNode()
  await using b = await createNode(noRetry)
  await b.connect(a)
  const { cid } = await testBlock(6)
  const controller = new AbortController()
  const disposed = b.bitswap.session()
  const aborted = b.bitswap.session({ signal: controller.signal })
  const wanted = [disposed.get(cid), aborted.get(cid)]
  await until(() => a.bitswap.stats().peerWants === 1, 'the want is remembered')
  disposed[Symbol.dispose]()
  controller.abort()
  await assert.rejects(wanted[0] as Promise<unknown>, { code: 'BITSWAP_SESSION_CLOSED' })
  await assert.rejects(wanted[1] as Promise<unknown>, { name: 'AbortError' })
  await assert.rejects(disposed.get(cid), { code: 'BITSWAP_SESSION_CLOSED' })
  await until(() => a.bitswap.stats().peerWants === 0, 'the want is cancelled')
  assert.equal(getEventListeners(controller.signal, 'abort').length, 0)
})

test('disposal rejects the wants in flight, stops answering and may be repeated', async () => {
  await using a = await createNode()
  await using b = await createNode()
  await b.connect(a)
  const blocks = await testBlocks(30, 200_000)
  a.blocks.put(...blocks)
  const wanted = Promise.allSettled(blocks.map(({ cid }) => b.bitswap.get(cid)))
  const missing = b.bitswap.get((await testBlock(77)).cid)
  await until(() => b.bitswap.stats().blocksReceived > 0, 'the transfer has begun')
  const stopping = b.bitswap[Symbol.asyncDispose]()
  await assert.rejects(missing, { code: 'BITSWAP_STOPPED' })
  await Promise.all([stopping, b.bitswap[Symbol.asyncDispose](), wanted])
  assert.equal(b.bitswap.stats().wantsPending, 0)
  await assert.rejects(b.bitswap.get((await testBlock(78)).cid), { code: 'BITSWAP_STOPPED' })
  assert.deepEqual(
    b.host.getProtocols().filter(protocol => protocol.includes('bitswap')),
    [],
  )
})

test('a peer that goes in the middle of a transfer is replaced by another', async () => {
  await using b = await createNode({}, new MemoryBlocks())
  await using c = await createNode(noRetry)
  const a = await createNode()
  const blocks = await testBlocks(100, 256 * 1024)
  a.blocks.put(...blocks)
  b.blocks.put(...blocks)
  await c.connect(a)
  await c.connect(b)
  using session = c.bitswap.session({ providers: [a.id] })
  const wanted = Promise.all(blocks.map(({ cid }) => session.get(cid)))
  await until(() => c.bitswap.stats().blocksReceived > 5, 'the transfer has begun')
  await a[Symbol.asyncDispose]()
  assert.equal((await wanted).length, 100)
  assert.ok(b.bitswap.stats().blocksSent > 0)
})

test('large blocks pass, too large ones count as missing', async () => {
  await using a = await createNode()
  await using b = await createNode(noRetry)
  await b.connect(a)
  for (const size of [1 << 20, 2_500_000, 4_190_000]) {
    const block = await testBlock(size, size)
    a.blocks.put(block)
    assert.deepEqual(await b.bitswap.get(block.cid), block.data)
  }
  const huge = await testBlock(9, 4 << 20)
  a.blocks.put(huge)
  const controller = new AbortController()
  const wanted = b.bitswap.get(huge.cid, controller)
  await until(() => a.bitswap.stats().peerWants === 1, 'it is remembered as missing')
  controller.abort()
  await assert.rejects(wanted, { name: 'AbortError' })
})

test('identity CIDs need no peer, unknown hash functions are refused at once', async () => {
  await using a = await createNode()
  const data = new TextEncoder().encode('in the CID')
  assert.deepEqual(await a.bitswap.get(CID.createV1(0x55, identity.digest(data))), data)
  const cid = CID.createV1(0x55, await sha1.digest(data))
  await assert.rejects(a.bitswap.get(cid), { code: 'BITSWAP_UNKNOWN_HASH' })
})

test('added hash functions are used for verification', async () => {
  await using a = await createNode()
  await using b = await createNode({}, new MemoryBlocks(), [sha1])
  const data = new Uint8Array(3000).fill(7)
  const block = { cid: CID.createV1(0x55, await sha1.digest(data)), data }
  a.blocks.put(block)
  await b.connect(a)
  assert.deepEqual(await b.bitswap.get(block.cid), data)
})

test('with `serve: false` everybody is told no', async () => {
  await using a = await createNode({ serve: false })
  await using c = await createNode()
  await using b = await createNode(noRetry)
  const block = await testBlock(10)
  a.blocks.put(block)
  c.blocks.put(block)
  await b.connect(a)
  await b.connect(c)
  assert.deepEqual(await b.bitswap.get(block.cid, { providers: [a.id] }), block.data)
  assert.equal(a.bitswap.stats().blocksSent, 0)
  assert.equal(a.bitswap.stats().peerWants, 0)
})

test('impossible options are refused', async () => {
  await assert.rejects(createNode({ maxOutgoingBytes: 3 << 20 }), { code: 'BITSWAP_BAD_CONFIG' })
  await assert.rejects(createNode({ maxStreams: 0 }), { code: 'BITSWAP_BAD_CONFIG' })
})
