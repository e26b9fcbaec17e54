/** Two real libp2p hosts on loopback with an RPC client and server each: for tests and benchmarks only. */
import { silentLogger, systemClock } from '@ipfs-cluster/base'
import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { createRpcClient, type OwnedRpcClient, type RpcClientOptions } from './client.ts'
import type { MuxDialer } from './mux-pool.ts'
import { MUX_PROTOCOL, RPC_PROTOCOL } from './protocol.ts'
import { createRpcServer, type RpcServer, type RpcServerOptions } from './server.ts'

/** Enough for everything the tests do at once. */
const MAX_STREAMS = 16_384

export interface TestPair extends AsyncDisposable {
  readonly client: OwnedRpcClient
  readonly server: RpcServer
  readonly clientId: string
  readonly serverId: string
  /** The streams that the client has opened so far. */
  readonly opened: readonly Stream[]
  /** The server does not speak this protocol any more. */
  refuse(protocol: string): Promise<void>
  /** A bare stream to the server, as a foreign implementation would use it. */
  rawStream(protocol?: string): Promise<Stream>
  /** Answers the client's streams of one protocol by hand from now on. */
  answerWith(handler: (stream: Stream) => void, protocol?: string): Promise<void>
  /** Cuts the connection without a word, at the client's end. */
  cut(): void
  /** Cuts the wire below both hosts, as when a machine dies: neither gets to reset its streams. Only for pairs with a wire. */
  cutWire(): void
}

export async function createHost(): Promise<Libp2p> {
  return await createLibp2p({
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ maxInboundStreams: MAX_STREAMS, maxOutboundStreams: MAX_STREAMS })],
    connectionManager: { inboundStreamProtocolNegotiationTimeout: 60_000 },
  })
}

const STREAMS = { maxInboundStreams: MAX_STREAMS, maxOutboundStreams: MAX_STREAMS }

/** Has the host answer calls of both protocols. */
export async function serveOn(host: Libp2p, server: RpcServer): Promise<void> {
  await host.handle(
    RPC_PROTOCOL,
    (stream, connection) => void server.handleStream(stream, connection.remotePeer.toString()),
    STREAMS,
  )
  await host.handle(
    MUX_PROTOCOL,
    (stream, connection) => void server.handleMux(stream, connection.remotePeer.toString()),
    STREAMS,
  )
}

/** Opens streams on one connection, of `MUX_PROTOCOL` too if `protocol` is that, as long as the peer is not known to refuse it. */
export function streamsOn(
  connection: Connection,
  protocol: string,
  onOpened: (stream: Stream) => void = () => undefined,
): Pick<RpcClientOptions, 'openStream' | 'mux'> {
  let maySpeak = true
  let speaks = false
  const open = async (protocols: string | string[], { signal }: { readonly signal: AbortSignal }) => {
    const stream = await connection.newStream(protocols, { ...STREAMS, signal })
    onOpened(stream)
    return stream
  }
  const mux: MuxDialer = {
    maySpeak: () => maySpeak,
    speaks: () => speaks,
    async open(_peer, options) {
      const stream = await open([MUX_PROTOCOL, RPC_PROTOCOL], options)
      maySpeak = stream.protocol === MUX_PROTOCOL
      speaks = maySpeak
      return stream
    },
  }
  return {
    openStream: (_peer, options) => open(RPC_PROTOCOL, options),
    ...(protocol === MUX_PROTOCOL ? { mux } : {}),
  }
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
  { withWire = false, protocol = RPC_PROTOCOL } = {},
): Promise<TestPair> {
  const hosts = [await createHost(), await createHost()] as const
  const [near, far] = hosts
  const server = createRpcServer({
    authorize: () => true,
    clock: systemClock,
    logger: silentLogger,
    ...serverOptions,
  })
  await serveOn(far, server)
  const [address] = far.getMultiaddrs()
  if (address === undefined) throw new Error('the server does not listen')
  const port = Number(/tcp\/(\d+)/.exec(address.toString())?.[1])
  const wire = withWire ? await createWire(port) : undefined
  const connection = await near.dial(
    wire === undefined ? address : multiaddr(address.toString().replace(`/tcp/${port}`, `/tcp/${wire.port}`)),
  )
  const opened: Stream[] = []
  const client = createRpcClient({
    selfId: near.peerId.toString(),
    localHandler: () => undefined,
    ...streamsOn(connection, protocol, stream => opened.push(stream)),
    clock: systemClock,
    logger: silentLogger,
    ...clientOptions,
  })
  return {
    client,
    server,
    clientId: near.peerId.toString(),
    serverId: far.peerId.toString(),
    opened,
    refuse: protocol => far.unhandle(protocol),
    rawStream: async (protocol = RPC_PROTOCOL) => await connection.newStream(protocol, STREAMS),
    async answerWith(handler, protocol = RPC_PROTOCOL) {
      await far.unhandle(protocol)
      await far.handle(protocol, handler, STREAMS)
    },
    cut: () => connection.abort(new Error('cut')),
    cutWire: () => wire?.cut(),
    async [Symbol.asyncDispose]() {
      await client[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
      for (const host of hosts) await host.stop()
      wire?.close()
    },
  }
}
