/** `init`, `version`, help and usage. */
import { mkdir } from 'node:fs/promises'
import { edit, invoke, put, type ServiceCase } from './service-case.ts'

const ID = '12D3KooWAuRYCfgCKTyZpxJNuxPZ7fisG7J9eZPMDBZPESVoXFbT'
const PEER = `/ip4/192.168.1.2/tcp/9096/p2p/${ID}`
const OTHER = '/dns4/example.org/tcp/9096/p2p/QmPSoSaPXpyunaBwHs1rZBKYSqRV4bLRk32VGYLuvdrypL'
const SECRET = 'ab'.repeat(32)

const one = (
  name: string,
  args: string,
  more: Parameters<typeof invoke>[1] = {},
  differs?: ServiceCase['differs'],
): ServiceCase => ({
  name,
  steps: [invoke(args, more)],
  ...(differs === undefined ? {} : { differs }),
})

const again = (input: string): ServiceCase => ({
  name: `init: a configuration exists; typed ${JSON.stringify(input)}`,
  steps: [invoke(`init --peers ${PEER}`, { env: { CLUSTER_SECRET: SECRET } }), invoke('init', { input })],
})

const env = (variables: Readonly<Record<string, string>>): ServiceCase => ({
  name: `init: ${JSON.stringify(variables)}`,
  steps: [invoke('init', { env: variables })],
})

const helps = ['', 'init', 'daemon', 'version', 'state export --help', 'state --help']

const VERSION = 'tells the two implementations apart, behind a +'
const LEAVE = 'Go hides --leave'
const YES = '-y also says yes here'
const BAD_PEER = 'refused before anything is written; Go has written the configuration by then'

export const initCases: readonly ServiceCase[] = [
  one('init', 'init'),
  one('init: relative folder', '-c relative/folder init', { bare: true, stderr: 'any' }),
  ...['pebble', 'badger3', 'badger', 'leveldb'].map(name =>
    one(`init: datastore ${name}`, `init --datastore ${name}`),
  ),
  ...['crdt', 'raft'].map(name => one(`init: consensus ${name}`, `init --consensus=${name}`)),
  one('init: raft, with a datastore', 'init --consensus raft --datastore leveldb'),
  one('init: no such consensus', 'init --consensus paxos', { stderr: 'exact' }),
  one('init: no such datastore', 'init --datastore mysql', { stderr: 'exact' }),
  one('init: consensus in capitals', 'init --consensus CRDT', { stderr: 'exact' }),
  one('init: empty consensus', 'init --consensus=', { stderr: 'exact' }),
  one('init: peers', `init --peers ${PEER},${OTHER}`),
  one('init: the same peer twice', `init --peers ${PEER},${PEER}`),
  one('init: two addresses of a peer', `init --peers ${PEER},/ip4/10.0.0.1/tcp/9096/p2p/${ID}`),
  one('init: raft with peers', `init --consensus raft --peers ${PEER}`),
  one('init: an old /ipfs address', `init --peers /ip4/192.168.1.2/tcp/9096/ipfs/${ID}`),
  one('init: peers, one is no address', `init --peers ${PEER},nonsense`),
  one('init: peers, one is empty', `init --peers ${PEER},`),
  one(
    'init: a peer without an id',
    'init --peers /ip4/1.2.3.4/tcp/9096',
    {},
    { files: BAD_PEER, stderr: BAD_PEER },
  ),
  one('init: only an id', `init --peers /p2p/${ID}`),
  one('init: blank peers', 'init --peers='),
  one('init: random ports', 'init --randomports'),
  one('init: flag of the program', '--force init'),
  { name: 'init: twice, forced', steps: [invoke('init'), invoke('init --force'), invoke('init -f')] },
  {
    name: 'init: forced by the flag of the program',
    steps: [invoke('init'), invoke('-f init', { input: 'n\n' })],
    differs: { stdout: 'Go asks all the same: the flag of the program has no effect', stderr: 'as above' },
  },
  ...[
    'y\n',
    'Y\n',
    'n\n',
    'N\n',
    '\n',
    '',
    'x\nz\nw\n',
    'x\ny\n',
    'yes\nno\nmaybe\n',
    'x\nx\nx\ny\n',
    ' y\n',
    'y',
    'y n\n',
  ].map(again),
  one('init: secret typed', 'init --custom-secret', { input: `${SECRET}\n` }),
  one('init: secret typed, short flag', 'init -s', { input: `${SECRET}\n` }),
  ...['zz\n', 'abcd\n', `${SECRET}ab\n`, 'a\n'].map(input =>
    one(`init: secret typed ${JSON.stringify(input.slice(0, 6))}`, 'init -s', { input }),
  ),
  one(
    'init: secret left empty',
    'init -s',
    { input: '\n' },
    { stderr: 'a warning: the network stands open' },
  ),
  one('init: secret with capitals', 'init -s', { input: `${SECRET.toUpperCase()}\n` }),
  {
    name: 'init: question, then secret',
    steps: [invoke('init'), invoke('init -s', { input: `y\n${SECRET}\n` })],
  },
  one(
    'init: source',
    'init {url}/good',
    {},
    { stderr: 'Go claims to have written an empty peerstore to ".", and has not' },
  ),
  one('init: source and secret', 'init -s {url}/good', {}, { stderr: 'as above' }),
  one('init: source that is no URL', 'init nonsense', {}, { stderr: 'as above' }),
  env({ CLUSTER_SECRET: SECRET }),
  env({
    CLUSTER_PEERNAME: 'from-env',
    CLUSTER_REPLICATIONFACTORMIN: '0x1',
    CLUSTER_REPLICATIONFACTORMAX: '3',
  }),
  env({
    CLUSTER_CRDT_TRUSTEDPEERS: ID,
    CLUSTER_CRDT_CLUSTERNAME: 'mine',
    CLUSTER_CRDT_BATCHING_MAXBATCHSIZE: '7',
  }),
  env({ CLUSTER_CRDT_TRUSTEDPEERS: '' }),
  env({ CLUSTER_CRDT_TRUSTEDPEERS: '*' }),
  env({ CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: '/ip4/127.0.0.1/tcp/1,/ip4/127.0.0.1/tcp/2' }),
  env({ CLUSTER_RESTAPI_BASICAUTHCREDENTIALS: 'a:b,c:d', CLUSTER_RESTAPI_CORSALLOWEDORIGINS: 'x,y' }),
  env({
    CLUSTER_CONNECTIONMANAGER_HIGHWATER: '500',
    CLUSTER_PUBSUB_DFACTOR: '5',
    CLUSTER_RESOURCEMANAGER_ENABLED: 'f',
  }),
  env({ CLUSTER_DISABLEREPINNING: 'false', CLUSTER_ENABLERELAYHOP: '0', CLUSTER_FOLLOWERMODE: 'T' }),
  env({
    CLUSTER_TAGS_TAGS: 'region:eu,zone:b',
    CLUSTER_DISK_METRICTYPE: 'reposize',
    CLUSTER_TRACING_SAMPLINGPROB: '0.5',
  }),
  env({
    CLUSTER_MONITORPINGINTERVAL: '1h30m',
    CLUSTER_IPFSHTTP_PINTIMEOUT: '0',
    CLUSTER_PUBSUBMON_CHECKINTERVAL: '1.5s',
  }),
  env({ CLUSTER_PEERADDRESSES: PEER, CLUSTER_PEERSTOREFILE: 'others' }),
  env({ CLUSTER_PEBBLE_PEBBLEOPTIONS_CACHESIZEBYTES: '1024' }),
  env({
    CLUSTER_PEERNAME: '',
    CLUSTER_CRDT_CLUSTERNAME: '',
    CLUSTER_IPFSHTTP_NODEMULTIADDRESS: '/dns4/ipfs/tcp/5001',
  }),
  { ...env({ CLUSTER_SECRET: '' }), differs: { stderr: 'a warning: the network stands open' } },
  ...[
    { CLUSTER_SECRET: 'zz' },
    { CLUSTER_REPLICATIONFACTORMIN: '' },
    { CLUSTER_REPLICATIONFACTORMIN: 'many' },
    { CLUSTER_DISABLEREPINNING: '' },
    { CLUSTER_DISABLEREPINNING: 'no' },
    { CLUSTER_MONITORPINGINTERVAL: 'soon' },
    { CLUSTER_LISTENMULTIADDRESS: 'localhost:9096' },
    { CLUSTER_TAGS_TAGS: 'region' },
    { CLUSTER_CONNECTIONMANAGER_HIGHWATER: '1' },
    { CLUSTER_DISK_METRICTYPE: 'size' },
    { CLUSTER_CRDT_TRUSTEDPEERS: 'nobody' },
  ].map(env),
  {
    name: 'init: an identity from the environment',
    steps: [invoke('init', { env: { CLUSTER_ID: ID } })],
    differs: {
      stderr: 'nothing is written when the identity is wrong',
      files: 'nothing is written when the identity is wrong',
    },
  },
  {
    name: 'init: the identity is kept',
    steps: [invoke('init'), put('service.json', ''), invoke('init', { input: 'y\n' })],
  },
  { name: 'init: a peerstore is emptied', steps: [invoke(`init --peers ${PEER}`), invoke('init -f')] },
  {
    name: 'init: a folder that is there',
    steps: [
      async ({ folder }) => void (await mkdir(folder, { recursive: true, mode: 0o755 })),
      invoke('init'),
    ],
  },
  {
    name: 'init: the folder is a file',
    steps: [invoke('-c /dev/null/x init', { bare: true })],
    differs: { stderr: 'says that the folder cannot be made; Go speaks of the lock' },
  },
  {
    name: 'init: changed and forced',
    steps: [invoke('init'), edit(config => (config.cluster.peername = 'x')), invoke('init -f')],
  },
  one('version', 'version', {}, { stdout: VERSION }),
  one('version: more words', 'version foo bar', {}, { stdout: VERSION }),
  one('--version', '--version', { bare: true }),
  one('-v', '-v', { bare: true }),
  ...helps.map(words =>
    one(
      `help: ${words}`,
      words.includes(' ') ? words : `help ${words}`,
      { bare: true, stdout: 'help' },
      words === 'daemon' ? { stdout: LEAVE } : undefined,
    ),
  ),
  ...['state import --help', 'state cleanup --help'].map(words =>
    one(`help: ${words}`, words, { bare: true, stdout: 'help' }, { stdout: YES }),
  ),
  one('--help', '--help', { bare: true, stdout: 'help' }),
  one('no command', '', { bare: true, stdout: 'help' }),
  one('no such command', 'nope', { bare: true, stdout: 'help' }),
  one('no such topic', 'help nope', { bare: true, stderr: 'exact' }),
  one('no such command of a group', 'state nope', { stderr: 'exact' }),
  one('group without command', 'state', { stdout: 'help' }),
  one('init: unknown flag', 'init --nope', { stdout: 'help' }),
  one('init: value missing', 'init --peers', { stdout: 'help' }),
  one('init: boolean with a value', 'init --force=maybe', { stdout: 'help' }),
  one('init: boolean switched off', 'init --force=false'),
  one('unknown global flag', '--nope', { stdout: 'help' }),
  one('group: unknown flag', 'state --nope', { stdout: 'help' }),
  one('import: no number', 'state import --rmin x', { stdout: 'help' }, { stdout: YES }),
  one('log level', '--loglevel debug version', { stderr: 'any' }, { stdout: VERSION }),
  one('log level of a facility', '--loglevel info,crdt:debug version', {}, { stdout: VERSION }),
  one('log level: unknown', '--loglevel loud version', { stderr: 'exact' }, { stdout: VERSION }),
  one(
    'log level: unknown facility',
    '--loglevel nobody:debug version',
    { stderr: 'exact' },
    { stdout: VERSION },
  ),
  one('log level: twice', '--loglevel info,debug version', {}, { stdout: VERSION }),
  one(
    'log level: three parts',
    '--loglevel a:b:c version',
    {},
    {
      code: 'Go ends silently, and with 0, without having done anything',
      stderr: 'as above',
    },
  ),
  one(
    'log level: from the environment',
    'version',
    { env: { IPFS_CLUSTER_LOG_LEVEL: 'debug,error' } },
    { stdout: VERSION },
  ),
]
