import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCors, type CorsConfig } from './cors.ts'

const NOTHING: CorsConfig = {
  allowedOrigins: [],
  allowedMethods: [],
  allowedHeaders: [],
  exposedHeaders: [],
  allowCredentials: false,
  maxAgeMs: 0,
}
/** What `init` writes. */
const INITIAL: CorsConfig = {
  ...NOTHING,
  allowedOrigins: ['*'],
  allowedMethods: ['GET'],
  exposedHeaders: ['Content-Type', 'X-Stream-Output', 'x-chunked-output', 'X-CONTENT-LENGTH', 'no name'],
  allowCredentials: true,
}
const STRICT: CorsConfig = {
  ...INITIAL,
  allowedOrigins: ['http://a.example', 'http://*.b.example'],
  allowedMethods: ['GET', 'DELETE'],
  allowedHeaders: ['Authorization', 'x-b', 'X-A'],
  maxAgeMs: 90_900,
}
const EXPOSED = 'Content-Type, X-Stream-Output, X-Chunked-Output, X-Content-Length, no name'
const PREFLIGHT_VARY = 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers'

const actual = (config: CorsConfig, method: string, ...origin: string[]) => {
  const { preflight, headers } = createCors(config)({ method, origin, requestMethod: [], requestHeaders: [] })
  assert.equal(preflight, false)
  return Object.fromEntries(headers)
}
const preflight = (config: CorsConfig, origin: string, wanted: string, ...requestHeaders: string[]) => {
  const request = { method: 'OPTIONS', origin: [origin], requestMethod: [wanted], requestHeaders }
  const decision = createCors(config)(request)
  assert.equal(decision.preflight, true)
  return Object.fromEntries(decision.headers)
}

test('an actual request of an allowed origin and method', () => {
  assert.deepEqual(actual(INITIAL, 'GET', 'http://x'), {
    Vary: 'Origin',
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Expose-Headers': EXPOSED,
    'Access-Control-Allow-Credentials': 'true',
  })
  for (const origin of ['http://a.example', 'HTTP://A.Example', 'http://x.b.example', 'http://.b.example']) {
    assert.equal(actual(STRICT, 'GET', origin)['Access-Control-Allow-Origin'], origin)
    assert.equal(actual(STRICT, 'OPTIONS', origin)['Access-Control-Allow-Origin'], origin)
  }
})

test('an actual request of another origin or method, or of none, gets Vary alone', () => {
  const cases: [string, ...string[]][] = [
    ['GET'],
    ['GET', ''],
    ['GET', 'null'],
    ['GET', 'http://b.example'],
    ['GET', 'http://evil.example'],
    ['GET', 'http://a.example.evil.example'],
    ['GET', 'http://xb.example'],
    ['GET', 'http://evil.example', 'http://a.example'],
    ['POST', 'http://a.example'],
    ['get', 'http://a.example'],
  ]
  for (const [method, ...origin] of cases) {
    assert.deepEqual(actual(STRICT, method, ...origin), { Vary: 'Origin' }, `${method} ${origin.join()}`)
  }
  assert.deepEqual(actual(INITIAL, 'POST', 'http://x'), { Vary: 'Origin' })
})

test('only the origin that was checked is echoed', () => {
  const headers = actual(STRICT, 'GET', 'http://a.example', 'http://evil.example')
  assert.equal(headers['Access-Control-Allow-Origin'], 'http://a.example')
})

test('a preflight that is allowed names what was asked for', () => {
  assert.deepEqual(preflight(STRICT, 'http://a.example', 'DELETE', 'authorization,x-a'), {
    Vary: PREFLIGHT_VARY,
    'Access-Control-Allow-Origin': 'http://a.example',
    'Access-Control-Allow-Methods': 'DELETE',
    'Access-Control-Allow-Headers': ['authorization,x-a'],
    'Access-Control-Allow-Credentials': 'true',
    'Access-Control-Max-Age': '90',
  })
  assert.deepEqual(preflight({ ...INITIAL, allowCredentials: false }, 'http://x', 'GET', ''), {
    Vary: PREFLIGHT_VARY,
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Allow-Methods': 'GET',
  })
  assert.equal(preflight(STRICT, 'http://a.example', 'OPTIONS')['Access-Control-Allow-Methods'], 'OPTIONS')
})

test('a preflight that is not allowed gets Vary alone', () => {
  const refused = { Vary: PREFLIGHT_VARY }
  assert.deepEqual(preflight(STRICT, 'http://evil.example', 'GET'), refused)
  assert.deepEqual(preflight(STRICT, '', 'GET'), refused)
  assert.deepEqual(preflight(STRICT, 'http://a.example', 'POST'), refused)
  assert.deepEqual(preflight(STRICT, 'http://a.example', 'get'), refused)
  assert.deepEqual(preflight(STRICT, 'http://a.example', 'GET', 'x-c'), refused)
})

test('header names are read as rs/cors reads them', () => {
  const allowed = (...lists: string[]) =>
    'Access-Control-Allow-Origin' in preflight(STRICT, 'http://a.example', 'GET', ...lists)
  for (const list of [
    'x-a',
    'authorization, x-a',
    'authorization ,\tx-a',
    'x-a,,x-b',
    `${','.repeat(16)}x-a`,
    '',
  ])
    assert.ok(allowed(list), list)
  for (const list of ['X-A', 'authorization  ,x-a', 'x-a,authorization', 'x-a,x-a', '*', 'a'.repeat(300)])
    assert.ok(!allowed(list), list)
  assert.ok(!allowed(`${','.repeat(17)}x-a`))
  assert.ok(allowed('x-a', 'x-b'))
  assert.ok(!allowed('x-b', 'x-a'))
})

test('empty lists mean what they mean in rs/cors', () => {
  assert.deepEqual(preflight(NOTHING, 'http://x', 'HEAD', 'accept,content-type,x-requested-with'), {
    Vary: PREFLIGHT_VARY,
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Allow-Methods': 'HEAD',
    'Access-Control-Allow-Headers': ['accept,content-type,x-requested-with'],
  })
  assert.deepEqual(preflight(NOTHING, 'http://x', 'DELETE'), { Vary: PREFLIGHT_VARY })
  assert.deepEqual(actual(NOTHING, 'POST', 'http://x'), {
    Vary: 'Origin',
    'Access-Control-Allow-Origin': '*',
  })
  assert.deepEqual(preflight(NOTHING, 'http://x', 'GET', 'authorization'), { Vary: PREFLIGHT_VARY })
})

test('a star among others opens all', () => {
  const open = { ...STRICT, allowedOrigins: ['http://a.example', '*'], allowedHeaders: ['x-a', '*'] }
  const headers = preflight(open, 'http://evil.example', 'GET', 'Z,a,a')
  assert.equal(headers['Access-Control-Allow-Origin'], '*')
  assert.deepEqual(headers['Access-Control-Allow-Headers'], ['Z,a,a'])
})
