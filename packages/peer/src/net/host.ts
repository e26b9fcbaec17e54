import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { privateKeyFromProtobuf } from '@libp2p/crypto/keys'
import type { GossipSub } from '@libp2p/gossipsub'
import { FaultTolerance, type Libp2p, type PeerInfo, type Transport } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import type { Multiaddr as Libp2pMultiaddr } from '@multiformats/multiaddr'
import { refusalsOf, silentMeter, systemClock, type Clock, type Logger, type Meter } from '@ipfs-cluster/base'
import type { Identity } from '../identity/index.ts'
import { VERSION } from '../version.ts'
import { announceFilter, parseAddress } from './addresses.ts'
import { announceWithoutProof, type AddressManager } from './announce.ts'
import { BandwidthCounter, countedMuxer } from './bandwidth.ts'
import { connectionLimits, createConnectionGuard } from './connection-limits.ts'
import { hostServices } from './host-services.ts'
import { tls } from './lazy-tls.ts'
import { libp2pLogger } from './libp2p-logger.ts'
import { ListenFailures, limitSockets } from './listeners.ts'
import { localDiscovery } from './local-discovery.ts'
import { limitMuxer, muxerOptions } from './muxer-limits.ts'
import { connectionProtector } from './private-network.ts'
import { limitDatastore, type Datastore } from './stores.ts'
import type { NetworkConfig } from './types.ts'
import { createLibp2p } from 'libp2p'

/** A connection is closed when the other side does not answer a ping for this long; busy peers need some patience. */
const PING_INTERVAL_MS = 15_000
const PING_TIMEOUT_MS = 15_000

/** Parts of libp2p that its public interface does not show. */
interface Internals {
  readonly addressManager: AddressManager
  readonly transportManager: {
    getAddrs(): Libp2pMultiaddr[]
    listen(addresses: Libp2pMultiaddr[]): Promise<void>
  }
  readonly datastore: Datastore
}

export interface Host extends AsyncDisposable {
  readonly libp2p: Libp2p
  readonly pubsub: GossipSub
  readonly transports: Internals['transportManager']
  readonly bandwidth: BandwidthCounter
  /** Inbound connections in the handshake. */
  pendingConnections(): number
}

export interface HostComponents {
  readonly identity: Identity
  readonly logger: Logger
  readonly clock?: Clock
  readonly meter?: Meter
  /** A peer seen by mDNS. */
  readonly onPeerFound: (peer: PeerInfo) => void
  /** Called with gossipsub before it starts. */
  readonly onGossip?: (gossip: GossipSub) => void
}

/**
 * Starts the libp2p host of a cluster peer (Go: `clusterhost.go`). Nobody parses the agent version; it says which
 * implementation this is.
 *
 * @throws NetworkError `NET_LISTEN_FAILED`, `NET_BAD_ADDRESS`, `NET_BAD_SECRET`
 */
export async function createHost(components: HostComponents, config: NetworkConfig): Promise<Host> {
  const {
    identity,
    logger,
    clock = systemClock,
    meter = silentMeter,
    onGossip = () => undefined,
  } = components
  const refusals = refusalsOf(meter, 'connection')
  const limits = connectionLimits(config)
  const failures = new ListenFailures()
  const bandwidth = new BandwidthCounter(clock)
  const mayAnnounce = announceFilter(config.noAnnounce)
  const protector = connectionProtector(config.secret, logger)
  const guard = createConnectionGuard(limits, refusals)
  const watched = <Components>(transport: (components: Components) => Transport) =>
    limitSockets(failures.watch(transport), { limits, clock, refusals })
  const libp2p = await createLibp2p({
    privateKey: privateKeyFromProtobuf(identity.privateKey),
    nodeInfo: { name: 'ipfs-cluster-ts', version: VERSION, userAgent: `ipfs-cluster-ts/${VERSION}` },
    logger: libp2pLogger(logger),
    addresses: {
      listen: config.listen.map(address => parseAddress(address).toString()),
      announce: config.announce.map(address => parseAddress(address).toString()),
      announceFilter: addresses => addresses.filter(mayAnnounce),
    },
    transports: [watched(tcp()), watched(webSockets()), circuitRelayTransport()],
    transportManager: { faultTolerance: FaultTolerance.NO_FATAL },
    // Offered in Go's order of preference.
    connectionEncrypters: [noise(), tls()],
    streamMuxers: [countedMuxer(limitMuxer(yamux(muxerOptions), refusals), bandwidth)],
    ...(protector === undefined ? {} : { connectionProtector: protector }),
    connectionGater: guard.gater,
    connectionManager: connectionManagerOptions(config, limits.handshakeTimeoutMs),
    connectionMonitor: { pingInterval: PING_INTERVAL_MS, pingTimeout: { minTimeout: PING_TIMEOUT_MS } },
    // Addresses do not age: a peer that is away for a day is found again where it was.
    peerStore: { maxAddressAge: Number.POSITIVE_INFINITY },
    ...(config.mdns ? { peerDiscovery: [localDiscovery(components.onPeerFound)] } : {}),
    services: {
      // First, so that nothing is stored before there is a limit.
      internals: ({ addressManager, transportManager, datastore }: Internals) => {
        limitDatastore(datastore, refusals)
        return { addressManager, transportManager }
      },
      ...hostServices(config, onGossip),
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
  serveOverRelays(libp2p)
  return {
    libp2p,
    pubsub,
    transports: internals.transportManager,
    bandwidth,
    pendingConnections: () => guard.pending(),
    [Symbol.asyncDispose]: dispose,
  }
}

/** libp2p keeps protocols from relayed connections, which carry little, unless they say otherwise; a call or a head is little. */
function serveOverRelays(libp2p: Libp2p): void {
  const handle = libp2p.handle.bind(libp2p)
  libp2p.handle = (protocols, handler, options) =>
    handle(protocols, handler, { runOnLimitedConnection: true, ...options })
}

/**
 * Limits on what comes in are `createConnectionGuard`'s and closing what is too much is `trim.ts`'s: js-libp2p knows no low
 * water mark, no grace period and no limit for one address, and counts nothing it refuses.
 */
function connectionManagerOptions({ dialPeerTimeoutMs }: NetworkConfig, handshakeTimeoutMs: number) {
  return {
    maxConnections: Number.MAX_SAFE_INTEGER,
    maxIncomingPendingConnections: Number.MAX_SAFE_INTEGER,
    inboundConnectionThreshold: Number.MAX_SAFE_INTEGER,
    inboundUpgradeTimeout: handshakeTimeoutMs,
    inboundStreamProtocolNegotiationTimeout: handshakeTimeoutMs,
    dialTimeout: dialPeerTimeoutMs,
    addressDialTimeout: dialPeerTimeoutMs,
  }
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
