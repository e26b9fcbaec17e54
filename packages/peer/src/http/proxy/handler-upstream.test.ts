import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { silentLogger, systemClock } from '@ipfs-cluster/base'
import type { Cluster } from '../../cluster/index.ts'
import type { HttpHandler } from '../common/index.ts'
import { mockCluster } from '../rest/mock-cluster.ts'
import { createHandlerUpstream, createIpfsProxy } from './index.ts'
import { ask, TEST_CONFIG, textOf } from './test-proxy.ts'

const signal = new AbortController().signal
const upstreamOf = (handle: HttpHandler) => createHandlerUpstream(handle, silentLogger)

test('a request of our own has headers, bodies under way and trailers', async () => {
  const upstream = upstreamOf(async (request, response) => {
    response.writeHead(200, {
      'X-Method': request.method,
      'X-Url': request.url,
      'X-Sent': request.headers['x-sent'],
    })
    response.write('got ')
    for await (const chunk of request as AsyncIterable<Uint8Array>) response.write(chunk)
    response.addTrailers([['X-Stream-Error', 'told']])
    response.end()
  })
  const body = Readable.from([Buffer.from('a'), Buffer.from('b')], { objectMode: false })
  const headers = { 'x-sent': 'yes', 'transfer-encoding': 'chunked', trailer: [] }
  using answer = await upstream.ask({ method: 'POST', target: '/x?y=z', headers, body }, { signal })
  assert.equal(answer.status, 200)
  assert.deepEqual(answer.headers['x-url'], ['/x?y=z'])
  assert.deepEqual([answer.headers['x-method'], answer.headers['x-sent']], [['POST'], ['yes']])
})

test('the body and the trailer come as they are read', async () => {
  const upstream = upstreamOf(async (request, response) => {
    request.resume()
    response.writeHead(200, { Trailer: 'X-Stream-Error' })
    response.write('all')
    response.addTrailers([['X-Stream-Error', 'told']])
    response.end()
  })
  using answer = await upstream.ask({ method: 'POST', target: '/', headers: {} }, { signal })
  assert.equal(await textOf(answer.body), 'all')
  assert.equal(answer.trailers()['x-stream-error'], 'told')
})

test('an asker that leaves ends the work; a handler that fails breaks the answer', async () => {
  const seen = Promise.withResolvers<void>()
  const upstream = upstreamOf(async (_request, response, left) => {
    response.writeHead(200)
    response.write('beginning')
    left.addEventListener('abort', () => seen.resolve())
    await seen.promise
  })
  {
    using answer = await upstream.ask({ method: 'POST', target: '/', headers: {} }, { signal })
    assert.equal(answer.status, 200)
  }
  await seen.promise
  const failing = upstreamOf(() => Promise.reject(new Error('a fault')))
  await assert.rejects(failing.ask({ method: 'POST', target: '/', headers: {} }, { signal }), {
    code: 'IPFS_UNREACHABLE',
  })
  const stopped = AbortSignal.abort(new Error('stopped'))
  await assert.rejects(
    failing.ask({ method: 'POST', target: '/', headers: {} }, { signal: stopped }),
    /stopped/,
  )
})

test('a signal ends a request that is not answered', async () => {
  const upstream = upstreamOf(() => new Promise(() => undefined))
  const stop = new AbortController()
  const asking = upstream.ask({ method: 'POST', target: '/', headers: {} }, { signal: stop.signal })
  stop.abort(new Error('enough'))
  await assert.rejects(asking, /enough/)
})

test('the proxy passes on to a daemon in this process, and takes from it what Go’s repo/stat lacks', async () => {
  const handle: HttpHandler = async (request, response) => {
    const isStat = request.url?.startsWith('/api/v0/repo/stat') === true
    response.end(isStat ? '{"RepoSize":1,"NumObjects":7,"RepoPath":"/p","Version":"v@1"}' : `${request.url}`)
  }
  await using proxy = await createIpfsProxy(
    {
      cluster: mockCluster() as Cluster,
      ipfs: { resolve: () => Promise.reject(new Error('nothing is resolved')) },
      upstream: upstreamOf(handle),
      clock: systemClock,
      logger: silentLogger,
    },
    TEST_CONFIG,
  )
  const at = { url: proxy.urls[0] as string, [Symbol.asyncDispose]: async () => undefined }
  assert.equal((await ask(at, '/cat?arg=x')).body, '/api/v0/cat?arg=x')
  const { RepoSize, ...rest } = JSON.parse((await ask(at, '/repo/stat')).body) as Record<string, unknown>
  assert.ok(Number(RepoSize) > 1)
  assert.deepEqual(
    { ...rest, StorageMax: 0 },
    { StorageMax: 0, NumObjects: 7, RepoPath: '/p', Version: 'v@1' },
  )
})
