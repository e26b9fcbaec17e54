import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { serveRoutes } from '@ipfs-cluster/api/test-server'
import { systemClock } from '@ipfs-cluster/base'
import { networkText } from './host-transport.ts'
import { A, handlers } from './test-peer.ts'
import { ctl, hostOf, hurried } from './test-run.ts'

const folder = mkdtempSync(join(tmpdir(), 'ctl-hosts-'))
after(() => rmSync(folder, { recursive: true }))

const VERSION = { code: 0, stdout: '1.1.6+git\n', stderr: '' }
const networkError = (text: string) => `An error occurred:\n  Code: 0\n  Message: ${text}\n`

test('credentials: flag, environment, and https unless forced', async () => {
  await using server = await serveRoutes(handlers)
  const host = hostOf(server.url)
  const authorization = () => server.requests.at(-1)?.headers.authorization
  const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`
  const plain = await ctl(['--host', host, '--basic-auth', 'u:p:q', '--force-http', 'version'])
  assert.deepEqual(plain, VERSION)
  assert.equal(authorization(), basic('u:p:q'))
  await ctl(['--host', host, '-f', 'version'], { env: { CLUSTER_CREDENTIALS: 'me' } })
  assert.equal(authorization(), basic('me:'))
  await ctl(['--host', host, '-f', '--basic-auth', 'ü:ß', 'version'])
  assert.equal(authorization(), basic('ü:ß'))
  await ctl(['--host', host, '--basic-auth', ':p', 'version'])
  assert.equal(authorization(), undefined)
  const before = server.requests.length
  const secure = await ctl(['--host', host, '--basic-auth', 'u:p', 'version'])
  assert.equal(secure.code, 1)
  assert.match(secure.stdout, /Code: 0\n {2}Message: GET https:.*: the server does not speak https\n/)
  assert.match(secure.stderr, /^\S+\tWARN\tcluster-ctl\t.*--force-http/)
  const asked = await ctl(['--https', '--host', host, '--basic-auth', 'u:p', 'version'])
  assert.equal(asked.stderr, '')
  assert.equal(server.requests.length, before)
})

test('--debug tells requests and answers, but no credentials', async () => {
  await using server = await serveRoutes(handlers)
  const global = ['--debug', '--host', hostOf(server.url), '--force-http', '--basic-auth', 'user:pass5word']
  const { stderr } = await ctl([...global, 'health', 'metrics'])
  assert.match(stderr, /^\S+\tDEBUG\tcluster-ctl\tGET: http:.*\/monitor\/metrics\n/)
  assert.match(stderr, /Response body: \["ping","freespace"\]/)
  const encoded = Buffer.from('user:pass5word').toString('base64')
  assert.ok(!stderr.includes('pass5word') && !stderr.includes(encoded))
})

test('the next host when one is down; IPv6; sockets', async () => {
  await using server = await serveRoutes(handlers)
  const version = async (host: string) => await ctl(['--host', host, 'version'])
  assert.deepEqual(await version(`/ip4/127.0.0.1/tcp/1,${hostOf(server.url)}`), VERSION)
  assert.deepEqual(await version(`${hostOf(server.url)},/ip4/127.0.0.1/tcp/1`), VERSION)
  const failure = (host: string) => networkError(`GET http://${host}/version: connection refused`)
  assert.deepEqual(await version('/ip6/::1/tcp/1'), { code: 1, stdout: failure('[::1]:1'), stderr: '' })
  const none = await version('/ip4/127.0.0.1/tcp/1,/ip4/127.0.0.2/tcp/1')
  const [first, second] = ['127.0.0.1:1', '127.0.0.2:1'].map(
    host => `GET http://${host}/version: connection refused`,
  )
  assert.deepEqual(none, { code: 1, stdout: networkError(`${first}; ${second}`), stderr: '' })
  await using socket = await serveRoutes(handlers, join(folder, 's'))
  assert.deepEqual(await version(`/unix${socket.url.slice('unix:'.length)}`), VERSION)
  const nowhere = await version(`/unix${folder}/nowhere`)
  assert.equal(nowhere.stdout, networkError(`GET unix:${folder}/nowhere/version: no such file or directory`))
})

test('an upload goes to the next host while nothing of it was read', async () => {
  await using server = await serveRoutes(handlers)
  const host = `/ip4/127.0.0.1/tcp/1,${hostOf(server.url)}`
  const { code, stdout } = await ctl(['--host', host, 'add', import.meta.filename])
  assert.equal(code, 0)
  assert.match(stdout, /^added \S+ file hosts\.test\.ts\n$/)
})

test('a name stands for all its addresses, one after the other, but with https', async () => {
  await using server = await serveRoutes(handlers)
  const { port } = new URL(server.url)
  const asked: unknown[] = []
  const resolve = async (name: string, family: 4 | 6 | undefined) => {
    asked.push([name, family])
    return ['127.0.0.2', '127.0.0.1']
  }
  const version = async (...words: string[]) => await ctl([...words, 'version'], { resolve })
  assert.deepEqual(await version('--host', `/dns4/peers.test/tcp/${port}`), VERSION)
  await version('--host', `/dns6/peers.test/tcp/${port}`)
  await version('--host', `/dns/peers.test/tcp/${port},/ip4/127.0.0.1/tcp/1`)
  const names = [
    ['peers.test', 4],
    ['peers.test', 6],
    ['peers.test', undefined],
  ]
  assert.deepEqual(asked, names)
  const secure = await version('--https', '--host', '/dns4/nowhere.invalid/tcp/1')
  assert.equal(secure.stdout.includes('GET https://nowhere.invalid:1/version: '), true, secure.stdout)
  assert.deepEqual(asked, names)
  const missing = await ctl(['--host', '/dns4/nowhere.test/tcp/1', 'version'], {
    resolve: () => Promise.reject(new Error('ENOTFOUND')),
  })
  assert.deepEqual(missing, {
    code: 1,
    stdout: '',
    stderr: 'error creating configs: lookup nowhere.test: no such host\n',
  })
})

const BAD_HOSTS: readonly (readonly [host: string, stderr: RegExp])[] = [
  ['x', /^error parsing host multiaddress: failed to parse multiaddr "x": must begin with \/\n$/],
  ['', /^error parsing host multiaddress: /],
  ['/ip4/127.0.0.1/tcp/1,', /^error parsing host multiaddress: /],
  ['/ip4/999.0.0.1/tcp/1', /^error parsing host multiaddress: /],
  ['/ip4/127.0.0.1/tcp/99999', /^error parsing host multiaddress: /],
  ['/ip4/127.0.0.1', /^error creating configs: .* a TCP port is needed\n$/],
  ['/ip4/127.0.0.1/udp/1', /^error creating configs: .* a TCP port is needed\n$/],
  [`/p2p/${A}`, /^error creating API client: .* only includes a peer ID/],
]

for (const [host, expected] of BAD_HOSTS) {
  test(`a host that is none: ${JSON.stringify(host)}`, async () => {
    const { code, stdout, stderr } = await ctl([`--host=${host}`, 'version'])
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, expected)
  })
}

test('a secret that is none', async () => {
  for (const secret of ['zz', '012']) {
    const { code, stdout, stderr } = await ctl(['--secret', secret, 'version'])
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /^error parsing secret: /)
  }
})

test('--timeout is for each host, so that the next one is asked', async () => {
  const never = new Promise<never>(() => undefined)
  await using silent = await serveRoutes({ ...handlers, version: () => never })
  await using server = await serveRoutes(handlers)
  const [first, second] = [hostOf(silent.url), hostOf(server.url)]
  const late = await ctl(['--host', first, '--timeout', '1', 'version'])
  const text = `GET ${silent.url}/version: no answer within 1 s`
  assert.deepEqual(late, { code: 1, stdout: networkError(text), stderr: '' })
  // The clock that the others have would end the second request too.
  const timeouts = [AbortSignal.timeout(20), new AbortController().signal]
  const clock = { ...hurried, timeout: () => timeouts.shift() ?? systemClock.timeout(1_000) }
  const both = await ctl(['--host', `${first},${second}`, '-t', '1', 'version'], { clock })
  assert.deepEqual(both, VERSION)
  for (const none of ['0', '-5']) {
    assert.deepEqual(await ctl(['--host', second, '--timeout', none, 'version']), VERSION)
  }
})

test('failures of the network in words', () => {
  const of = (code: string) => networkText(Object.assign(new Error('raw'), { code }))
  assert.equal(of('ECONNREFUSED'), 'connection refused')
  assert.match(of('DEPTH_ZERO_SELF_SIGNED_CERT'), /--no-check-certificate/)
  assert.match(of('CERT_HAS_EXPIRED'), /expired/)
  assert.match(of('ERR_TLS_CERT_ALTNAME_INVALID'), /another name/)
  assert.equal(of('EUNKNOWN'), 'raw')
  assert.equal(
    networkText(new AggregateError([Object.assign(new Error('x'), { code: 'ENOTFOUND' })])),
    'no such host',
  )
})

test('pages that cannot be fetched are named', async () => {
  await using server = await serveRoutes(handlers)
  const add = async (url: string) => await ctl(['--host', hostOf(server.url), 'add', url])
  const gone = await serveRoutes(handlers)
  await gone[Symbol.asyncDispose]()
  const stderr = `error : cannot get ${gone.url}/x: connection refused\n`
  assert.deepEqual(await add(`${gone.url}/x`), { code: 1, stdout: '', stderr })
  assert.deepEqual(await add('http:'), { code: 1, stdout: '', stderr: 'error : http: is not a URL\n' })
})
