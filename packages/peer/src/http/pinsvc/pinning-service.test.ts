import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { TRACKER_STATUS } from '@ipfs-cluster/api'
import { head, rawRequest } from '../rest/test-api.ts'
import {
  A,
  ADDRESS,
  B,
  cidOf,
  createWorld,
  idOf,
  OWN_ADDRESS,
  pinAt,
  startTestService,
  type World,
} from './test-service.ts'

const { pinned, pinning, pin_queued, pin_error, remote } = TRACKER_STATUS
const ALL = 'status=queued,pinning,pinned,failed'
const ORIGIN = '/ip4/203.0.113.9/tcp/4001/p2p/12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'

let world: World
let service: Awaited<ReturnType<typeof startTestService>>
before(async () => {
  world = await createWorld()
  service = await startTestService(world)
})
after(async () => {
  await service[Symbol.asyncDispose]()
  await world[Symbol.asyncDispose]()
})
beforeEach(async () => {
  for (let n = 0; n < 60; n++) if (world.statuses.has(idOf(n))) await world.remove(cidOf(n))
})
const ask: typeof service.ask = (...args) => service.ask(...args)

test('a pin is submitted: 202, queued, with its CID as request id, and the daemons to connect to', async () => {
  const pin = { cid: idOf(1), name: 'ü "x"', origins: [ORIGIN], meta: { app_id: '1' } }
  const { status, json, headers } = await ask('POST', '/pins', pin)
  assert.equal(status, 202)
  assert.equal(headers.get('content-type'), 'application/json')
  assert.equal(headers.get('x-own'), 'a, b')
  const { created, ...rest } = json
  assert.match(created, /^2026-01-01T00:00:00\.\d{1,3}Z$/)
  assert.deepEqual(rest, {
    requestid: idOf(1),
    status: 'queued',
    pin,
    delegates: [ADDRESS],
    info: { source: 'IPFS cluster API', warning1: 'CID used for requestID. Conflicts possible' },
  })
  const stored = await world.state.get(cidOf(1))
  assert.deepEqual([stored?.name, stored?.metadata, stored?.origins], ['ü "x"', { app_id: '1' }, [ORIGIN]])
  const { created: again, ...got } = (await ask('GET', `/pins/${idOf(1)}`)).json
  assert.equal(again, created)
  assert.deepEqual(got, rest)
  assert.deepEqual((await ask('POST', '/pins', { cid: idOf(2) })).json.pin, { cid: idOf(2) })
})

test('a CID that is pinned again keeps its copies, and has what was asked for last', async () => {
  const before = { replicationFactorMin: 2, replicationFactorMax: 3, allocations: [A, B], maxPinSize: 5n }
  await world.put([pinAt(1, 5, { ...before, name: 'a', metadata: { x: '1' }, expireAt: 10n ** 19n })], pinned)
  assert.equal((await ask('POST', '/pins', { cid: idOf(1), name: 'b' })).status, 202)
  const now = await world.state.get(cidOf(1))
  assert.deepEqual(
    [now?.replicationFactorMin, now?.replicationFactorMax, now?.maxPinSize, now?.name, now?.metadata],
    [2, 3, 5n, 'b', {}],
  )
  assert.equal(now?.expireAt, null, 'who pins here does not expect it to go')
})

test('the status is that of all peers, with what one of them says that failed', async () => {
  const statusOf = async (n: number) => (await ask('GET', `/pins/${idOf(n)}`)).json.status
  await world.put([pinAt(1, 5)], pinned, pinned)
  await world.put([pinAt(2, 5)], pinned, pinning)
  await world.put([pinAt(3, 5)], pin_queued)
  await world.put([pinAt(5, 5)])
  assert.deepEqual(await Promise.all([1, 2, 3, 5].map(statusOf)), ['pinned', 'pinning', 'queued', 'queued'])
  await world.put([pinAt(4, 5, { size: 1234n })], pinned, pin_error, remote)
  const failed = (await ask('GET', `/pins/${idOf(4)}`)).json
  assert.equal(failed.status, 'failed')
  assert.equal(failed.info.status_details, 'peer: the daemon is down')
  assert.equal(failed.info.dag_size, '1234')
})

test('delegates are of the peers that keep it; when nobody tells any, those of the own daemon', async () => {
  const addresses = (peer: string, count: number) =>
    Array.from({ length: count }, (_, i) => `/ip4/203.0.113.1/tcp/${i + 1}/p2p/${peer}`)
  const factors = { replicationFactorMin: 1, replicationFactorMax: 1 }
  await world.put([pinAt(1, 5, { ...factors, allocations: [B] })], pinned)
  assert.deepEqual((await ask('GET', `/pins/${idOf(1)}`)).json.delegates, [OWN_ADDRESS])
  world.addresses.set(B, [...addresses(B, 30), '/ip4/203.0.113.1/tcp/1'])
  const alone = (await ask('GET', `/pins/${idOf(1)}`)).json.delegates
  assert.deepEqual(alone, addresses(B, 20))
  await world.put([pinAt(2, 5)], pinned)
  const both = (await ask('GET', `/pins/${idOf(2)}`)).json.delegates
  assert.deepEqual(both.slice(0, 3), [ADDRESS, ...addresses(B, 2)])
  assert.equal(new Set(both).size, 20)
  world.addresses.delete(B)
})

test('a pin is replaced: the other CID is there, the first is not', async () => {
  const factors = { replicationFactorMin: 1, replicationFactorMax: 1, allocations: [B] }
  await world.put([pinAt(1, 5, { ...factors, name: 'a', metadata: { x: '1' } })], pinned)
  const { status, json } = await ask('POST', `/pins/${idOf(1)}`, { cid: idOf(2), meta: { y: '2' } })
  assert.deepEqual([status, json.requestid, json.status], [202, idOf(2), 'queued'])
  assert.deepEqual(json.pin, { cid: idOf(2), meta: { y: '2' } })
  assert.equal((await ask('GET', `/pins/${idOf(1)}`)).status, 404)
  assert.deepEqual((await world.state.get(cidOf(2)))?.allocations, [B])
  const missing = await ask('POST', `/pins/${idOf(9)}`, { cid: idOf(3) })
  assert.equal(missing.status, 404)
  assert.equal(await world.state.get(cidOf(3)), undefined, 'nothing was pinned')
})

test('a pin that is replaced by the same CID is changed where it is, and stays', async () => {
  await world.put([pinAt(1, 5, { name: 'a' })], pinned)
  const { status, json } = await ask('POST', `/pins/${idOf(1)}`, { cid: idOf(1), name: 'b' })
  assert.deepEqual([status, json.requestid, json.pin.name], [202, idOf(1), 'b'])
  assert.equal((await world.state.get(cidOf(1)))?.name, 'b')
  assert.equal((await ask('POST', `/pins/${idOf(2)}`, { cid: idOf(2) })).status, 404)
  assert.equal(await world.state.get(cidOf(2)), undefined)
})

test('a pin is removed: 202 without a body, and 404 the second time', async () => {
  await world.put([pinAt(1, 5)], pinned)
  const removed = await ask('DELETE', `/pins/${idOf(1)}`)
  assert.deepEqual([removed.status, removed.text], [202, ''])
  const again = await ask('DELETE', `/pins/${idOf(1)}`)
  assert.equal(again.status, 404)
  assert.deepEqual(again.json, {
    error: { reason: 'NOT_FOUND', details: 'pin is not part of the pinset' },
  })
})

test('a list has the newest ten, and those that are pinned', async () => {
  for (let n = 0; n < 25; n++)
    await world.put([pinAt(n, n + 1, { name: `n${n}` })], n < 24 ? pinned : pin_queued)
  const { status, json } = await ask('GET', '/pins')
  assert.equal(status, 200)
  assert.equal(json.count, 24)
  const names = (list: { results: { pin: { name: string } }[] }) => list.results.map(({ pin }) => pin.name)
  assert.deepEqual(
    names(json),
    Array.from({ length: 10 }, (_, i) => `n${23 - i}`),
  )
  const next = (await ask('GET', `/pins?limit=1000&before=${json.results[9].created}`)).json
  assert.deepEqual(
    names(next),
    Array.from({ length: 14 }, (_, i) => `n${13 - i}`),
  )
  assert.equal(next.count, 14)
  assert.deepEqual(names((await ask('GET', '/pins?status=queued')).json), ['n24'])
  assert.deepEqual(names((await ask('GET', `/pins?name=N2&match=ipartial&limit=2&${ALL}`)).json), [
    'n24',
    'n23',
  ])
  assert.deepEqual(names((await ask('GET', `/pins?cid=${idOf(3)},${idOf(24)},${idOf(99)}`)).json), [
    'n24',
    'n3',
  ])
  assert.deepEqual((await ask('GET', '/pins?name=nobody')).json, { count: 0, results: [] })
})

test('what cannot be read is 400 with what is wrong, and changes nothing', async () => {
  const cases: [method: string, path: string, body: unknown, details: RegExp][] = [
    ['POST', '/pins', undefined, /the request body cannot be read/],
    ['POST', '/pins', '{', /the request body cannot be read/],
    ['POST', '/pins', {}, /cid is missing/],
    ['POST', '/pins', { cid: idOf(1), name: 5 }, /name must be a string/],
    ['POST', '/pins', { cid: idOf(1), origins: ['/ip4/1.2.3.4/tcp/5'] }, /origins\[0\]/],
    ['POST', '/pins', 'x'.repeat(300_000), /the request body is larger than 262144 bytes/],
    ['POST', '/pins/nope', { cid: idOf(1) }, /requestid cannot be read/],
    ['GET', '/pins/nope', undefined, /requestid cannot be read/],
    ['DELETE', '/pins/nope', undefined, /requestid cannot be read/],
    ['GET', '/pins?limit=0', undefined, /limit must be/],
    ['GET', '/pins?limit=1000000', undefined, /limit must be/],
    ['GET', '/pins?status=none', undefined, /status "none"/],
    ['GET', '/pins?before=now', undefined, /before cannot be read/],
  ]
  for (const [method, path, body, details] of cases) {
    const { status, json } = await ask(method, path, body)
    assert.equal(status, 400, `${method} ${path}`)
    assert.equal(json.error.reason, 'BAD_REQUEST')
    assert.match(json.error.details, details)
    assert.deepEqual(Object.keys(json), ['error'])
  }
  assert.equal(await world.state.get(cidOf(1)), undefined)
})

test('other paths and methods are answered as the REST API does', async () => {
  const notFound = await ask('GET', '/nope')
  assert.deepEqual(
    [notFound.status, notFound.text],
    [404, '{"error":{"reason":"NOT_FOUND","details":"not found"}}\n'],
  )
  const wrong = await ask('PUT', '/pins')
  assert.deepEqual([wrong.status, wrong.text], [405, ''])
  const slash = await ask('POST', '/pins/?x=1', { cid: idOf(1) })
  assert.deepEqual([slash.status, slash.headers.get('location')], [307, '/pins?x=1'])
  assert.equal((await ask('GET', '/health')).status, 204)
  assert.equal((await ask('GET', '/pins/%zz')).status, 400)
  assert.equal((await ask('POST', '/token')).status, 401)
  assert.equal((await ask('GET', '/pins?status=%zz&&;&=')).status, 200)
})

test('a connection is of use after a body that was refused', async () => {
  const body = `"${'x'.repeat(300_000)}"`
  const first = head('POST', '/pins', { Connection: 'keep-alive', 'Content-Length': `${body.length}` }) + body
  const { text } = await rawRequest(service.url, first + head('GET', '/health'))
  assert.match(text, /^HTTP\/1\.1 400 /)
  assert.match(text, /HTTP\/1\.1 204 /)
})

test('what fails in the cluster is told with its status', async () => {
  await using other = await createWorld()
  const failing = (code: string) => () =>
    Promise.reject(Object.assign(new Error('why'), { code, data: { code } }))
  const cases = [
    ['CRDT_QUEUE_FULL', 429, 'TOO_MANY_REQUESTS'],
    ['FOLLOWER_MODE', 403, 'FORBIDDEN'],
    ['PIN_TYPE_MISMATCH', 400, 'BAD_REQUEST'],
    ['STORE_FULL', 507, 'INSUFFICIENT_STORAGE'],
    ['ANYTHING', 500, 'INTERNAL_SERVER_ERROR'],
  ] as const
  for (const [code, status, reason] of cases) {
    const components = { ...other.components, cluster: { ...other.components.cluster, pin: failing(code) } }
    await using failed = await startTestService({ ...other, components })
    const answer = await failed.ask('POST', '/pins', { cid: idOf(1) })
    assert.deepEqual([answer.status, answer.json], [status, { error: { reason, details: 'why' } }], code)
    assert.equal(answer.headers.get('retry-after'), status === 429 ? '1' : null)
  }
})
