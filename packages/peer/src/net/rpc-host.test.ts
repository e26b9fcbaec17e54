import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { createMeter, silentLogger, systemClock, type MeterRegistry } from '@ipfs-cluster/base'
import {
  createRpcServer,
  int,
  MUX_PROTOCOL,
  RPC_PROTOCOL,
  RpcError,
  unaryHandler,
  type UnaryMethod,
} from '@ipfs-cluster/gorpc'
import type { Connection, Libp2p } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { createLibp2p } from 'libp2p'
import { createIdentity } from '../identity/index.ts'
import { createDialer } from './dialer.ts'
import { createHost } from './host.ts'
import { createRpcHost, type RpcHost } from './rpc-host.ts'
import { testNetworkConfig, until } from './test-network.ts'

const stack = new AsyncDisposableStack()
after(() => stack.disposeAsync())

const DOUBLE: UnaryMethod<number, number> = {
  service: 'Test',
  method: 'Double',
  kind: 'unary',
  policy: 'trusted',
  arg: int,
  reply: int,
}
const HANDLERS = [unaryHandler(DOUBLE, async number => 2 * number)]

interface Peer {
  readonly libp2p: Libp2p
  readonly rpc: RpcHost
  readonly meter: MeterRegistry
  readonly id: string
}

async function rpcOn(libp2p: Libp2p): Promise<Peer> {
  const dialer = createDialer(libp2p, systemClock, 3000)
  const meter = createMeter()
  const components = { libp2p, dialer, clock: systemClock, logger: silentLogger, meter }
  const rpc = stack.use(await createRpcHost(components))
  rpc.serve(HANDLERS, () => true)
  return { libp2p, rpc, meter, id: libp2p.peerId.toString() }
}

/** A host as in production, with identify. */
async function fullHost(): Promise<Libp2p> {
  const components = { identity: await createIdentity(), logger: silentLogger, onPeerFound: () => undefined }
  return stack.use(await createHost(components, testNetworkConfig())).libp2p
}

/** A host that neither says nor asks what anybody speaks. */
async function bareHost(): Promise<Libp2p> {
  const libp2p = await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
  })
  stack.defer(() => libp2p.stop())
  return libp2p
}

/** Speaks the Go protocol alone. */
async function goPeer(libp2p: Libp2p): Promise<string> {
  const options = { handlers: HANDLERS, authorize: () => true, clock: systemClock, logger: silentLogger }
  const server = stack.use(createRpcServer(options))
  await libp2p.handle(RPC_PROTOCOL, (stream, { remotePeer }) => {
    void server.handleStream(stream, remotePeer.toString())
  })
  return libp2p.peerId.toString()
}

/** Dials, and notes for which protocols streams are opened from then on. */
async function dial(from: Libp2p, to: Libp2p, asked: unknown[][], force = false): Promise<Connection> {
  const connection = await from.dial(to.getMultiaddrs(), { force })
  const { newStream } = connection
  connection.newStream = async (protocols, options) => {
    const list = [protocols].flat()
    if (list.some(protocol => protocol.includes('cluster'))) asked.push(list)
    return await newStream(protocols, options)
  }
  return connection
}

const calls = (meter: MeterRegistry, direction: string) =>
  Object.fromEntries(
    (meter.collect().find(({ name }) => name === 'ipfscluster_rpc_calls_total')?.samples ?? [])
      .filter(({ labels }) => labels['direction'] === direction)
      .map(({ labels, value }) => [labels['protocol'], value]),
  )

/** So many streams asked for on the Go protocol alone. */
const times = (count: number) => Array.from({ length: count }, () => [RPC_PROTOCOL])

const identified = async (libp2p: Libp2p, peer: Libp2p) => {
  const { promise, resolve } = Promise.withResolvers<void>()
  libp2p.addEventListener('peer:identify', ({ detail }) => {
    if (detail.peerId.equals(peer.peerId)) resolve()
  })
  return await promise
}

describe('peers of our own kind', () => {
  test('share one stream for all calls in each direction', async () => {
    const [a, b] = [await rpcOn(await fullHost()), await rpcOn(await fullHost())]
    const asked: unknown[][] = []
    await dial(a.libp2p, b.libp2p, asked)
    const numbers = Array.from({ length: 50 }, (_, number) => number)
    assert.deepEqual(
      await Promise.all(numbers.map(number => a.rpc.client.call(b.id, DOUBLE, number))),
      numbers.map(number => 2 * number),
    )
    assert.equal(await b.rpc.client.call(a.id, DOUBLE, 21), 42)
    assert.deepEqual(asked, [[MUX_PROTOCOL, RPC_PROTOCOL]])
    assert.deepEqual([calls(a.meter, 'out'), calls(a.meter, 'in')], [{ mux: 50 }, { mux: 1 }])
    const [connection] = a.libp2p.getConnections(b.libp2p.peerId)
    const streams = connection?.streams.filter(({ protocol }) => protocol === MUX_PROTOCOL) ?? []
    assert.deepEqual(streams.map(({ direction }) => direction).sort(), ['inbound', 'outbound'])
  })

  test('serve other methods on a stream that was opened before', async () => {
    const near = await rpcOn(await bareHost())
    const libp2p = await bareHost()
    const dialer = createDialer(libp2p, systemClock, 3000)
    const far = stack.use(await createRpcHost({ libp2p, dialer, clock: systemClock, logger: silentLogger }))
    await near.libp2p.dial(libp2p.getMultiaddrs())
    const call = () => near.rpc.client.call(libp2p.peerId.toString(), DOUBLE, 4)
    await assert.rejects(call(), error => error instanceof RpcError && error.code === 'RPC_PROTOCOL')
    far.serve(HANDLERS, peer => peer !== near.id)
    await assert.rejects(call(), error => error instanceof RpcError && error.code === 'RPC_UNAUTHORIZED')
    assert.deepEqual(calls(near.meter, 'out'), { mux: 2 })
    await far[Symbol.asyncDispose]()
    await assert.rejects(call(), error => error instanceof RpcError && error.code === 'RPC_UNREACHABLE')
  })
})

describe('Go peers', () => {
  test('that have said what they speak are never asked for more', async () => {
    const near = await rpcOn(await fullHost())
    const far = await fullHost()
    const id = await goPeer(far)
    const asked: unknown[][] = []
    const known = identified(near.libp2p, far)
    await dial(near.libp2p, far, asked)
    await known
    await Promise.all(Array.from({ length: 5 }, () => near.rpc.client.call(id, DOUBLE, 4)))
    assert.deepEqual(asked, times(5))
    assert.deepEqual(calls(near.meter, 'out'), { stream: 5 })
  })

  test('refuse the protocol once in the life of a connection', async () => {
    const near = await rpcOn(await bareHost())
    const far = await bareHost()
    const id = await goPeer(far)
    const asked: unknown[][] = []
    const first = await dial(near.libp2p, far, asked)
    const callMany = async () => {
      await Promise.all(Array.from({ length: 5 }, () => near.rpc.client.call(id, DOUBLE, 4)))
      await near.rpc.client.call(id, DOUBLE, 4)
    }
    const both = [MUX_PROTOCOL, RPC_PROTOCOL]
    const once = [both, ...times(5)]
    await callMany()
    assert.deepEqual(asked, once)

    await dial(near.libp2p, far, asked, true)
    await callMany()
    assert.deepEqual(asked.slice(6), times(6), 'a second connection changes nothing')

    await first.close()
    await until(() => near.libp2p.getConnections(far.peerId).length === 1)
    await callMany()
    assert.deepEqual(asked.slice(12), once)
  })

  test('that become peers of our own kind are noticed when they say so', async () => {
    const near = await rpcOn(await bareHost())
    const far = await bareHost()
    const id = await goPeer(far)
    const connection = await dial(near.libp2p, far, [])
    await near.rpc.client.call(id, DOUBLE, 4)
    const server = stack.use(
      createRpcServer({
        handlers: HANDLERS,
        authorize: () => true,
        clock: systemClock,
        logger: silentLogger,
      }),
    )
    await far.handle(MUX_PROTOCOL, (stream, { remotePeer }) => {
      void server.handleMux(stream, remotePeer.toString())
    })
    await near.rpc.client.call(id, DOUBLE, 4)
    assert.deepEqual(calls(near.meter, 'out'), { stream: 2 })
    const says = (...protocols: string[]) => {
      const detail = { peerId: far.peerId, connection, protocols, listenAddrs: [] }
      near.libp2p.dispatchEvent(new CustomEvent('peer:identify', { detail }))
    }
    says()
    await near.rpc.client.call(id, DOUBLE, 4)
    assert.deepEqual(calls(near.meter, 'out'), { stream: 3 })
    says(RPC_PROTOCOL, MUX_PROTOCOL)
    await near.rpc.client.call(id, DOUBLE, 4)
    assert.deepEqual(calls(near.meter, 'out'), { stream: 3, mux: 1 })
  })
})
