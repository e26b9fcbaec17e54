/** The sections of `service.json`, key by key, in the order in which Go writes them (reference api.md 5.3 to 5.5). */
import {
  address,
  addresses,
  addressList,
  bool,
  byteSize,
  credentials,
  duration,
  float,
  forgivingDuration,
  headerMap,
  hiddenText,
  int,
  peerIds,
  secret,
  text,
  textList,
  textMap,
} from './kinds.ts'
import { factorProblem } from './replication.ts'
import { field, nested, section } from './section.ts'
import { otlpProblem } from './tracing.ts'

const MINUTE = 60_000
const HOUR = 60 * MINUTE

const positive = (value: number) => (value > 0 ? undefined : `must be greater than 0, not ${value}`)
const notNegative = (value: number) => (value >= 0 ? undefined : `must not be negative (found ${value})`)

const zeroField = <T>(
  kind: Parameters<typeof field<T>>[0],
  initial: T,
  options: Parameters<typeof field<T>>[2] = {},
) => field(kind, initial, { missing: 'zero', ...options })

const connectionManager = section(
  'connection_manager',
  {
    high_water: zeroField(int, 400, { check: positive }),
    low_water: zeroField(int, 100, { check: positive }),
    grace_period: field(duration, 2 * MINUTE, { check: positive }),
  },
  values => (values.low_water > values.high_water ? 'low_water is greater than high_water' : undefined),
)

const resourceManager = section('resource_manager', {
  enabled: zeroField(bool, true),
  memory_limit_bytes: field(int, 0, { check: notNegative }),
  file_descriptors_limit: field(int, 0, { check: notNegative }),
})

const pubsub = section('pubsub', {
  seen_messages_ttl: field(duration, 30 * MINUTE, { check: positive }),
  heartbeat_interval: field(duration, 10_000, { check: positive }),
  d_factor: zeroField(int, 4, { check: positive }),
  history_gossip: zeroField(int, 2, { check: positive }),
  history_length: zeroField(int, 6, { check: positive }),
  flood_publish: zeroField(bool, false),
})

export const clusterSection = section(
  '',
  {
    id: zeroField(text, '', { omit: value => value === '' }),
    peername: field(text, ''),
    private_key: zeroField(hiddenText, '', { hidden: true, omit: value => value === '' }),
    secret: zeroField(secret, undefined, { hidden: true }),
    leave_on_shutdown: zeroField(bool, false),
    listen_multiaddress: zeroField(addresses, ['/ip4/0.0.0.0/tcp/9096', '/ip4/0.0.0.0/udp/9096/quic'], {
      check: value => (value.length === 0 ? 'cluster.listen_multiaddress is undefined' : undefined),
    }),
    announce_multiaddress: zeroField(addresses, []),
    no_announce_multiaddress: zeroField(addresses, []),
    enable_relay_hop: zeroField(bool, true),
    connection_manager: nested(connectionManager),
    resource_manager: nested(resourceManager),
    pubsub: nested(pubsub),
    dial_peer_timeout: field(duration, 3_000, { check: positive }),
    state_sync_interval: field(duration, 5 * MINUTE, { check: positive }),
    pin_recover_interval: field(duration, 12 * MINUTE, { check: positive }),
    replication_factor_min: field(int, -1, { emptyIsDefault: true }),
    replication_factor_max: field(int, -1, { emptyIsDefault: true }),
    monitor_ping_interval: field(duration, 15_000, { check: positive }),
    peer_watch_interval: field(duration, 5_000, { check: positive }),
    mdns_interval: field(duration, 10_000, { check: notNegative }),
    pin_only_on_trusted_peers: zeroField(bool, false),
    pin_only_on_untrusted_peers: zeroField(bool, false),
    disable_repinning: zeroField(bool, true),
    // Not of Go, which moves the pins of a peer as soon as its ping expires.
    repin_grace_period: field(duration, 2 * MINUTE, {
      omit: value => value === 2 * MINUTE,
      check: notNegative,
    }),
    follower_mode: zeroField(bool, false, { omit: value => !value }),
    peerstore_file: zeroField(text, '', { omit: value => value === '' }),
    peer_addresses: zeroField(addressList, []),
  },
  values => {
    if (values.pin_only_on_trusted_peers && values.pin_only_on_untrusted_peers) {
      return 'cluster.pin_only_on_trusted_peers and pin_only_on_untrusted_peers cannot both be true'
    }
    return factorProblem(values.replication_factor_min, values.replication_factor_max)
  },
)

const batching = section('crdt.batching', {
  // Without a positive value of both, there is no batching.
  max_batch_size: zeroField(int, 0),
  max_batch_age: zeroField(forgivingDuration(0), 0),
  max_queue_size: field(int, 50_000, {
    emptyIsDefault: true,
    omit: value => value === 50_000,
    check: positive,
  }),
})

export const crdtSection = section('crdt', {
  cluster_name: field(text, 'ipfs-cluster', { emptyIsDefault: true }),
  trusted_peers: zeroField(peerIds({ all: true }), ['*']),
  batching: nested(batching),
  repair_interval: field(forgivingDuration(HOUR), HOUR, {
    emptyIsDefault: true,
    check: notNegative,
  }),
  rebroadcast_interval: field(forgivingDuration(MINUTE), MINUTE, {
    omit: value => value === MINUTE,
    check: positive,
  }),
  peerset_metric: field(text, 'ping', { emptyIsDefault: true, omit: value => value === 'ping' }),
  datastore_namespace: field(text, '/c', { emptyIsDefault: true, omit: value => value === '/c' }),
})

export const raftSection = section('raft', {
  data_folder: zeroField(text, '', { omit: value => value === '' }),
  init_peerset: zeroField(textList, []),
  wait_for_leader_timeout: field(duration, 15_000),
  network_timeout: field(duration, 10_000),
  commit_retries: zeroField(int, 1),
  commit_retry_delay: field(duration, 200),
  backups_rotate: field(int, 6),
  heartbeat_timeout: field(duration, 1_000),
  election_timeout: field(duration, 1_000),
  commit_timeout: field(duration, 50),
  max_append_entries: field(int, 64),
  trailing_logs: field(int, 10_240),
  snapshot_interval: field(duration, 2 * MINUTE),
  snapshot_threshold: field(int, 8_192),
  leader_lease_timeout: field(duration, 500),
})

const MIN_HEADER_BYTES = 4096

function headerProblem(headers: Readonly<Record<string, readonly string[]>>): string | undefined {
  for (const [name, values] of Object.entries(headers)) {
    if (!/^[!#$%&'*+.^_`|~\w-]+$/.test(name))
      return `${JSON.stringify(name)} cannot be the name of an HTTP header`
    if (values.some(value => /[^\t\x20-\x7e\x80-\xff]/.test(value)))
      return `the value of ${name} cannot be sent in an HTTP header`
  }
  return undefined
}

const httpApi = (name: string, port: number) =>
  section(
    name,
    {
      http_listen_multiaddress: field(addresses, [`/ip4/127.0.0.1/tcp/${port}`], { emptyIsDefault: true }),
      ssl_cert_file: zeroField(text, '', { omit: value => value === '' }),
      ssl_key_file: zeroField(text, '', { omit: value => value === '' }),
      read_timeout: field(duration, 0, { check: notNegative }),
      read_header_timeout: field(duration, 5_000, { check: notNegative }),
      write_timeout: field(duration, 0, { check: notNegative }),
      idle_timeout: field(duration, 2 * MINUTE, { check: notNegative }),
      max_header_bytes: field(int, MIN_HEADER_BYTES, {
        emptyIsDefault: true,
        check: value =>
          value < MIN_HEADER_BYTES ? `${name}.max_header_bytes must be not less then 4096` : undefined,
      }),
      libp2p_listen_multiaddress: zeroField(addresses, [], { omit: value => value.length === 0 }),
      id: zeroField(text, '', { omit: value => value === '' }),
      private_key: zeroField(hiddenText, '', { hidden: true, omit: value => value === '' }),
      basic_auth_credentials: zeroField(credentials, null, {
        hidden: true,
        check: value =>
          value !== null && Object.keys(value).length === 0
            ? `${name}.basic_auth_creds should be null or have at least one entry`
            : undefined,
      }),
      http_log_file: zeroField(text, ''),
      headers: zeroField(headerMap, {}, { check: headerProblem }),
      cors_allowed_origins: zeroField(textList, ['*']),
      cors_allowed_methods: zeroField(textList, ['GET']),
      cors_allowed_headers: zeroField(textList, []),
      cors_exposed_headers: zeroField(textList, [
        'Content-Type',
        'X-Stream-Output',
        'X-Chunked-Output',
        'X-Content-Length',
      ]),
      cors_allow_credentials: zeroField(bool, true),
      cors_max_age: field(duration, 0, { check: notNegative }),
    },
    values => {
      const parts = [
        values.id !== '',
        values.private_key !== '',
        values.libp2p_listen_multiaddress.length > 0,
      ]
      return new Set(parts).size > 1
        ? 'id, private_key and libp2p_listen_multiaddress must be set together'
        : (values.ssl_cert_file === '') === (values.ssl_key_file === '')
          ? undefined
          : 'ssl_cert_file and ssl_key_file must be set together'
    },
  )

export const restapiSection = httpApi('restapi', 9094)
export const pinsvcapiSection = httpApi('pinsvcapi', 9097)

export const ipfsproxySection = section('ipfsproxy', {
  listen_multiaddress: field(addresses, ['/ip4/127.0.0.1/tcp/9095'], { emptyIsDefault: true }),
  node_multiaddress: field(address, '/ip4/127.0.0.1/tcp/5001'),
  node_https: zeroField(bool, false, { omit: value => !value }),
  log_file: zeroField(text, ''),
  read_timeout: field(duration, 0, { check: notNegative }),
  read_header_timeout: field(duration, 5_000, { check: notNegative }),
  write_timeout: field(duration, 0, { check: notNegative }),
  idle_timeout: field(duration, MINUTE, { check: notNegative }),
  max_header_bytes: field(int, MIN_HEADER_BYTES, {
    emptyIsDefault: true,
    check: value =>
      value < MIN_HEADER_BYTES ? 'ipfsproxy.max_header_size must be greater or equal to 4096' : undefined,
  }),
  extract_headers_extra: zeroField(textList, [], { omit: value => value.length === 0 }),
  extract_headers_path: field(text, '/api/v0/version', {
    emptyIsDefault: true,
    omit: value => value === '/api/v0/version',
  }),
  extract_headers_ttl: field(duration, 5 * MINUTE, {
    omit: value => value === 5 * MINUTE,
    check: notNegative,
  }),
})

export const ipfshttpSection = section('ipfshttp', {
  node_multiaddress: zeroField(address, '/ip4/127.0.0.1/tcp/5001', {
    check: value => (value === '' ? 'must be set, for example to "/ip4/127.0.0.1/tcp/5001"' : undefined),
  }),
  connect_swarms_delay: field(duration, 30_000, { check: notNegative }),
  ipfs_request_timeout: field(duration, 5 * MINUTE, { check: notNegative }),
  pin_timeout: field(duration, 2 * MINUTE, { check: notNegative }),
  unpin_timeout: field(duration, 3 * HOUR, { check: notNegative }),
  repogc_timeout: field(duration, 24 * HOUR, { check: notNegative }),
  informer_trigger_interval: field(int, 0, { check: notNegative }),
  unpin_disable: zeroField(bool, false, { omit: value => !value }),
})

const ROUTINGS = ['none', 'dhtclient']

/** The built-in IPFS node; ours alone, unknown to Go. */
export const embeddedSection = section('embedded', {
  folder: field(text, 'ipfs', { emptyIsDefault: true }),
  swarm_listen_multiaddress: field(addresses, ['/ip4/0.0.0.0/tcp/4001'], { emptyIsDefault: true }),
  bootstrap: zeroField(addressList, []),
  storage_max: field(int, 10_000_000_000, { check: positive }),
  routing: field(text, 'none', {
    check: value => (ROUTINGS.includes(value) ? undefined : `must be "none" or "dhtclient", not "${value}"`),
  }),
  delegated_routing: zeroField(textList, []),
  gateway_listen_multiaddress: field(text, '/ip4/127.0.0.1/tcp/8080'),
  gateway_fetch: field(bool, true),
  // The node's own RPC, past the cluster; the IPFS proxy has no need of it.
  rpc_listen_multiaddress: zeroField(addresses, [], { omit: value => value.length === 0 }),
  connect_swarms_delay: field(duration, 30_000, { check: notNegative }),
  pin_timeout: field(duration, 2 * MINUTE, { check: notNegative }),
  informer_trigger_interval: field(int, 0, { check: notNegative }),
  unpin_disable: zeroField(bool, false, { omit: value => !value }),
})

export const statelessSection = section('stateless', {
  // Kept for Go, whose queue is in memory. Ours is on the disk, and no pin has an error because it has to wait.
  max_pin_queue_size: field(int, 1_000_000, {
    emptyIsDefault: true,
    omit: value => value === 1_000_000,
    check: positive,
  }),
  concurrent_pins: field(int, 10, { emptyIsDefault: true, check: positive }),
  priority_pin_max_age: field(duration, 24 * HOUR, { emptyIsDefault: true, check: positive }),
  priority_pin_max_retries: field(int, 5, { emptyIsDefault: true, check: positive }),
  // Not of Go: content that is larger is not pinned here.
  max_pin_size: field(byteSize, '', { omit: value => value === '' }),
})

export const pubsubmonSection = section('pubsubmon', {
  check_interval: zeroField(duration, 15_000, {
    check: value => (value > 0 ? undefined : 'pubsubmon.check_interval too low'),
  }),
})

export const balancedSection = section('balanced', {
  allocate_by: field(textList, ['tag:group', 'freespace'], { emptyIsDefault: true }),
})

export const diskSection = section('disk', {
  metric_ttl: zeroField(duration, 30_000, { check: positive }),
  metric_type: zeroField(text, 'freespace', {
    check: value =>
      ['freespace', 'reposize'].includes(value) ? undefined : 'must be "freespace" or "reposize"',
  }),
})

export const tagsSection = section('tags', {
  metric_ttl: zeroField(duration, 30_000, { check: positive }),
  tags: zeroField(textMap, { group: 'default' }),
})

export const pinqueueSection = section('pinqueue', {
  metric_ttl: zeroField(duration, 30_000, { check: positive }),
  weight_bucket_size: zeroField(int, 100_000, { check: notNegative }),
})

export const metricsSection = section('metrics', {
  enable_stats: zeroField(bool, false),
  prometheus_endpoint: zeroField(addresses, ['/ip4/127.0.0.1/tcp/8888']),
  reporting_interval: field(duration, 30_000),
})

export const tracingSection = section(
  'tracing',
  {
    enable_tracing: zeroField(bool, false),
    jaeger_agent_endpoint: zeroField(address, '/ip4/0.0.0.0/udp/6831'),
    /** Ours alone: a collector that takes OTLP over HTTP. */
    otlp_endpoint: zeroField(text, '', { omit: value => value === '', check: otlpProblem }),
    sampling_prob: zeroField(float, 0.3),
    service_name: field(text, 'cluster-daemon'),
  },
  // As in Go, also of those who do not trace.
  values =>
    values.jaeger_agent_endpoint === '' && values.otlp_endpoint === ''
      ? 'jaeger_agent_endpoint or otlp_endpoint must be set'
      : undefined,
)
