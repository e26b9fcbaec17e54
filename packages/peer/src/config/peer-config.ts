/** From `service.json` to what the rooms are composed from. */
import { parseByteSize } from '@ipfs-cluster/base'
import { isAbsolute, join } from 'node:path'
import { ConfigError } from './errors.ts'
import { httpApiConfig } from './http-api.ts'
import { libp2pEndpoint } from './libp2p-endpoint.ts'
import { pubsubmonSection, statelessSection } from './sections.ts'
import type { Environment } from './section.ts'
import type { ServiceConfig } from './service-config.ts'
import { tracingConfig } from './tracing.ts'
import type { IpfsChoice, PeerConfig } from './types.ts'

/** The folder of the durable store, beside whatever store a Go peer has left. */
export const STORE_FOLDER = 'store'

const REBOOTSTRAP_MS = 30_000

/**
 * @param folder the config folder; relative paths in the configuration start there.
 * @param env where collectors of traces are looked for that the configuration does not name.
 * @throws ConfigError `CONFIG_UNSUPPORTED` for what this implementation does not have.
 */
export function toPeerConfig(config: ServiceConfig, folder: string, env: Environment = {}): PeerConfig {
  const { crdt } = config.consensus
  if (crdt === undefined) {
    throw new ConfigError(
      'consensus.raft: this implementation runs CRDT clusters only; use "ipfs-cluster-service init --consensus crdt" ' +
        'and import the pinset with "state export" of the Go peer',
      { code: 'CONFIG_UNSUPPORTED', key: 'consensus.raft' },
    )
  }
  const { cluster } = config
  const stateless = config.pin_tracker.stateless ?? statelessSection.initial
  const pubsubmon = config.monitor.pubsubmon ?? pubsubmonSection.initial
  const ipfs = ipfsChoice(config, folder)
  const { embedded, ipfshttp } = config.ipfs_connector
  const connector = embedded ?? ipfshttp
  const inFolder = (path: string) => (isAbsolute(path) ? path : join(folder, path))
  const allocator = { allocateBy: config.allocator.balanced?.allocate_by ?? ['freespace'] }
  return {
    folder,
    storePath: join(folder, STORE_FOLDER),
    ipfs,
    allocator,
    cluster: {
      peername: cluster.peername,
      replicationFactorMin: cluster.replication_factor_min,
      replicationFactorMax: cluster.replication_factor_max,
      stateSyncIntervalMs: cluster.state_sync_interval,
      pinRecoverIntervalMs: cluster.pin_recover_interval,
      monitorPingIntervalMs: cluster.monitor_ping_interval,
      peerWatchIntervalMs: cluster.peer_watch_interval,
      pinOnlyOnTrustedPeers: cluster.pin_only_on_trusted_peers,
      pinOnlyOnUntrustedPeers: cluster.pin_only_on_untrusted_peers,
      disableRepinning: cluster.disable_repinning,
      repinGracePeriodMs: cluster.repin_grace_period,
      followerMode: cluster.follower_mode,
      allocateBy: allocator.allocateBy,
      connectSwarmsDelayMs: connector?.connect_swarms_delay ?? 0,
      informerTriggerInterval: connector?.informer_trigger_interval ?? 0,
    },
    network: {
      listen: cluster.listen_multiaddress,
      announce: cluster.announce_multiaddress,
      noAnnounce: cluster.no_announce_multiaddress,
      secret: cluster.secret,
      enableRelayHop: cluster.enable_relay_hop,
      connectionManager: {
        highWater: cluster.connection_manager.high_water,
        lowWater: cluster.connection_manager.low_water,
        gracePeriodMs: cluster.connection_manager.grace_period,
      },
      resources: {
        enabled: cluster.resource_manager.enabled,
        memoryLimitBytes: cluster.resource_manager.memory_limit_bytes,
        fileDescriptorsLimit: cluster.resource_manager.file_descriptors_limit,
      },
      pubsub: {
        heartbeatIntervalMs: cluster.pubsub.heartbeat_interval,
        dFactor: cluster.pubsub.d_factor,
        historyGossip: cluster.pubsub.history_gossip,
        historyLength: cluster.pubsub.history_length,
        floodPublish: cluster.pubsub.flood_publish,
      },
      dialPeerTimeoutMs: cluster.dial_peer_timeout,
      mdns: cluster.mdns_interval > 0,
      followerMode: cluster.follower_mode,
      peerAddresses: cluster.peer_addresses,
      peerstorePath: inFolder(cluster.peerstore_file === '' ? 'peerstore' : cluster.peerstore_file),
      rebootstrapIntervalMs: REBOOTSTRAP_MS,
    },
    consensus: {
      clusterName: crdt.cluster_name,
      trustedPeers: crdt.trusted_peers.includes('*') ? 'all' : crdt.trusted_peers,
      batching: {
        maxBatchSize: crdt.batching.max_batch_size,
        maxBatchAgeMs: crdt.batching.max_batch_age,
        maxQueueSize: crdt.batching.max_queue_size,
      },
      rebroadcastIntervalMs: crdt.rebroadcast_interval,
    },
    tracker: {
      concurrentPins: stateless.concurrent_pins,
      priorityPinMaxAgeMs: stateless.priority_pin_max_age,
      priorityPinMaxRetries: stateless.priority_pin_max_retries,
      maxPinSize: Number(parseByteSize(stateless.max_pin_size || '0')),
    },
    monitor: { checkIntervalMs: pubsubmon.check_interval },
    informers: informers(config),
    restapi: config.api.restapi && httpApiConfig('restapi', config.api.restapi, folder),
    ...restHost(config),
    ...pinningService(config, folder),
    ...ipfsProxy(config, inFolder),
    ...metricsEndpoint(config),
    ...tracing(config, env),
  }
}

function restHost({ api: { restapi: api } }: ServiceConfig): Pick<PeerConfig, 'restHost'> {
  const host = api && libp2pEndpoint('restapi', api)
  return host === undefined ? {} : { restHost: host }
}

function pinningService(
  { api: { pinsvcapi: api } }: ServiceConfig,
  folder: string,
): Pick<PeerConfig, 'pinsvcapi' | 'pinsvcHost'> {
  if (api === undefined) return {}
  const host = libp2pEndpoint('pinsvcapi', api)
  return {
    pinsvcapi: httpApiConfig('pinsvcapi', api, folder),
    ...(host !== undefined && { pinsvcHost: host }),
  }
}

function ipfsProxy(
  { api: { ipfsproxy } }: ServiceConfig,
  inFolder: (path: string) => string,
): Pick<PeerConfig, 'ipfsproxy'> {
  if (ipfsproxy === undefined) return {}
  return {
    ipfsproxy: {
      listen: ipfsproxy.listen_multiaddress,
      nodeMultiaddress: ipfsproxy.node_multiaddress,
      nodeHttps: ipfsproxy.node_https,
      readTimeoutMs: ipfsproxy.read_timeout,
      readHeaderTimeoutMs: ipfsproxy.read_header_timeout,
      writeTimeoutMs: ipfsproxy.write_timeout,
      idleTimeoutMs: ipfsproxy.idle_timeout,
      maxHeaderBytes: ipfsproxy.max_header_bytes,
      extractHeadersExtra: ipfsproxy.extract_headers_extra,
      extractHeadersPath: ipfsproxy.extract_headers_path,
      extractHeadersTtlMs: ipfsproxy.extract_headers_ttl,
      ...(ipfsproxy.log_file !== '' && { logFile: inFolder(ipfsproxy.log_file) }),
    },
  }
}

function tracing({ observations, cluster }: ServiceConfig, env: Environment): Pick<PeerConfig, 'tracing'> {
  const section = observations.tracing
  return section?.enable_tracing === true ? { tracing: tracingConfig(section, cluster.peername, env) } : {}
}

function metricsEndpoint({ observations }: ServiceConfig): Pick<PeerConfig, 'metrics'> {
  const { metrics } = observations
  return metrics?.enable_stats === true ? { metrics: { listen: metrics.prometheus_endpoint } } : {}
}

function ipfsChoice({ ipfs_connector }: ServiceConfig, folder: string): IpfsChoice {
  const { embedded, ipfshttp } = ipfs_connector
  if (embedded !== undefined) {
    return {
      kind: 'embedded',
      config: {
        path: isAbsolute(embedded.folder) ? embedded.folder : join(folder, embedded.folder),
        listen: embedded.swarm_listen_multiaddress,
        bootstrap: embedded.bootstrap,
        storageMax: embedded.storage_max,
        routing: embedded.routing === 'dhtclient' ? 'dhtclient' : 'none',
        delegatedRouting: embedded.delegated_routing,
        ...(embedded.gateway_listen_multiaddress === ''
          ? {}
          : { gateway: embedded.gateway_listen_multiaddress }),
        gatewayFetch: embedded.gateway_fetch,
        pinTimeoutMs: embedded.pin_timeout,
        unpinDisable: embedded.unpin_disable,
        rpcListen: embedded.rpc_listen_multiaddress,
      },
    }
  }
  if (ipfshttp === undefined) {
    throw new ConfigError('ipfs_connector: no IPFS daemon is configured', {
      code: 'CONFIG_INVALID',
      key: 'ipfs_connector',
    })
  }
  return {
    kind: 'ipfshttp',
    config: {
      nodeMultiaddress: ipfshttp.node_multiaddress,
      ipfsRequestTimeoutMs: ipfshttp.ipfs_request_timeout,
      pinTimeoutMs: ipfshttp.pin_timeout,
      unpinTimeoutMs: ipfshttp.unpin_timeout,
      repogcTimeoutMs: ipfshttp.repogc_timeout,
      unpinDisable: ipfshttp.unpin_disable,
    },
  }
}

function informers({ informer: { disk, tags, pinqueue } }: ServiceConfig): PeerConfig['informers'] {
  return {
    disk: disk && {
      metricTtlMs: disk.metric_ttl,
      metricType: disk.metric_type === 'reposize' ? 'reposize' : 'freespace',
    },
    tags: tags && { metricTtlMs: tags.metric_ttl, tags: tags.tags },
    pinqueue: pinqueue && { metricTtlMs: pinqueue.metric_ttl, weightBucketSize: pinqueue.weight_bucket_size },
  }
}
