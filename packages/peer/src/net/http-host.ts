import type { Duplex } from 'node:stream'
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import { FaultTolerance, type Libp2p, type Transport } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import type { Multiaddr as Libp2pMultiaddr } from '@multiformats/multiaddr'
import {
  createTaskScope,
  refusalsOf,
  silentMeter,
  type Clock,
  type Logger,
  type Meter,
  type Refusals,
} from '@ipfs-cluster/base'
import type { Multiaddr } from '@ipfs-cluster/api'
import type { Identity } from '../identity/index.ts'
import { VERSION } from '../version.ts'
import { parseAddress } from './addresses.ts'
import { announceWithoutProof, type AddressManager } from './announce.ts'
import { createConnectionGuard } from './connection-limits.ts'
import {
  HTTP_CONNECTION_LIMITS,
  httpMuxerOptions,
  IDLE_CHECK_MS,
  MAX_REMEMBERED_ADDRESSES,
  MAX_REMEMBERED_PEERS,
} from './http-limits.ts'
import { HTTP_PROTOCOL } from './http-protocol.ts'
import { createHttpStreams, type HttpStreams } from './http-streams.ts'
import { tls } from './lazy-tls.ts'
import { libp2pLogger } from './libp2p-logger.ts'
import { ListenFailures, limitSockets } from './listeners.ts'
import { limitMuxer } from './muxer-limits.ts'
import { limitDatastore, limitPeerStore, type Datastore } from './stores.ts'
import { createLibp2p } from 'libp2p'

/** A connection is closed when the other side does not answer a ping for this long; busy peers need some patience. */
const PING_INTERVAL_MS = 15_000
const PING_TIMEOUT_MS = 15_000

/** Streams of identify or ping that one connection may open; each runs for milliseconds. */
const MAX_SHORT_STREAMS = 4

export interface HttpHostComponents {
  readonly clock: Clock
  readonly logger: Logger
  readonly meter?: Meter
}

export interface HttpHostConfig {
  readonly identity: Identity
  /** Addresses that cannot be listened on (QUIC) are skipped; it is an error when none is left. */
  readonly listen: readonly Multiaddr[]
  /** The key of the configuration that names the addresses, for error messages. */
  readonly configKey: string
}

/** The endpoint of HTTP over libp2p: every stream of `/libp2p-http` is a connection of an HTTP client. */
export interface HttpHost extends AsyncDisposable {
  /** With /p2p. */
  readonly addresses: readonly Multiaddr[]
  /** Hands each new connection to `accept`, at once and until disposed; streams that come without anybody accepting are reset. */
  onConnection(accept: (connection: Duplex) => void): Disposable
}

/**
 * Starts a libp2p host of its own: another identity than the cluster peer's, and no cluster secret (Go: `setupLibp2p` of `api/common`).
 * Whoever reaches it is a client of the HTTP API like any other; what it may do is for that API's authentication.
 *
 * @throws NetworkError `NET_LISTEN_FAILED`, `NET_BAD_ADDRESS`
 */
export async function createHttpHost(
  { clock, logger, meter = silentMeter }: HttpHostComponents,
  { identity, listen, configKey }: HttpHostConfig,
): Promise<HttpHost> {
  const refusals = refusalsOf(meter, 'libp2p-http')
  const failures = new ListenFailures()
  await using stack = new AsyncDisposableStack()
  const libp2p = await startHost({ identity, listen, failures, refusals, clock, logger })
  const { addressManager, transportManager } = libp2p.services.internals
  stack.defer(() => stop(libp2p, addressManager))
  const listening = transportManager.getAddrs()
  failures.check(listen, listening, logger, configKey)
  announceWithoutProof(libp2p, addressManager, listening)
  const streams = createHttpStreams({ clock, refusals })
  libp2p.addEventListener('connection:open', ({ detail }) => streams.opened(detail))
  libp2p.addEventListener('connection:close', ({ detail }) => streams.closed(detail))
  await libp2p.handle(HTTP_PROTOCOL, streams.handle, {
    maxInboundStreams: httpMuxerOptions.maxInboundStreams,
  })
  stack.use(streams)
  const scope = stack.use(createTaskScope(logger))
  scope.run('idle libp2p-http connections', signal => closeIdle(libp2p, streams, clock, signal))
  const owned = stack.move()
  let closing: Promise<void> | undefined
  return {
    addresses: libp2p.getMultiaddrs().map(address => address.toString()),
    onConnection: accept => streams.onConnection(accept),
    [Symbol.asyncDispose]: () => (closing ??= owned.disposeAsync()),
  }
}

/** Parts of libp2p that its public interface does not show. */
interface Internals {
  readonly addressManager: AddressManager
  readonly transportManager: { getAddrs(): Libp2pMultiaddr[] }
  readonly datastore: Datastore
}

interface StartOptions extends Pick<HttpHostConfig, 'identity' | 'listen'> {
  readonly failures: ListenFailures
  readonly refusals: Refusals
  readonly clock: Clock
  readonly logger: Logger
}

async function startHost({ identity, listen, failures, refusals, clock, logger }: StartOptions) {
  const limits = HTTP_CONNECTION_LIMITS
  const watched = <Components>(transport: (components: Components) => Transport) =>
    limitSockets(failures.watch(transport), { limits, clock, refusals })
  const short = { maxInboundStreams: MAX_SHORT_STREAMS, maxOutboundStreams: MAX_SHORT_STREAMS }
  const libp2p = await createLibp2p({
    privateKey: privateKeyFromProtobuf(identity.privateKey),
    nodeInfo: { name: 'ipfs-cluster-ts', version: VERSION, userAgent: `ipfs-cluster-ts/${VERSION}` },
    logger: libp2pLogger(logger),
    addresses: { listen: listen.map(address => parseAddress(address).toString()) },
    transports: [watched(tcp()), watched(webSockets())],
    transportManager: { faultTolerance: FaultTolerance.NO_FATAL },
    connectionEncrypters: [noise(), tls()],
    streamMuxers: [limitMuxer(yamux(httpMuxerOptions), refusals)],
    connectionGater: createConnectionGuard(limits, refusals).gater,
    connectionManager: {
      // The guard counts; libp2p would close the connections of others to make room.
      maxConnections: Number.MAX_SAFE_INTEGER,
      maxIncomingPendingConnections: Number.MAX_SAFE_INTEGER,
      inboundConnectionThreshold: Number.MAX_SAFE_INTEGER,
      inboundUpgradeTimeout: limits.handshakeTimeoutMs,
      inboundStreamProtocolNegotiationTimeout: limits.handshakeTimeoutMs,
    },
    connectionMonitor: { pingInterval: PING_INTERVAL_MS, pingTimeout: { minTimeout: PING_TIMEOUT_MS } },
    services: {
      internals: ({ addressManager, transportManager, datastore }: Internals) => {
        limitDatastore(datastore, refusals)
        return { addressManager, transportManager }
      },
      identify: identify(short),
      ping: ping(short),
    },
  })
  limitPeerStore(
    libp2p.peerStore,
    {
      isKept: peer =>
        peer === libp2p.peerId.toString() || libp2p.getPeers().some(one => one.toString() === peer),
      onForgotten: () => undefined,
      maxPeers: MAX_REMEMBERED_PEERS,
      maxAddresses: MAX_REMEMBERED_ADDRESSES,
    },
    refusals,
  )
  return libp2p
}

async function closeIdle(
  libp2p: Libp2p,
  streams: HttpStreams,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  while (true) {
    await clock.sleep(IDLE_CHECK_MS, { signal })
    const idle = streams.idle()
    const connections = libp2p.getConnections().filter(({ id }) => idle.has(id))
    await Promise.all(
      connections.map(async connection => {
        try {
          await connection.close({ signal: AbortSignal.any([signal, clock.timeout(PING_TIMEOUT_MS)]) })
        } catch (error) {
          connection.abort(error instanceof Error ? error : new Error('idle'))
        }
      }),
    )
  }
}

interface Debounced {
  stop?(): void
}

/** js-libp2p 3.3 leaves a timer running after `stop()`. */
async function stop(libp2p: Libp2p, addressManager: AddressManager): Promise<void> {
  await libp2p.stop()
  const { _updatePeerStoreAddresses } = addressManager as { _updatePeerStoreAddresses?: Debounced }
  _updatePeerStoreAddresses?.stop?.()
}
