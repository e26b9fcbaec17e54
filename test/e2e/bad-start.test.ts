import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { runProcess, waitFor } from '@ipfs-cluster/testkit'
import { bin, editConfig, prepareCluster, type TestCluster, type TestPeer } from './cluster.ts'

let cluster: TestCluster

before(async () => {
  cluster = await prepareCluster(2)
})

after(async () => {
  await cluster[Symbol.asyncDispose]()
})

/** The text of the first peer's service.json, changed. */
async function withServiceJson(change: (text: string) => string): Promise<AsyncDisposable> {
  const path = join((cluster.peers[0] as TestPeer).folder, 'service.json')
  const before = await readFile(path, 'utf8')
  const changed = change(before)
  assert.notEqual(changed, before, 'the change applies')
  await writeFile(path, changed)
  return { [Symbol.asyncDispose]: () => writeFile(path, before) }
}

async function refuses(reason: RegExp): Promise<void> {
  const { code, signal, stderr } = await (cluster.peers[0] as TestPeer).failToStart()
  assert.equal(signal, null)
  assert.match(stderr, reason)
  assert.equal(code, 1, stderr)
  // One line for people: no stack, no error that nobody took care of.
  assert.doesNotMatch(stderr, /unhandled|^\s+at /im)
}

async function takePort(port: number): Promise<AsyncDisposable> {
  const server: Server = createServer()
  await new Promise<void>((resolve, reject) =>
    server.once('error', reject).listen(port, '127.0.0.1', resolve),
  )
  return { [Symbol.asyncDispose]: () => new Promise<void>(resolve => server.close(() => resolve())) }
}

const portOf = (address: string) => Number(/\/tcp\/(\d+)/.exec(address)?.[1])

/** Every file below a folder with its content's hash and time of change. */
async function contentOf(folder: string): Promise<Readonly<Record<string, string>>> {
  const all: Record<string, string> = {}
  for (const name of (await readdir(folder, { recursive: true })).sort()) {
    const path = join(folder, name)
    const { mtimeMs, mode } = await stat(path)
    const hash = (await stat(path)).isFile()
      ? createHash('sha256')
          .update(await readFile(path))
          .digest('hex')
      : ''
    all[name] = `${mode} ${mtimeMs} ${hash}`
  }
  return all
}

test('without a configuration the daemon says where it looked and what to do', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'e2e-empty-'))
  try {
    const { code, stderr } = await runProcess(bin('ipfs-cluster-service'), ['--config', folder, 'daemon'])
    assert.equal(code, 1)
    const path = join(folder, 'service.json')
    assert.equal(
      stderr,
      `error loading configurations: there is no configuration at ${path}; create one with "ipfs-cluster-service init"\n`,
    )
    assert.deepEqual(await readdir(folder), [])
  } finally {
    await rm(folder, { recursive: true })
  }
})

const BAD_CONFIGS: readonly (readonly [string, (text: string) => string, RegExp])[] = [
  [
    'cut in the middle',
    text => text.slice(0, 300),
    /^error loading configurations: service\.json: is not JSON/,
  ],
  [
    'a value of the wrong type',
    text => text.replace(/"monitor_ping_interval": "[^"]*"/, '"monitor_ping_interval": 15'),
    /^error loading configurations: cluster\.monitor_ping_interval: /,
  ],
  [
    'a duration that is none',
    text => text.replace(/"state_sync_interval": "[^"]*"/, '"state_sync_interval": "soon"'),
    /^error loading configurations: cluster\.state_sync_interval: .*soon/,
  ],
  [
    'a short secret',
    text => text.replace(/"secret": "[^"]*"/, '"secret": "abcdef"'),
    /^error loading configurations: .*secret/,
  ],
  [
    'replication factors that contradict each other',
    text => text.replace('"replication_factor_min": -1', '"replication_factor_min": 3'),
    /^error loading configurations: cluster.*replication_factor/,
  ],
  [
    'no place for blocks',
    text => text.replace(/"storage_max": \d+/, '"storage_max": -5'),
    /^error loading configurations: embedded\.storage_max: must be greater than 0/,
  ],
  [
    'nobody who may log in',
    text => text.replace('"basic_auth_credentials": null', '"basic_auth_credentials": {}'),
    /^error loading configurations: .*restapi\.basic_auth_creds should be null or have at least one entry/,
  ],
  [
    'a certificate that is not there',
    text =>
      text.replace('"read_timeout"', '"ssl_cert_file": "c.pem", "ssl_key_file": "k.pem", "read_timeout"'),
    /^error loading configurations: restapi\.ssl_cert_file: error loading TLS certificate\/key: .*c\.pem/,
  ],
  [
    'a certificate without its key',
    text => text.replace('"read_timeout"', '"ssl_cert_file": "c.pem", "read_timeout"'),
    /^error loading configurations: restapi: ssl_cert_file and ssl_key_file must be set together/,
  ],
]

for (const [name, change, reason] of BAD_CONFIGS) {
  test(`a configuration is refused by its key: ${name}`, async () => {
    await using _changed = await withServiceJson(change)
    await refuses(reason)
  })
}

test('a variable of the environment is refused by its name', async () => {
  const { folder } = cluster.peers[0] as TestPeer
  const env = { CLUSTER_STATELESS_CONCURRENTPINS: 'many' }
  const { code, stderr } = await runProcess(bin('ipfs-cluster-service'), ['--config', folder, 'daemon'], {
    env,
  })
  assert.match(stderr, /^error loading configurations: CLUSTER_STATELESS_CONCURRENTPINS: .*"many"/)
  assert.equal(code, 1)
})

test('an identity whose id is not that of its key is refused', async () => {
  const [first, second] = cluster.peers as [TestPeer, TestPeer]
  const path = join(first.folder, 'identity.json')
  const own = await readFile(path, 'utf8')
  await writeFile(path, own.replace(first.id, second.id))
  try {
    await refuses(
      new RegExp(
        `^error loading configurations: the peer id ${second.id} in .* does not belong to the private key`,
      ),
    )
    await writeFile(path, own.replace(/"private_key": ".{20}/, '"private_key": "'))
    await refuses(/^error loading configurations: the identity in .*identity\.json cannot be used/)
  } finally {
    await writeFile(path, own)
  }
})

test('a port that is in use is named', async () => {
  const [first] = cluster.peers as [TestPeer]
  const text = JSON.parse(await readFile(join(first.folder, 'service.json'), 'utf8'))
  const embedded = text.ipfs_connector.embedded
  const cases: readonly (readonly [string, RegExp])[] = [
    [text.api.restapi.http_listen_multiaddress, /in use.*restapi\.http_listen_multiaddress/],
    [text.cluster.listen_multiaddress, /cluster\.listen_multiaddress.*in use/],
    [embedded.swarm_listen_multiaddress, /cannot listen on .*/],
    [embedded.gateway_listen_multiaddress, /gateway cannot listen on .*in use/],
  ]
  for (const [address, reason] of cases) {
    await using _taken = await takePort(portOf(address))
    const { code, stderr } = await first.failToStart()
    const error = stderr.slice(stderr.indexOf('error starting cluster: '))
    assert.match(error, reason)
    assert.ok(error.includes(address), error)
    assert.equal(code, 1)
    assert.doesNotMatch(stderr, /unhandled/i)
  }
})

test('a folder of a running daemon is locked; the daemon stops in order and the folder is free', async () => {
  const [first] = cluster.peers as [TestPeer]
  await first.start()
  const path = join(first.folder, 'cluster.lock')
  const expected =
    `error obtaining execution lock: lock ${path}: someone else has the lock. If no other ipfs-cluster-service process is running, ` +
    `remove ${path}, or make sure that the config folder is writable for the user running ipfs-cluster-service.\n`
  const second = await first.failToStart()
  assert.equal(second.stderr, expected)
  assert.equal(second.code, 1)
  assert.deepEqual(
    await first.client.version(),
    await first.client.version(),
    'the running one is not disturbed',
  )

  const started = performance.now()
  const { code, stderr } = await first.stop()
  assert.equal(code, 0)
  assert.ok(performance.now() - started < 5_000)
  assert.doesNotMatch(stderr, /unhandled|\terror\t/i)
  assert.equal((await readdir(first.folder)).includes('cluster.lock'), false)
  await first.start()
  await first.stop()
})

test('the store of a Go peer is announced and stays as it is', async () => {
  const [first] = cluster.peers as [TestPeer]
  const pebble = join(first.folder, 'pebble')
  await mkdir(pebble)
  for (const name of ['CURRENT', 'LOCK', 'MANIFEST-000001', 'OPTIONS-000003', '000002.log']) {
    await writeFile(join(pebble, name), `content of ${name}`)
  }
  await cp(pebble, join(first.folder, 'badger3'), { recursive: true })
  const before = await contentOf(pebble)
  await first.start()
  const { stderr } = first.process
  assert.match(stderr, /\tWARN\t.*datastore of a Go peer.*\{"folders":\["pebble","badger3".*\]\}/)
  assert.equal((await first.stop()).code, 0)
  assert.deepEqual(await contentOf(pebble), before)
})

test('a peer with another secret is no member, and its log says why', async () => {
  const [first, second] = cluster.peers as [TestPeer, TestPeer]
  await editConfig(second, config => ({
    ...config,
    cluster: { ...config.cluster, secret: new Uint8Array(32).fill(7) },
  }))
  await Promise.all([first.start(), second.start()])
  await waitFor(() => /wrong cluster secret/.test(second.process.stderr), {
    timeoutMs: 15_000,
    what: 'the second peer says why it is alone',
  })
  for (const peer of [first, second]) {
    const listed = await peer.ctl(['--enc', 'json', 'peers', 'ls'])
    assert.equal(listed.code, 0, listed.stdout)
    assert.equal(JSON.parse(listed.stdout).id, peer.id)
    const { code, stderr } = await peer.stop()
    assert.equal(code, 0)
    assert.doesNotMatch(stderr, /unhandled/i)
  }
})
