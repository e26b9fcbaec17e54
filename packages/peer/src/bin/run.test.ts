import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { after, test } from 'node:test'
import { systemClock } from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import { loadServiceConfig, STORE_FOLDER, type ServiceConfig } from '../config/index.ts'
import { loadIdentity } from '../identity/index.ts'
import { VERSION } from '../version.ts'
import { freePorts } from './ports.ts'
import { runLine } from './test-place.ts'

const ROOT = mkdtempSync(join(tmpdir(), 'service-'))
const PEERS = [
  '/ip4/192.168.1.2/tcp/9096/p2p/12D3KooWAuRYCfgCKTyZpxJNuxPZ7fisG7J9eZPMDBZPESVoXFbT',
  '/dns4/example.org/tcp/9096/p2p/QmPSoSaPXpyunaBwHs1rZBKYSqRV4bLRk32VGYLuvdrypL',
]
const PEER_IDS = PEERS.map(peer => peer.split('/').at(-1))
const SECRET = 'ab'.repeat(32)
const QUESTION = 'The configuration file will be overwritten. Continue? [y/n]: '
const SECRET_QUESTION = 'Enter cluster secret (32-byte hex string): '

after(() => rmSync(ROOT, { recursive: true }))

interface Typed {
  readonly env?: Record<string, string>
  /** What is typed, in pieces as they arrive. */
  readonly input?: readonly string[]
}

/** Runs the words of a line; no command here waits for a signal. */
const service = (line: string, { env = {}, input = [] }: Typed = {}) =>
  runLine(
    line.split(' ').filter(word => word !== ''),
    { env, input: Readable.from(input) },
  )

/** A config folder that is not there yet, and commands on it. */
function place() {
  const folder = join(mkdtempSync(join(ROOT, 'p-')), 'config')
  const file = (name: string) => join(folder, name)
  return {
    folder,
    file,
    service: async (line: string, typed?: Typed) => await service(`-c ${folder} ${line}`, typed),
    read: (name: string) => readFileSync(file(name), 'utf8'),
    all: () => readdirSync(folder).map(name => [name, readFileSync(file(name), 'utf8')]),
    config: async (): Promise<ServiceConfig> =>
      await loadServiceConfig(folder, { env: {}, hostname: 'other', clock: systemClock }),
    json: () => JSON.parse(readFileSync(file('service.json'), 'utf8')) as Record<string, never>,
  }
}

const hex = (bytes: Uint8Array = new Uint8Array()) => Buffer.from(bytes).toString('hex')

test('init writes configuration, identity and peerstore, each readable by whom it concerns', async () => {
  const at = place()
  assert.deepEqual(await at.service('init'), {
    code: 0,
    stdout: '',
    stderr:
      `configuration written to ${at.file('service.json')}.\n` +
      `new identity written to ${at.file('identity.json')}\n` +
      `new empty peerstore written to ${at.file('peerstore')}.\n`,
  })
  assert.deepEqual(readdirSync(at.folder).toSorted(), ['identity.json', 'peerstore', 'service.json'])
  const mode = (path: string) => (statSync(path).mode & 0o777).toString(8)
  assert.equal(mode(at.folder), '700')
  assert.equal(mode(at.file('service.json')), '600')
  assert.equal(mode(at.file('identity.json')), '600')
  assert.equal(mode(at.file('peerstore')), (0o644 & ~process.umask()).toString(8))
  assert.equal(at.read('peerstore'), '')
  assert.match((await loadIdentity(at.folder)).id, /^12D3KooW/)
  const { cluster, consensus } = await at.config()
  assert.equal(cluster.secret?.length, 32)
  assert.equal(cluster.peername, 'a-host')
  assert.deepEqual(Object.keys(at.json()['consensus'] ?? {}), ['crdt'])
  assert.deepEqual(consensus.crdt?.trusted_peers, ['*'])
  assert.deepEqual(Object.keys(at.json()['datastore'] ?? {}), ['pebble'])
  assert.deepEqual(Object.keys(at.json()['ipfs_connector'] ?? {}), ['ipfshttp'])
})

test('init makes a new secret every time', async () => {
  const [one, other] = [place(), place()]
  await one.service('init')
  await other.service('init')
  assert.notEqual(hex((await one.config()).cluster.secret), hex((await other.config()).cluster.secret))
})

test('init asks before it overwrites: without a yes, nothing changes', async () => {
  const at = place()
  await at.service(`init --peers ${PEERS.join(',')}`)
  const before = at.all()
  const again = "Please press either 'y' or 'n'\n"
  for (const [input, stdout] of [
    [['n\n'], QUESTION],
    [['N\n'], QUESTION],
    [['\n', 'y\n'], QUESTION],
    [[], QUESTION],
    [['x\nz\nw\ny\n'], `${QUESTION}${again}`.repeat(3)],
  ] as const) {
    assert.deepEqual(await at.service('init', { input }), { code: 0, stdout, stderr: '' })
    assert.deepEqual(at.all(), before)
  }
})

test('init overwrites after a yes, and keeps the identity', async () => {
  const at = place()
  await at.service(`init --peers ${PEERS.join(',')}`)
  const identity = at.read('identity.json')
  for (const input of [['y\n'], ['what\nY\n'], ['what\n', 'y\n']]) {
    const before = at.read('service.json')
    const { code, stderr } = await at.service('init', { input })
    assert.deepEqual(
      [code, stderr],
      [
        0,
        `configuration written to ${at.file('service.json')}.\nnew empty peerstore written to ${at.file('peerstore')}.\n`,
      ],
    )
    assert.notEqual(at.read('service.json'), before)
    assert.equal(at.read('identity.json'), identity)
    assert.equal(at.read('peerstore'), '')
  }
})

test('init --force, before or behind the command, does not ask', async () => {
  const at = place()
  await at.service('init')
  for (const line of ['init --force', 'init -f', '--force init', '-f init']) {
    const before = at.read('service.json')
    const { code, stdout } = await at.service(line, { input: ['n\n'] })
    assert.deepEqual([code, stdout], [0, ''])
    assert.notEqual(at.read('service.json'), before)
  }
})

test('init --peers fills the peerstore and the trusted peers', async () => {
  const at = place()
  const { stderr } = await at.service(`init --peers ${PEERS.join(',')}`)
  assert.match(stderr, /\npeerstore written to .*\/peerstore with 2 entries\.\n$/)
  assert.equal(at.read('peerstore'), PEERS.map(peer => `${peer}\n`).join(''))
  assert.deepEqual((await at.config()).consensus.crdt?.trusted_peers, PEER_IDS)
})

test('init --consensus raft has the peers in its set and no datastore', async () => {
  const at = place()
  await at.service(`init --consensus=raft --peers ${PEERS[0]}`)
  const { consensus } = await at.config()
  assert.deepEqual(Object.keys(at.json()['consensus'] ?? {}), ['raft'])
  assert.deepEqual(consensus.raft?.init_peerset, [PEER_IDS[0]])
  assert.equal(at.json()['datastore'], undefined)
})

test('init --ipfs embedded and --datastore choose the sections that are written', async () => {
  const at = place()
  await at.service('init --ipfs embedded --datastore badger3')
  assert.deepEqual(Object.keys(at.json()['ipfs_connector'] ?? {}), ['embedded'])
  assert.deepEqual(Object.keys(at.json()['datastore'] ?? {}), ['badger3'])
})

test('init --randomports moves every listener to a port of its own', async () => {
  const [usual, random] = [place(), place()]
  await usual.service('init --ipfs embedded')
  await random.service('init --ipfs embedded --randomports')
  const listeners = async ({ config }: typeof usual) => {
    const { cluster, api, ipfs_connector: ipfs } = await config()
    return [
      cluster.listen_multiaddress,
      api.restapi?.http_listen_multiaddress ?? [],
      api.ipfsproxy?.listen_multiaddress ?? [],
      api.pinsvcapi?.http_listen_multiaddress ?? [],
      ipfs.embedded?.swarm_listen_multiaddress ?? [],
      [ipfs.embedded?.gateway_listen_multiaddress ?? ''],
    ]
  }
  const port = (address: string) => Number(/\/(?:tcp|udp)\/(\d+)/.exec(address)?.[1])
  const host = (address: string) => address.replace(/\/(tcp|udp)\/\d+/, '/$1/*')
  const [before, now] = [await listeners(usual), await listeners(random)]
  assert.deepEqual(
    now.map(each => each.map(host)),
    before.map(each => each.map(host)),
  )
  const ports = now.filter(each => each.length > 0).map(each => [...new Set(each.map(port))])
  assert.equal(ports.length, 6)
  assert.ok(
    ports.every(each => each.length === 1),
    JSON.stringify(now),
  )
  assert.equal(new Set(ports.flat()).size, ports.length)
  const defaults = new Set(before.flat().map(port))
  assert.ok(
    ports.flat().every(each => each > 0 && !defaults.has(each)),
    JSON.stringify(now),
  )
})

test('init --custom-secret asks for it', async () => {
  const at = place()
  const first = await at.service('init --custom-secret', { input: [`${SECRET}\n`] })
  assert.deepEqual([first.code, first.stdout], [0, SECRET_QUESTION])
  assert.equal(hex((await at.config()).cluster.secret), SECRET)
  const other = 'cd'.repeat(32)
  const both = await at.service('init -s', { input: [`y\n${other}\n`] })
  assert.deepEqual([both.code, both.stdout], [0, QUESTION + SECRET_QUESTION])
  assert.equal(hex((await at.config()).cluster.secret), other)
  const before = at.all()
  for (const input of ['zz\n', 'abcd\n']) {
    const { code, stderr } = await at.service('init -f -s', { input: [input] })
    assert.equal(code, 1)
    assert.match(stderr, /^error parsing user-provided secret: \S.*\n$/)
    assert.deepEqual(at.all(), before)
  }
  const none = await at.service('init -f -s')
  assert.equal(none.code, 0)
  assert.match(none.stderr, /\nWARNING: the cluster secret is empty: .*\n/)
  assert.equal((await at.config()).cluster.secret, undefined)
})

const REFUSED: readonly (readonly [string, RegExp])[] = [
  ['--consensus paxos', /^error choosing consensus: flag value must be set to 'raft' or 'crdt'\n$/],
  [
    '--datastore mysql',
    /^error choosing datastore: flag value must be set to 'leveldb', 'badger', 'badger3' or 'pebble'\n$/,
  ],
  ['--ipfs helia', /^error choosing the IPFS daemon: flag value must be set to 'ipfshttp' .*'embedded'/],
  ['--peers nonsense', /^error parsing peer multiaddress: nonsense: \S.*\n$/],
  [
    '--peers /ip4/1.2.3.4/tcp/9096',
    /^error parsing peer multiaddress: \/ip4\/1\.2\.3\.4\/tcp\/9096: \S.*\n$/,
  ],
  [`--peers ${PEERS[0]},`, /^error parsing peer multiaddress: : \S.*\n$/],
]

test('init refuses values that it does not know, and makes nothing', async () => {
  for (const [flags, message] of REFUSED) {
    const at = place()
    const { code, stdout, stderr } = await at.service(`init ${flags}`)
    assert.deepEqual([code, stdout], [1, ''], flags)
    assert.match(stderr, message)
    assert.throws(() => readdirSync(at.folder), { code: 'ENOENT' })
  }
})

test('init makes the environment part of the file', async () => {
  const at = place()
  const env = {
    CLUSTER_SECRET: SECRET,
    CLUSTER_PEERNAME: 'from-env',
    CLUSTER_CRDT_TRUSTEDPEERS: PEER_IDS.join(','),
    CLUSTER_RESTAPI_HTTPLISTENMULTIADDRESS: '/ip4/127.0.0.1/tcp/19094',
  }
  assert.equal((await at.service('init', { env })).code, 0)
  const { cluster, consensus, api } = await at.config()
  assert.equal(hex(cluster.secret), SECRET)
  assert.equal(cluster.peername, 'from-env')
  assert.deepEqual(consensus.crdt?.trusted_peers, PEER_IDS)
  assert.deepEqual(api.restapi?.http_listen_multiaddress, ['/ip4/127.0.0.1/tcp/19094'])
  const before = at.all()
  const bad = await at.service('init -f', { env: { CLUSTER_SECRET: 'zz' } })
  assert.equal(bad.code, 1)
  assert.match(bad.stderr, /^error applying environment variables to configuration: /)
  assert.deepEqual(at.all(), before)
})

test('init with a source URL writes only where the configuration is', async () => {
  const at = place()
  const { code, stderr } = await at.service('init http://127.0.0.1:1/service.json')
  assert.deepEqual(
    [code, stderr],
    [
      0,
      `configuration written to ${at.file('service.json')}.\nnew identity written to ${at.file('identity.json')}\n`,
    ],
  )
  assert.equal(at.read('service.json'), '{\n  "source": "http://127.0.0.1:1/service.json"\n}')
  assert.deepEqual(readdirSync(at.folder).toSorted(), ['identity.json', 'service.json'])
})

test('the folder comes from the flag, the environment or the home', async () => {
  const [home, path] = [place().folder, place().folder]
  await service('init', { env: { HOME: home } })
  await service('init', { env: { HOME: home, IPFS_CLUSTER_PATH: path } })
  assert.ok(readdirSync(join(home, '.ipfs-cluster')).includes('service.json'))
  assert.ok(readdirSync(path).includes('service.json'))
})

test('a folder in use is refused by init and daemon', async () => {
  const at = place()
  await at.service('init')
  await using _store = await openLevelStore(join(at.folder, STORE_FOLDER))
  const before = at.read('service.json')
  for (const [line, doing] of [
    ['init --force', 'obtaining'],
    ['daemon', 'obtaining'],
  ]) {
    const { code, stderr } = await at.service(line ?? '')
    assert.equal(code, 1)
    const lock = at.file('cluster.lock')
    assert.ok(
      stderr.startsWith(
        `error ${doing} execution lock: lock ${lock}: someone else has the lock. If no other`,
      ),
      stderr,
    )
  }
  assert.equal(at.read('service.json'), before)
})

test('daemon says what it cannot load', async () => {
  const missing = await place().service('daemon')
  assert.equal(missing.code, 1)
  assert.match(missing.stderr, /^error loading configurations: .*service\.json/)
  const at = place()
  await at.service('init')
  rmSync(at.file('identity.json'))
  const nobody = await at.service('daemon')
  assert.equal(nobody.code, 1)
  assert.match(nobody.stderr, /^error loading configurations: .*identity\.json/)
})

test('the version', async () => {
  assert.deepEqual(await service('version'), { code: 0, stdout: `${VERSION}\n`, stderr: '' })
  for (const line of ['--version', '-v', '-v daemon']) {
    assert.deepEqual(await service(line), {
      code: 0,
      stdout: 'ipfs-cluster-service version 1.1.6\n',
      stderr: '',
    })
  }
})

test('help, usage errors and unknown commands exit as in Go', async () => {
  const help = await service('--help', { env: { HOME: '/home/me' } })
  assert.deepEqual([help.code, help.stderr], [0, ''])
  assert.match(help.stdout, /^NAME:\n {3}ipfs-cluster-service - IPFS Cluster peer\n/)
  assert.match(
    help.stdout,
    /\n {3}--config FOLDER, -c FOLDER {2}.* \(default: "\/home\/me\/\.ipfs-cluster"\) \[\$IPFS_CLUSTER_PATH\]\n/,
  )
  for (const line of ['', 'nope']) {
    assert.deepEqual(await service(line, { env: { HOME: '/home/me' } }), { ...help, code: 1 })
  }
  assert.deepEqual(await service('help nope'), { code: 3, stdout: '', stderr: "No help topic for 'nope'\n" })
  for (const [line, message] of [
    ['--nope', 'Incorrect Usage. flag provided but not defined: -nope'],
    ['init --nope', 'Incorrect Usage: flag provided but not defined: -nope'],
    ['init --peers', 'Incorrect Usage: flag needs an argument: -peers'],
  ]) {
    const { code, stdout, stderr } = await service(line ?? '')
    assert.deepEqual([code, stdout.split('\n')[0], stderr], [0, message, ''])
  }
})

test('help fits a terminal', async () => {
  for (const line of ['', 'init', 'daemon', 'version']) {
    const { stdout } = await service(`help ${line}`)
    const longest = Math.max(...stdout.split('\n').map(each => each.length))
    assert.ok(longest <= 120, `${line}: ${longest} columns`)
  }
})

test('free ports are free, and no two are the same', async () => {
  const ports = await freePorts(20)
  assert.equal(new Set(ports).size, 20)
  assert.ok(ports.every(port => port > 0))
})
