/**
 * A cluster peer, composed in one place, top to bottom: store, network, IPFS daemon, monitor, consensus, tracker, informers, cluster,
 * HTTP. Stopping is the same list backwards, awaited.
 */
import type { PeerId } from '@ipfs-cluster/api'
import {
  createMeter,
  createTaskScope,
  errorMessage,
  silentLogger,
  systemClock,
  systemRandom,
  type Clock,
  type Logger,
  type MeterRegistry,
  type Random,
} from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import { createIpfsNode } from '@ipfs-cluster/ipfs'
import { createCluster, describePeer, type Cluster } from './cluster/index.ts'
import type { PeerConfig } from './config/index.ts'
import { createCrdtConsensus } from './consensus/index.ts'
import { createMetricsServer } from './http/metrics/index.ts'
import { createRestApi, type HttpApi } from './http/rest/index.ts'
import type { Identity } from './identity/index.ts'
import { createInformers } from './informer/index.ts'
import { createEmbeddedConnector, createKuboConnector, type IpfsConnector } from './ipfsconn/index.ts'
import { createMonitor } from './monitor/index.ts'
import { createNetwork, decodeMetric, encodeMetric, type Network } from './net/index.ts'
import { createPinTracker } from './pintracker/index.ts'

/** What a peer is made of: its configuration and who it is. */
export interface ClusterPeerConfig extends PeerConfig {
  readonly identity: Identity
  /** Multiaddrs (with /p2p) of peers whose cluster to join once started. */
  readonly join?: readonly string[]
}

/** Parts that the caller brings instead of ours. */
export interface ClusterPeerOverrides {
  readonly clock?: Clock
  readonly random?: Random
  readonly logger?: Logger
  /** Where the peer's parts report what happens to them. */
  readonly meter?: MeterRegistry
  /** Replaces the connector that the configuration names; stays the caller's to dispose of. */
  readonly ipfs?: IpfsConnector
}

export interface ClusterPeer extends AsyncDisposable {
  readonly id: PeerId
  readonly cluster: Cluster
  /** Listening addresses of the private network, with /p2p. */
  readonly addresses: readonly string[]
  /** `http://127.0.0.1:9094`; none when the REST API is off. */
  readonly restUrls: readonly string[]
  /** `http://127.0.0.1:8888/metrics`; none when the Prometheus endpoint is off. */
  readonly metricsUrls: readonly string[]
  /** Of the built-in IPFS node, when it has one. */
  readonly gatewayUrl: string | undefined
}

/**
 * Starts a peer. Resolves when it answers; `cluster.ready` when its IPFS daemon does, too.
 *
 * @throws StoreError, NetworkError, IpfsNodeError or HttpError when a part cannot start; what had started is stopped again.
 */
export async function createClusterPeer(
  config: ClusterPeerConfig,
  overrides: ClusterPeerOverrides = {},
): Promise<ClusterPeer> {
  const { clock = systemClock, random = systemRandom, logger = silentLogger } = overrides
  const { meter = createMeter() } = overrides
  await using stack = new AsyncDisposableStack()

  const store = stack.use(await openLevelStore(config.storePath))
  const network = stack.use(
    await createNetwork(
      { identity: config.identity, clock, random, meter, logger: logger.child('net') },
      config.network,
    ),
  )
  const self = network.peerId
  const { ipfs, gatewayUrl } = overrides.ipfs
    ? { ipfs: overrides.ipfs, gatewayUrl: undefined }
    : await startIpfs(config, { clock, random, logger }, stack)
  const monitor = stack.use(
    createMonitor(
      {
        selfId: self,
        pubsub: network,
        codec: { encode: encodeMetric, decode: decodeMetric },
        clock,
        meter,
        logger: logger.child('monitor'),
      },
      config.monitor,
    ),
  )
  const consensus = stack.use(
    await createCrdtConsensus(
      { store, network, clock, random, meter, logger: logger.child('crdt') },
      config.consensus,
    ),
  )
  const tracker = stack.use(
    await createPinTracker(
      {
        store,
        state: consensus.state,
        changes: consensus.changes,
        ipfs,
        self: {
          id: self,
          info: () => ({ ...describePeer(monitor, self), peerName: config.cluster.peername }),
        },
        clock,
        random,
        logger: logger.child('pintracker'),
      },
      config.tracker,
    ),
  )
  const informers = stack.use(
    createInformers(
      {
        selfId: self,
        ipfs,
        tracker,
        monitor,
        clock,
        logger: logger.child('diskinfo'),
      },
      config.informers,
    ),
  )
  const cluster = stack.use(
    createCluster(
      { network, consensus, monitor, tracker, ipfs, informers, clock, logger: logger.child('cluster') },
      config.cluster,
    ),
  )
  const rest =
    config.restapi &&
    stack.use(await createRestApi({ cluster, clock, logger: logger.child('restapi') }, config.restapi))
  const metrics =
    config.metrics &&
    stack.use(await createMetricsServer({ meter, clock, logger: logger.child('metrics') }, config.metrics))

  const scope = stack.use(createTaskScope(logger))
  scope.run('bootstrap', signal => cluster.bootstrap(config.join ?? [], { signal }))
  return ownedPeer(stack.move(), { network, cluster, rest, metrics, gatewayUrl, logger })
}

async function startIpfs(
  config: PeerConfig,
  { clock, random, logger }: { readonly clock: Clock; readonly random: Random; readonly logger: Logger },
  stack: AsyncDisposableStack,
): Promise<{ readonly ipfs: IpfsConnector; readonly gatewayUrl: string | undefined }> {
  const choice = config.ipfs
  if (choice.kind === 'ipfshttp') {
    const kubo = createKuboConnector({ clock, logger: logger.child('ipfshttp') }, choice.config)
    return { ipfs: stack.use(kubo), gatewayUrl: undefined }
  }
  const node = stack.use(await createIpfsNode({ clock, random, logger: logger.child('ipfs') }, choice.config))
  const embedded = createEmbeddedConnector({ node, clock, logger: logger.child('ipfshttp') }, choice.config)
  return { ipfs: stack.use(embedded), gatewayUrl: node.gatewayUrl }
}

function ownedPeer(
  stack: AsyncDisposableStack,
  {
    network,
    cluster,
    rest,
    metrics,
    gatewayUrl,
    logger,
  }: {
    readonly network: Network
    readonly cluster: Cluster
    readonly rest: HttpApi | undefined
    readonly metrics: { readonly urls: readonly string[] } | undefined
    readonly gatewayUrl: string | undefined
    readonly logger: Logger
  },
): ClusterPeer {
  return {
    id: network.peerId,
    cluster,
    addresses: network.addresses(),
    restUrls: rest?.urls ?? [],
    metricsUrls: (metrics?.urls ?? []).map(url => `${url}/metrics`),
    gatewayUrl,
    async [Symbol.asyncDispose]() {
      if (stack.disposed) return
      // Before anything stops: the addresses are still known.
      await network.savePeerstore().catch((error: unknown) => {
        logger.warn({ error: errorMessage(error) }, 'cannot save the peerstore file')
      })
      await stack.disposeAsync()
    },
  }
}
