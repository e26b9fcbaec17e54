/** Two real libp2p hosts on loopback with an RPC client and server each: for tests and benchmarks only. */
import { silentLogger, systemClock } from '@ipfs-cluster/base'
import type { Libp2p, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { createRpcClient, type RpcClientOptions } from './client.ts'
import { RPC_PROTOCOL } from './protocol.ts'
import { createRpcServer, type RpcServer, type RpcServerOptions } from './server.ts'
import type { RpcClient } from './types.ts'

/** Enough for everything the tests do at once. */
const MAX_STREAMS = 4096

export interface TestPair extends AsyncDisposable {
  readonly client: RpcClient
  readonly server: RpcServer
  readonly clientId: string
  readonly serverId: string
  /** A bare stream to the server, as a foreign implementation would use it. */
  rawStream(): Promise<Stream>
  /** Answers the client's streams by hand from now on. */
  answerWith(handler: (stream: Stream) => void): Promise<void>
  /** Cuts the connection without a word, at the client's end. */
  cut(): void
  /** Cuts the wire below both hosts, as when a machine dies: neither gets to reset its streams. Only for pairs with a wire. */
  cutWire(): void
}

async function createHost(): Promise<Libp2p> {
  return await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
  })
}

/** A relay on loopback whose connections can be destroyed. */
async function createWire(target: number) {
  const sockets: Socket[] = []
  const server = createServer(inbound => {
    const outbound = connect(target, '127.0.0.1')
    for (const socket of [inbound, outbound]) {
      // An error is an end as any other, and what the tests want to see.
      socket.on('error', () => socket.destroy())
      sockets.push(socket)
    }
    inbound.pipe(outbound).pipe(inbound)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => sockets.forEach(socket => socket.destroy()),
    close: () => server.close(),
  }
}

export async function createTestPair(
  serverOptions: Omit<RpcServerOptions, 'authorize' | 'clock' | 'logger'> & Partial<RpcServerOptions>,
  clientOptions: Partial<RpcClientOptions> = {},
  { withWire = false } = {},
): Promise<TestPair> {
  const hosts = [await createHost(), await createHost()] as const
  const [near, far] = hosts
  const server = createRpcServer({
    authorize: () => true,
    clock: systemClock,
    logger: silentLogger,
    ...serverOptions,
  })
  const streams = { maxInboundStreams: MAX_STREAMS, maxOutboundStreams: MAX_STREAMS }
  await far.handle(
    RPC_PROTOCOL,
    (stream, connection) => void server.handleStream(stream, connection.remotePeer.toString()),
    streams,
  )
  const [address] = far.getMultiaddrs()
  if (address === undefined) throw new Error('the server does not listen')
  const port = Number(/tcp\/(\d+)/.exec(address.toString())?.[1])
  const wire = withWire ? await createWire(port) : undefined
  const connection = await near.dial(
    wire === undefined ? address : multiaddr(address.toString().replace(`/tcp/${port}`, `/tcp/${wire.port}`)),
  )
  const client = createRpcClient({
    selfId: near.peerId.toString(),
    localHandler: () => undefined,
    openStream: async (_peer, { signal }) => await connection.newStream(RPC_PROTOCOL, { ...streams, signal }),
    clock: systemClock,
    logger: silentLogger,
    ...clientOptions,
  })
  return {
    client,
    server,
    clientId: near.peerId.toString(),
    serverId: far.peerId.toString(),
    rawStream: async () => await connection.newStream(RPC_PROTOCOL, streams),
    async answerWith(handler) {
      await far.unhandle(RPC_PROTOCOL)
      await far.handle(RPC_PROTOCOL, handler, streams)
    },
    cut: () => connection.abort(new Error('cut')),
    cutWire: () => wire?.cut(),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]()
      for (const host of hosts) await host.stop()
      wire?.close()
    },
  }
}
