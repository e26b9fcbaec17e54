/** Every key of `service.json` (reference api.md 5.3 to 5.5), for tests. */

export const ID = '12D3KooWAuRYCfgCKTyZpxJNuxPZ7fisG7J9eZPMDBZPESVoXFbT'
export const PEER = `/ip4/192.168.1.2/tcp/9096/p2p/${ID}`
export const DEF = Symbol('the default')

/**
 * Key, default, what a missing key is, and a variable's text with what it makes of the key. An empty value of a text, number, boolean
 * or list is the same as a missing one to Go, which cannot tell them apart, unless the row says otherwise.
 */
export type Row = readonly [
  key: string,
  initial: unknown,
  missing: unknown,
  env?: readonly [text: string, value: unknown],
  empty?: unknown,
]

const text = (key: string, initial: string, missing: unknown = DEF): Row => [
  key,
  initial,
  missing,
  ['x', 'x'],
]
const flag = (key: string, initial: boolean): Row => [key, initial, false, [initial ? 'F' : '1', !initial]]
const time = (key: string, initial: string, missing: unknown = DEF): Row => [
  key,
  initial,
  missing,
  ['1h30m', '1h30m0s'],
  // `""` is a missing duration; "0s" is one.
  missing,
]
const whole = (key: string, initial: number, missing: unknown = DEF): Row => [
  key,
  initial,
  missing,
  ['0x10', 16],
]

const HTTP: readonly Row[] = [
  ['ssl_cert_file', '', '', ['x', 'x']],
  ['ssl_key_file', '', '', ['x', 'x']],
  time('read_timeout', '0s'),
  time('read_header_timeout', '5s'),
  time('write_timeout', '0s'),
  time('idle_timeout', '2m0s'),
  ['max_header_bytes', 4096, DEF, ['8192', 8192]],
  ['libp2p_listen_multiaddress', [], [], ['/ip4/127.0.0.1/tcp/1', '/ip4/127.0.0.1/tcp/1']],
  ['id', '', '', [ID, ID]],
  ['http_log_file', '', '', ['x', 'x']],
  ['headers', {}, {}, ['a:b,c:d', { a: ['b'], c: ['d'] }]],
  ['cors_allowed_origins', ['*'], [], ['a,b', ['a', 'b']]],
  ['cors_allowed_methods', ['GET'], [], ['GET,PUT', ['GET', 'PUT']]],
  ['cors_allowed_headers', [], [], ['a', ['a']]],
  [
    'cors_exposed_headers',
    ['Content-Type', 'X-Stream-Output', 'X-Chunked-Output', 'X-Content-Length'],
    [],
    ['', []],
  ],
  flag('cors_allow_credentials', true),
  time('cors_max_age', '0s'),
]

const listen = (key: string, port: number): Row => [
  key,
  `/ip4/127.0.0.1/tcp/${port}`,
  DEF,
  ['/ip4/127.0.0.1/tcp/1,/ip6/::1/tcp/2', ['/ip4/127.0.0.1/tcp/1', '/ip6/::1/tcp/2']],
]
export const KUBO = '/ip4/127.0.0.1/tcp/5001'

export const TABLE: Readonly<Record<string, readonly Row[]>> = {
  cluster: [
    ['peername', 'host', DEF, ['x', 'x']],
    flag('leave_on_shutdown', false),
    [
      'listen_multiaddress',
      ['/ip4/0.0.0.0/tcp/9096', '/ip4/0.0.0.0/udp/9096/quic'],
      [],
      ['/ip4/127.0.0.1/tcp/1', '/ip4/127.0.0.1/tcp/1'],
    ],
    ['announce_multiaddress', [], [], [PEER, PEER]],
    ['no_announce_multiaddress', [], [], [`${PEER},${PEER}`, [PEER, PEER]]],
    flag('enable_relay_hop', true),
    time('dial_peer_timeout', '3s'),
    time('state_sync_interval', '5m0s'),
    time('pin_recover_interval', '12m0s'),
    whole('replication_factor_min', -1),
    whole('replication_factor_max', -1),
    time('monitor_ping_interval', '15s'),
    time('peer_watch_interval', '5s'),
    time('mdns_interval', '10s'),
    flag('pin_only_on_trusted_peers', false),
    flag('pin_only_on_untrusted_peers', false),
    flag('disable_repinning', true),
    time('repin_grace_period', '2m0s'),
    flag('follower_mode', false),
    ['peerstore_file', '', '', ['x', 'x']],
    ['peer_addresses', [], [], [PEER, [PEER]]],
    ['id', '', ''],
  ],
  'cluster.connection_manager': [
    whole('high_water', 400, 0),
    whole('low_water', 100, 0),
    time('grace_period', '2m0s'),
  ],
  'cluster.resource_manager': [
    flag('enabled', true),
    whole('memory_limit_bytes', 0),
    whole('file_descriptors_limit', 0),
  ],
  'cluster.pubsub': [
    time('seen_messages_ttl', '30m0s'),
    time('heartbeat_interval', '10s'),
    whole('d_factor', 4, 0),
    whole('history_gossip', 2, 0),
    whole('history_length', 6, 0),
    flag('flood_publish', false),
  ],
  'consensus.crdt': [
    text('cluster_name', 'ipfs-cluster'),
    ['trusted_peers', ['*'], [], [`${ID},${ID}`, [ID, ID]]],
    time('repair_interval', '1h0m0s'),
    time('rebroadcast_interval', '1m0s'),
    text('peerset_metric', 'ping'),
    text('datastore_namespace', '/c'),
  ],
  'consensus.crdt.batching': [
    whole('max_batch_size', 0),
    time('max_batch_age', '0s'),
    whole('max_queue_size', 50_000),
  ],
  'api.restapi': [listen('http_listen_multiaddress', 9094), ...HTTP],
  'api.pinsvcapi': [listen('http_listen_multiaddress', 9097), ...HTTP],
  'api.ipfsproxy': [
    listen('listen_multiaddress', 9095),
    ['node_multiaddress', KUBO, DEF, [PEER, PEER], 'refused'],
    flag('node_https', false),
    ['log_file', '', '', ['x', 'x']],
    time('read_timeout', '0s'),
    time('read_header_timeout', '5s'),
    time('write_timeout', '0s'),
    time('idle_timeout', '1m0s'),
    ['max_header_bytes', 4096, DEF, ['8192', 8192]],
    ['extract_headers_extra', [], [], ['a,b', ['a', 'b']]],
    ['extract_headers_path', '/api/v0/version', DEF, ['/x', '/x']],
    time('extract_headers_ttl', '5m0s'),
  ],
  'ipfs_connector.ipfshttp': [
    ['node_multiaddress', KUBO, '', ['/dns4/ipfs/tcp/5001', '/dns4/ipfs/tcp/5001'], 'refused'],
    time('connect_swarms_delay', '30s'),
    time('ipfs_request_timeout', '5m0s'),
    time('pin_timeout', '2m0s'),
    time('unpin_timeout', '3h0m0s'),
    time('repogc_timeout', '24h0m0s'),
    whole('informer_trigger_interval', 0),
    flag('unpin_disable', false),
  ],
  'pin_tracker.stateless': [
    whole('max_pin_queue_size', 1_000_000),
    whole('concurrent_pins', 10),
    time('priority_pin_max_age', '24h0m0s'),
    whole('priority_pin_max_retries', 5),
    ['max_pin_size', '', DEF, ['10GB', '10GB']],
  ],
  'monitor.pubsubmon': [time('check_interval', '15s', '0s')],
  'allocator.balanced': [['allocate_by', ['tag:group', 'freespace'], DEF, ['a,b', ['a', 'b']]]],
  'informer.disk': [
    time('metric_ttl', '30s', '0s'),
    ['metric_type', 'freespace', '', ['reposize', 'reposize']],
  ],
  'informer.tags': [
    time('metric_ttl', '30s', '0s'),
    ['tags', { group: 'default' }, {}, ['a:b,c:d', { a: 'b', c: 'd' }]],
  ],
  'informer.pinqueue': [time('metric_ttl', '30s', '0s'), whole('weight_bucket_size', 100_000, 0)],
  'observations.metrics': [
    flag('enable_stats', false),
    ['prometheus_endpoint', '/ip4/127.0.0.1/tcp/8888', [], ['/ip4/127.0.0.1/tcp/1', '/ip4/127.0.0.1/tcp/1']],
    time('reporting_interval', '30s'),
  ],
  'observations.tracing': [
    flag('enable_tracing', false),
    [
      'jaeger_agent_endpoint',
      '/ip4/0.0.0.0/udp/6831',
      '',
      ['/ip4/1.2.3.4/udp/1', '/ip4/1.2.3.4/udp/1'],
      'refused',
    ],
    ['sampling_prob', 0.3, 0, ['0.5', 0.5]],
    ['service_name', 'cluster-daemon', DEF, ['x', 'x'], ''],
  ],
}
