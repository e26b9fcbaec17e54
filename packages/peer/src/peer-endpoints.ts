/**
 * What of a peer listens for its users: REST API, IPFS proxy, Pinning Service API, metrics; each only when the configuration has it. For
 * `peer.ts`.
 */
import type { Clock, Logger, MeterRegistry, Random, Tracer } from '@ipfs-cluster/base'
import type { LevelStore } from '@ipfs-cluster/base/level-store'
import { describePeer, type Cluster } from './cluster/index.ts'
import type { PeerConfig } from './config/index.ts'
import type { Consensus } from './consensus/index.ts'
import type { HttpHandler } from './http/common/index.ts'
import { createMetricsServer } from './http/metrics/index.ts'
import { createPinningService, pinningServiceRouteOf } from './http/pinsvc/index.ts'
import {
  createHandlerUpstream,
  createHttpUpstream,
  createIpfsProxy,
  proxyRouteOf,
} from './http/proxy/index.ts'
import { createRestApi } from './http/rest/index.ts'
import type { IpfsConnector } from './ipfsconn/index.ts'
import type { PeerMonitor } from './monitor/index.ts'
import { createHttpHost, type Network } from './net/index.ts'
import { createHealthProbe, createStoreMetrics } from './observations/index.ts'
import { restRouteOf, tracedRequests } from './tracing/index.ts'
import { VERSION } from './version.ts'

export interface PeerEndpoints {
  /** `http://127.0.0.1:9094`; none when the REST API is off. */
  readonly restUrls: readonly string[]
  /** Of the REST API over libp2p, with /p2p; none when that is off. */
  readonly restAddresses: readonly string[]
  /** `http://127.0.0.1:9095` of the IPFS proxy; none when it is off. */
  readonly proxyUrls: readonly string[]
  /** `http://127.0.0.1:9097` of the Pinning Service API; none when it is off. */
  readonly pinningUrls: readonly string[]
  /** Of the Pinning Service API over libp2p, with /p2p; none when that is off. */
  readonly pinningAddresses: readonly string[]
  /** `http://127.0.0.1:8888/metrics`; none when the Prometheus endpoint is off. */
  readonly metricsUrls: readonly string[]
}

export interface EndpointParts {
  readonly store: LevelStore
  readonly network: Network
  readonly cluster: Cluster
  readonly consensus: Consensus
  readonly monitor: PeerMonitor
  readonly ipfs: IpfsConnector
  /** Kubo's RPC of a daemon in this process. */
  readonly rpc: HttpHandler | undefined
  readonly pinCount: () => number
  /** Shown at `/debug/vars` of the metrics endpoint. */
  readonly vars: (() => Readonly<Record<string, unknown>>) | undefined
  readonly clock: Clock
  readonly random: Random
  readonly meter: MeterRegistry
  readonly logger: Logger
  readonly tracer: Tracer
}

interface Endpoint {
  readonly urls: readonly string[]
  /** Over libp2p. */
  readonly addresses: readonly string[]
}

const OFF: Endpoint = { urls: [], addresses: [] }

export async function startEndpoints(
  config: PeerConfig,
  parts: EndpointParts,
  stack: AsyncDisposableStack,
): Promise<PeerEndpoints> {
  const rest = await startRest(config, parts, stack)
  const proxy = await startProxy(config, parts, stack)
  const pinning = await startPinningService(config, parts, stack)
  const metrics = await startMetrics(config, parts, stack)
  return {
    restUrls: rest.urls,
    restAddresses: rest.addresses,
    proxyUrls: proxy.urls,
    pinningUrls: pinning.urls,
    pinningAddresses: pinning.addresses,
    metricsUrls: metrics.urls.map(url => `${url}/metrics`),
  }
}

async function startRest(
  { restapi, restHost }: PeerConfig,
  parts: EndpointParts,
  stack: AsyncDisposableStack,
): Promise<Endpoint> {
  const { cluster, clock, meter, tracer } = parts
  const logger = parts.logger.child('restapi')
  const probe = createHealthProbe({ ...parts, ready: cluster.ready })
  const host = restHost && stack.use(await createHttpHost({ clock, meter, logger }, restHost))
  const addresses = host?.addresses ?? []
  if (restapi === undefined) return { urls: [], addresses }
  const around = (handle: HttpHandler) => tracedRequests(handle, restRouteOf, tracer)
  const { urls } = stack.use(
    await createRestApi({ cluster, clock, logger, connections: host, meter, probe, around }, restapi),
  )
  return { urls, addresses }
}

async function startProxy(
  { ipfsproxy }: PeerConfig,
  { cluster, ipfs, rpc, clock, meter, logger: parent, tracer }: EndpointParts,
  stack: AsyncDisposableStack,
): Promise<Endpoint> {
  if (ipfsproxy === undefined) return OFF
  const logger = parent.child('ipfsproxy')
  const upstream =
    rpc === undefined
      ? stack.use(createHttpUpstream({ clock, logger }, ipfsproxy))
      : createHandlerUpstream(rpc, logger)
  const around = (handle: HttpHandler) => tracedRequests(handle, proxyRouteOf, tracer)
  const components = { cluster, ipfs, upstream, clock, meter, logger, around }
  const { urls } = stack.use(await createIpfsProxy(components, ipfsproxy))
  return { urls, addresses: [] }
}

async function startPinningService(
  { pinsvcapi, pinsvcHost, cluster: { followerMode } }: PeerConfig,
  { network, cluster, consensus, monitor, pinCount, clock, meter, logger: parent, tracer }: EndpointParts,
  stack: AsyncDisposableStack,
): Promise<Endpoint> {
  if (pinsvcapi === undefined) return OFF
  const logger = parent.child('pinsvcapi')
  const host = pinsvcHost && stack.use(await createHttpHost({ clock, meter, logger }, pinsvcHost))
  const { urls } = stack.use(
    await createPinningService(
      {
        cluster,
        pins: consensus.state,
        pinCount,
        members: () => (followerMode ? [network.peerId] : monitor.members()),
        ipfsAddressesOf: peer => describePeer(monitor, peer).ipfsAddresses,
        connections: host,
        clock,
        meter,
        logger,
        around: handle => tracedRequests(handle, pinningServiceRouteOf, tracer),
      },
      pinsvcapi,
    ),
  )
  return { urls, addresses: host?.addresses ?? [] }
}

async function startMetrics(
  { metrics, storePath }: PeerConfig,
  { store, meter, clock, logger: parent, vars }: EndpointParts,
  stack: AsyncDisposableStack,
): Promise<Endpoint> {
  if (metrics === undefined) return OFF
  const logger = parent.child('metrics')
  const { refresh } = createStoreMetrics({ store, meter, clock, logger: parent }, storePath)
  const all = () => ({ version: VERSION, ...vars?.() })
  const { urls } = stack.use(await createMetricsServer({ meter, refresh, vars: all, clock, logger }, metrics))
  return { urls, addresses: [] }
}
