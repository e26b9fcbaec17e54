import type { Libp2p, PeerInfo } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import {
  createTaskScope,
  raceSignal,
  refusalsOf,
  silentMeter,
  type Clock,
  type Logger,
  type Meter,
  type Random,
  type Refusals,
  type TaskScope,
  type TraceHeaders,
} from '@ipfs-cluster/base'
import type { PeerId } from '@ipfs-cluster/api'
import { createBitswap } from '@ipfs-cluster/bitswap'
import type { Identity } from '../identity/index.ts'
import { isRelayed, relayOf, withPeer } from './addresses.ts'
import { createBootstrapper, type Bootstrapper } from './bootstrap.ts'
import { createDialer, storedAddresses } from './dialer.ts'
import { guardGossip } from './gossip-guard.ts'
import { internalsOf } from './gossip-internals.ts'
import { createHost, type Host } from './host.ts'
import { createPeerImporter } from './peer-import.ts'
import { createPeerBook, HIGHEST_PRIORITY, type PeerBook } from './peers.ts'
import { createPeerstoreKeeper } from './peerstore-keeper.ts'
import { createPubsub } from './pubsub.ts'
import { measureGossip } from './pubsub-metrics.ts'
import { keepReachable } from './relay.ts'
import { createRpcHost } from './rpc-host.ts'
import { limitPeerStore } from './stores.ts'
import { keepTrimmed } from './trim.ts'
import type { Network, NetworkConfig } from './types.ts'

export interface NetworkComponents {
  readonly identity: Identity
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly meter?: Meter
  /** The trace that a call of another peer is part of, told to peers of our own kind. */
  readonly trace?: () => TraceHeaders | undefined
}

/** Peers seen by mDNS that wait to be dialled; anybody on the local network can make them up. */
const MAX_GREETINGS = 64

/** Peers written to the peerstore file, best priority first, so that those gone for good do not fill it in the course of years. */
const MAX_SAVED_PEERS = 1000

/** As `init` writes it (reference api.md 5.3). */
export const defaultNetworkConfig: Omit<NetworkConfig, 'secret' | 'peerstorePath'> = {
  listen: ['/ip4/0.0.0.0/tcp/9096', '/ip4/0.0.0.0/udp/9096/quic'],
  announce: [],
  noAnnounce: [],
  enableRelayHop: true,
  connectionManager: { highWater: 400, lowWater: 100, gracePeriodMs: 120_000 },
  pubsub: {
    heartbeatIntervalMs: 10_000,
    dFactor: 4,
    historyGossip: 2,
    historyLength: 6,
    floodPublish: false,
  },
  dialPeerTimeoutMs: 3000,
  mdns: true,
  followerMode: false,
  peerAddresses: [],
  rebootstrapIntervalMs: 30_000,
}

/**
 * Starts the network of a cluster peer: it listens, knows the peers of `peerAddresses` and of the peerstore file, and keeps looking
 * for connections when there are few. It connects to nobody at once (`bootstrap`) and serves no RPC method yet (`serve`).
 *
 * @throws NetworkError `NET_LISTEN_FAILED`, `NET_BAD_ADDRESS`, `NET_BAD_SECRET`
 */
export async function createNetwork(components: NetworkComponents, config: NetworkConfig): Promise<Network> {
  const { clock, random, logger, meter = silentMeter, trace } = components
  const tracing = trace === undefined ? {} : { trace }
  await using stack = new AsyncDisposableStack()
  const scope = stack.use(createTaskScope(logger))
  const refusals = { connection: refusalsOf(meter, 'connection'), pubsub: refusalsOf(meter, 'pubsub') }
  const greeter = createGreeter(scope, refusals.connection)
  const host = stack.use(
    await createHost(
      {
        ...components,
        onPeerFound: peer => greeter.found(peer),
        onGossip: gossip => guardGossip({ gossip, scope, clock, logger, refusals: refusals.pubsub }),
      },
      config,
    ),
  )
  const { libp2p } = host
  const dialer = createDialer(libp2p, clock, config.dialPeerTimeoutMs)
  const book = stack.use(createPeerBook(libp2p, random))
  limitPeerStore(libp2p.peerStore, storeRules(libp2p, book), refusals.connection)
  const importer = createPeerImporter({ libp2p, book, clock, logger, scope })
  const bootstrapper = createBootstrapper({ libp2p, book, dialer, clock, random, logger })
  await importer.importPeers(config.peerAddresses, { permanent: true, priority: HIGHEST_PRIORITY })
  await importer.importFile(config.peerstorePath)
  const peerstore = createPeerstoreKeeper({
    libp2p,
    peers: async () => (await book.candidates()).slice(0, MAX_SAVED_PEERS),
    path: config.peerstorePath,
    clock,
    logger,
  })
  const pubsub = stack.use(createPubsub(libp2p, host.pubsub, logger, meter))
  const rpc = stack.use(await createRpcHost({ libp2p, dialer, clock, logger, meter, ...tracing }))
  const exchanges = stack.use(new AsyncDisposableStack())
  greeter.greetBy((peer, signal) => bootstrapper.greet(peer, signal))
  scope.run('keep the peerstore file', signal => peerstore.run(signal))
  startLoops(scope, bootstrapper, config)
  startConnectionLoops(scope, { host, book, clock, logger }, config)
  measureConnections(meter, host)
  measureGossip(meter, host.pubsub)
  // Disposed first, so that nothing starts on what is being closed.
  stack.use(scope)
  const owned = stack.move()
  let closing: Promise<void> | undefined
  return {
    peerId: libp2p.peerId.toString(),
    addresses: () => libp2p.getMultiaddrs().map(address => address.toString()),
    addressesOf: async peer => (await storedAddresses(libp2p, peer)).map(address => withPeer(address, peer)),
    bandwidth: () => host.bandwidth.totals(),
    connectedPeers: () => libp2p.getPeers().map(peer => peer.toString()),
    connect: (address, options) => dialer.dialAddress(address, options),
    importPeers: (addresses, options) => importer.importPeers(addresses, options),
    bootstrap: options => bootstrapper.bootstrap(options),
    protect: peer => book.protect(peer),
    savePeerstore: () => peerstore.save(),
    publish: (topic, data) => pubsub.publish(topic, data),
    subscribe: (topic, handler, options) => pubsub.subscribe(topic, handler, options),
    topics: () => (internalsOf(host.pubsub).isStarted() ? host.pubsub.getTopics() : []),
    rpc: rpc.client,
    serve: (handlers, isTrusted) => rpc.serve(handlers, isTrusted),
    exchange: async blocks => exchanges.use(await createBitswap({ libp2p, blocks, clock, logger, meter })),
    [Symbol.asyncDispose]: () => (closing ??= owned.disposeAsync()),
  }
}

function startLoops(scope: TaskScope, bootstrapper: Bootstrapper, config: NetworkConfig): void {
  const { rebootstrapIntervalMs, connectionManager, peerAddresses } = config
  scope.run('keep connected', signal =>
    bootstrapper.keepConnected(rebootstrapIntervalMs, connectionManager.lowWater, signal),
  )
  if (peerAddresses.length > 0) {
    scope.run('keep a priority peer', signal => bootstrapper.keepPriorityPeer(signal))
  }
}

function startConnectionLoops(
  scope: TaskScope,
  {
    host,
    book,
    clock,
    logger,
  }: { readonly host: Host; readonly book: PeerBook; readonly clock: Clock; readonly logger: Logger },
  config: NetworkConfig,
): void {
  const { libp2p, pubsub, transports } = host
  const { mesh } = internalsOf(pubsub)
  const isProtected = (peer: PeerId) =>
    book.isProtected(peer) ||
    mesh.values().some(peers => peers.has(peer)) ||
    transports.getAddrs().some(address => isRelayed(address) && relayOf(address) === peer)
  const valueOf = (peer: PeerId) => (book.isWanted(peer) ? 1 : 0)
  scope.run('trim connections', signal =>
    keepTrimmed({ libp2p, clock, logger, isProtected, valueOf }, config.connectionManager, signal),
  )
  // Who says by what address to be reached needs no other.
  if (config.announce.length === 0) {
    scope.run('keep reachable', signal => keepReachable({ libp2p, transports, clock, logger }, signal))
  }
}

function measureConnections(meter: Meter, { libp2p, pendingConnections }: Host): void {
  const connections = (direction: 'inbound' | 'outbound') =>
    libp2p.getConnections().filter(connection => connection.direction === direction)
  for (const direction of ['inbound', 'outbound'] as const) {
    meter.gauge(
      'ipfscluster_net_connections',
      'Open connections with other peers',
      () => connections(direction).length,
      { direction },
    )
    meter.gauge(
      'ipfscluster_net_streams',
      'Open streams with other peers, by who opened the stream',
      () =>
        libp2p
          .getConnections()
          .reduce((sum, { streams }) => sum + streams.filter(one => one.direction === direction).length, 0),
      { direction },
    )
  }
  meter.gauge(
    'ipfscluster_net_pending_connections',
    'Inbound connections in the handshake',
    pendingConnections,
  )
}

/** Connected, named by somebody, or ourselves: peers whose addresses are not forgotten to make room. */
function storeRules(libp2p: Libp2p, book: PeerBook) {
  const self = libp2p.peerId.toString()
  return {
    isKept: (peer: PeerId) =>
      peer === self || book.isWanted(peer) || libp2p.getConnections(peerIdFromString(peer)).length > 0,
    onForgotten: (peer: PeerId) => book.forget(peer),
  }
}

type Greet = (peer: PeerInfo, signal: AbortSignal) => Promise<void>

/** Greets peers found by mDNS, as soon as somebody can. */
function createGreeter(scope: TaskScope, refusals: Refusals) {
  const { promise, resolve } = Promise.withResolvers<Greet>()
  let waiting = 0
  return {
    greetBy: resolve,
    found(peer: PeerInfo) {
      if (waiting >= MAX_GREETINGS) {
        refusals.count('too_many_discovered_peers')
        return
      }
      waiting++
      scope.run('mdns', async signal => {
        try {
          const greet = await raceSignal(promise, signal)
          await greet(peer, signal)
        } finally {
          waiting--
        }
      })
    },
  }
}
