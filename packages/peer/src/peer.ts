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
  type Tracer,
} from '@ipfs-cluster/base'
import { openLevelStore, type LevelStore } from '@ipfs-cluster/base/level-store'
import { createCluster, createScratch, createTurns, describePeer, type Cluster } from './cluster/index.ts'
import type { PeerConfig } from './config/index.ts'
import { createCrdtConsensus } from './consensus/index.ts'
import type { Identity } from './identity/index.ts'
import { createInformers } from './informer/index.ts'
import type { IpfsConnector } from './ipfsconn/index.ts'
import { createMonitor } from './monitor/index.ts'
import { createNetwork, decodeMetric, encodeMetric, type Network } from './net/index.ts'
import { createLoopUtilization } from './observations/index.ts'
import { startEndpoints, type PeerEndpoints } from './peer-endpoints.ts'
import { startIpfs, type StartedIpfs } from './peer-ipfs.ts'
import { createPinTracker } from './pintracker/index.ts'
import {
  createTracing,
  tracedCluster,
  tracedConnector,
  tracedConsensus,
  tracedNetwork,
  tracedOperations,
} from './tracing/index.ts'

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

export interface ClusterPeer extends AsyncDisposable, PeerEndpoints {
  readonly id: PeerId
  readonly cluster: Cluster
  /** Listening addresses of the private network, with /p2p. */
  readonly addresses: readonly string[]
  /** Of the built-in IPFS node, when it has one. */
  readonly gatewayUrl: string | undefined
  /**
   * Gives back memory that only serves speed, for when there is little to do: questions asked meanwhile wait for some tens of milliseconds. False when all of
   * it is in use.
   *
   * @throws StoreError when the disk is not fit for it. The peer goes on.
   */
  returnMemory(): Promise<boolean>
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
  const store = await openStore(config.storePath, logger, stack)
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
  const node: StartedIpfs = overrides.ipfs
    ? { daemon: overrides.ipfs, gatewayUrl: undefined }
    : await startIpfs(config, { clock, random, meter, logger, ...tracing }, stack)
  const ipfs = tracedConnector(node.daemon, tracer)
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
  const turns = createTurns(clock)
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
        isAwaited: turns.isAwaited,
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
  const pinCount = () => Object.values(tracker.stats().counts).reduce((sum, count) => sum + count, 0)
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
          pinCount,
          turns,
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
  const endpoints = await startEndpoints(
    config,
    {
      store,
      network,
      cluster,
      consensus,
      monitor,
      ipfs,
      rpc: node.rpc,
      pinCount,
      vars: overrides.vars,
      clock,
      random,
      meter,
      logger,
      tracer,
    },
    stack,
  )

  bootstrap(cluster, config.join ?? [], logger, stack)
  return ownedPeer(stack.move(), { network, cluster, endpoints, node, store, logger })
}

/** Looks for the cluster of `join` in the background. */
function bootstrap(
  cluster: Cluster,
  join: readonly string[],
  logger: Logger,
  stack: AsyncDisposableStack,
): void {
  const scope = stack.use(createTaskScope(logger))
  scope.run('bootstrap', signal => cluster.bootstrap(join, { signal }))
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

function ownedPeer(
  stack: AsyncDisposableStack,
  {
    network,
    cluster,
    endpoints,
    node,
    store,
    logger,
  }: {
    readonly network: Network
    readonly cluster: Cluster
    readonly endpoints: PeerEndpoints
    readonly node: StartedIpfs
    readonly store: LevelStore
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
    ...endpoints,
    gatewayUrl: node.gatewayUrl,
    async returnMemory() {
      const isReturned = await store.unmapFiles()
      return (await node.returnMemory?.()) === true || isReturned
    },
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

async function openStore(path: string, logger: Logger, stack: AsyncDisposableStack): Promise<LevelStore> {
  const store = stack.use(await openLevelStore(path))
  // After everything else has stopped, so that the next start has nothing to read.
  stack.defer(async () => {
    await store.emptyLog().catch((error: unknown) => {
      logger.debug({ error: errorMessage(error) }, 'the next start reads the log of the store')
    })
  })
  return store
}
