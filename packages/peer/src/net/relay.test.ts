import assert from 'node:assert/strict'
import { createServer, type AddressInfo } from 'node:net'
import { once } from 'node:events'
import { after, describe, test } from 'node:test'
import { multiaddr } from '@multiformats/multiaddr'
import { createMeter, utf8, utf8Text } from '@ipfs-cluster/base'
import { int, unaryHandler, type UnaryMethod } from '@ipfs-cluster/gorpc'
import { needsRelay } from './relay.ts'
import { gaugeOf } from './test-attacker.ts'
import { addressOf, createTestNetwork, hastyClock, until, type TestNetworkOptions } from './test-network.ts'
import type { Network } from './types.ts'

const owned = new AsyncDisposableStack()
after(() => owned.disposeAsync())

const echo: UnaryMethod<number, number> = {
  service: 'Test',
  method: 'Echo',
  kind: 'unary',
  policy: 'open',
  arg: int,
  reply: int,
}

async function create(options: TestNetworkOptions = {}): Promise<Network> {
  const network = owned.use(await createTestNetwork({ clock: hastyClock(30_000, 50), ...options }))
  network.serve([unaryHandler(echo, async arg => arg + 1)], () => true)
  return network
}

const isRelayed = (address: string) => address.includes('/p2p-circuit')

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

test('a relay is needed by who is not dialled and has no address that others see', () => {
  const own = [multiaddr('/ip4/192.168.1.2/tcp/9096'), multiaddr('/ip4/127.0.0.1/tcp/9096')]
  const seen = (text: string) => [multiaddr(text)]
  const judge = (observed: string, dialled = false) =>
    needsRelay({ dialled, listening: own, observed: seen(observed) })
  assert.ok(judge('/ip4/198.51.100.7/tcp/40000'))
  assert.ok(judge('/ip4/10.0.0.1/tcp/40000'))
  assert.ok(!judge('/ip4/198.51.100.7/tcp/40000', true))
  assert.ok(!judge('/ip4/192.168.1.2/tcp/40000'))
  assert.ok(!judge('/ip4/127.0.0.1/tcp/40000'))
  assert.ok(!needsRelay({ dialled: false, listening: own, observed: [] }))
  assert.ok(needsRelay({ dialled: false, listening: [], observed: [] }))
})

describe('a peer that nobody can dial', () => {
  test('is reached through a relay, by RPC and pubsub, in both directions', async () => {
    const relay = await create()
    const hidden = await create({ listen: [] })
    const other = await create({ listen: [] })
    await hidden.connect(addressOf(relay))
    await until(() => hidden.addresses().some(isRelayed))
    const address = hidden.addresses().find(isRelayed) ?? ''
    assert.equal(await other.connect(address), hidden.peerId)
    // A stream that comes while the other side still sets up a relayed connection may be reset; whoever calls a peer has to expect that.
    await until(async () => (await other.rpc.call(hidden.peerId, echo, 1).catch(() => 0)) === 2)
    await until(async () => (await hidden.rpc.call(other.peerId, echo, 2).catch(() => 0)) === 3)
    const heard: string[] = []
    // The relay itself subscribes to nothing, and so passes nothing on.
    for (const network of [other, hidden]) {
      network.subscribe('t', ({ data, from }) => void heard.push(`${from} ${utf8Text(data)}`), {})
    }
    await until(async () => {
      await hidden.publish('t', utf8('from the hidden one'))
      await other.publish('t', utf8('to the hidden one'))
      return [hidden, other].every(({ peerId }) => heard.filter(one => one.startsWith(peerId)).length > 2)
    })
  })

  test('is found through the relay by its id alone', async () => {
    const relay = await create()
    const [hidden, other] = [await create({ listen: [] }), await create()]
    await hidden.connect(addressOf(relay))
    await until(() => hidden.addresses().some(isRelayed))
    await other.connect(addressOf(relay))
    await until(async () => (await other.rpc.call(hidden.peerId, echo, 1).catch(() => 0)) === 2)
  })

  test('dials back whom it can, and the relay is out of it', async () => {
    const relay = await create()
    const hidden = await create({ listen: [] })
    await hidden.connect(addressOf(relay))
    await until(() => hidden.addresses().some(isRelayed))
    const meter = createMeter()
    const port = await freePort()
    // DCUtR takes names for public, and loopback addresses not.
    const other = await create({
      meter,
      listen: [`/ip4/127.0.0.1/tcp/${port}`],
      announce: [`/dns4/localhost/tcp/${port}`],
    })
    await other.connect(hidden.addresses().find(isRelayed) ?? '')
    await until(() => gaugeOf(meter, 'ipfscluster_net_connections', 'inbound') === 1)
    assert.equal(await other.rpc.call(hidden.peerId, echo, 4), 5)
    assert.equal(await hidden.rpc.call(other.peerId, echo, 5), 6)
  })

  test('has no use for peers that do not relay', async () => {
    const other = await create({ enableRelayHop: false })
    const hidden = await create({ listen: [], clock: hastyClock(30_000, 20) })
    await hidden.connect(addressOf(other))
    assert.equal(await hidden.rpc.call(other.peerId, echo, 1), 2)
    assert.deepEqual(hidden.addresses().filter(isRelayed), [])
  })
})
