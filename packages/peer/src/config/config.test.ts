import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { statelessSection } from './sections.ts'
import { systemClock } from '@ipfs-cluster/base'
import {
  formatServiceConfig,
  initialConfig,
  loadServiceConfig,
  parseServiceConfig,
  saveServiceConfig,
  toPeerConfig,
  validateServiceConfig,
  withEnvironment,
  type ServiceConfig,
} from './index.ts'

const SECRET = new Uint8Array(32).fill(7)
const PEERS = [
  '12D3KooWAuRYCfgCKTyZpxJNuxPZ7fisG7J9eZPMDBZPESVoXFbT',
  'QmPSoSaPXpyunaBwHs1rZBKYSqRV4bLRk32VGYLuvdrypL',
]

const initial = (choice: Partial<Parameters<typeof initialConfig>[0]> = {}) =>
  initialConfig({
    consensus: 'crdt',
    datastore: 'pebble',
    ipfs: 'ipfshttp',
    peername: 'host',
    secret: SECRET,
    ...choice,
  })

/** A file with one key of one section replaced. */
function edited(path: string, value: unknown, base: ServiceConfig = initial()): string {
  const file = JSON.parse(formatServiceConfig(base)) as Record<string, unknown>
  const keys = path.split('.')
  const last = keys.pop() as string
  let at = file
  for (const key of keys) at = at[key] as Record<string, unknown>
  if (value === undefined) delete at[last]
  else at[last] = value
  return JSON.stringify(file)
}

function load(json: string, env: Record<string, string> = {}): ServiceConfig {
  const config = withEnvironment(parseServiceConfig(json, 'host'), env)
  validateServiceConfig(config)
  return config
}

test('the initial file is what Go writes: keys, order, values, two spaces, no newline', () => {
  const text = formatServiceConfig(initial())
  assert.ok(text.startsWith('{\n  "cluster": {\n    "peername": "host",\n    "secret": "0707'))
  assert.ok(text.endsWith('}'))
  const file = JSON.parse(text) as Record<string, Record<string, Record<string, unknown>>>
  assert.deepEqual(Object.keys(file), [
    'cluster',
    'consensus',
    'api',
    'ipfs_connector',
    'pin_tracker',
    'monitor',
    'allocator',
    'informer',
    'observations',
    'datastore',
  ])
  assert.deepEqual(Object.keys(file['cluster'] as object), [
    'peername',
    'secret',
    'leave_on_shutdown',
    'listen_multiaddress',
    'announce_multiaddress',
    'no_announce_multiaddress',
    'enable_relay_hop',
    'connection_manager',
    'resource_manager',
    'pubsub',
    'dial_peer_timeout',
    'state_sync_interval',
    'pin_recover_interval',
    'replication_factor_min',
    'replication_factor_max',
    'monitor_ping_interval',
    'peer_watch_interval',
    'mdns_interval',
    'pin_only_on_trusted_peers',
    'pin_only_on_untrusted_peers',
    'disable_repinning',
    'peer_addresses',
  ])
  assert.deepEqual(file['consensus'], {
    crdt: {
      cluster_name: 'ipfs-cluster',
      trusted_peers: ['*'],
      batching: { max_batch_size: 0, max_batch_age: '0s' },
      repair_interval: '1h0m0s',
    },
  })
  assert.deepEqual(file['ipfs_connector'], {
    ipfshttp: {
      node_multiaddress: '/ip4/127.0.0.1/tcp/5001',
      connect_swarms_delay: '30s',
      ipfs_request_timeout: '5m0s',
      pin_timeout: '2m0s',
      unpin_timeout: '3h0m0s',
      repogc_timeout: '24h0m0s',
      informer_trigger_interval: 0,
    },
  })
  assert.deepEqual(file['pin_tracker'], {
    stateless: { concurrent_pins: 10, priority_pin_max_age: '24h0m0s', priority_pin_max_retries: 5 },
  })
  assert.equal(file['api']?.['restapi']?.['http_listen_multiaddress'], '/ip4/127.0.0.1/tcp/9094')
  assert.deepEqual(Object.keys(file['datastore'] as object), ['pebble'])
})

test('only the chosen components are written', () => {
  const raft = JSON.parse(formatServiceConfig(initial({ consensus: 'raft' }))) as Record<string, object>
  assert.deepEqual(Object.keys(raft['consensus'] as object), ['raft'])
  assert.equal('datastore' in raft, false)
  const embedded = JSON.parse(formatServiceConfig(initial({ ipfs: 'embedded', datastore: 'leveldb' })))
  assert.deepEqual(Object.keys(embedded.ipfs_connector), ['embedded'])
  assert.deepEqual(Object.keys(embedded.api), ['ipfsproxy', 'pinsvcapi', 'restapi'])
  assert.deepEqual(Object.keys(embedded.datastore), ['leveldb'])
})

test('a file survives reading and writing', () => {
  for (const choice of [{}, { consensus: 'raft' }, { ipfs: 'embedded' }, { datastore: 'badger3' }] as const) {
    const text = formatServiceConfig(initial(choice))
    assert.equal(formatServiceConfig(parseServiceConfig(text, 'host')), text)
  }
})

test('missing keys mean what they mean in Go', () => {
  const config = load(
    '{"cluster":{"secret":"","listen_multiaddress":"/ip6/::/tcp/9096","PeerName":"x"},' +
      '"consensus":{"crdt":{}},"ipfs_connector":{"ipfshttp":{"node_multiaddress":"/ip4/127.0.0.1/tcp/5001"}},' +
      '"informer":{"tags":{"metric_ttl":"30s"}},"monitor":{"monbasic":{}},"unknown":1}',
  )
  const peer = toPeerConfig(config, '/folder')
  assert.equal(config.cluster.enable_relay_hop, false)
  assert.equal(config.cluster.disable_repinning, false)
  assert.equal(config.cluster.state_sync_interval, 300_000)
  assert.equal(peer.cluster.peername, 'x')
  assert.equal(peer.network.secret, undefined)
  assert.deepEqual(peer.network.listen, ['/ip6/::/tcp/9096'])
  assert.deepEqual(peer.consensus.trustedPeers, [])
  assert.deepEqual(peer.allocator.allocateBy, ['freespace'])
  assert.deepEqual(peer.informers.tags?.tags, {})
  assert.equal(peer.informers.disk, undefined)
  assert.equal(peer.restapi, undefined)
  assert.equal(peer.network.peerstorePath, '/folder/peerstore')
})

test('what is wrong is named with its key', () => {
  const cases: [string, unknown, RegExp][] = [
    ['cluster.secret', 'abcd', /^cluster\.secret: .*input secret is 2 bytes, cluster secret should be 32/],
    ['cluster.secret', 'zz', /^cluster\.secret: .*hexadecimal/],
    ['cluster.listen_multiaddress', 'localhost:9096', /^cluster\.listen_multiaddress: .*not a multiaddress/],
    ['cluster.listen_multiaddress', [], /cluster\.listen_multiaddress is undefined/],
    [
      'cluster.monitor_ping_interval',
      '15',
      /^cluster\.monitor_ping_interval: time: (missing unit in|invalid) duration "15"/,
    ],
    ['cluster.monitor_ping_interval', 15, /must be a duration such as "2m30s", not 15/],
    ['cluster.state_sync_interval', '0s', /^cluster\.state_sync_interval: must be greater than 0/],
    ['cluster.disable_repinning', 'no', /^cluster\.disable_repinning: must be true or false, not "no"/],
    ['cluster.replication_factor_min', 3, /replication_factor_min is larger than max/],
    ['cluster.connection_manager.low_water', 500, /low_water is greater than high_water/],
    ['cluster.pubsub.d_factor', 1.5, /^pubsub\.d_factor: must be a whole number, not 1\.5/],
    ['cluster.peer_addresses', 'x', /must be a list of strings/],
    ['observations.tracing.sampling_prob', 'x', /^tracing\.sampling_prob: must be a number, not "x"/],
    ['consensus.raft', {}, /could not determine the consensus component/],
    ['consensus', [], /^consensus: must be an object, not a list/],
    ['api.restapi.max_header_bytes', 100, /max_header_bytes must be not less then 4096/],
    ['api.restapi.basic_auth_credentials', {}, /should be null or have at least one entry/],
    ['ipfs_connector.embedded', {}, /^ipfs_connector: name exactly one/],
    ['informer', {}, /^informer: at least one/],
    ['informer.disk.metric_type', 'size', /must be "freespace" or "reposize"/],
    ['monitor.pubsubmon.check_interval', undefined, /pubsubmon\.check_interval too low/],
  ]
  for (const [path, value, message] of cases) {
    assert.throws(() => load(edited(path, value)), { code: 'CONFIG_INVALID', message }, path)
  }
  const large = edited('observations.tracing.sampling_prob', 12345).replace('12345', '1e400')
  assert.throws(() => load(large), { code: 'CONFIG_INVALID', message: /sampling_prob: .*not Infinity/ })
  assert.throws(() => parseServiceConfig('{', 'h'), {
    code: 'CONFIG_INVALID',
    message: /service\.json: is not JSON/,
  })
})

test('what this implementation lacks is refused instead of ignored', () => {
  const raft = load(formatServiceConfig(initial({ consensus: 'raft' })))
  assert.throws(() => toPeerConfig(raft, '/f'), {
    code: 'CONFIG_UNSUPPORTED',
    message: /runs CRDT clusters only/,
  })
})

test('environment variables override the file', () => {
  const config = load(formatServiceConfig(initial()), {
    CLUSTER_PEERNAME: 'from-env',
    CLUSTER_SECRET: '',
    CLUSTER_CONNECTIONMANAGER_HIGHWATER: '0x200',
    CLUSTER_CRDT_TRUSTEDPEERS: PEERS.join(','),
    CLUSTER_CRDT_BATCHING_MAXBATCHSIZE: '500',
    CLUSTER_IPFSHTTP_NODEMULTIADDRESS: '/dns4/ipfs/tcp/5001',
    CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: '/ip4/127.0.0.1/tcp/1,/ip4/127.0.0.1/tcp/2',
    CLUSTER_TAGS_TAGS: 'region:eu,zone:b',
    CLUSTER_DISABLEREPINNING: 'false',
    CLUSTER_MONITORPINGINTERVAL: '2s',
  })
  assert.equal(config.cluster.peername, 'from-env')
  assert.equal(config.cluster.secret, undefined)
  assert.equal(config.cluster.connection_manager.high_water, 512)
  assert.deepEqual(config.consensus.crdt?.trusted_peers, PEERS)
  assert.equal(config.consensus.crdt?.batching.max_batch_size, 500)
  assert.equal(config.ipfs_connector.ipfshttp?.node_multiaddress, '/dns4/ipfs/tcp/5001')
  assert.equal(config.api.restapi?.http_listen_multiaddress.length, 2)
  assert.deepEqual(config.informer.tags?.tags, { region: 'eu', zone: 'b' })
  assert.equal(config.cluster.disable_repinning, false)
  assert.equal(config.cluster.monitor_ping_interval, 2000)
  assert.throws(() => load(formatServiceConfig(initial()), { CLUSTER_REPLICATIONFACTORMIN: '' }), {
    message: /^CLUSTER_REPLICATIONFACTORMIN: must be a whole number/,
  })
})

test('a folder is written privately, read back, and a source is followed once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'config-'))
  const env = {}
  const options = { env, hostname: 'host', clock: systemClock }
  await assert.rejects(loadServiceConfig(folder, options), { code: 'CONFIG_MISSING', message: /init/ })
  await saveServiceConfig(folder, initial())
  assert.equal((await stat(join(folder, 'service.json'))).mode & 0o777, 0o600)
  assert.deepEqual(await loadServiceConfig(folder, options), initial())

  let answer = formatServiceConfig(initial({ peername: 'remote' }))
  const server = createServer((_request, response) =>
    response.writeHead(answer === '' ? 404 : 200).end(answer || 'gone'),
  )
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  assert.ok(typeof address === 'object' && address !== null)
  const url = `http://127.0.0.1:${address.port}/service.json`
  await saveServiceConfig(folder, { ...initial(), source: url })
  assert.equal(await readFile(join(folder, 'service.json'), 'utf8'), `{\n  "source": "${url}"\n}`)
  assert.equal((await loadServiceConfig(folder, options)).cluster.peername, 'remote')
  answer = JSON.stringify({ source: 'http://elsewhere' })
  await assert.rejects(loadServiceConfig(folder, options), /cannot point to another source/)
  answer = ''
  await assert.rejects(loadServiceConfig(folder, options), /unsuccessful request \(404\): gone/)
  await new Promise(resolve => server.close(resolve))
  await assert.rejects(loadServiceConfig(folder, options), {
    code: 'CONFIG_SOURCE',
    message: /could not fetch/,
  })
  await writeFile(join(folder, 'service.json'), 'x')
  await assert.rejects(loadServiceConfig(folder, options), { code: 'CONFIG_INVALID' })
  await rm(folder, { recursive: true })
})

test('max_pin_size is a size in words or a number, and not written unless it is set', () => {
  const { initial } = statelessSection
  assert.equal('max_pin_size' in statelessSection.format(initial), false)
  for (const [given, kept] of [
    ['10GB', '10GB'],
    [5_000_000, '5000000'],
    ['', ''],
  ]) {
    assert.equal(statelessSection.parse({ max_pin_size: given }).max_pin_size, kept)
  }
  for (const wrong of ['plenty', -1, '-1', '1e3', true, '99PB']) {
    assert.throws(
      () => statelessSection.parse({ max_pin_size: wrong }),
      /stateless\.max_pin_size/,
      `${wrong}`,
    )
  }
})
