import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { TRACKER_STATUS } from '@ipfs-cluster/api'
import { basic, head, rawRequest, recordingLogger } from '../rest/test-api.ts'
import { createWorld, idOf, pinAt, startTestService, type World } from './test-service.ts'

const CREDENTIALS = { user: 'pass', other: 'word', empty: '' }
const CORS = {
  allowedOrigins: ['http://a.example'],
  allowedMethods: ['GET', 'POST'],
  allowedHeaders: ['authorization'],
  exposedHeaders: [],
  allowCredentials: true,
  maxAgeMs: 0,
}
const ORIGIN = { Origin: 'http://a.example' }
const LOGIN = { Authorization: basic('user', 'pass') }

let world: World
let service: Awaited<ReturnType<typeof startTestService>>
const { logger, lines } = recordingLogger()
before(async () => {
  world = await createWorld({ logger })
  await world.put([pinAt(1, 5)], TRACKER_STATUS.pinned)
  service = await startTestService(world, { credentials: CREDENTIALS, cors: CORS })
})
after(async () => {
  await service[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})
const ask = (method: string, path: string, headers: Record<string, string> = {}) =>
  rawRequest(service.url, head(method, path, headers))

test('without a login nothing is shown, and nothing done', async () => {
  for (const [method, path] of [
    ['GET', '/pins'],
    ['POST', '/pins'],
    ['GET', `/pins/${idOf(1)}`],
    ['POST', `/pins/${idOf(1)}`],
    ['DELETE', `/pins/${idOf(1)}`],
    ['DELETE', `//pins/${idOf(1)}`],
    ['GET', '/pins/'],
    ['GET', '/nope'],
    ['PUT', '/pins'],
    ['POST', '/token'],
    ['POST', '/health'],
    ['GET', '/%zz'],
    ['GET', '*'],
  ] as const) {
    const { status, headers, body } = await ask(method, path, ORIGIN)
    const what = `${method} ${path}`
    assert.equal(status, 401, what)
    assert.equal(
      body,
      '{"error":{"reason":"UNAUTHORIZED","details":"unauthorized: no auth provided"}}\n',
      what,
    )
    assert.equal(
      headers['www-authenticate'],
      'Bearer realm="Restricted IPFS Cluster API"\nBasic realm="Restricted IPFS Cluster API"',
    )
    assert.equal(headers['access-control-allow-origin'], undefined)
    assert.equal(headers['location'], undefined)
  }
  assert.ok(world.statuses.has(idOf(1)))
})

test('wrong logins are refused, and what was sent is in no log', async () => {
  const refused = [
    basic('user', 'word'),
    basic('user', ''),
    basic('empty', ''),
    basic('nobody', 'pass'),
    'Bearer ',
    'Bearer secret-of-mine',
    'Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJ1c2VyIn0.',
    'Basic !!!',
    'Digest username="user"',
  ]
  for (const Authorization of refused) {
    const { status, body } = await ask('GET', '/pins', { Authorization })
    assert.equal(status, 401, Authorization)
    assert.equal(JSON.parse(body).error.reason, 'UNAUTHORIZED')
  }
  assert.doesNotMatch(lines.join('\n'), /secret-of-mine|dXNlcjp3b3Jk/)
})

test('a token of POST /token is what clients use as their key', async () => {
  const { status, body } = await ask('POST', '/token', LOGIN)
  assert.equal(status, 200)
  const { token } = JSON.parse(body) as { token: string }
  const Authorization = `Bearer ${token}`
  assert.equal(JSON.parse((await ask('GET', '/pins', { Authorization })).body).count, 1)
  const [header, payload, signature = ''] = token.split('.')
  const forged = `${header}.${Buffer.from('{"iss":"other"}').toString('base64url')}.${signature}`
  assert.equal((await ask('GET', '/pins', { Authorization: `Bearer ${forged}` })).status, 401)
  assert.equal((await ask('GET', '/pins', { Authorization: `Bearer ${header}.${payload}.` })).status, 401)
})

test('health and preflights need no login', async () => {
  assert.equal((await ask('GET', '/health')).status, 204)
  const preflight = await ask('OPTIONS', '/pins', {
    ...ORIGIN,
    'Access-Control-Request-Method': 'POST',
    'Access-Control-Request-Headers': 'authorization',
  })
  assert.equal(preflight.status, 204)
  assert.equal(preflight.headers['access-control-allow-origin'], 'http://a.example')
  const actual = await ask('GET', '/pins', { ...ORIGIN, ...LOGIN })
  assert.equal(actual.headers['access-control-allow-origin'], 'http://a.example')
})

test('requests that have two meanings, and heads that are too long, are refused', async () => {
  const both = `POST /pins HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ${LOGIN.Authorization}\r\n`
  const smuggled = `${both}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nDELETE /pins/${idOf(1)} HTTP/1.1\r\n\r\n`
  assert.equal((await rawRequest(service.url, smuggled)).status, 400)
  const long = head('GET', `/pins?name=${'x'.repeat(20_000)}`, LOGIN)
  assert.equal((await rawRequest(service.url, long)).status, 431)
  assert.ok(world.statuses.has(idOf(1)))
})
