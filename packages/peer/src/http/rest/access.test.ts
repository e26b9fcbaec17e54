import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls'
import { waitFor } from '@ipfs-cluster/testkit'
import type { HttpApi } from './index.ts'
import { basic, head, rawRequest, recordingLogger, startTestApi } from './test-api.ts'

const CREDENTIALS = { user: 'pass', other: 'word', empty: '' }
const CORS = {
  allowedOrigins: ['http://a.example'],
  allowedMethods: ['GET'],
  allowedHeaders: [],
  exposedHeaders: ['X-Stream-Output'],
  allowCredentials: true,
  maxAgeMs: 0,
}
const ORIGIN = { Origin: 'http://a.example' }
const LOGIN = { Authorization: basic('user', 'pass') }
const VERSION = { version: () => ({ version: '1.1.6' }) }

let closed: HttpApi
let open: HttpApi
before(async () => {
  closed = await startTestApi(VERSION, { credentials: CREDENTIALS, cors: CORS })
  open = await startTestApi(VERSION, { cors: CORS })
})
after(async () => {
  await closed[Symbol.asyncDispose]()
  await open[Symbol.asyncDispose]()
})
const ask = (method: string, path: string, headers: Record<string, string> = {}, api = closed) =>
  rawRequest(api.urls[0] as string, head(method, path, headers))

test('without a login nothing is shown: 401 comes before redirects, 404, 405 and cross-origin headers', async () => {
  for (const [method, path] of [
    ['GET', '/version'],
    ['GET', '/nope'],
    ['GET', '/version/'],
    ['GET', '//version'],
    ['PUT', '/version'],
    ['HEAD', '/health'],
    ['POST', '/health'],
    ['GET', '/health/'],
    ['GET', '/health/graph'],
    ['GET', '//health'],
    ['GET', '/x/../health'],
    ['GET', '/HEALTH'],
    ['GET', '/%zz'],
    ['GET', '*'],
    ['CONNECT', 'evil.example:80'],
    ['POST', '/token'],
  ] as const) {
    const { status, headers, body } = await ask(method, path, ORIGIN)
    const what = `${method} ${path}`
    assert.equal(status, 401, what)
    if (method !== 'HEAD')
      assert.equal(body, '{"code":401,"message":"unauthorized: no auth provided"}\n', what)
    assert.equal(
      headers['www-authenticate'],
      'Bearer realm="Restricted IPFS Cluster API"\nBasic realm="Restricted IPFS Cluster API"',
    )
    assert.equal(headers['content-type'], 'application/json')
    assert.equal(headers['x-own'], 'a\nb')
    assert.equal(headers['access-control-allow-origin'], undefined)
    assert.equal(headers['vary'], undefined)
    assert.equal(headers['location'], undefined)
  }
})

test('a wrong login names its scheme', async () => {
  const denied = await ask('GET', '/version', { Authorization: basic('user', 'word') })
  assert.deepEqual(
    [denied.status, denied.headers['www-authenticate'], denied.body],
    [
      401,
      'Basic realm="Restricted IPFS Cluster API"',
      '{"code":401,"message":"unauthorized: access denied"}\n',
    ],
  )
  const invalid = await ask('GET', '/version', { Authorization: 'Bearer abc' })
  assert.deepEqual(
    [invalid.status, invalid.headers['www-authenticate'], invalid.body],
    [
      401,
      'Bearer realm="Restricted IPFS Cluster API", error="invalid_token"',
      '{"code":401,"message":"unauthorized: invalid token"}\n',
    ],
  )
  assert.equal((await ask('GET', '/version', { Authorization: basic('empty', '') })).status, 401)
})

test('of two logins the first counts', async () => {
  const two = (first: string, second: string) =>
    rawRequest(
      closed.urls[0] as string,
      `GET /version HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ${first}\r\nAuthorization: ${second}\r\n\r\n`,
    )
  const [good, bad] = [basic('user', 'pass'), basic('user', 'x')]
  assert.equal((await two(good, bad)).status, 200)
  assert.equal((await two(bad, good)).status, 401)
})

test('health and OPTIONS need no login', async () => {
  for (const path of ['/health', '/health?x=1', '/%68ealth', 'http://x/health']) {
    assert.equal((await ask('GET', path)).status, 204, path)
  }
  assert.equal((await ask('OPTIONS', '/version')).status, 405)
  assert.equal((await ask('OPTIONS', '/nope')).status, 404)
  assert.equal((await ask('OPTIONS', '/version/')).status, 307)
  assert.equal((await ask('OPTIONS', '*')).status, 200)
  const preflight = await ask('OPTIONS', '/version', { ...ORIGIN, 'Access-Control-Request-Method': 'GET' })
  assert.equal(preflight.status, 204)
  assert.equal(preflight.headers['access-control-allow-origin'], 'http://a.example')
  assert.equal(preflight.headers['content-type'], undefined)
  assert.equal(preflight.headers['x-own'], undefined)
})

test('a token is given for a login, and for a token', async () => {
  const first = await ask('POST', '/token', LOGIN)
  assert.equal(first.status, 200)
  const { token } = JSON.parse(first.body) as { token: string }
  const Authorization = `Bearer ${token}`
  const again = await ask('POST', '/token', { Authorization })
  assert.equal(again.body, `{"token":"${token}"}\n`)
  assert.equal((await ask('GET', '/version', { Authorization })).status, 200)
  const other = await ask('POST', '/token', { Authorization: basic('other', 'word') })
  assert.notEqual(other.body, again.body)
  assert.equal((await ask('GET', '/token', LOGIN)).status, 404)
})

test('where nobody needs a login there are no tokens, and a login is not looked at', async () => {
  const { status, body, headers } = await ask('POST', '/token', LOGIN, open)
  assert.deepEqual([status, body], [401, '{"code":401,"message":"unauthorized"}\n'])
  assert.equal(headers['www-authenticate'], undefined)
  assert.equal((await ask('GET', '/version', { Authorization: 'Bearer abc' }, open)).status, 200)
})

test('redirects, 404 and 405 have cross-origin headers; only what a handler answers has the configured ones', async () => {
  const cases: [string, string, number, string | undefined, boolean][] = [
    ['GET', '/version/?x=1', 307, '/version?x=1', false],
    ['POST', '/version/', 307, '/version', false],
    ['GET', '//version', 301, '/version', false],
    ['GET', '/a/../version?x=1', 301, '/version?x=1', false],
    ['GET', '/./version', 301, '/version', false],
    ['GET', '/%2e%2e/version', 301, '/version', false],
    ['GET', '/..%2fversion', 301, '/version', false],
    ['GET', '/%2F%2Fevil.example/', 307, '/evil.example', false],
    ['GET', '//evil.example/', 307, '/evil.example', false],
    ['GET', '/%5Cevil.example/', 307, '/%5Cevil.example', false],
    ['PUT', '/version', 405, undefined, false],
    ['HEAD', '/version', 405, undefined, false],
    ['TRACE', '/version', 405, undefined, false],
    ['GET', '/nope', 404, undefined, true],
    ['GET', '/', 404, undefined, true],
    ['GET', '/version', 200, undefined, true],
  ]
  for (const [method, path, status, location, handled] of cases) {
    const { headers, body, ...answer } = await ask(method, path, { ...LOGIN, ...ORIGIN })
    const what = `${method} ${path}`
    assert.equal(answer.status, status, what)
    assert.equal(headers['location'], location, what)
    assert.equal(headers['vary'], 'Origin', what)
    assert.equal(
      headers['access-control-allow-origin'],
      method === 'GET' ? 'http://a.example' : undefined,
      what,
    )
    assert.equal(headers['x-own'], handled ? 'a\nb' : undefined, what)
    assert.equal(headers['content-type'], handled ? 'application/json' : undefined, what)
    assert.equal(headers['allow'], undefined)
    if (!handled) assert.equal(body, '', what)
  }
})

test('a refused login is told in the debug log without what was sent, and its request is logged', async () => {
  const { logger, lines } = recordingLogger()
  await using api = await startTestApi(VERSION, { credentials: CREDENTIALS }, logger)
  await ask('GET', '/version?token=querytoken', { Authorization: basic('user', 'not-this') }, api)
  await ask('GET', 'http://user:urlpass@x/version', { Authorization: 'Bearer some.bearer.token' }, api)
  const all = await waitFor(() => lines.length >= 4 && lines.join('\n'))
  assert.match(all, /^debug restapi .*wrong user or password.*unauthorized: access denied$/m)
  assert.match(all, /^info restapilog 127\.0\.0\.1 - - \[.*\] "GET \/version\?token=XXX HTTP\/1\.1" 401 53$/m)
  assert.doesNotMatch(all, /not-this|querytoken|urlpass|bearer\.token|Basic /)
})

test('requests are logged to a file with their size', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rest-log-'))
  const logFile = join(folder, 'http.log')
  {
    await using api = await startTestApi({ ...VERSION, metricNames: () => ['a', 'b'] }, { logFile })
    await ask('GET', '/version', {}, api)
    await ask('GET', '/monitor/metrics', {}, api)
    await ask('GET', '/health', {}, api)
  }
  const text = await readFile(logFile, 'utf8')
  assert.match(
    text,
    /^127\.0\.0\.1 - - \[\S+ \+0000\] "GET \/version HTTP\/1\.1" 200 20\n.*metrics HTTP\/1\.1" 200 10\n.*health HTTP\/1\.1" 204 0\n$/,
  )
  await rm(folder, { recursive: true })
})

test('configured headers are added to what is there', async () => {
  const headers = {
    'Content-Type': ['text/x'],
    'Access-Control-Allow-Origin': ['http://b.example'],
    Vary: ['X'],
  }
  await using api = await startTestApi(VERSION, { headers, cors: CORS })
  const answer = await ask('GET', '/version', ORIGIN, api)
  assert.equal(answer.headers['content-type'], 'text/x\napplication/json')
  assert.equal(answer.headers['access-control-allow-origin'], 'http://a.example\nhttp://b.example')
  assert.equal(answer.headers['vary'], 'Origin\nX')
})

test('several listeners serve, sockets of the file system among them, and none at all is an error', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rest-'))
  const path = join(folder, 'api.sock')
  const listen = ['/ip4/127.0.0.1/tcp/0', `/unix${path}`, '/ip4/127.0.0.1/tcp/0']
  {
    await using api = await startTestApi(VERSION, { listen })
    assert.equal(api.urls[1], `unix://${path}`)
    const targets = [api.urls[0] as string, { path }, api.urls[2] as string]
    for (const target of targets)
      assert.equal((await rawRequest(target, head('GET', '/version'))).status, 200)
    const taken = { listen: [`/unix${path}`] }
    await assert.rejects(startTestApi(VERSION, taken), {
      code: 'HTTP_LISTEN_FAILED',
      message: /the file exists/,
    })
  }
  await assert.rejects(startTestApi(VERSION, { listen: [] }), {
    code: 'HTTP_NO_ENDPOINTS',
    message: /^neither the libp2p nor the HTTP endpoints are enabled/,
  })
  await rm(folder, { recursive: true })
})

test('a socket that a killed program left behind does not keep a peer from starting', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rest-'))
  const path = join(folder, 'api.sock')
  const program = `require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`
  assert.equal(spawnSync(process.execPath, ['-e', program, path]).signal, 'SIGKILL')
  assert.ok(existsSync(path))
  {
    await using _api = await startTestApi(VERSION, { listen: [`/unix${path}`] })
    assert.equal((await rawRequest({ path }, head('GET', '/version'))).status, 200)
  }
  await writeFile(path, 'no socket')
  await assert.rejects(startTestApi(VERSION, { listen: [`/unix${path}`] }), { code: 'HTTP_LISTEN_FAILED' })
  assert.equal(await readFile(path, 'utf8'), 'no socket')
  await rm(folder, { recursive: true })
})

const pem = (name: string) => readFileSync(new URL(`../common/fixtures/${name}`, import.meta.url), 'utf8')

async function handshake(url: string, options: ConnectionOptions): Promise<TLSSocket> {
  const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>()
  const { hostname, port } = new URL(url)
  const socket = connectTls({ host: hostname, port: Number(port), ca: pem('cert.pem'), ...options })
  socket.once('secureConnect', () => resolve(socket)).once('error', reject)
  return await promise
}

test('TLS: 1.2 and 1.3, HTTP/1.1 only, on all listeners; older versions and plain HTTP are cut', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rest-tls-'))
  const path = join(folder, 'api.sock')
  const tls = { cert: pem('cert.pem'), key: pem('key.pem') }
  await using api = await startTestApi(VERSION, { tls, listen: ['/ip4/127.0.0.1/tcp/0', `/unix${path}`] })
  const url = api.urls[0] as string
  assert.match(url, /^https:\/\/127\.0\.0\.1:\d+$/)
  const get = async (options: object) => {
    const { promise, resolve, reject } = Promise.withResolvers<number | undefined>()
    const call = request({ path: '/version', ca: tls.cert, agent: false, ...options }, response => {
      response.resume()
      resolve(response.statusCode)
    })
    call.on('error', reject).end()
    return await promise
  }
  assert.equal(await get({ port: new URL(url).port, host: '127.0.0.1' }), 200)
  assert.equal(await get({ socketPath: path, servername: 'localhost' }), 200)
  const ciphers: [ConnectionOptions, string, string][] = [
    [{}, 'TLSv1.3', 'TLS_AES_256_GCM_SHA384'],
    [{ maxVersion: 'TLSv1.2' }, 'TLSv1.2', 'ECDHE-RSA-AES256-GCM-SHA384'],
    [{ maxVersion: 'TLSv1.2', ciphers: 'AES256-SHA' }, 'TLSv1.2', 'AES256-SHA'],
    [{ ecdhCurve: 'P-521:P-384:P-256' }, 'TLSv1.3', 'TLS_AES_256_GCM_SHA384'],
  ]
  for (const [options, protocol, cipher] of ciphers) {
    const socket = await handshake(url, { ...options, ALPNProtocols: ['h2', 'http/1.1'] })
    assert.deepEqual([socket.getProtocol(), socket.getCipher().name], [protocol, cipher])
    assert.equal(socket.alpnProtocol, 'http/1.1')
    socket.destroy()
  }
  const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL:@SECLEVEL=0' } as const
  await assert.rejects(handshake(url, old), /alert protocol version|unsupported protocol|wrong version/i)
  await assert.rejects(handshake(url, { maxVersion: 'TLSv1.2', ciphers: 'AES128-SHA' }), /handshake failure/i)
  assert.equal((await rawRequest(url, head('GET', '/version'))).status, 0)
  assert.equal(await get({ port: new URL(url).port, host: '127.0.0.1' }), 200)
  await rm(folder, { recursive: true })
})
