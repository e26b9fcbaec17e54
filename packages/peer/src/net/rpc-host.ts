import type { Connection, Libp2p, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import {
  createRpcClient,
  createRpcServer,
  methodName,
  MUX_PROTOCOL,
  RPC_PROTOCOL,
  type MuxDialer,
  type RpcClient,
} from '@ipfs-cluster/gorpc'
import type { Clock, Logger, Meter, TraceHeaders } from '@ipfs-cluster/base'
import type { PeerId } from '@ipfs-cluster/api'
import { MAX_PROTOCOL_STREAMS, openConnection, type Dialer } from './dialer.ts'
import { NetworkError } from './errors.ts'
import { RPC_METHODS } from './rpc/index.ts'
import type { Network } from './types.ts'

/** Streams for many calls that libp2p lets one connection have open: gorpc keeps fewer, but must see them first. */
const MAX_MUX_STREAMS = 16

export interface RpcHost extends AsyncDisposable {
  readonly client: RpcClient
  readonly serve: Network['serve']
}

/**
 * RPC on this host: of the Go kind, and over one stream for many calls among our own kind. Answers from the start: until `serve`, with
 * gorpc's "can't find service", which callers may retry, where a refused protocol would be remembered.
 */
export async function createRpcHost(components: {
  readonly libp2p: Libp2p
  readonly dialer: Dialer
  readonly clock: Clock
  readonly logger: Logger
  /** @default silentMeter */
  readonly meter?: Meter
  /** As of the RPC client. */
  readonly trace?: () => TraceHeaders | undefined
}): Promise<RpcHost> {
  const { libp2p, dialer, ...common } = components
  const server = createRpcServer({ handlers: [], authorize: () => false, ...common })
  const mux = createMuxDialer(libp2p, dialer)
  let isServing = false
  // Handlers take the stream in the same turn: what has arrived on it is told only once. They never reject.
  await libp2p.handle(
    RPC_PROTOCOL,
    (stream, connection) => void server.handleStream(stream, connection.remotePeer.toString()),
    {
      maxInboundStreams: MAX_PROTOCOL_STREAMS,
      maxOutboundStreams: MAX_PROTOCOL_STREAMS,
      runOnLimitedConnection: true,
    },
  )
  await libp2p.handle(
    MUX_PROTOCOL,
    (stream, connection) => void server.handleMux(stream, connection.remotePeer.toString()),
    { maxInboundStreams: MAX_MUX_STREAMS, maxOutboundStreams: MAX_MUX_STREAMS },
  )
  const client = createRpcClient({
    selfId: libp2p.peerId.toString(),
    localHandler: name => server.handler(name),
    openStream: (peer, options) => dialer.openStream(peer, RPC_PROTOCOL, options),
    mux,
    ...common,
  })
  return {
    client,
    serve(handlers, isTrusted) {
      if (isServing) {
        throw new NetworkError('this network serves its RPC methods already', { code: 'NET_ALREADY_SERVING' })
      }
      isServing = true
      const names = new Set(handlers.map(({ method }) => methodName(method)))
      server.replaceMethods({
        handlers,
        // Go knows these too, and tells others that they are not for them.
        unserved: RPC_METHODS.filter(method => !names.has(methodName(method))),
        authorize: (peer: PeerId, { policy }) =>
          policy === 'open' || (policy === 'trusted' && isTrusted(peer)),
      })
    },
    async [Symbol.asyncDispose]() {
      mux[Symbol.dispose]()
      await client[Symbol.asyncDispose]()
      await server[Symbol.asyncDispose]()
    },
  }
}

/**
 * Tells our own kind from Go peers, connection by connection: by what they say of themselves when a connection begins or when it changes
 * (identify), or else by one refused protocol.
 */
function createMuxDialer(libp2p: Libp2p, dialer: Dialer): MuxDialer & Disposable {
  /** Absent while unknown; gone with the connection, as another process may answer the next. */
  const speaksMux = new WeakMap<Connection, boolean>()
  const onIdentify = ({ detail }: { detail: { connection: Connection; protocols: string[] } }) => {
    // A message without protocols changes something else.
    if (detail.protocols.length > 0) {
      speaksMux.set(detail.connection, detail.protocols.includes(MUX_PROTOCOL))
    }
  }
  libp2p.addEventListener('peer:identify', onIdentify)
  /** A connection through a relay ends soon, and with it a stream for many calls; a direct one may take its place any time. */
  const maySpeak = (connection: Connection) =>
    connection.limits === undefined && speaksMux.get(connection) !== false
  return {
    maySpeak(peer) {
      const connection = openConnection(libp2p, peerIdFromString(peer))
      return connection === undefined || maySpeak(connection)
    },
    speaks(peer) {
      const connection = openConnection(libp2p, peerIdFromString(peer))
      return connection !== undefined && speaksMux.get(connection) === true
    },
    async open(peer, { signal }): Promise<Stream> {
      const connection = await dialer.dialPeer(peer, { signal })
      // Both in one negotiation: a Go peer's refusal costs one round trip, once, and the stream serves the call.
      const protocols = maySpeak(connection) ? [MUX_PROTOCOL, RPC_PROTOCOL] : [RPC_PROTOCOL]
      const stream = await connection.newStream(protocols, {
        maxOutboundStreams: MAX_PROTOCOL_STREAMS,
        runOnLimitedConnection: true,
        signal,
      })
      if (protocols.length > 1) speaksMux.set(connection, stream.protocol === MUX_PROTOCOL)
      return stream
    },
    [Symbol.dispose]: () => libp2p.removeEventListener('peer:identify', onIdentify),
  }
}
