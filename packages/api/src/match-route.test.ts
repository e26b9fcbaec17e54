import * as fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import { ALL_PINS, ANY_PIN, matchRoute, ROUTES, type RouteName } from './index.ts'

const cid = CID.parse('QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6')
const peer = '12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'

const CASES: readonly (readonly [string, string, ReturnType<typeof matchRoute> | RouteName])[] = [
  ['GET', '/id', 'id'],
  ['GET', '/pins', 'statusAll'],
  ['POST', '/pins/recover', 'recoverAll'],
  ['GET', '/pins/recover', { kind: 'route', name: 'status', params: { hash: 'recover' } }],
  ['POST', '/pins/x/recover', { kind: 'route', name: 'recover', params: { hash: 'x' } }],
  ['POST', '/pins/ipfs/recover', { kind: 'route', name: 'recover', params: { hash: 'ipfs' } }],
  [
    'POST',
    '/pins/ipfs/a/b%20c',
    { kind: 'route', name: 'pinPath', params: { keyType: 'ipfs', path: 'a/b c' } },
  ],
  ['DELETE', '/pins/ipns/x', { kind: 'route', name: 'unpinPath', params: { keyType: 'ipns', path: 'x' } }],
  ['POST', '/pins/other/x', { kind: 'error', status: 404 }],
  ['GET', '/monitor/metrics', 'metricNames'],
  ['GET', '/monitor/metrics/ping', { kind: 'route', name: 'metrics', params: { name: 'ping' } }],
  ['GET', '/', { kind: 'error', status: 404 }],
  ['GET', '/nothing', { kind: 'error', status: 404 }],
  ['HEAD', '/id', { kind: 'error', status: 405 }],
  ['PUT', '/pins/x', { kind: 'error', status: 405 }],
  // Go forgets that the path is known when a later route has the method.
  ['GET', '/add', { kind: 'error', status: 404 }],
  ['POST', '/id', { kind: 'error', status: 404 }],
  ['POST', '/health', { kind: 'error', status: 405 }],
  ['DELETE', '/token', { kind: 'error', status: 405 }],
  ['GET', '/%zz', { kind: 'error', status: 400 }],
  ['GET', '/id/', { kind: 'redirect', status: 307, path: '/id' }],
  ['POST', '/pins/a%20b/', { kind: 'redirect', status: 307, path: '/pins/a%20b' }],
  ['GET', '//evil.example/', { kind: 'redirect', status: 307, path: '/evil.example' }],
  ['GET', '//id', { kind: 'redirect', status: 301, path: '/id' }],
  ['GET', '/a/../id', { kind: 'redirect', status: 301, path: '/id' }],
  ['GET', '/./pins', { kind: 'redirect', status: 301, path: '/pins' }],
  // An escaped slash is a slash: the segment is two.
  ['GET', '/pins/a%2Fb', { kind: 'error', status: 404 }],
]

for (const [method, path, wanted] of CASES) {
  test(`${method} ${path}`, () => {
    const match = matchRoute(method, path)
    if (typeof wanted === 'string') assert.equal(match.kind === 'route' && match.name, wanted)
    else assert.deepEqual(match, wanted)
  })
}

test('a redirect never leads to itself, and its target is clean', () => {
  fc.assert(
    fc.property(fc.webPath(), path => {
      const match = matchRoute('GET', path)
      if (match.kind !== 'redirect') return
      assert.notEqual(match.path, path)
      assert.match(match.path, /^\/([^/]|$)/)
    }),
  )
})

const ARGS = {
  peerAdd: { peer },
  peerRemove: { peer },
  allocations: { typeBits: 6 },
  allocation: { cid },
  statusAll: {
    local: true,
    filter: 16,
    listing: {
      filter: { ...ANY_PIN, name: 'a,b', match: 'prefix', metadata: { a: 'é' }, peer },
      limit: 3,
      cursor: { cid, name: 'a,bc', created: null },
    },
  },
  exportCar: { cid },
  recover: { cid, local: true },
  recoverAll: { local: true },
  status: { cid, local: true },
  pin: { cid, options: { name: 'a&b' } },
  pinPath: { path: `/ipfs/${cid}/a b/ü?`, options: { name: 'x' } },
  unpin: { cid },
  unpinPath: { path: `${cid}` },
  repoGC: { local: true },
  metrics: { name: 'tag:a/b' },
} as const

for (const name of Object.keys(ROUTES) as RouteName[]) {
  test(`what the client writes for ${name}, the server reads`, () => {
    const route = ROUTES[name]
    const args = (ARGS as Record<string, object>)[name] ?? {}
    const call = route.encode(args as never)
    const match = matchRoute(route.method, call.path)
    if (name === 'metrics') {
      // A slash in a name cannot be asked for.
      assert.deepEqual(match, { kind: 'error', status: 404 })
      return
    }
    assert.ok(match.kind === 'route')
    assert.equal(match.name, name)
    const query = new URLSearchParams(call.query?.toString() ?? '')
    const body = call.body === undefined ? {} : { body: call.body }
    const input = route.decode({ params: match.params, query, nowNs: 0n, ...body }) as Record<string, unknown>
    const expected: Record<string, unknown> = { ...args }
    if (name === 'unpinPath') expected['path'] = `/ipfs/${cid}`
    for (const [key, value] of Object.entries(expected)) {
      if (key === 'options')
        assert.equal((input['options'] as { name: string }).name, (value as { name: string }).name)
      else assert.deepEqual(input[key], value)
    }
  })
}

test('what decoding refuses', () => {
  const request = (params: Record<string, string>, query = '', body?: string) => ({
    params,
    query: new URLSearchParams(query),
    nowNs: 0n,
    ...(body !== undefined && { body }),
  })
  const bad = (decode: () => unknown, message: string | RegExp) =>
    assert.throws(decode, { code: 'BAD_PARAMETER', message })
  bad(() => ROUTES.peerAdd.decode(request({})), 'error decoding request body')
  bad(() => ROUTES.peerAdd.decode(request({}, '', '{"peer_id":"x"}')), 'error decoding peer_id')
  bad(() => ROUTES.peerRemove.decode(request({ peer: 'x' })), /^error decoding Peer ID: /)
  bad(() => ROUTES.status.decode(request({ hash: 'x' })), 'error decoding Cid: invalid cid: cid too short')
  bad(() => ROUTES.statusAll.decode(request({}, 'filter=x,y')), 'invalid filter value')
  bad(() => ROUTES.statusAll.decode(request({}, `cids=${cid},x`)), /^error decoding Cid: /)
  bad(() => ROUTES.allocations.decode(request({}, 'filter=x,y')), 'invalid filter value')
  bad(
    () => ROUTES.pinPath.decode(request({ keyType: 'ipfs', path: 'x' })),
    /^error parsing path: invalid path/,
  )
  assert.deepEqual(ROUTES.statusAll.decode(request({}, 'filter=x,pinned&local=1')), {
    local: false,
    filter: 16,
    cids: [],
    listing: ALL_PINS,
  })
  assert.deepEqual(ROUTES.statusAll.decode(request({}, `cids=${cid}&filter=x`)).cids, [cid])
  assert.deepEqual(ROUTES.allocations.decode(request({}, '')), { typeBits: 30, listing: ALL_PINS })
  assert.deepEqual(ROUTES.allocations.decode(request({}, 'filter=invalid,pin')), {
    typeBits: 3,
    listing: ALL_PINS,
  })
  assert.deepEqual(ROUTES.token.decode({ ...request({}), user: 'u' }), { user: 'u' })
})
