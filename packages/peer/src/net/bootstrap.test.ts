import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, test } from 'node:test'
import type { Connection } from '@libp2p/interface'
import { raceSignal, seededRandom, silentLogger, systemClock } from '@ipfs-cluster/base'
import { createIdentity } from '../identity/index.ts'
import { createBootstrapper } from './bootstrap.ts'
import { addressOf, createTestNetwork, until, type TestNetworkOptions } from './test-network.ts'
import type { Network } from './types.ts'

const networks = new AsyncDisposableStack()
after(() => networks.disposeAsync())
const create = async (options?: TestNetworkOptions): Promise<Network> =>
  networks.use(await createTestNetwork(options))

const newPath = async () => {
  const folder = await mkdtemp(join(tmpdir(), 'bootstrap-'))
  networks.defer(() => rm(folder, { recursive: true }))
  return join(folder, 'peerstore')
}
const deadAddress = async () => `/ip4/127.0.0.1/tcp/1/p2p/${(await createIdentity()).id}`
const peerIn = (line: string) => line.slice(line.lastIndexOf('/') + 1)

describe('bootstrap', () => {
  test('reaches the peers of the peerstore file and writes it again', async () => {
    const [one, two, dead] = [await create(), await create(), await deadAddress()]
    const peerstorePath = await newPath()
    await writeFile(peerstorePath, `# peers\n${dead}\n/broken\n${addressOf(one)}\n${addressOf(two)}\n`)
    const network = await create({ peerstorePath })
    assert.deepEqual(await network.bootstrap(), [one.peerId, two.peerId])
    assert.deepEqual(new Set(network.connectedPeers()), new Set([one.peerId, two.peerId]))

    await network.savePeerstore()
    const lines = (await readFile(peerstorePath, 'utf8')).trimEnd().split('\n')
    // The dead one has gone to the end; the network itself is not there.
    assert.deepEqual(lines.map(peerIn), [one.peerId, two.peerId, peerIn(dead)])
  })

  test('stops at three peers, peer_addresses first', async () => {
    const others = await Promise.all(Array.from({ length: 4 }, () => create()))
    const favourite = await create()
    const peerstorePath = await newPath()
    await writeFile(peerstorePath, others.map(other => `${addressOf(other)}\n`).join(''))
    const network = await create({ peerstorePath, peerAddresses: [addressOf(favourite)] })
    const reached = await network.bootstrap()
    assert.deepEqual(
      reached,
      [favourite, others[0], others[1]].map(peer => peer?.peerId),
    )
  })

  test('with nobody known or nobody there reaches nobody', async () => {
    const network = await create()
    assert.deepEqual(await network.bootstrap(), [])
    await network.importPeers([await deadAddress(), addressOf(network)], { permanent: true, priority: 0 })
    assert.deepEqual(await network.bootstrap(), [])
  })

  test('says why when nobody can be reached', async () => {
    const warnings: unknown[] = []
    const logger = { ...silentLogger, warn: (fields: unknown) => void warnings.push(fields) }
    const other = await create({ secret: new Uint8Array(32) })
    const network = await create({ peerAddresses: [addressOf(other)], logger, dialPeerTimeoutMs: 300 })
    assert.deepEqual(await network.bootstrap(), [])
    assert.match(JSON.stringify(warnings), /wrong cluster secret/)
  })

  test('rejects with the reason of its signal', async () => {
    const network = await create({ peerAddresses: [await deadAddress()] })
    const reason = new Error('enough')
    await assert.rejects(network.bootstrap({ signal: AbortSignal.abort(reason) }), reason)
  })

  test('is repeated while there are few connections', async () => {
    const identity = await createIdentity()
    const late = await createTestNetwork({ identity })
    const address = addressOf(late)
    await late[Symbol.asyncDispose]()
    const network = await create({ peerAddresses: [address], rebootstrapIntervalMs: 50 })
    assert.deepEqual(await network.bootstrap(), [])
    await create({ identity, listen: [address.slice(0, address.indexOf('/p2p/'))] })
    await until(() => network.connectedPeers().includes(identity.id))
  })
})

describe('loops', () => {
  /** A bootstrapper without a network: dials succeed but to `dead`, sleeps end when the test says so. */
  async function createLoop(priorities: Record<string, number>, dead: readonly string[] = []) {
    const connected = new Set<string>()
    const tried: string[] = []
    const sleeps: { readonly ms: number; readonly wake: () => void }[] = []
    const dialKnown = async (peer: string) => {
      tried.push(peer)
      if (dead.includes(peer)) throw new Error('dead')
      connected.add(peer)
      return {} as Connection
    }
    const bootstrapper = createBootstrapper({
      libp2p: {
        getConnections: peer =>
          [...connected]
            .filter(one => peer === undefined || one === peer.toString())
            .map(() => ({}) as Connection),
      },
      book: {
        add: async () => undefined,
        report: () => undefined,
        priority: peer => priorities[peer] ?? 1000,
        candidates: async () => Object.keys(priorities).map(peer => ({ peer, addresses: [] })),
      },
      dialer: { dialKnown },
      clock: {
        ...systemClock,
        async sleep(ms, { signal } = {}) {
          const { promise, resolve } = Promise.withResolvers<void>()
          sleeps.push({ ms, wake: resolve })
          await raceSignal(promise, signal)
        },
      },
      random: seededRandom(1),
      logger: silentLogger,
    })
    /** Ends the sleep under way and waits for the next one. */
    const turn = async () => {
      const { length } = sleeps
      sleeps.at(-1)?.wake()
      await until(() => sleeps.length > length)
    }
    return { bootstrapper, connected, tried, sleeps, turn }
  }

  const ids = async (count: number) =>
    await Promise.all(Array.from({ length: count }, async () => (await createIdentity()).id))

  test('keep a connection to one peer of the highest priority', async () => {
    const [first = '', second = '', other = ''] = await ids(3)
    const loop = await createLoop({ [first]: 0, [second]: 0, [other]: 1 }, [first])
    const stop = new AbortController()
    const running = loop.bootstrapper.keepPriorityPeer(stop.signal)
    assert.equal(loop.sleeps[0]?.ms, 300_000)
    await loop.turn()
    assert.deepEqual(loop.tried, [first, second])
    loop.connected.clear()
    loop.connected.add(first)
    await loop.turn()
    assert.deepEqual(loop.tried, [first, second])
    stop.abort()
    await assert.rejects(running, { name: 'AbortError' })
  })

  test('connect to as many random peers as are missing', async () => {
    const peers = await ids(20)
    const loop = await createLoop(Object.fromEntries(peers.map(peer => [peer, 5])), peers.slice(0, 2))
    const stop = new AbortController()
    const running = loop.bootstrapper.keepConnected(30_000, 7, stop.signal)
    await loop.turn()
    assert.equal(loop.connected.size, 7)
    assert.notDeepEqual(loop.tried, peers.slice(0, loop.tried.length))
    await loop.turn()
    assert.equal(loop.connected.size, 7)
    stop.abort()
    await assert.rejects(running, { name: 'AbortError' })
  })
})

describe('addresses', () => {
  test('that are permanent outlive what the peer says of itself', async () => {
    const peer = await create()
    const name = `/dns4/peer.invalid/tcp/9096/p2p/${peer.peerId}`
    const peerstorePath = await newPath()
    const network = await create({ peerAddresses: [name], peerstorePath })
    await network.importPeers([`/dns4/other.invalid/tcp/1/p2p/${peer.peerId}`], {
      permanent: false,
      priority: 5,
    })
    await network.connect(addressOf(peer))
    await until(async () => {
      const known = await network.addressesOf(peer.peerId)
      return known.includes(name) && known.includes(addressOf(peer)) && known.length === 2
    })
    await network.savePeerstore()
    assert.equal(await readFile(peerstorePath, 'utf8'), `${name}\n`)
  })

  test('of a protected peer are permanent, and it is connected to again', async () => {
    const identity = await createIdentity()
    const network = await create()
    const peer = await createTestNetwork({ identity })
    const address = addressOf(peer)
    await network.connect(address)
    await network.protect(identity.id)
    await peer[Symbol.asyncDispose]()
    await until(() => !network.connectedPeers().includes(identity.id))
    assert.deepEqual(await network.addressesOf(identity.id), [address])
    await create({ identity, listen: [address.slice(0, address.indexOf('/p2p/'))] })
    await until(() => network.connectedPeers().includes(identity.id), 10_000)
  })

  test('without a peer are refused before anything is imported', async () => {
    const network = await create()
    const good = await deadAddress()
    await assert.rejects(
      network.importPeers([good, '/ip4/127.0.0.1/tcp/1'], { permanent: true, priority: 0 }),
      { code: 'NET_BAD_ADDRESS' },
    )
    assert.deepEqual(await network.addressesOf(peerIn(good)), [])
  })
})
