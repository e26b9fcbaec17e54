/** The cases of Go's server tests (Go: `api/rest/restapi_test.go`; reference api.md 6.3) against the backend that theirs have. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { after, before, test } from 'node:test'
import type { HttpApi } from './index.ts'
import {
  BAD_CID_TEXT,
  CID1,
  CID2,
  CID3,
  CID_RESOLVED,
  ERROR_CID,
  mockCluster,
  NOT_FOUND_CID,
  PEER1,
  PEER2,
  PEER3,
} from './mock-cluster.ts'
import { startTestApi } from './test-api.ts'

// oxlint-disable-next-line typescript/no-explicit-any
type Json = any

let api: HttpApi
let url = ''
before(async () => {
  const cors = {
    allowedOrigins: ['*'],
    allowedMethods: ['GET', 'POST', 'DELETE'],
    allowedHeaders: [],
    exposedHeaders: ['X-A'],
    allowCredentials: true,
    maxAgeMs: 0,
  }
  api = await startTestApi(mockCluster(), { cors })
  url = api.urls[0] ?? ''
})
after(() => api[Symbol.asyncDispose]())

/** Every answer has the type and, to a page, the headers that it may read. */
async function call(method: string, path: string, body?: RequestInit['body']) {
  const response = await fetch(url + path, {
    method,
    headers: { Origin: 'http://a.example' },
    ...(body === undefined ? {} : { body }),
  })
  assert.equal(response.headers.get('content-type'), 'application/json', path)
  assert.equal(response.headers.get('access-control-expose-headers'), 'X-A', path)
  const text = await response.text()
  return { status: response.status, text }
}

async function json(method: string, path: string, body?: RequestInit['body']): Promise<Json> {
  const { status, text } = await call(method, path, body)
  assert.equal(status, 200, text)
  return JSON.parse(text)
}

async function list(method: string, path: string): Promise<Json[]> {
  const { status, text } = await call(method, path)
  assert.ok(status === 200 || status === 204, text)
  return text
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line))
}

async function fails(
  method: string,
  path: string,
  code: number,
  message: string | RegExp,
  body?: RequestInit['body'],
) {
  const { status, text } = await call(method, path, body)
  const error = JSON.parse(text)
  assert.deepEqual([status, error.code], [code, code], path)
  if (typeof message === 'string') assert.equal(error.message, message)
  else assert.match(error.message, message)
}

const tree = () => {
  const form = new FormData()
  form.append('file', new Blob([], { type: 'application/x-directory' }), 'dir')
  form.append('file', new Blob(['a'.repeat(300_000)]), 'dir%2Fa')
  form.append('file', new Blob(['b']), 'dir%2Fb')
  return form
}
const lines = (text: string): Json[] =>
  text
    .trimEnd()
    .split('\n')
    .map(line => JSON.parse(line))

test('ID, Version, Peers', async () => {
  assert.equal((await json('GET', '/id')).id, PEER1)
  assert.equal((await json('GET', '/version')).version, '0.0.mock')
  assert.deepEqual(
    (await list('GET', '/peers')).map(({ id }) => id),
    [PEER1],
  )
})

test('PeerAdd, PeerRemove', async () => {
  assert.equal((await json('POST', '/peers', JSON.stringify({ peer_id: PEER2 }))).id, PEER2)
  await fails('POST', '/peers', 400, 'error decoding request body', 'oeoeoeoe')
  await fails('POST', '/peers', 400, 'error decoding peer_id', '{"peer_id":"1234"}')
  assert.equal((await call('DELETE', `/peers/${PEER1}`)).status, 204)
  await fails('DELETE', '/peers/1234', 400, /^error decoding Peer ID: /)
})

test('AddFile: BadContentType', async () => {
  await fails(
    'POST',
    '/add?shard=true&repl_min=-1&repl_max=-1',
    400,
    "request Content-Type isn't multipart/form-data",
    'x',
  )
})

test('AddFile: streamed, and as one list; the last is the root; the backend may refuse', async () => {
  const streamed = lines((await call('POST', '/add?shard=false&repl_min=-1&repl_max=-1', tree())).text)
  assert.deepEqual(
    streamed.map(({ name }) => name),
    ['dir/a', 'dir/b', 'dir'],
  )
  const listed: Json[] = await json('POST', '/add?stream-channels=false', tree())
  assert.deepEqual(listed, streamed)
  await fails('POST', '/add?stream-channels=false&replication=2', 500, 'replMin too high', tree())
})

test('AddFile: an upload that turns out to be cut is 500 in one list, where the request itself was in order', async () => {
  const response = await fetch(`${url}/add?stream-channels=false`, {
    method: 'POST',
    headers: { 'Content-Type': 'multipart/form-data; boundary=b' },
    body: '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nabc',
  })
  assert.equal(response.status, 500)
  assert.match(await response.text(), /^\{"code":500,"message":"error reading request: .*unexpected end/i)
})

test('AddFile: Shard', async () => {
  const path = '/add?stream-channels=false&shard=true&shard-size=1000000&name=x'
  const outputs: Json[] = await json('POST', path, tree())
  assert.deepEqual(
    outputs.map(({ name }) => name),
    ['dir/a', 'dir/b', 'shard-0', 'x-clusterDAG', 'dir'],
  )
})

test('ConnectGraph', async () => {
  const graph = await json('GET', '/health/graph')
  assert.equal(graph.cluster_id, PEER1)
  for (const key of ['ipfs_links', 'cluster_links', 'cluster_to_ipfs', 'id_to_peername']) {
    assert.equal(Object.keys(graph[key]).length, 3, key)
  }
  assert.deepEqual(graph.cluster_links[PEER1], [PEER2, PEER3])
  assert.deepEqual(graph.cluster_to_ipfs[PEER2], PEER2)
})

test('Pin, Unpin', async () => {
  assert.equal((await json('POST', `/pins/${CID1}`)).cid, `${CID1}`)
  assert.equal((await json('DELETE', `/pins/${CID1}`)).cid, `${CID1}`)
  for (const method of ['POST', 'DELETE']) {
    await fails(method, `/pins/${ERROR_CID}`, 500, BAD_CID_TEXT)
    await fails(method, '/pins/abcd', 400, /^error decoding Cid: /)
  }
  await fails('DELETE', `/pins/${NOT_FOUND_CID}`, 404, 'pin is not part of the pinset')
})

test('Pin with path, Unpin with path', async () => {
  const options = 'name=test&replication-min=2&mode=direct&meta-meta1=value1'
  for (const method of ['POST', 'DELETE']) {
    for (const [path, cid] of [
      [`/ipfs/${CID1}`, CID2],
      [`/ipfs/${CID1}/a/b`, CID_RESOLVED],
      [`/ipns/${CID1}`, CID2],
      [`/ipld/${CID1}/a`, CID_RESOLVED],
    ] as const) {
      const pin = await json(method, `/pins${path}?${options}`)
      assert.equal(pin.cid, `${cid}`)
      if (method === 'POST')
        assert.deepEqual([pin.name, pin.mode, pin.metadata], ['test', 'direct', { meta1: 'value1' }])
    }
    await fails(method, `/pins/ipfs/${ERROR_CID}`, 500, BAD_CID_TEXT)
    await fails(method, '/pins/ipfs/bad', 400, /^error parsing path: /)
    await fails(method, `/pins/invalid/${CID1}`, 404, 'not found')
  }
  await fails('DELETE', `/pins/ipfs/${NOT_FOUND_CID}`, 404, 'pin is not part of the pinset')
})

test('Allocations, Allocation', async () => {
  const all = [CID1, CID2, CID3].map(String)
  for (const query of ['?filter=pin,meta-pin', '']) {
    assert.deepEqual(
      (await list('GET', `/allocations${query}`)).map(({ cid }) => cid),
      all,
    )
  }
  await fails('GET', '/allocations?filter=invalid', 400, 'invalid filter value')
  assert.equal((await json('GET', `/allocations/${CID1}`)).cid, `${CID1}`)
  await fails('GET', `/allocations/${NOT_FOUND_CID}`, 404, 'pin is not part of the pinset')
})

test('Metrics, MetricNames, Alerts, Bandwidth', async () => {
  assert.deepEqual(
    (await json('GET', '/monitor/metrics/somemetricstype')).map((metric: Json) => [metric.name, metric.peer]),
    [['test', PEER1]],
  )
  assert.deepEqual(await json('GET', '/monitor/metrics'), ['ping', 'freespace'])
  assert.deepEqual(
    (await json('GET', '/health/alerts')).map((alert: Json) => [alert.name, alert.peer]),
    [['ping', PEER2]],
  )
  assert.deepEqual(await json('GET', '/health/bandwidth'), {
    protocol1: { total_in: 10, total_out: 20, rate_in: 1, rate_out: 2 },
    protocol2: { total_in: 30, total_out: 40, rate_in: 3, rate_out: 4 },
  })
})

test('StatusAll', async () => {
  for (const [query, count] of [
    ['', 3],
    ['?local=true', 2],
    ['?filter=queued', 0],
    ['?filter=pinned', 1],
    ['?filter=pin_error', 1],
    ['?filter=error', 1],
    ['?filter=error,pinned', 2],
  ] as const) {
    assert.equal((await list('GET', `/pins${query}`)).length, count, query)
  }
  const [first] = await list('GET', '/pins?filter=pinned')
  assert.deepEqual([first.cid, first.name, first.peer_map[PEER1].status], [`${CID1}`, 'aaa', 'pinned'])
  await fails('GET', '/pins?filter=invalid', 400, 'invalid filter value')
})

test('StatusAll with cids, through the redirect of the slash', async () => {
  const cids = [CID1, CID2, CID3, CID_RESOLVED].join(',')
  assert.equal((await list('GET', `/pins/?cids=${cids}`)).length, 4)
  assert.equal((await list('GET', `/pins/?cids=${cids}&local=true`)).length, 4)
  const asking = get(`${url}/pins?cids=${cids},${ERROR_CID}`)
  const [answer] = (await once(asking, 'response')) as [IncomingMessage]
  const text = Buffer.concat(await Array.fromAsync<Uint8Array>(answer)).toString()
  assert.deepEqual([answer.statusCode, lines(text).length], [200, 4])
  assert.equal(answer.trailers['x-stream-error'], BAD_CID_TEXT)
})

test('Status, local and global', async () => {
  const global = await json('GET', `/pins/${CID1}`)
  assert.deepEqual(
    [global.cid, global.metadata, Object.keys(global.peer_map)],
    [`${CID1}`, { meta: 'data' }, [PEER1]],
  )
  const local = await json('GET', `/pins/${CID1}?local=true`)
  assert.deepEqual([local.cid, Object.keys(local.peer_map)], [`${CID1}`, [PEER2]])
  await fails('GET', `/pins/${ERROR_CID}`, 500, BAD_CID_TEXT)
})

test('Recover, RecoverAll', async () => {
  for (const query of ['', '?local=true']) {
    assert.equal((await json('POST', `/pins/${CID1}/recover${query}`)).cid, `${CID1}`)
  }
  assert.equal((await list('POST', '/pins/recover')).length, 3)
  assert.equal((await call('POST', '/pins/recover?local=true')).status, 204)
})

test('IPFS GC, Health', async () => {
  for (const query of ['', '?local=true']) {
    const { keys } = (await json('POST', `/ipfs/gc${query}`)).peer_map[PEER1]
    assert.deepEqual([keys.length, keys[0].key, keys[3].error], [4, `${CID1}`, 'oops'])
  }
  assert.equal((await call('GET', '/health')).status, 204)
})
