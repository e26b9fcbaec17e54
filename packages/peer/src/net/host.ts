import { autoNAT } from '@libp2p/autonat'
import { circuitRelayServer, circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys'
import { dcutr } from '@libp2p/dcutr'
import { gossipsub, type GossipSub } from '@libp2p/gossipsub'
import { identify, identifyPush } from '@libp2p/identify'
import { FaultTolerance, type ConnectionProtector, type Libp2p, type PeerInfo } from '@libp2p/interface'
import { kadDHT, passthroughMapper, removePrivateAddressesMapper } from '@libp2p/kad-dht'
import { mdns } from '@libp2p/mdns'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { preSharedKey } from '@libp2p/pnet'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import type { Multiaddr as Libp2pMultiaddr } from '@multiformats/multiaddr'
import { toHex, utf8, type Logger } from '@ipfs-cluster/base'
import type { Identity } from '../identity/index.ts'
import { VERSION } from '../version.ts'
import { announceFilter, parseAddress, withoutPeer } from './addresses.ts'
import { markHandshake } from './dial-error.ts'
import { NetworkError } from './errors.ts'
import { gossipOptions } from './gossip-options.ts'
import { libp2pLogger } from './libp2p-logger.ts'
import { ListenFailures } from './listeners.ts'
import type { NetworkConfig } from './types.ts'
import { createLibp2p } from 'libp2p'

/** Peers that find each other on the local network (Go: `cluster.mdnsServiceTag`). */
const MDNS_SERVICE = '_ipfs-cluster-discovery._udp.local'

const SECRET_BYTES = 32

/** Streams of one connection; a Go peer opens one for each bitswap answer and each RPC call. */
const MAX_STREAMS = 8192

/** Bytes in flight on one stream, and bytes a stream may hold unread: above the former, so that a paused reader never fails. */
const STREAM_WINDOW_BYTES = 4 * 1024 * 1024
const STREAM_BUFFER_BYTES = 2 * STREAM_WINDOW_BYTES

/** A call may stay silent for long (garbage collection of a large repository); a dead peer shows by its pings. */
const STREAM_INACTIVITY_MS = 24 * 60 * 60 * 1000

/** A connection is closed when the other side does not answer a ping for this long; busy peers need some patience. */
const PING_INTERVAL_MS = 15_000
const PING_TIMEOUT_MS = 15_000

/** Connections a second from one address: many peers may sit behind one. */
const INBOUND_CONNECTIONS_PER_SECOND = 1000

const IDENTIFY_TIMEOUT_MS = 30_000

/** Addresses that others reach us by, as they say, kept besides our own. */
const MAX_OBSERVED_ADDRESSES = 10

/** Parts of libp2p that its public interface does not show. */
interface Internals {
  readonly addressManager: {
    addObservedAddr(address: Libp2pMultiaddr): void
    confirmObservedAddr(
      address: Libp2pMultiaddr,
      options?: { type: 'transport' | 'observed'; ttl: number },
    ): void
  }
  readonly transportManager: { getAddrs(): Libp2pMultiaddr[] }
}

export interface Host extends AsyncDisposable {
  readonly libp2p: Libp2p
  readonly pubsub: GossipSub
}

export interface HostComponents {
  readonly identity: Identity
  readonly logger: Logger
  /** A peer seen by mDNS. */
  readonly onPeerFound: (peer: PeerInfo) => void
}

/**
 * Starts the libp2p host of a cluster peer (Go: `clusterhost.go`). Nobody parses the agent version; it says which
 * implementation this is.
 *
 * @throws NetworkError `NET_LISTEN_FAILED`, `NET_BAD_ADDRESS`, `NET_BAD_SECRET`
 */
export async function createHost(components: HostComponents, config: NetworkConfig): Promise<Host> {
  const { identity, logger } = components
  const failures = new ListenFailures()
  const mayAnnounce = announceFilter(config.noAnnounce)
  const protector = connectionProtector(config.secret, logger)
  const libp2p = await createLibp2p({
    privateKey: privateKeyFromProtobuf(identity.privateKey),
    nodeInfo: { name: 'ipfs-cluster-ts', version: VERSION, userAgent: `ipfs-cluster-ts/${VERSION}` },
    logger: libp2pLogger(logger),
    addresses: {
      listen: config.listen.map(address => parseAddress(address).toString()),
      announce: config.announce.map(address => parseAddress(address).toString()),
      announceFilter: addresses => addresses.filter(mayAnnounce),
    },
    transports: [failures.watch(tcp()), failures.watch(webSockets()), circuitRelayTransport()],
    transportManager: { faultTolerance: FaultTolerance.NO_FATAL },
    // Offered in Go's order of preference.
    connectionEncrypters: [noise(), tls()],
    streamMuxers: [
      yamux({
        maxInboundStreams: MAX_STREAMS,
        maxOutboundStreams: MAX_STREAMS,
        maxEarlyStreams: MAX_STREAMS,
        streamOptions: {
          maxStreamWindowSize: STREAM_WINDOW_BYTES,
          maxReadBufferLength: STREAM_BUFFER_BYTES,
          inactivityTimeout: STREAM_INACTIVITY_MS,
        },
      }),
    ],
    ...(protector === undefined ? {} : { connectionProtector: protector }),
    connectionManager: connectionManagerOptions(config),
    connectionMonitor: { pingInterval: PING_INTERVAL_MS, pingTimeout: { minTimeout: PING_TIMEOUT_MS } },
    // Addresses do not age: a peer that is away for a day is found again where it was.
    peerStore: { maxAddressAge: Number.POSITIVE_INFINITY },
    ...(config.mdns ? { peerDiscovery: [discovery(components.onPeerFound)] } : {}),
    services: {
      ...services(config),
      ...(config.enableRelayHop ? { relay: circuitRelayServer() } : {}),
      internals: ({ addressManager, transportManager }: Internals): Internals => ({
        addressManager,
        transportManager,
      }),
    },
  })
  const { pubsub, identifyPush, internals } = libp2p.services
  const dispose = () => stop(libp2p, { pubsub, identifyPush, addressManager: internals.addressManager })
  try {
    const listening = internals.transportManager.getAddrs()
    failures.check(config.listen, listening, logger)
    announceWithoutProof(libp2p, internals.addressManager, listening)
  } catch (error) {
    await dispose()
    throw error
  }
  return { libp2p, pubsub, [Symbol.asyncDispose]: dispose }
}

function services(config: NetworkConfig) {
  return {
    identify: identify({ timeout: IDENTIFY_TIMEOUT_MS, maxInboundStreams: 32, maxOutboundStreams: 32 }),
    identifyPush: identifyPush({
      timeout: IDENTIFY_TIMEOUT_MS,
      maxInboundStreams: 32,
      maxOutboundStreams: 32,
    }),
    // With a limit of one, a ping that is still out would fail the next one, and with it the connection.
    ping: ping({ maxInboundStreams: 32, maxOutboundStreams: 32 }),
    pubsub: gossipsub(gossipOptions(config)),
    // As Go's dual DHT: the LAN instance always serves, the WAN instance does once we have a public address. A lookup with an
    // empty table fails at once instead of waiting for a first peer.
    dht: kadDHT({
      protocol: '/ipfs/lan/kad/1.0.0',
      clientMode: false,
      peerInfoMapper: passthroughMapper,
      allowQueryWithZeroPeers: true,
      logPrefix: 'libp2p:kad-dht:lan',
      datastorePrefix: '/dht/lan',
    }),
    wanDht: kadDHT({
      protocol: '/ipfs/kad/1.0.0',
      peerInfoMapper: removePrivateAddressesMapper,
      allowQueryWithZeroPeers: true,
      logPrefix: 'libp2p:kad-dht:wan',
      datastorePrefix: '/dht/wan',
    }),
    autoNAT: autoNAT(),
    dcutr: dcutr(),
  }
}

/** js-libp2p closes no more than what is above `highWater`, newest first, and so needs no grace period for new connections. */
function connectionManagerOptions({ connectionManager, dialPeerTimeoutMs }: NetworkConfig) {
  return {
    maxConnections: connectionManager.highWater,
    maxIncomingPendingConnections: connectionManager.highWater,
    inboundConnectionThreshold: INBOUND_CONNECTIONS_PER_SECOND,
    dialTimeout: dialPeerTimeoutMs,
    addressDialTimeout: dialPeerTimeoutMs,
  }
}

/** @throws NetworkError `NET_BAD_SECRET` */
function connectionProtector(
  secret: Uint8Array | undefined,
  logger: Logger,
): (() => ConnectionProtector) | undefined {
  if (secret === undefined) {
    logger.warn('no cluster secret is set: anybody who reaches this peer can join its network')
    return undefined
  }
  if (secret.length !== SECRET_BYTES) {
    throw new NetworkError(
      `the cluster secret has ${secret.length} bytes instead of ${SECRET_BYTES}; set cluster.secret to 64 hexadecimal digits`,
      { code: 'NET_BAD_SECRET', length: secret.length },
    )
  }
  const psk = utf8(`/key/swarm/psk/1.0.0/\n/base16/\n${toHex(secret)}`)
  return () => markHandshake(preSharedKey({ psk })())
}

function discovery(onPeerFound: (peer: PeerInfo) => void) {
  const create = mdns({ serviceTag: MDNS_SERVICE })
  return (components: Parameters<typeof create>[0]) => {
    const service = create(components)
    service.addEventListener('peer', event => onPeerFound(event.detail))
    return service
  }
}

/**
 * js-libp2p keeps a public address to itself until four peers have dialled it back, which a small cluster never has. As Go
 * does, announce every address we listen on, and the one that a peer which has dialled us says it used.
 */
function announceWithoutProof(
  libp2p: Libp2p,
  addressManager: Internals['addressManager'],
  listening: readonly Libp2pMultiaddr[],
): void {
  for (const address of listening) {
    addressManager.confirmObservedAddr(address, { type: 'transport', ttl: Number.POSITIVE_INFINITY })
  }
  const observed = new Set<string>()
  libp2p.addEventListener('peer:identify', ({ detail: { connection, observedAddr } }) => {
    if (connection.direction !== 'inbound' || observedAddr === undefined || connection.limits !== undefined)
      return
    const address = withoutPeer(observedAddr)
    const known = libp2p.getMultiaddrs().some(own => withoutPeer(own).equals(address))
    if (known || observed.size >= MAX_OBSERVED_ADDRESSES || observed.has(address.toString())) return
    observed.add(address.toString())
    addressManager.confirmObservedAddr(address, { type: 'observed', ttl: Number.POSITIVE_INFINITY })
  })
}

/** Parts with timers that js-libp2p 3.3 leaves running after `stop()`, for up to 12 s. */
interface TimerOwners {
  readonly pubsub: object
  readonly identifyPush: object
  readonly addressManager: object
}

interface Debounced {
  stop?(): void
}

async function stop(libp2p: Libp2p, owners: TimerOwners): Promise<void> {
  const { status } = owners.pubsub as { status?: { heartbeatTimeout?: NodeJS.Timeout } }
  await libp2p.stop()
  clearTimeout(status?.heartbeatTimeout)
  const { _push } = owners.identifyPush as { _push?: Debounced }
  _push?.stop?.()
  const { _updatePeerStoreAddresses } = owners.addressManager as { _updatePeerStoreAddresses?: Debounced }
  _updatePeerStoreAddresses?.stop?.()
}
