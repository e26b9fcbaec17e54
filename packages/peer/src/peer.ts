/**
 * A cluster peer, composed in one place, top to bottom: store, network, IPFS daemon, monitor, consensus, tracker, informers, cluster,
 * HTTP. Stopping is the same list backwards, awaited.
 */
import type { PeerId } from '@ipfs-cluster/api'
import {
  createMeter,
  createTaskScope,
  errorMessage,
  noopTracer,
  silentLogger,
  systemClock,
  systemRandom,
  traceHeaders,
  type Clock,
  type Logger,
  type MeterRegistry,
  type Random,
  type TraceHeaders,
  type Tracer,
} from '@ipfs-cluster/base'
import { openLevelStore, type LevelStore } from '@ipfs-cluster/base/level-store'
import { createCluster, createScratch, describePeer, type Cluster } from './cluster/index.ts'
import type { PeerConfig } from './config/index.ts'
import { createCrdtConsensus } from './consensus/index.ts'
import type { HttpHandler } from './http/common/index.ts'
import { createMetricsServer } from './http/metrics/index.ts'
import { createHttpUpstream, createIpfsProxy, proxyRouteOf } from './http/proxy/index.ts'
import { createRestApi, type HttpApi } from './http/rest/index.ts'
import type { Identity } from './identity/index.ts'
import { createInformers } from './informer/index.ts'
import { createEmbeddedConnector, createKuboConnector, type IpfsConnector } from './ipfsconn/index.ts'
import { createMonitor } from './monitor/index.ts'
import {
  createHttpHost,
  createNetwork,
  decodeMetric,
  encodeMetric,
  type HttpHost,
  type Network,
} from './net/index.ts'
import { createHealthProbe, createLoopUtilization, createStoreMetrics } from './observations/index.ts'
import { createPinTracker } from './pintracker/index.ts'
import {
  createTracing,
  restRouteOf,
  tracedCluster,
  tracedConnector,
  tracedConsensus,
  tracedNetwork,
  tracedOperations,
  tracedRequests,
} from './tracing/index.ts'
import { VERSION } from './version.ts'

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
  /** Where they tell what they spend time on, whatever the configuration says of tracing. */
  readonly tracer?: Tracer
  /** Shown at `/debug/vars` of the metrics endpoint; nothing secret. */
  readonly vars?: () => Readonly<Record<string, unknown>>
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
  /** Of the REST API over libp2p, with /p2p; none when that is off. */
  readonly restAddresses: readonly string[]
  /** `http://127.0.0.1:9095` of the IPFS proxy; none when it is off. */
  readonly proxyUrls: readonly string[]
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

  const tracer = overrides.tracer ?? startTracing(config, { clock, random, meter, logger }, stack)
  const tracing = tracer === noopTracer ? {} : { trace: () => traceHeaders(tracer) }
  const store = stack.use(await openLevelStore(config.storePath))
  const network = tracedNetwork(
    stack.use(
      await createNetwork(
        { identity: config.identity, clock, random, meter, logger: logger.child('net'), ...tracing },
        config.network,
      ),
    ),
    tracer,
  )
  const self = network.peerId
  const { daemon, gatewayUrl } = overrides.ipfs
    ? { daemon: overrides.ipfs, gatewayUrl: undefined }
    : await startIpfs(config, { clock, random, meter, logger, ...tracing }, stack)
  const ipfs = tracedConnector(daemon, tracer)
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
  const consensus = tracedConsensus(
    stack.use(
      await createCrdtConsensus(
        { store, network, clock, random, meter, logger: logger.child('crdt') },
        config.consensus,
      ),
    ),
    tracer,
  )
  const tracker = stack.use(
    await createPinTracker(
      {
        store,
        state: consensus.state,
        changes: consensus.changes,
        ipfs: tracedOperations(ipfs, tracer),
        self: {
          id: self,
          info: () => ({ ...describePeer(monitor, self), peerName: config.cluster.peername }),
        },
        clock,
        random,
        meter,
        utilization: createLoopUtilization(clock),
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
        meter,
        logger: logger.child('diskinfo'),
      },
      config.informers,
    ),
  )
  const cluster = tracedCluster(
    stack.use(
      createCluster(
        {
          network,
          consensus,
          monitor,
          tracker,
          ipfs,
          informers,
          scratch: await createScratch(`${config.storePath}.scratch`),
          store,
          pinCount: () => Object.values(tracker.stats().counts).reduce((sum, count) => sum + count, 0),
          meter,
          clock,
          tracer,
          logger: logger.child('cluster'),
        },
        config.cluster,
      ),
    ),
    tracer,
  )
  const probe = createHealthProbe({ store, consensus, network, ipfs, ready: cluster.ready, clock, random })
  const restHost =
    config.restHost &&
    stack.use(await createHttpHost({ clock, meter, logger: logger.child('restapi') }, config.restHost))
  const rest =
    config.restapi &&
    stack.use(
      await createRestApi(
        {
          cluster,
          clock,
          logger: logger.child('restapi'),
          connections: restHost,
          meter,
          probe,
          around: handle => tracedRequests(handle, restRouteOf, tracer),
        },
        config.restapi,
      ),
    )
  const proxy = await startProxy(config, { cluster, ipfs, clock, meter, logger, tracer }, stack)
  const metrics = await startMetrics(config, { store, meter, clock, logger, vars: overrides.vars }, stack)

  const scope = stack.use(createTaskScope(logger))
  scope.run('bootstrap', signal => cluster.bootstrap(config.join ?? [], { signal }))
  return ownedPeer(stack.move(), { network, cluster, rest, restHost, proxy, metrics, gatewayUrl, logger })
}

/** Disposed last, so that it learns how the other parts end. */
function startTracing(
  config: ClusterPeerConfig,
  {
    logger,
    ...parts
  }: {
    readonly clock: Clock
    readonly random: Random
    readonly meter: MeterRegistry
    readonly logger: Logger
  },
  stack: AsyncDisposableStack,
): Tracer {
  if (config.tracing === undefined) return noopTracer
  const components = { ...parts, logger: logger.child('tracing'), selfId: config.identity.id }
  return stack.use(createTracing(components, config.tracing)).tracer
}

async function startProxy(
  { ipfsproxy }: PeerConfig,
  {
    tracer,
    logger,
    ...parts
  }: {
    readonly cluster: Cluster
    readonly ipfs: IpfsConnector
    readonly clock: Clock
    readonly meter: MeterRegistry
    readonly logger: Logger
    readonly tracer: Tracer
  },
  stack: AsyncDisposableStack,
): Promise<{ readonly urls: readonly string[] } | undefined> {
  if (ipfsproxy === undefined) return undefined
  const own = { ...parts, logger: logger.child('ipfsproxy') }
  const upstream = stack.use(createHttpUpstream(own, ipfsproxy))
  const around = (handle: HttpHandler) => tracedRequests(handle, proxyRouteOf, tracer)
  return stack.use(await createIpfsProxy({ ...own, upstream, around }, ipfsproxy))
}

interface MetricsParts {
  readonly store: LevelStore
  readonly meter: MeterRegistry
  readonly clock: Clock
  readonly logger: Logger
  readonly vars: ClusterPeerOverrides['vars']
}

async function startMetrics(
  { metrics, storePath }: PeerConfig,
  { store, meter, clock, logger, vars }: MetricsParts,
  stack: AsyncDisposableStack,
): Promise<{ readonly urls: readonly string[] } | undefined> {
  if (metrics === undefined) return undefined
  const { refresh } = createStoreMetrics({ store, meter, clock, logger }, storePath)
  const all = () => ({ version: VERSION, ...vars?.() })
  const components = { meter, refresh, vars: all, clock, logger: logger.child('metrics') }
  return stack.use(await createMetricsServer(components, metrics))
}

interface IpfsParts {
  readonly clock: Clock
  readonly random: Random
  readonly meter: MeterRegistry
  readonly logger: Logger
  readonly trace?: () => TraceHeaders | undefined
}

async function startIpfs(
  config: PeerConfig,
  { clock, random, meter, logger, ...tracing }: IpfsParts,
  stack: AsyncDisposableStack,
): Promise<{ readonly daemon: IpfsConnector; readonly gatewayUrl: string | undefined }> {
  const choice = config.ipfs
  if (choice.kind === 'ipfshttp') {
    const components = { clock, meter, logger: logger.child('ipfshttp'), ...tracing }
    const kubo = createKuboConnector(components, choice.config)
    return { daemon: stack.use(kubo), gatewayUrl: undefined }
  }
  // Beside Kubo none of it is needed.
  const { createIpfsNode } = await import('@ipfs-cluster/ipfs')
  const node = stack.use(await createIpfsNode({ clock, random, logger: logger.child('ipfs') }, choice.config))
  const components = { node, clock, meter, logger: logger.child('ipfshttp') }
  const embedded = createEmbeddedConnector(components, choice.config)
  return { daemon: stack.use(embedded), gatewayUrl: node.gatewayUrl }
}

function ownedPeer(
  stack: AsyncDisposableStack,
  {
    network,
    cluster,
    rest,
    restHost,
    proxy,
    metrics,
    gatewayUrl,
    logger,
  }: {
    readonly network: Network
    readonly cluster: Cluster
    readonly rest: HttpApi | undefined
    readonly restHost: HttpHost | undefined
    readonly proxy: { readonly urls: readonly string[] } | undefined
    readonly metrics: { readonly urls: readonly string[] } | undefined
    readonly gatewayUrl: string | undefined
    readonly logger: Logger
  },
): ClusterPeer {
  let hasBeenReady = false
  cluster.ready.then(
    () => (hasBeenReady = true),
    // The cluster logs why.
    () => undefined,
  )
  return {
    id: network.peerId,
    cluster,
    addresses: network.addresses(),
    restUrls: rest?.urls ?? [],
    restAddresses: restHost?.addresses ?? [],
    proxyUrls: proxy?.urls ?? [],
    metricsUrls: (metrics?.urls ?? []).map(url => `${url}/metrics`),
    gatewayUrl,
    async [Symbol.asyncDispose]() {
      if (stack.disposed) return
      // Before anything stops: the addresses are still known. A peer that never became ready knows no better than the file.
      if (hasBeenReady) {
        await network.savePeerstore().catch((error: unknown) => {
          logger.warn({ error: errorMessage(error) }, 'cannot save the peerstore file')
        })
      }
      await stack.disposeAsync()
    },
  }
}
