/** `daemon`: what it starts with, and what it refuses. */
import { chmod, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { edit, invoke, put, type Invocation, type ServiceCase, type Step } from './service-case.ts'
import type { Json } from './peers.ts'

const PEER = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWAuRYCfgCKTyZpxJNuxPZ7fisG7J9eZPMDBZPESVoXFbT'
const INIT = invoke('init --randomports')

/** Loopback only, and nothing that would be in the way of a second peer. */
export const quiet = edit(config => {
  config.cluster.listen_multiaddress = '/ip4/127.0.0.1/tcp/0'
  config.cluster.mdns_interval = '0s'
  for (const api of ['restapi', 'pinsvcapi'])
    config.api[api].http_listen_multiaddress = '/ip4/127.0.0.1/tcp/0'
  config.api.ipfsproxy.listen_multiaddress = '/ip4/127.0.0.1/tcp/0'
})

/** What Go and ours say when signals are minded; without an IPFS daemon neither becomes ready. */
export const STARTED = /Waiting for IPFS|\tREST API\t|No other peers/

const runs = (args = 'daemon', more: Partial<Invocation> = {}): Invocation =>
  invoke(args, { until: STARTED, stderr: 'any', ...more })

const start = (name: string, steps: readonly Step[], differs?: ServiceCase['differs']): ServiceCase => ({
  name: `daemon: ${name}`,
  steps,
  ...(differs === undefined ? {} : { differs }),
})

const refused = (name: string, change: (config: Json) => void): ServiceCase =>
  start(name, [INIT, edit(change), invoke('daemon')])

const accepted = (name: string, change: (config: Json) => void): ServiceCase =>
  start(name, [INIT, quiet, edit(change), runs()])

const fromSource = (page: string): ServiceCase =>
  start(`source ${page}`, [invoke(`init {url}/${page}`, { stderr: 'any' }), invoke('daemon')])

const FOLDER = 'Go makes the folder to lock it, before it looks for the configuration'
const EARLIER = 'refused while the configuration is read, as all of it'

export const startCases: readonly ServiceCase[] = [
  start('no folder', [invoke('daemon')], { files: FOLDER }),
  start('an empty folder', [
    async ({ folder }) => void (await mkdir(folder, { mode: 0o700 })),
    invoke('daemon'),
  ]),
  start('no configuration', [
    INIT,
    async ({ folder }) => await rm(join(folder, 'service.json')),
    invoke('daemon'),
  ]),
  start('no identity', [
    INIT,
    async ({ folder }) => await rm(join(folder, 'identity.json')),
    invoke('daemon'),
  ]),
  start('identity cut off', [INIT, put('identity.json', text => text.slice(0, 40)), invoke('daemon')]),
  start('identity of another', [
    INIT,
    put('identity.json', text =>
      text.replace(/"id": "[^"]*"/, '"id": "12D3KooWAuRYCfgCKTyZpxJNuxPZ7fisG7J9eZPMDBZPESVoXFbT"'),
    ),
    invoke('daemon'),
  ]),
  start('identity without key', [
    INIT,
    put('identity.json', text => text.replace(/"private_key": "[^"]*"/, '"private_key": ""')),
    invoke('daemon'),
  ]),
  start('configuration cut off', [INIT, put('service.json', text => text.slice(0, 300)), invoke('daemon')]),
  start('configuration empty', [INIT, put('service.json', ''), invoke('daemon')]),
  start('configuration is a list', [INIT, put('service.json', '[]'), invoke('daemon')]),
  start('configuration with something behind it', [
    INIT,
    put('service.json', text => `${text} x`),
    invoke('daemon'),
  ]),
  start('configuration cannot be read', [
    INIT,
    async ({ folder }) => {
      await rm(join(folder, 'service.json'))
      await mkdir(join(folder, 'service.json'))
    },
    invoke('daemon'),
  ]),
  refused('a number as a duration', config => (config.cluster.monitor_ping_interval = 15)),
  refused('a text as a boolean', config => (config.cluster.disable_repinning = 'no')),
  refused('a text as a number', config => (config.cluster.replication_factor_min = '1')),
  refused('a fraction as a number', config => (config.cluster.connection_manager.high_water = 1.5)),
  refused('a number as a text', config => (config.cluster.peername = 1)),
  refused('an object as a list', config => (config.cluster.peer_addresses = {})),
  refused('a list as a section', config => (config.consensus = [])),
  refused('a text as a component', config => (config.api.restapi = 'on')),
  refused('bad duration', config => (config.cluster.state_sync_interval = 'soon')),
  refused('duration without a unit', config => (config.cluster.state_sync_interval = '15')),
  refused('negative duration', config => (config.cluster.state_sync_interval = '-1s')),
  refused('secret is not hex', config => (config.cluster.secret = 'zz')),
  refused('secret is short', config => (config.cluster.secret = 'abcdef')),
  refused('listens nowhere', config => (config.cluster.listen_multiaddress = [])),
  refused('listens on no multiaddress', config => (config.cluster.listen_multiaddress = 'localhost:9096')),
  refused(
    'REST on no multiaddress',
    config => (config.api.restapi.http_listen_multiaddress = '127.0.0.1:9094'),
  ),
  refused(
    'IPFS is no multiaddress',
    config => (config.ipfs_connector.ipfshttp.node_multiaddress = 'localhost'),
  ),
  refused('IPFS is missing', config => delete config.ipfs_connector.ipfshttp.node_multiaddress),
  refused('peer address without id', config => (config.cluster.peer_addresses = ['nonsense'])),
  refused('factors that contradict each other', config => (config.cluster.replication_factor_min = 3)),
  refused('factor min alone below 0', config => (config.cluster.replication_factor_min = -2)),
  refused('trusted and untrusted only', config =>
    Object.assign(config.cluster, { pin_only_on_trusted_peers: true, pin_only_on_untrusted_peers: true }),
  ),
  refused('low water above high', config => (config.cluster.connection_manager.low_water = 500)),
  refused('d_factor 0', config => (config.cluster.pubsub.d_factor = 0)),
  { ...refused('no consensus', config => (config.consensus = {})), differs: { stderr: EARLIER } },
  {
    ...refused('both kinds of consensus', config => (config.consensus.raft = {})),
    differs: { stderr: EARLIER },
  },
  refused('no datastore', config => (config.datastore = {})),
  refused('two datastores', config => (config.datastore.leveldb = {})),
  { ...refused('no informer', config => (config.informer = {})), differs: { stderr: EARLIER } },
  refused('unknown metric type', config => (config.informer.disk.metric_type = 'size')),
  refused('header bytes below 4096', config => (config.api.restapi.max_header_bytes = 100)),
  refused('nobody may log in', config => (config.api.restapi.basic_auth_credentials = {})),
  refused('certificate without key', config => (config.api.restapi.ssl_cert_file = 'cert.pem')),
  refused('certificate that is not there', config =>
    Object.assign(config.api.restapi, { ssl_cert_file: 'cert.pem', ssl_key_file: 'key.pem' }),
  ),
  refused('no ping checks', config => delete config.monitor.pubsubmon.check_interval),
  refused('trusted peer is no id', config => (config.consensus.crdt.trusted_peers = ['nobody'])),
  refused('negative repair interval', config => (config.consensus.crdt.repair_interval = '-1s')),
  refused('tracing endpoint missing', config => delete config.observations.tracing.jaeger_agent_endpoint),
  refused(
    'negative gc_discard_ratio of badger3',
    config => (config.datastore = { badger3: { gc_discard_ratio: -1 } }),
  ),
  start('bad variable', [INIT, invoke('daemon', { env: { CLUSTER_STATELESS_CONCURRENTPINS: 'many' } })]),
  start('variable out of range', [
    INIT,
    invoke('daemon', { env: { CLUSTER_CONNECTIONMANAGER_LOWWATER: '5000' } }),
  ]),
  start('bad bootstrap address', [INIT, invoke('daemon --bootstrap xx')], {
    stderr: 'Go says "error error parsing"; the address is named by both',
  }),
  start('folder may not be written', [
    INIT,
    async ({ folder }) => await chmod(folder, 0o500),
    invoke('daemon --bootstrap xx', { stderr: 'any' }),
    async ({ folder }) => await chmod(folder, 0o700),
  ]),
  start(
    'port in use',
    [
      INIT,
      quiet,
      invoke('daemon', { env: { CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: '/ip4/127.0.0.1/tcp/{port}' } }),
    ],
    { stderr: 'Go says which component, ours which address' },
  ),
  start('unknown flag', [INIT, invoke('daemon --nope', { stdout: 'help' })], { stdout: 'Go hides --leave' }),
  ...['good', 'moved'].map(page =>
    start(`source ${page}`, [
      invoke(`init {url}/${page}`, { stderr: 'any' }),
      runs('daemon', {
        env: {
          CLUSTER_LISTENMULTIADDRESS: '/ip4/127.0.0.1/tcp/0',
          CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: '/ip4/127.0.0.1/tcp/0',
          CLUSTER_PINSVCAPI_HTTPLISTENMULTIADDRESS: '/ip4/127.0.0.1/tcp/0',
          CLUSTER_IPFSPROXY_LISTENMULTIADDRESS: '/ip4/127.0.0.1/tcp/0',
        },
      }),
    ]),
  ),
  ...['missing', 'garbage', 'empty', 'unfit', 'sourced', 'loop', 'around', 'broken', 'large'].map(fromSource),
  start('source is down', [invoke('init http://127.0.0.1:9/x', { stderr: 'any' }), invoke('daemon')]),
  start('source is no URL', [invoke('init nonsense', { stderr: 'any' }), invoke('daemon')]),
  start('plain', [INIT, quiet, runs()]),
  start('every flag', [INIT, quiet, runs(`daemon --upgrade --bootstrap ${PEER} --leave --no-trust`)]),
  start('short flags', [INIT, quiet, runs(`daemon -u -j ${PEER} -x`)]),
  start('nothing but what must be', [
    INIT,
    put('service.json', text => {
      const { cluster, datastore } = JSON.parse(text)
      return JSON.stringify({
        CLUSTER: { secret: cluster.secret, Listen_Multiaddress: '/ip4/127.0.0.1/tcp/0', mdns_interval: '0s' },
        consensus: { crdt: {} },
        api: { restapi: { http_listen_multiaddress: '/ip4/127.0.0.1/tcp/0' } },
        informer: { disk: { metric_ttl: '30s', metric_type: 'freespace' } },
        datastore,
      })
    }),
    runs(),
  ]),
  accepted('unknown keys and sections', config => {
    Object.assign(config, { unknown: 1, state: { old: {} }, sharder: null })
    Object.assign(config.cluster, { replication_factor: 1, bootstrap: [], ready: 'soon' })
    config.monitor.monbasic = { check_interval: 'never' }
    config.informer.numpin = { metric_ttl: 1 }
    config.pin_tracker.maptracker = {}
  }),
  accepted('an unprotected network', config => (config.cluster.secret = '')),
  accepted('null sections', config =>
    Object.assign(config, { observations: null, allocator: { balanced: null } }),
  ),
  accepted('one header', config => (config.api.restapi.headers = { 'X-A': ['b'] })),
  start('identity in the cluster section', [
    INIT,
    async ({ folder }) => {
      const identity = JSON.parse(await readFile(join(folder, 'identity.json'), 'utf8'))
      const service = JSON.parse(await readFile(join(folder, 'service.json'), 'utf8'))
      Object.assign(service.cluster, identity)
      await writeFile(join(folder, 'service.json'), JSON.stringify(service, null, 2))
      await rm(join(folder, 'identity.json'))
    },
    quiet,
    runs(),
  ]),
]
