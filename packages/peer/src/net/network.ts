import type { PeerInfo } from '@libp2p/interface'
import {
  createTaskScope,
  raceSignal,
  type Clock,
  type Logger,
  type Random,
  type TaskScope,
} from '@ipfs-cluster/base'
import { createBitswap } from '@ipfs-cluster/bitswap'
import type { Identity } from '../identity/index.ts'
import { withPeer } from './addresses.ts'
import { createBootstrapper, type Bootstrapper } from './bootstrap.ts'
import { createDialer, storedAddresses } from './dialer.ts'
import { createHost } from './host.ts'
import { createPeerImporter } from './peer-import.ts'
import { createPeerBook, HIGHEST_PRIORITY } from './peers.ts'
import { writePeerstore } from './peerstore-file.ts'
import { createPubsub } from './pubsub.ts'
import { createRpcHost } from './rpc-host.ts'
import type { Network, NetworkConfig } from './types.ts'

export interface NetworkComponents {
  readonly identity: Identity
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

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
  const { clock, random, logger } = components
  await using stack = new AsyncDisposableStack()
  const scope = stack.use(createTaskScope(logger))
  const greeter = Promise.withResolvers<(peer: PeerInfo, signal: AbortSignal) => Promise<void>>()
  const onPeerFound = (peer: PeerInfo) =>
    scope.run('mdns', async signal => {
      const greet = await raceSignal(greeter.promise, signal)
      await greet(peer, signal)
    })
  const host = stack.use(await createHost({ ...components, onPeerFound }, config))
  const { libp2p } = host
  const dialer = createDialer(libp2p, clock, config.dialPeerTimeoutMs)
  const book = stack.use(createPeerBook(libp2p, random))
  const importer = createPeerImporter({ libp2p, book, clock, logger })
  const bootstrapper = createBootstrapper({ libp2p, book, dialer, clock, random, logger })
  await importer.importPeers(config.peerAddresses, { permanent: true, priority: HIGHEST_PRIORITY })
  await importer.importFile(config.peerstorePath)
  const pubsub = stack.use(createPubsub(libp2p, host.pubsub, logger))
  const rpc = stack.use(await createRpcHost({ libp2p, dialer, clock, logger }))
  const exchanges = stack.use(new AsyncDisposableStack())
  greeter.resolve((peer, signal) => bootstrapper.greet(peer, signal))
  startLoops(scope, bootstrapper, config)
  // Disposed first, so that nothing starts on what is being closed.
  stack.use(scope)
  const owned = stack.move()
  let closing: Promise<void> | undefined
  return {
    peerId: libp2p.peerId.toString(),
    addresses: () => libp2p.getMultiaddrs().map(address => address.toString()),
    addressesOf: async peer => (await storedAddresses(libp2p, peer)).map(address => withPeer(address, peer)),
    connectedPeers: () => libp2p.getPeers().map(peer => peer.toString()),
    connect: (address, options) => dialer.dialAddress(address, options),
    importPeers: (addresses, options) => importer.importPeers(addresses, options),
    bootstrap: options => bootstrapper.bootstrap(options),
    protect: peer => book.protect(peer),
    async savePeerstore() {
      const peers = await book.candidates()
      await writePeerstore(config.peerstorePath, peers.slice(0, MAX_SAVED_PEERS))
    },
    publish: (topic, data) => pubsub.publish(topic, data),
    subscribe: (topic, handler, options) => pubsub.subscribe(topic, handler, options),
    rpc: rpc.client,
    serve: (handlers, isTrusted) => rpc.serve(handlers, isTrusted),
    exchange: async blocks => exchanges.use(await createBitswap({ libp2p, blocks, clock, logger })),
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
