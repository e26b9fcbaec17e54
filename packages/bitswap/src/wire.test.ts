/** How bitswap behaves towards peers written by others, played here by hand on the wire. */
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import { prefixOfCidBytes } from './cid-bytes.ts'
import { FrameReader } from './frames.ts'
import { decodeMessage, encodeFrame, type BitswapMessage, type WantlistEntry } from './message.ts'
import { BITSWAP_PROTOCOLS } from './protocols.ts'
import {
  createHost,
  createNode,
  MemoryBlocks,
  testBlock,
  testBlocks,
  until,
  type TestBlock,
} from './test-hosts.ts'

const NEVER = 600_000
const noRetry = { retryMinMs: NEVER, retryMaxMs: NEVER, stallMs: NEVER, answerTimeoutMs: NEVER }

/** A peer that does only what the test says. */
class ScriptedPeer implements AsyncDisposable {
  readonly host: Libp2p
  readonly received: BitswapMessage[] = []
  readonly inbound: Stream[] = []
  readonly #protocols: readonly string[]
  onMessage: (message: BitswapMessage, stream: Stream) => void = () => undefined

  static async create(protocols = BITSWAP_PROTOCOLS): Promise<ScriptedPeer> {
    const peer = new ScriptedPeer(await createHost(), protocols)
    await peer.host.handle([...protocols], stream => peer.#read(stream), {
      maxInboundStreams: 2000,
      maxOutboundStreams: 2000,
    })
    return peer
  }

  private constructor(host: Libp2p, protocols: readonly string[]) {
    this.host = host
    this.#protocols = protocols
  }

  get id(): string {
    return this.host.peerId.toString()
  }

  wants(): WantlistEntry[] {
    return this.received.flatMap(message => [...message.wantlist])
  }

  #read(stream: Stream): void {
    this.inbound.push(stream)
    const reader = new FrameReader(4 << 20, bytes => {
      const message = decodeMessage(bytes)
      this.received.push(message)
      this.onMessage(message, stream)
    })
    stream.addEventListener('message', ({ data }) => reader.push(new Uint8Array(data.subarray())))
  }

  async open(other: { readonly host: Libp2p }): Promise<Stream> {
    const [connection] = this.host.getConnections(other.host.peerId) as [Connection]
    return await connection.newStream([...this.#protocols])
  }

  /** As Go does: a stream for one message. */
  async send(other: { readonly host: Libp2p }, message: Partial<BitswapMessage>): Promise<void> {
    const stream = await this.open(other)
    for (const part of encodeFrame(message)) stream.send(part)
    await stream.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.host.stop()
  }
}

const payload = ({ cid, data }: TestBlock) => ({ prefix: prefixOfCidBytes(cid.bytes), data })
const want = (cid: CID, how: Partial<WantlistEntry> = {}): WantlistEntry => ({
  cid: cid.bytes,
  priority: 1,
  cancel: false,
  wantHave: false,
  sendDontHave: false,
  ...how,
})
const text = (bytes: Uint8Array | undefined) =>
  bytes === undefined ? undefined : CID.decode(bytes).toString()

test('want-have and want-block are answered as Go answers them', async () => {
  await using node = await createNode()
  await using peer = await ScriptedPeer.create()
  await node.connect(peer)
  const [small, big, missing, silent] = [
    await testBlock(1, 1024),
    await testBlock(2, 1025),
    await testBlock(3, 5000),
    await testBlock(4),
  ]
  node.blocks.put(small, big)
  await peer.send(node, {
    wantlist: [
      want(small.cid, { wantHave: true, sendDontHave: true }),
      want(big.cid, { wantHave: true, sendDontHave: true }),
      want(missing.cid, { wantHave: true, sendDontHave: true }),
      want(silent.cid, { wantHave: true }),
    ],
  })
  const presences = () => peer.received.flatMap(message => [...message.presences])
  const blocks = () => peer.received.flatMap(message => [...message.payload])
  await until(() => presences().length === 2 && blocks().length === 1, 'three answers')
  assert.deepEqual(
    presences().map(({ cid, have }) => [text(cid), have]),
    [
      [big.cid.toString(), true],
      [missing.cid.toString(), false],
    ],
  )
  assert.deepEqual(blocks()[0], payload(small))

  peer.received.length = 0
  node.bitswap.notify([missing])
  await until(() => presences().length === 1, 'the HAVE that was due')
  assert.deepEqual(presences()[0], { cid: missing.cid.bytes, have: true })

  peer.received.length = 0
  await peer.send(node, {
    wantlist: [
      want(big.cid),
      want(silent.cid, { cancel: true, priority: 0 }),
      want(big.cid, { sendDontHave: true }),
    ],
  })
  await until(() => blocks().length === 1, 'the block')
  assert.deepEqual(blocks()[0], payload(big))
  node.bitswap.notify([silent])
  assert.equal(node.bitswap.stats().peerWants, 0)
})

test('a block is sent with the version and codec it was asked for, whatever it was notified as', async () => {
  await using node = await createNode()
  await using peer = await ScriptedPeer.create()
  await node.connect(peer)
  const block = await testBlock(5)
  const v0 = CID.createV1(0x70, block.cid.multihash).toV0()
  await peer.send(node, { wantlist: [want(v0), want(block.cid)] })
  await until(() => node.bitswap.stats().peerWants === 2, 'both are remembered')
  node.bitswap.notify([block])
  await until(() => peer.received.flatMap(message => [...message.payload]).length === 2, 'two blocks')
  const prefixes = peer.received.flatMap(message => message.payload.map(({ prefix }) => Buffer.from(prefix)))
  assert.deepEqual(
    prefixes.map(prefix => prefix.toString('hex')),
    ['00701220', '01551220'],
  )
})

test('a full wantlist replaces the one before', async () => {
  await using node = await createNode()
  await using peer = await ScriptedPeer.create()
  await node.connect(peer)
  const [one, two, three] = (await testBlocks(3)) as [TestBlock, TestBlock, TestBlock]
  await peer.send(node, { wantlist: [want(one.cid), want(three.cid)] })
  await until(() => node.bitswap.stats().peerWants === 2, 'two are remembered')
  await peer.send(node, { wantlist: [want(two.cid)], full: true })
  await until(() => node.bitswap.stats().peerWants === 1, 'one is remembered')
  node.bitswap.notify([one, two, three])
  await until(() => peer.received.length > 0, 'an answer')
  assert.deepEqual(peer.received[0]?.payload, [payload(two)])
})

test('no more wants than allowed are remembered, the newest ones', async () => {
  await using node = await createNode({ maxWantsPerPeer: 10 })
  await using peer = await ScriptedPeer.create()
  await node.connect(peer)
  const blocks = await testBlocks(25)
  for (const { cid } of blocks) await peer.send(node, { wantlist: [want(cid, { sendDontHave: true })] })
  await until(() => peer.received.flatMap(message => [...message.presences]).length === 25, 'all are denied')
  assert.equal(node.bitswap.stats().peerWants, 10)
  assert.equal(node.refused('too_many_wants'), 15)
  node.bitswap.notify(blocks)
  await until(() => peer.received.flatMap(message => [...message.payload]).length === 10, 'ten blocks')
  const data = peer.received.flatMap(message => message.payload.map(block => block.data))
  assert.deepEqual(
    data,
    blocks.slice(15).map(block => block.data),
  )
})

test('wrong bytes are dropped and the block taken from another peer; the liar is not asked again for it', async () => {
  await using liar = await ScriptedPeer.create()
  await using honest = await createNode()
  await using node = await createNode({ retryMinMs: 1 })
  const block = await testBlock(6, 3000)
  await node.connect(liar)
  liar.onMessage = message => {
    if (message.wantlist.some(entry => !entry.cancel && !entry.wantHave)) {
      void liar.send(node, { payload: [{ ...payload(block), data: block.data.map(byte => byte ^ 1) }] })
    }
  }
  const wanted = node.bitswap.get(block.cid, { providers: [liar.id, honest.id] })
  await until(() => node.bitswap.stats().invalidBlocks === 1, 'the lie has been seen')
  honest.blocks.put(block)
  await node.connect(honest)
  assert.deepEqual(await wanted, block.data)
  assert.equal(node.refused('not_asked_for'), 1)
  assert.equal(liar.wants().filter(entry => !entry.cancel).length, 1)
})

test('one wrong block among many wants does no harm', async () => {
  await using liar = await ScriptedPeer.create()
  await using honest = await createNode()
  await using node = await createNode({ stallMs: 50 })
  const blocks = await testBlocks(50, 2000)
  honest.blocks.put(...blocks)
  await node.connect(liar)
  await node.connect(honest)
  liar.onMessage = message => {
    const answered = message.wantlist.filter(entry => !entry.cancel && !entry.wantHave)
    const blocksOf = answered.flatMap(entry =>
      blocks.filter(block => text(entry.cid) === block.cid.toString()),
    )
    void liar.send(node, {
      payload: blocksOf.map((block, i) =>
        i === 7 ? { ...payload(block), data: block.data.fill(1) } : payload(block),
      ),
    })
  }
  const untouched = blocks.map(({ cid, data }) => ({ cid, data: data.slice() }))
  honest.blocks.put(...untouched)
  using session = node.bitswap.session({ providers: [liar.id] })
  const got = await Promise.all(blocks.map(({ cid }) => session.get(cid)))
  assert.deepEqual(
    got,
    untouched.map(({ data }) => data),
  )
  assert.equal(node.bitswap.stats().invalidBlocks, 1)
})

test('blocks of 1.0 and 1.1 are exchanged with peers that know nothing newer', async () => {
  for (const protocol of ['/ipfs/bitswap/1.0.0', '/ipfs/bitswap', '/ipfs/bitswap/1.1.0']) {
    await using node = await createNode(noRetry)
    await using peer = await ScriptedPeer.create([protocol])
    await node.connect(peer)
    const theirs = await testBlock(7, 3000)
    const ours = await testBlock(8, 3000)
    node.blocks.put(ours)
    const old = protocol.endsWith('1.1.0') ? { payload: [payload(theirs)] } : { bareBlocks: [theirs.data] }
    peer.onMessage = message => {
      if (message.wantlist.some(entry => !entry.cancel)) void peer.send(node, old)
    }
    // As one of two peers it is asked with want-have, which it would take for a want-block.
    await using other = await createNode()
    await node.connect(other)
    assert.deepEqual(await node.bitswap.get(theirs.cid), theirs.data)
    const [asked] = peer.wants()
    assert.deepEqual([asked?.wantHave, asked?.sendDontHave], [false, false])

    peer.received.length = 0
    const missing = await testBlock(9)
    await peer.send(node, { wantlist: [want(missing.cid, { sendDontHave: true }), want(ours.cid)] })
    await until(
      () => peer.received.some(message => message.payload.length + message.bareBlocks.length > 0),
      protocol,
    )
    const answer = peer.received.find(message => message.payload.length + message.bareBlocks.length > 0)
    assert.deepEqual(answer?.presences, [])
    if (protocol.endsWith('1.1.0')) assert.deepEqual(answer?.payload, [payload(ours)])
    else assert.deepEqual(answer?.bareBlocks, [ours.data])
  }
})

test('1,100 answers on as many streams at once are all taken', async () => {
  await using node = await createNode(noRetry)
  await using peer = await ScriptedPeer.create()
  await node.connect(peer)
  const blocks = await testBlocks(1100)
  const byCid = new Map(blocks.map(block => [block.cid.toString(), block]))
  peer.onMessage = message => {
    for (const entry of message.wantlist) {
      const block = byCid.get(text(entry.cid) ?? '')
      if (block !== undefined) void peer.send(node, { payload: [payload(block)] })
    }
  }
  const got = await Promise.all(blocks.map(({ cid }) => node.bitswap.get(cid, { providers: [peer.id] })))
  assert.equal(got.length, 1100)
  assert.equal(peer.inbound.length, 1, 'all wants on one stream')
  const [connection] = node.host.getConnections(peer.host.peerId) as [Connection]
  await until(() => connection.streams.length <= 1, 'the answers leave no stream behind')
})

test('wants are said again on a new stream when the old one is reset', async () => {
  await using node = await createNode(noRetry)
  await using peer = await ScriptedPeer.create()
  await node.connect(peer)
  const block = await testBlock(10)
  peer.onMessage = (_message, stream) => {
    if (peer.inbound.length === 1) stream.abort(new Error('try again'))
    else void peer.send(node, { payload: [payload(block)] })
  }
  assert.deepEqual(await node.bitswap.get(block.cid), block.data)
  assert.equal(peer.inbound.length, 2)
})

test('a peer that resets every stream is left alone, and others are asked', async () => {
  await using node = await createNode(noRetry)
  await using peer = await ScriptedPeer.create()
  await using honest = await createNode()
  const block = await testBlock(11, 3000)
  honest.blocks.put(block)
  await node.connect(peer)
  await node.connect(honest)
  peer.onMessage = (_message, stream) => stream.abort(new Error('no'))
  assert.deepEqual(await node.bitswap.get(block.cid, { providers: [peer.id] }), block.data)
  assert.equal(peer.inbound.length, 2)
})

test('peers without bitswap are no hindrance', async () => {
  const deaf = await createHost()
  await using node = await createNode(noRetry)
  await using honest = await createNode()
  const block = await testBlock(12, 3000)
  honest.blocks.put(block)
  await node.connect({ host: deaf })
  const wanted = node.bitswap.get(block.cid)
  await node.connect(honest)
  assert.deepEqual(await wanted, block.data)
  await deaf.stop()
})

test('a provider that says nothing is overtaken by another', async () => {
  await using node = await createNode({ stallMs: 50 })
  await using silent = await ScriptedPeer.create()
  await using honest = await createNode()
  const block = await testBlock(13, 3000)
  honest.blocks.put(block)
  await node.connect(silent)
  await node.connect(honest)
  assert.deepEqual(await node.bitswap.get(block.cid, { providers: [silent.id] }), block.data)
  await until(() => silent.wants().some(entry => entry.cancel), 'the silent one is told')
})

test('a malformed message costs its stream, not the connection', async () => {
  await using node = await createNode()
  await using peer = await ScriptedPeer.create()
  await node.connect(peer)
  for (const bytes of [Uint8Array.of(3, 0x0a, 5, 1), Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x7f)]) {
    const stream = await peer.open(node)
    stream.send(bytes)
    await until(() => stream.status === 'reset', 'the stream is reset')
  }
  assert.equal(node.refused('malformed'), 2)
  const block = await testBlock(14)
  node.blocks.put(block)
  await peer.send(node, { wantlist: [want(block.cid)] })
  await until(() => peer.received.length === 1, 'an answer')
})

test('unfinished messages are bounded per peer', async () => {
  await using node = await createNode({ maxPartialBytes: 300_000 })
  await using peer = await ScriptedPeer.create()
  await node.connect(peer)
  const streams: Stream[] = []
  for (let i = 0; i < 8; i++) {
    const stream = await peer.open(node)
    streams.push(stream)
    // Claims 1 MiB, sends 64 KiB of it.
    stream.send(Uint8Array.from([0x80, 0x80, 0x40]))
    stream.send(new Uint8Array(64 * 1024))
  }
  await until(() => streams.some(stream => stream.status === 'reset'), 'one too many is reset')
  assert.ok(streams.filter(stream => stream.status === 'open').length >= 4)
})

test('a peer that does not read is not read for, and stalls nobody', async () => {
  const reads = new Map<string, number>()
  class Counted extends MemoryBlocks {
    override get(cid: CID): Promise<Uint8Array | undefined> {
      reads.set(cid.toString(), (reads.get(cid.toString()) ?? 0) + 1)
      return super.get(cid)
    }
  }
  await using node = await createNode({}, new Counted())
  await using slow = await ScriptedPeer.create()
  await using quick = await createNode(noRetry)
  const blocks = await testBlocks(200, 256 * 1024)
  node.blocks.put(...blocks)
  await node.connect(slow)
  await node.connect(quick)
  slow.onMessage = (_message, stream) => stream.pause()
  await slow.send(node, { wantlist: blocks.slice(0, 199).map(({ cid }) => want(cid)) })
  await until(() => slow.received.length > 0, 'the first blocks')
  const last = blocks[199] as TestBlock
  assert.equal((await quick.bitswap.get(last.cid)).length, last.data.length)
  // What fills the windows and buffers of yamux and TCP, and a message or two.
  assert.ok(reads.size < 100, `${reads.size} blocks read`)
  slow.onMessage = () => undefined
  for (const stream of slow.inbound) stream.resume()
  await until(() => slow.received.flatMap(message => [...message.payload]).length === 199, 'the rest')
})
