import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { waitFor } from '@ipfs-cluster/testkit'
import type { HttpApi } from './index.ts'
import { basic, head, parseAnswer, rawRequest, startTestApi } from './test-api.ts'

const LOGIN = `Authorization: ${basic('user', 'pass')}\r\n`
const BODY = '{"peer_id":"x"}'
const CHUNKED = `${BODY.length.toString(16)}\r\n${BODY}\r\n0\r\n\r\n`
/** What the body comes to when it is read. */
const READ = '{"code":400,"message":"error decoding peer_id"}\n'

const failures: unknown[] = []
const fail = (error: unknown) => void failures.push(error)
let api: HttpApi
let url: string
before(async () => {
  process.on('unhandledRejection', fail).on('uncaughtExceptionMonitor', fail)
  api = await startTestApi(
    { version: () => ({ version: '1.1.6' }), metrics: () => [] },
    { credentials: { user: 'pass' }, readHeaderTimeoutMs: 1_000, idleTimeoutMs: 60_000 },
  )
  url = api.urls[0] as string
})
after(async () => {
  // Whatever came before: the server still serves, and nothing failed unseen.
  assert.equal((await rawRequest(url, `GET /version HTTP/1.0\r\n${LOGIN}\r\n`)).status, 200)
  await api[Symbol.asyncDispose]()
  process.off('unhandledRejection', fail).off('uncaughtExceptionMonitor', fail)
  assert.deepEqual(failures, [])
})

const get = (line: string, headers = 'Host: x\r\n') =>
  rawRequest(url, `${line}\r\n${headers}Connection: close\r\n${LOGIN}\r\n`)
const post = (headers: string, body: string, timeoutMs?: number) =>
  rawRequest(
    url,
    `POST /peers HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${LOGIN}${headers}\r\n${body}`,
    timeoutMs,
  )

test('lengths that contradict each other are refused, and what follows is no request', async () => {
  const length = `Content-Length: ${BODY.length}\r\n`
  const chunked = 'Transfer-Encoding: chunked\r\n'
  const cases: [name: string, headers: string, body: string, status: number][] = [
    ['length and chunks', `Content-Length: 5\r\n${chunked}`, CHUNKED, 400],
    ['chunks and length', `${chunked}Content-Length: 5\r\n`, CHUNKED, 400],
    ['two lengths', `Content-Length: 5\r\n${length}`, BODY, 400],
    ['the same length twice', length + length, BODY, 400],
    ['a list of lengths', 'Content-Length: 15, 15\r\n', BODY, 400],
    ['a negative length', 'Content-Length: -1\r\n', BODY, 400],
    ['a length with a sign', 'Content-Length: +15\r\n', BODY, 400],
    ['a length in hex', 'Content-Length: 0xf\r\n', BODY, 400],
    ['a length beyond 64 bits', 'Content-Length: 99999999999999999999\r\n', BODY, 400],
    ['a blank before the colon', 'Content-Length : 15\r\n', BODY, 400],
    ['two codings', `${chunked}Transfer-Encoding: identity\r\n`, CHUNKED, 400],
    ['an unknown coding', 'Transfer-Encoding: xchunked\r\n', CHUNKED, 501],
    ['no coding at all', 'Transfer-Encoding: identity\r\n', BODY, 501],
    ['a coding behind a vertical tab', 'Transfer-Encoding: \x0bchunked\r\n', CHUNKED, 400],
    ['a coding below chunks', 'Transfer-Encoding: gzip, chunked\r\n', CHUNKED, 501],
    ['a chunk size beyond 64 bits', chunked, `fffffffffffffffff\r\n${BODY}\r\n0\r\n\r\n`, 400],
    ['a negative chunk size', chunked, `-1\r\n${BODY}\r\n0\r\n\r\n`, 400],
    ['chunks with bare line feeds', chunked, `f\n${BODY}\n0\n\n`, 400],
    ['a chunk extension ended by a line feed', chunked, `f;a\n${BODY}\r\n0\r\n\r\n`, 400],
    ['chunk extensions without an end', chunked, `f;${'a'.repeat(40_000)}\r\n${BODY}\r\n0\r\n\r\n`, 413],
    ['a length among the trailers', chunked, `f\r\n${BODY}\r\n0\r\nContent-Length: 3\r\n\r\n`, 400],
  ]
  for (const [name, headers, body, status] of cases) {
    const smuggled = `GET /version HTTP/1.1\r\nHost: x\r\n${LOGIN}\r\n`
    const answer = await post(headers, body + smuggled)
    assert.equal(answer.status, status, `${name}: ${answer.text}`)
    assert.doesNotMatch(answer.text, /1\.1\.6/, name)
    assert.equal(answer.text.split('HTTP/1.1 ').length, 2, name)
  }
  assert.equal((await post(chunked, CHUNKED)).body, READ)
  assert.equal((await post(chunked, `f;name=value\r\n${BODY}\r\n0\r\n\r\n`)).body, READ)
  const old = await rawRequest(url, `POST /peers HTTP/1.0\r\n${LOGIN}${chunked}\r\n${CHUNKED}`)
  assert.equal(old.status, 400)
  assert.match(old.body, /HTTP\/1\.0 knows no Transfer-Encoding/)
})

test('heads that are malformed are refused', async () => {
  const cases: [name: string, text: string, status: number][] = [
    ['no version', 'GET /version\r\n\r\n', 400],
    ['HTTP/1.2', head('GET', '/version').replace('1.1', '1.2'), 400],
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400],
    ['no Host', 'GET /version HTTP/1.1\r\nConnection: close\r\n\r\n', 400],
    ['two Hosts', 'GET /version HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
    ['a Host that is none', head('GET', '/version', { Host: 'a b' }), 400],
    ['a Host with a path', head('GET', '/version', { Host: 'a/b' }), 400],
    ['bare line feeds', `GET /version HTTP/1.1\nHost: x\n${LOGIN.replace('\r', '')}\n`, 400],
    ['one bare line feed', 'GET /version HTTP/1.1\r\nHost: x\nX-A: b\r\n\r\n', 400],
    ['a bare carriage return', 'GET /version HTTP/1.1\r\nHost: x\rX-A: b\r\n\r\n', 400],
    ['a folded line', 'GET /version HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n', 400],
    ['a folded first line', 'GET /version HTTP/1.1\r\n Host: x\r\n\r\n', 400],
    ['NUL in a header', 'GET /version HTTP/1.1\r\nHost: x\r\nX-A: b\0c\r\n\r\n', 400],
    ['NUL in the path', 'GET /ver\0sion HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['a blank in the path', 'GET /ver sion HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['a blank in a name', 'GET /version HTTP/1.1\r\nHost: x\r\nX A: b\r\n\r\n', 400],
    ['a method that is none', 'FOO /version HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['a relative path', 'GET version HTTP/1.1\r\nHost: x\r\n\r\n', 400],
    ['a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
    ['noise', '\xff\xfe\x00\x01\r\n\r\n', 400],
    ['a large header', head('GET', '/version', { X: 'y'.repeat(9_000) }), 431],
    ['a large target', head('GET', `/${'y'.repeat(9_000)}`), 431],
    ['a large login', head('GET', '/version', { Authorization: `Bearer ${'y'.repeat(9_000)}` }), 431],
    ['many headers', `GET /version HTTP/1.1\r\nHost: x\r\n${'ab: cd\r\n'.repeat(3_000)}\r\n`, 431],
    ['a head without an end', `GET /version HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(100_000)}`, 431],
  ]
  for (const [name, text, status] of cases) {
    const answer = await rawRequest(url, text)
    assert.equal(answer.status, status, `${name}: ${answer.text}`)
  }
})

test('the unusual that is allowed', async () => {
  const old = await rawRequest(url, `GET /version HTTP/1.0\r\n${LOGIN}\r\n`)
  assert.deepEqual([old.status, old.body], [200, '{"version":"1.1.6"}\n'])
  assert.equal((await get('GET http://other.example/version HTTP/1.1')).status, 200)
  assert.equal((await get('GET HTTP://u:p@other.example:1/version?x HTTP/1.1')).status, 200)
  assert.equal((await get('GET http://other.example HTTP/1.1')).status, 404)
  assert.equal((await get('OPTIONS * HTTP/1.1')).status, 200)
  assert.equal((await get('GET * HTTP/1.1')).status, 404)
  assert.equal((await get('CONNECT other.example:80 HTTP/1.1')).status, 404)
  assert.equal((await get('CONNECT /version HTTP/1.1')).status, 405)
  const upgrade = `Host: x\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n`
  assert.equal(
    (await rawRequest(url, `GET /version HTTP/1.1\r\n${upgrade}Connection: upgrade, close\r\n${LOGIN}\r\n`))
      .status,
    200,
  )
  const fits = head('GET', '/version', { X: 'y'.repeat(7_000) }).replace('\r\n\r\n', `\r\n${LOGIN}\r\n`)
  assert.equal((await rawRequest(url, fits)).status, 200)
  const two = await rawRequest(
    url,
    `GET /version HTTP/1.1\r\nHost: x\r\n${LOGIN}\r\n${head('GET', '/version')}`,
  )
  assert.deepEqual(two.text.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 401'])
})

test('no path leads out of the routes', async () => {
  const cases: [path: string, status: number, location?: string][] = [
    ['/../../etc/passwd', 301, '/etc/passwd'],
    ['/%2e%2e/%2e%2e/etc/passwd', 301, '/etc/passwd'],
    ['/..%2f..%2fetc%2fpasswd', 301, '/etc/passwd'],
    ['/pins/..%2f..%2fversion', 301, '/version'],
    ['/pins/a%2Fb', 404],
    ['/pins/%00', 400],
    ['/pins/..%00', 400],
    ['/pins/%', 400],
    ['/pins/%c0%ae%c0%ae', 400],
    ['/%zz', 400],
    ['/monitor/metrics/..%5c..%5cx', 200],
    ['/version;/../x', 301, '/x'],
    ['/version%00', 404],
    ['/version#x', 404],
    ['/\\..\\version', 404],
    [`/${'a/'.repeat(3_000)}b`, 404],
    [`/${'../'.repeat(2_000)}version`, 301, '/version'],
    ['/?%00=%ff&=&&&%', 404],
  ]
  for (const [path, status, location] of cases) {
    const answer = await get(`GET ${path} HTTP/1.1`)
    assert.equal(answer.status, status, `${path}: ${answer.text}`)
    assert.equal(answer.headers['location'], location, path)
  }
})

test('a client that asks before it sends is only asked for what is wanted', async () => {
  const expect = `Expect: 100-continue\r\nContent-Length: ${BODY.length}\r\n`
  await assert.rejects(post(expect, '', 500), /left the connection open after: "HTTP\/1\.1 100 Continue/)
  const sent = await post(expect, BODY)
  assert.match(sent.text, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 400 .*error decoding peer_id/s)
  const denied = await rawRequest(url, `POST /peers HTTP/1.1\r\nHost: x\r\n${expect}\r\n`)
  assert.deepEqual([denied.status, denied.headers['connection']], [401, 'close'])
  const unknown = await rawRequest(url, `POST /nope HTTP/1.1\r\nHost: x\r\n${LOGIN}${expect}\r\n`)
  assert.equal(unknown.status, 404)
  const other = await post('Expect: a-miracle\r\nContent-Length: 0\r\n', '')
  assert.equal(other.status, 417)
})

const closeOf = (socket: Socket) => new Promise<void>(resolve => socket.once('close', () => resolve()))

const took = async (work: () => Promise<unknown>) => {
  const start = performance.now()
  await work()
  return performance.now() - start
}

test('the head of a later request on a connection has no more time than that of the first', async () => {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  let text = ''
  socket.setEncoding('latin1').on('data', (data: string) => (text += data))
  const closed = once(socket, 'close')
  socket.write(`GET /version HTTP/1.1\r\nHost: x\r\n${LOGIN}\r\n`)
  await waitFor(() => text.includes('1.1.6'), { what: 'the first answer' })
  const ms = await took(async () => {
    socket.write('GET /version HTTP/1.1\r\nHost:')
    await waitFor(() => socket.destroyed, { what: 'the end of the connection', timeoutMs: 8_000 })
    await closed
  })
  assert.ok(ms > 800 && ms < 4_000, `${ms} ms`)
  assert.match(text, /HTTP\/1\.1 408 /)
})

test('a request that has come in time is answered, however late the process gets to read it', async () => {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  let text = ''
  socket.setEncoding('latin1').on('data', (data: string) => (text += data))
  // A later connection is served: the server knows of this one.
  await get('GET /version HTTP/1.1')
  socket.write(head('GET', '/version', { Authorization: basic('user', 'pass') }))
  const busyUntil = performance.now() + 2_500
  while (performance.now() < busyUntil);
  await once(socket, 'close')
  assert.equal(parseAnswer(text).status, 200, text)
})

test('a head that drips is cut at read_header_timeout, and so is a connection that says nothing', async () => {
  for (const first of ['', 'GET /version HTTP/1.1\r\n']) {
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.on('error', () => undefined).resume()
    const closed = closeOf(socket)
    const ms = await took(async () => {
      socket.write(first)
      for (let open = true; open;) {
        open = await Promise.race([closed.then(() => false), delay(100, true)])
        if (first !== '' && open) socket.write('X: y\r\n')
      }
    })
    assert.ok(ms > 800 && ms < 4_000, `${ms} ms`)
  }
})

test('a body that drips is cut at read_timeout, and the connection with it', async () => {
  await using slow = await startTestApi({}, { readTimeoutMs: 1_000 })
  const address = slow.urls[0] as string
  for (const path of ['/peers', '/nope']) {
    const socket = connect(Number(new URL(address).port), '127.0.0.1')
    socket.on('error', () => undefined).resume()
    const closed = closeOf(socket)
    const ms = await took(async () => {
      socket.write(`POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n`)
      while (await Promise.race([closed.then(() => false), delay(100, true)])) socket.write('x')
    })
    assert.ok(ms > 800 && ms < 4_000, `${path}: ${ms} ms`)
  }
})

test('a body that nobody wants has an end, though no time-out is set', async () => {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  let text = ''
  socket.on('error', () => undefined).on('data', data => (text += String(data)))
  const closed = closeOf(socket).then(() => false)
  socket.write('POST /add HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
  const chunk = `100000\r\n${'x'.repeat(0x100000)}\r\n`
  const send = () => new Promise<boolean>(resolve => socket.write(chunk, error => resolve(!error)))
  let sent = 0
  while (sent < 500 && (await Promise.race([send(), closed]))) sent++
  await closed
  assert.equal(parseAnswer(text).status, 401)
  assert.ok(sent < 200, `${sent} MiB were taken`)
})

test('an answer that takes too long is cut at write_timeout, and its work ends', async () => {
  const ended = Promise.withResolvers<unknown>()
  const hanging = {
    id: (options: { signal?: AbortSignal | undefined } = {}) => {
      const { promise, reject } = Promise.withResolvers<never>()
      options.signal?.addEventListener('abort', () => {
        ended.resolve(options.signal?.reason)
        reject(options.signal?.reason)
      })
      return promise
    },
  }
  await using slow = await startTestApi(hanging as never, { writeTimeoutMs: 500 })
  const ms = await took(() => rawRequest(slow.urls[0] as string, head('GET', '/id')))
  assert.ok(ms > 400 && ms < 3_000, `${ms} ms`)
  await ended.promise
})

test('a connection that is kept is closed at idle_timeout', async () => {
  await using short = await startTestApi({ version: () => ({ version: '1' }) }, { idleTimeoutMs: 500 })
  const ms = await took(() => rawRequest(short.urls[0] as string, 'GET /version HTTP/1.1\r\nHost: x\r\n\r\n'))
  assert.ok(ms > 400 && ms < 3_000, `${ms} ms`)
})

test('time-outs may be larger than one another', async () => {
  await using _api = await startTestApi({}, { readTimeoutMs: 1_000, readHeaderTimeoutMs: 60_000 })
  await using _none = await startTestApi({}, { readTimeoutMs: 0, readHeaderTimeoutMs: 0, idleTimeoutMs: 0 })
})

test('a thousand connections that say nothing hinder nobody, and are gone after read_header_timeout', async () => {
  const port = Number(new URL(url).port)
  const sockets: Socket[] = []
  let open = 0
  for (let i = 0; i < 1_000; i++) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => undefined).resume()
    socket.once('connect', () => open++).once('close', () => open--)
    sockets.push(socket)
  }
  await waitFor(() => open === 1_000)
  assert.equal((await get('GET /version HTTP/1.1')).status, 200)
  await waitFor(() => open === 0, { what: 'the end of all connections' })
  for (const socket of sockets) socket.destroy()
})
