import assert from 'node:assert/strict'
import type { RequestListener } from 'node:http'
import { test } from 'node:test'
import type { Cluster } from '../../cluster/index.ts'
import { newPin } from '@ipfs-cluster/api'
import { CID1, CID2, CID3, ERROR_CID, mockCluster } from '../rest/mock-cluster.ts'
import { open, startDaemon, startProxy, textOf, upload, type TestDaemon } from './test-proxy.ts'

const file = upload({ a: 'some bytes' })

/** What the client gets, and what was pinned. */
async function put(path: string, answer: RequestListener, options: Parameters<typeof open>[1] = file) {
  const pinned: string[] = []
  const pin: Cluster['pin'] = (cid, pinOptions) => {
    if (cid.equals(ERROR_CID)) return Promise.reject(new Error('cannot\npin'))
    pinned.push(`${cid} ${pinOptions.mode}`)
    return Promise.resolve(newPin(cid))
  }
  await using daemon: TestDaemon = await startDaemon(answer)
  await using proxy = await startProxy({ cluster: { ...mockCluster(), pin }, api: daemon.api })
  const response = await open(`${proxy.url}/api/v0${path}`, options)
  const body = await textOf(response).catch(() => 'broken')
  const requests = daemon.requests.filter(line => !/^OPTIONS|version/.test(line))
  return {
    status: response.statusCode,
    headers: response.headers,
    trailers: response.trailersDistinct,
    body,
    pinned,
    requests,
  }
}

const says =
  (...lines: readonly string[]): RequestListener =>
  (request, response) => {
    request.resume()
    request.on('end', () => {
      for (const line of lines) response.write(line)
      response.end()
    })
  }

const block = (cid: unknown, size = 7) => `{"Key":"${String(cid)}","Size":${size}}\n`
const link = (cid: unknown) => `{"Cid":{"/":"${String(cid)}"}}\n`

test('a block is stored by the daemon and pinned by the cluster', async () => {
  let got = ''
  const answer: RequestListener = (request, response) => {
    void textOf(request).then(text => {
      got = text
      response.end(block(CID1) + block(CID2))
    })
  }
  const { status, headers, trailers, body, pinned, requests } = await put('/block/put?a=b&pin=true', answer)
  assert.deepEqual([status, body], [200, block(CID1) + block(CID2)])
  assert.equal(headers['trailer'], 'X-Stream-Error')
  assert.equal(headers['content-type'], 'application/json')
  assert.equal(headers['server'], 'ipfs-cluster/ipfsproxy/0.0.mock')
  assert.deepEqual({ ...trailers }, {})
  assert.deepEqual(pinned, [`${CID1} recursive`, `${CID2} recursive`])
  assert.deepEqual(requests, ['POST /api/v0/block/put?a=b&pin=true'])
  assert.equal(got, Buffer.from(file.body).toString())
})

test('the daemon is not to pin a node that the cluster pins', async () => {
  const { body, pinned, requests } = await put('/dag/put?pin=true&a=b', says(link(CID1), link(CID2)))
  assert.equal(body, link(CID1) + link(CID2))
  assert.equal(pinned.length, 2)
  assert.deepEqual(requests, ['POST /api/v0/dag/put?pin=false&a=b'])
})

test('without pin=true it is the daemon’s', async () => {
  for (const path of ['/block/put', '/block/put?pin=false', '/dag/put?pin=1', '/dag/put']) {
    const { body, pinned, headers, requests } = await put(path, says('as it is'))
    assert.deepEqual([body, pinned, headers['server']], ['as it is', [], undefined])
    assert.deepEqual(requests, [`POST /api/v0${path}`])
  }
})

test('what cannot be pinned is told in a trailer and keeps nothing else from being', async () => {
  const { status, body, pinned, trailers } = await put(
    '/block/put?pin=true',
    says(block(CID1), block(ERROR_CID), block(ERROR_CID), block(CID3)),
  )
  assert.equal(status, 200)
  assert.equal(body, block(CID1) + block(ERROR_CID) + block(ERROR_CID) + block(CID3))
  assert.deepEqual(pinned, [`${CID1} recursive`, `${CID3} recursive`])
  assert.deepEqual(trailers['x-stream-error'], ['cannot pin', 'cannot pin'])
})

test('many failures are counted', async () => {
  const { trailers } = await put('/block/put?pin=true', says(block(ERROR_CID).repeat(50)))
  const told = trailers['x-stream-error'] ?? []
  assert.equal(told.length, 33)
  assert.equal(told.at(-1), 'and 18 more errors')
})

test('what the daemon refuses is passed back', async () => {
  for (const path of ['/block/put?pin=true', '/dag/put?pin=true']) {
    const { status, body, pinned, headers } = await put(path, (_request, response) => {
      response.writeHead(400, { 'Content-Type': 'text/plain' }).end("file argument 'data' is required\n")
    })
    assert.deepEqual([status, body, pinned], [400, "file argument 'data' is required\n", []])
    assert.equal(headers['content-type'], 'application/json')
  }
})

test('answers that are none are told of behind what was good', async () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    ['/block/put', 'not JSON\n', /not JSON: not JSON/],
    ['/block/put', '5\n', /not an object: 5/],
    ['/block/put', '{"Key":5,"Size":1}\n', /not a stored block: \{"Key":5/],
    ['/block/put', '{"Key":"abc","Size":1}\n', /invalid cid/],
    ['/block/put', '{"Message":"disk full","Code":0,"Type":"error"}\n', /disk full/],
    ['/block/put', `"${'x'.repeat(70_000)}`, /more than 65536 bytes/],
    ['/dag/put', '{"Cid":"x"}\n', /not a stored block/],
    ['/dag/put', '{"Cid":null}\n', /not a stored block/],
  ]
  for (const [path, answer, reason] of cases) {
    const good = path === '/dag/put' ? link(CID1) : block(CID1)
    const { status, body, trailers, pinned } = await put(`${path}?pin=true`, says(good, answer))
    assert.deepEqual([answer, status, body, pinned.length], [answer, 200, good, 1])
    assert.match(trailers['x-stream-error']?.[0] ?? '', reason)
  }
})

test('a failure of the daemon at its end, or in the middle, is one of ours', async () => {
  const failing: RequestListener = (_request, response) => {
    response.writeHead(200, { Trailer: 'X-Stream-Error' })
    response.write(block(CID1))
    response.addTrailers({ 'X-Stream-Error': 'ran out of disk' })
    response.end()
  }
  const told = await put('/block/put?pin=true', failing)
  assert.deepEqual([told.body, told.trailers['x-stream-error']], [block(CID1), ['ran out of disk']])
  const dying: RequestListener = (_request, response) =>
    void response.write(block(CID1), () => response.destroy())
  const died = await put('/block/put?pin=true', dying)
  assert.equal(died.body, block(CID1))
  assert.match(died.trailers['x-stream-error']?.[0] ?? '', /aborted|ECONNRESET|terminated/)
})

test('without a daemon it is an error in Kubo’s form', async () => {
  const { status, body } = await put('/block/put?pin=true', request => request.socket.destroy())
  assert.equal(status, 500)
  assert.match(JSON.parse(body).Message, /^cannot reach the IPFS daemon at /)
})

test('an upload without an end is held back by a daemon that does not read', async () => {
  let given = 0
  const body = async function* () {
    while (given < 64) {
      given++
      yield new Uint8Array(1024 * 1024)
    }
  }
  const { status } = await put(
    '/block/put?pin=true',
    (_request, response) => {
      const look = (before: number) => {
        if (before === given) response.writeHead(500, { Connection: 'close' }).end('enough')
        else setTimeout(look, 200, given)
      }
      look(-1)
    },
    { ...file, body: body() },
  )
  assert.equal(status, 500)
  assert.ok(given < 64)
})
