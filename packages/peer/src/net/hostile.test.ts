import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { after, describe, test } from 'node:test'
import { createMeter, utf8, type MeterRegistry } from '@ipfs-cluster/base'
import { int, unaryHandler, type UnaryMethod } from '@ipfs-cluster/gorpc'
import {
  createAttacker,
  dialVictim,
  gaugeOf,
  rawSocket,
  rawStream,
  refused,
  type Attacker,
} from './test-attacker.ts'
import { addressOf, createTestNetwork, until, type TestNetworkOptions } from './test-network.ts'
import type { Network } from './types.ts'

const owned = new AsyncDisposableStack()
after(() => owned.disposeAsync())

interface Victim {
  readonly network: Network
  readonly meter: MeterRegistry
}

async function createVictim(options: TestNetworkOptions = {}): Promise<Victim> {
  const meter = createMeter()
  const network = owned.use(await createTestNetwork({ meter, ...options }))
  network.serve([unaryHandler(echo, async arg => arg + 1)], () => true)
  return { network, meter }
}

const attacker = async (...options: Parameters<typeof createAttacker>): Promise<Attacker> =>
  owned.use(await createAttacker(...options))

const echo: UnaryMethod<number, number> = {
  service: 'Test',
  method: 'Echo',
  kind: 'unary',
  policy: 'open',
  arg: int,
  reply: int,
}

/** What an honest peer gets while the others attack. */
async function assertServes({ network }: Victim): Promise<void> {
  const honest = owned.use(await createTestNetwork())
  await honest.connect(addressOf(network))
  assert.equal(await honest.rpc.call(network.peerId, echo, 41), 42)
}

describe('strangers without the secret', () => {
  test('a burst of 1,000 connections with noise is refused and counted', async () => {
    const victim = await createVictim({ limits: { handshakeTimeoutMs: 1000 } })
    const sockets = await Promise.all(
      Array.from({ length: 1000 }, () => rawSocket(victim.network, Uint8Array.from(randomBytes(64)))),
    )
    await assertServes(victim)
    const counted = () =>
      refused(victim.meter, 'connection', 'handshake_failed') +
      refused(victim.meter, 'connection', 'too_many_handshakes_of_address')
    await until(() => counted() === 1000)
    await until(() => sockets.every(({ destroyed }) => destroyed))
    assert.equal(gaugeOf(victim.meter, 'ipfscluster_net_pending_connections'), 0)
  })

  test('silent ones, and half a nonce, hold few places and not for long', async () => {
    const limits = { pending: 12, pendingPerAddress: 10, handshakeTimeoutMs: 500 }
    const victim = await createVictim({ limits })
    const nonces = [0, 10, 23, 24]
    const sockets = await Promise.all(
      Array.from({ length: 40 }, (_, index) =>
        rawSocket(victim.network, Uint8Array.from(randomBytes(nonces[index % 4] ?? 0))),
      ),
    )
    await until(() => refused(victim.meter, 'connection', 'too_many_handshakes_of_address') === 30)
    assert.equal(gaugeOf(victim.meter, 'ipfscluster_net_pending_connections'), 10)
    await assertServes(victim)
    await until(() => sockets.every(({ destroyed }) => destroyed))
    assert.equal(refused(victim.meter, 'connection', 'handshake_failed'), 10)
  })

  test('an HTTP request that never ends holds its socket no longer', async () => {
    const victim = await createVictim({
      listen: ['/ip4/127.0.0.1/tcp/0/ws'],
      limits: { handshakeTimeoutMs: 300 },
    })
    const sockets = await Promise.all([
      rawSocket(victim.network),
      rawSocket(victim.network, Uint8Array.from(utf8('GET / HTTP/1.1\r\nHost: x\r\n'))),
    ])
    await Promise.all(sockets.map(socket => socket.destroyed || once(socket, 'close')))
    assert.equal(refused(victim.meter, 'connection', 'silent_socket'), 2)
    await assertServes(victim)
  })

  test('listeners take a limited number of sockets', async () => {
    const victim = await createVictim({
      listen: ['/ip4/127.0.0.1/tcp/0/ws'],
      limits: { inbound: 3, pending: 2, handshakeTimeoutMs: 500 },
    })
    await Promise.all(Array.from({ length: 20 }, () => rawSocket(victim.network)))
    await until(() => refused(victim.meter, 'connection', 'too_many_sockets') === 15)
    await until(() => refused(victim.meter, 'connection', 'silent_socket') === 5)
    await assertServes(victim)
  })
})

describe('members', () => {
  test('may open a limited number of connections, each and together', async () => {
    const victim = await createVictim({ limits: { inbound: 10, perPeer: 4 } })
    const greedy = await attacker()
    // One after the other: libp2p joins dials of one address.
    for (let count = 0; count < 9; count++) await dialVictim(greedy, victim.network).catch(() => undefined)
    await until(() => refused(victim.meter, 'connection', 'too_many_connections_of_peer') === 5)
    assert.equal(gaugeOf(victim.meter, 'ipfscluster_net_connections', 'inbound'), 4)
    const others = await Promise.all(Array.from({ length: 9 }, () => attacker()))
    await Promise.allSettled(others.map(one => dialVictim(one, victim.network)))
    await until(() => refused(victim.meter, 'connection', 'too_many_connections') === 3)
    assert.equal(gaugeOf(victim.meter, 'ipfscluster_net_connections', 'inbound'), 10)
  })

  test('may open 2,048 streams that say nothing, and not for long', async () => {
    const victim = await createVictim({ limits: { handshakeTimeoutMs: 1000 } })
    const connection = await dialVictim(await attacker(), victim.network)
    await Promise.all(Array.from({ length: 3000 }, () => rawStream(connection)))
    const counted = () => refused(victim.meter, 'connection', 'too_many_unnamed_streams')
    // Fewer where this machine is so slow that the first have ended before the last come.
    await until(() => counted() > 0, 15_000)
    assert.ok(gaugeOf(victim.meter, 'ipfscluster_net_streams', 'inbound') <= 2048)
    await assertServes(victim)
    await until(() => gaugeOf(victim.meter, 'ipfscluster_net_streams', 'inbound') < 20, 15_000)
  })

  test('get nowhere with unknown protocols and endless negotiation', async () => {
    const victim = await createVictim({ limits: { handshakeTimeoutMs: 500 } })
    const connection = await dialVictim(await attacker(), victim.network)
    for (let count = 0; count < 100; count++) {
      await assert.rejects(connection.newStream('/no/such/protocol'), { name: 'UnsupportedProtocolError' })
    }
    const endless = await rawStream(connection)
    const closed = once(endless, 'close')
    endless.send(utf8('\x13/multistream/1.0.0\n'))
    while (endless.status === 'open') {
      if (!endless.send(utf8('\x08/nothere\n'.repeat(100)))) await endless.onDrain().catch(() => undefined)
      await new Promise(resolve => setImmediate(resolve))
    }
    await closed
    const garbage = await rawStream(connection)
    const reset = once(garbage, 'close')
    garbage.send(randomBytes(100_000))
    await reset
    assert.equal(connection.status, 'open')
    await assertServes(victim)
  })

  test('that claim thousands of addresses and protocols fill no book', async () => {
    const victim = await createVictim()
    const liar = await attacker({ identifies: false })
    const address = (index: number) => Uint8Array.of(4, 10, 0, index >> 8, index & 255, 6, 0x23, 0x88)
    const field = (number: number, bytes: Uint8Array) => [(number << 3) | 2, bytes.length, ...bytes]
    // Ten messages of at most 8 KiB are read: as many addresses as go in, then as many protocols.
    const messages = Array.from({ length: 10 }, (_, message) => {
      const fields =
        message < 5
          ? Array.from({ length: 800 }, (_, index) => field(2, address(message * 800 + index)))
          : Array.from({ length: 500 }, (_, index) => field(3, utf8(`/lie/${message}/${index}`)))
      const body = fields.flat()
      return [(body.length & 127) | 128, body.length >> 7, ...body]
    })
    await liar.libp2p.handle('/ipfs/id/1.0.0', async stream => {
      const key = liar.libp2p.peerId.publicKey
      assert.ok(key)
      // The key comes with the first message.
      const first = messages[0]?.slice(2) ?? []
      const body = [...field(1, Uint8Array.of(8, 1, 18, key.raw.length, ...key.raw)), ...first]
      stream.send(Uint8Array.from([(body.length & 127) | 128, body.length >> 7, ...body]))
      stream.send(Uint8Array.from(messages.slice(1).flat()))
      await stream.close()
    })
    await dialVictim(liar, victim.network)
    await until(() => refused(victim.meter, 'connection', 'too_many_addresses') > 0)
    const id = liar.libp2p.peerId.toString()
    await until(async () => (await victim.network.addressesOf(id)).length > 0)
    assert.equal((await victim.network.addressesOf(id)).length, 128)
    assert.ok(refused(victim.meter, 'connection', 'too_many_protocols') > 0)
  })

  test('whose word about themselves is too long are not believed', async () => {
    const victim = await createVictim()
    const liar = await attacker({ identifies: false })
    const { promise, resolve } = Promise.withResolvers<void>()
    await liar.libp2p.handle('/ipfs/id/1.0.0', stream => {
      stream.addEventListener('close', () => resolve())
      stream.send(Uint8Array.of(0x80, 0x80, 0x40))
      stream.send(randomBytes(200_000))
    })
    await dialVictim(liar, victim.network)
    await promise
    assert.deepEqual(await victim.network.addressesOf(liar.libp2p.peerId.toString()), [])
    await assertServes(victim)
  })
})
