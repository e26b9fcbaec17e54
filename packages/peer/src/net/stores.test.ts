import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { peerIdFromString } from '@libp2p/peer-id'
import { multiaddr } from '@multiformats/multiaddr'
import { createMeter, refusalsOf, silentLogger } from '@ipfs-cluster/base'
import { createIdentity } from '../identity/index.ts'
import { createHost } from './host.ts'
import { limitDatastore, limitPeerStore } from './stores.ts'
import { refused } from './test-attacker.ts'
import { testNetworkConfig } from './test-network.ts'

const owned = new AsyncDisposableStack()
after(() => owned.disposeAsync())

const addresses = (count: number, from = 0) =>
  Array.from({ length: count }, (_, index) => multiaddr(`/ip4/10.0.0.1/tcp/${from + index + 1}`))

describe('the peer store', () => {
  async function createStore(limits: { maxPeers: number; maxAddresses: number }) {
    const meter = createMeter()
    const components = {
      identity: await createIdentity(),
      logger: silentLogger,
      onPeerFound: () => undefined,
    }
    const { libp2p } = owned.use(await createHost(components, testNetworkConfig()))
    const store = libp2p.peerStore
    const kept = new Set([libp2p.peerId.toString()])
    const forgotten: string[] = []
    limitPeerStore(
      store,
      { ...limits, isKept: peer => kept.has(peer), onForgotten: peer => void forgotten.push(peer) },
      refusalsOf(meter, 'connection'),
    )
    return { store, kept, forgotten, meter }
  }
  const newPeer = async () => peerIdFromString((await createIdentity()).id)

  test('takes so many addresses of a peer, however they come', async () => {
    const { store, meter } = await createStore({ maxPeers: 10, maxAddresses: 5 })
    const peer = await newPeer()
    await store.merge(peer, { multiaddrs: addresses(3) })
    await store.merge(peer, { multiaddrs: addresses(9, 100), protocols: ['/a', 'x'.repeat(1000)] })
    assert.equal((await store.get(peer)).addresses.length, 5)
    assert.deepEqual((await store.get(peer)).protocols, ['/a'])
    await store.patch(peer, {
      addresses: addresses(7, 200).map(one => ({ multiaddr: one, isCertified: true })),
    })
    assert.equal((await store.get(peer)).addresses.length, 5)
    assert.equal(refused(meter, 'connection', 'too_many_addresses'), 2)
    assert.equal(refused(meter, 'connection', 'too_many_protocols'), 1)
    // Tags and the like need no room.
    await store.merge(peer, { tags: { t: { value: 1 } } })
    assert.equal((await store.get(peer)).tags.get('t')?.value, 1)
  })

  test('forgets who was longest without news, but nobody who is kept', async () => {
    const { store, kept, forgotten } = await createStore({ maxPeers: 3, maxAddresses: 5 })
    const peers = await Promise.all(Array.from({ length: 6 }, newPeer))
    const names = peers.map(String)
    kept.add(names[0] ?? '')
    for (const peer of peers.slice(0, 3)) await store.merge(peer, { multiaddrs: addresses(1) })
    await store.merge(peers[1] ?? assert.fail(), { multiaddrs: addresses(2) })
    for (const peer of peers.slice(3)) await store.merge(peer, { multiaddrs: addresses(1) })
    assert.deepEqual(forgotten, [names[2], names[1], names[3]])
    assert.deepEqual(
      new Set((await store.all()).map(({ id }) => id.toString())),
      new Set([names[0], names[4], names[5]]),
    )
  })
})

test('the datastore keeps the latest records of the DHT, and all else', () => {
  const meter = createMeter()
  const data = new Map<string, Uint8Array>()
  const store = {
    put: (key: { toString(): string }, value: Uint8Array) => void data.set(key.toString(), value),
    delete: (key: { toString(): string }) => void data.delete(key.toString()),
  }
  limitDatastore(store, refusalsOf(meter, 'connection'), 2)
  const value = new Uint8Array(1)
  for (const key of [
    '/peers/1',
    '/dht/lan/a',
    '/dht/lan/b',
    '/dht/lan/a',
    '/dht/wan/c',
    '/peers/2',
    '/peers/3',
  ]) {
    store.put(key, value)
  }
  assert.deepEqual([...data.keys()].sort(), ['/dht/lan/a', '/dht/wan/c', '/peers/1', '/peers/2', '/peers/3'])
  store.delete('/dht/lan/a')
  store.put('/dht/lan/d', value)
  assert.ok(data.has('/dht/wan/c'))
  assert.equal(refused(meter, 'connection', 'dht_record_forgotten'), 1)
})
