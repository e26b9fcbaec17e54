import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { newPin, type Pin } from '@ipfs-cluster/api'
import {
  createMemoryStore,
  silentLogger,
  systemClock,
  systemRandom,
  type JournaledStore,
} from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { addressOf, createTestNetwork, until } from '../net/test-network.ts'
import { createCrdtConsensus } from './crdt-consensus.ts'
import { FakeWire } from './fake-network.ts'
import { requestOf } from './test-nodes.ts'
import { topicOf } from './topic.ts'
import type { Consensus, CrdtConsensusConfig } from './types.ts'
import { pinsOf } from '../state/test-state.ts'

const defaults: CrdtConsensusConfig = {
  clusterName: 'test',
  trustedPeers: 'all',
  batching: { maxBatchSize: 0, maxBatchAgeMs: 0, maxQueueSize: 50_000 },
  rebroadcastIntervalMs: 60_000,
}

function cidOf(n: number): CID {
  return CID.createV1(0x55, Digest.create(0x12, new Uint8Array(32).fill(n)))
}

const pinOf = (n: number, fields: Partial<Pin> = {}) =>
  newPin(cidOf(n), { name: `pin ${n}`, replicationFactorMin: -1, replicationFactorMax: -1, ...fields })

function start(
  network: Parameters<typeof createCrdtConsensus>[0]['network'],
  config: Partial<CrdtConsensusConfig> = {},
  store: JournaledStore = createMemoryStore(),
): Promise<Consensus> {
  return createCrdtConsensus(
    { store, network, clock: systemClock, random: systemRandom, logger: silentLogger },
    { ...defaults, ...config },
  )
}

const listed = async ({ state }: Consensus) =>
  (await Array.fromAsync(state.list())).map(({ name }) => name).sort()

test('topics are those of Go', () => {
  assert.equal(topicOf('ipfs-cluster'), 'fzhnp2UwTBkgNabrJi1VanzwgN')
  assert.equal(topicOf('test'), 'fzhnJ2vw7NBkaLbPXVHuw1r59o')
})

test('pins and unpins reach the others, and each learns of the change', async () => {
  const wire = new FakeWire()
  await using a = await start(wire.add('a'))
  await using b = await start(wire.add('b'))
  await using c = await start(wire.add('c'))
  wire.connect('a', 'b')
  wire.connect('b', 'c')
  wire.connect('a', 'c')
  await a.logPin(pinOf(1))
  await b.logPin(pinOf(2))
  for (const peer of [a, b, c]) {
    await until(async () => (await listed(peer)).length === 2)
    const seen = new Set<string>()
    while (seen.size < 2) for (const { pin } of await pinsOf(peer.changes.next(10))) seen.add(pin?.name ?? '')
    assert.deepEqual([...seen].sort(), ['pin 1', 'pin 2'])
  }
  await c.logUnpin(cidOf(1))
  for (const peer of [a, b]) await until(async () => (await peer.state.get(cidOf(1))) === undefined)
  assert.equal(a.stats().heads[0]?.cid.toString(), c.stats().heads[0]?.cid.toString())
})

test('only trusted authors may write; trusting one later takes what it announces from then on', async () => {
  const wire = new FakeWire()
  const network = wire.add('a')
  await using a = await start(network, { trustedPeers: ['b'] })
  await using b = await start(wire.add('b'))
  await using mallory = await start(wire.add('mallory'), { rebroadcastIntervalMs: 20 })
  for (const peer of ['b', 'mallory']) wire.connect('a', peer)
  assert.deepEqual(
    ['a', 'b', 'mallory'].map(peer => a.isTrusted(peer)),
    [true, true, false],
  )
  assert.deepEqual([...network.protectedPeers], ['b'])
  await mallory.logPin(pinOf(6))
  await b.logPin(pinOf(1))
  await until(async () => (await listed(a)).length === 1)
  assert.deepEqual(await listed(a), ['pin 1'])
  assert.equal(a.stats().broadcastsReceived, 1)
  await a.trust('mallory')
  assert.ok(a.isTrusted('mallory') && network.protectedPeers.has('mallory'))
  await until(async () => (await listed(a)).length === 2)
})

test('an author that is not connected is dialled for what it announces', async () => {
  const wire = new FakeWire()
  const network = wire.add('a')
  await using a = await start(network)
  await using b = await start(wire.add('b'))
  await b.logPin(pinOf(1))
  await until(async () => (await listed(a)).length === 1)
  assert.deepEqual(network.dialled, ['/nowhere/p2p/b', '/fake/p2p/b'])
})

test('every block is served by multihash, with its size', async () => {
  const wire = new FakeWire()
  const network = wire.add('a')
  await using a = await start(network)
  await a.logPin(pinOf(1))
  const head = a.stats().heads[0]?.cid ?? assert.fail()
  const v0 = CID.createV0(Digest.create(0x12, head.multihash.digest))
  const data = await network.blocks?.get(v0)
  assert.ok(data)
  assert.equal(await network.blocks?.size(v0), data.length)
  assert.equal(await network.blocks?.get(cidOf(1)), undefined)
})

test('nodes are served in bulk, too', async () => {
  const wire = new FakeWire()
  await using a = await start(wire.add('a'))
  for (let i = 1; i <= 3; i++) {
    await a.logPin(pinOf(i))
    // Of its own, and not shared with the next.
    await until(async () => a.stats().heads[0]?.height === i)
  }
  const head = a.stats().heads[0]?.cid ?? assert.fail()
  const replies = await Array.fromAsync(
    a.blocks('b', requestOf({ wants: [head], ahead: 10, aheadBytes: 10_000 })),
  )
  assert.equal(replies.length, 3)
  assert.ok(replies[0]?.cid.equals(head) && replies.every(({ data }) => data.length > 0))
})

test('with batching a pin is there when it is acknowledged, and in one node with others later', async () => {
  const wire = new FakeWire()
  const store = createMemoryStore()
  const batching = { maxBatchSize: 3, maxBatchAgeMs: 3_600_000, maxQueueSize: 10 }
  {
    await using a = await start(wire.add('a'), { batching }, store)
    await a.logPin(pinOf(1))
    await a.logPin(pinOf(2))
    assert.deepEqual(await listed(a), ['pin 1', 'pin 2'])
    assert.deepEqual(a.stats().heads, [])
    await a.logPin(pinOf(3))
    await until(() => a.stats().heads.length === 1)
    await a.logUnpin(cidOf(2))
    assert.equal(await a.state.get(cidOf(2)), undefined)
  }
  assert.equal(wire.peers.get('a')?.exchangeClosed, true)
  await using again = await start(wire.add('a'), {}, store)
  assert.deepEqual(await listed(again), ['pin 1', 'pin 3'])
  assert.equal(again.stats().heads[0]?.height, 2)
})

test('membership is not the business of this consensus', async () => {
  const wire = new FakeWire()
  await using a = await start(wire.add('a'))
  assert.equal(a.members(), undefined)
  await assert.rejects(a.removePeer('b'), /^ConsensusError: crdt consensus component cannot remove peers$/)
})

test('over real connections: a late peer gets the whole pinset, and a stranger is not listened to', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'consensus-'))
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const peer = async (name: string, trustedPeers: CrdtConsensusConfig['trustedPeers']) => {
    const store = stack.use(await openLevelStore(join(folder, name)))
    const network = stack.use(await createTestNetwork())
    const consensus = stack.use(await start(network, { trustedPeers, rebroadcastIntervalMs: 300 }, store))
    return { network, consensus }
  }
  const a = await peer('a', 'all')
  for (let i = 0; i < 30; i++) await a.consensus.logPin(pinOf(i))
  const b = await peer('b', [a.network.peerId])
  const stranger = await peer('stranger', [])
  await b.network.connect(addressOf(a.network))
  await stranger.network.connect(addressOf(b.network))
  await until(async () => (await listed(b.consensus)).length === 30, 15_000)
  await stranger.consensus.logPin(pinOf(100))
  await b.consensus.logUnpin(cidOf(0))
  await until(async () => (await a.consensus.state.get(cidOf(0))) === undefined, 15_000)
  assert.equal(await b.consensus.state.get(cidOf(100)), undefined)
  assert.equal((await listed(stranger.consensus)).length, 1)
})
