import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { silentLogger, systemClock } from '@ipfs-cluster/base'
import { createManualClock, waitFor } from '@ipfs-cluster/testkit'
import { mockCluster } from '../rest/mock-cluster.ts'
import { createHeaderSource } from './headers.ts'
import { TEST_CONFIG, open, startDaemon, startProxy, textOf } from './test-proxy.ts'
import type { UpstreamAnswer, UpstreamRequest } from './types.ts'

/** An upstream that counts what it is asked. */
function fakeUpstream(
  answer: (request: UpstreamRequest) => Readonly<Record<string, string[]>> | Promise<never>,
) {
  const asked: UpstreamRequest[] = []
  return {
    asked,
    async ask(
      request: UpstreamRequest,
      { signal }: { readonly signal: AbortSignal },
    ): Promise<UpstreamAnswer> {
      asked.push(request)
      const cut = new Promise<never>((_, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason)),
      )
      cut.catch(() => undefined)
      const headers = await Promise.race([answer(request), cut])
      return { status: 200, headers, body: nothing(), trailers: () => ({}), [Symbol.dispose]() {} }
    },
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

const request = { method: 'POST', origin: 'http://a', path: '/api/v0/pin/ls' }
const sourceOf = (upstream: ReturnType<typeof fakeUpstream>, clock = createManualClock(), config = {}) =>
  createHeaderSource({ upstream, clock, logger: silentLogger }, { ...TEST_CONFIG, ...config })

test('hijacked answers have the daemon’s headers for browsers, then ours', async () => {
  await using daemon = await startDaemon((_request, response) => void response.end())
  const config = { extractHeadersExtra: ['X-Extra', 'Server', 'X-None'] }
  await using proxy = await startProxy({ cluster: mockCluster(), api: daemon.api, config })
  const good = await open(`${proxy.url}/api/v0/pin/ls?arg=x`, { headers: { Origin: 'http://good' } })
  await textOf(good)
  assert.equal(good.statusCode, 500)
  assert.deepEqual(good.rawHeaders.slice(0, 14), [
    'Access-Control-Allow-Origin',
    'http://good',
    'Vary',
    'Origin',
    'Access-Control-Expose-Headers',
    'X-Stream-Output',
    'X-Extra',
    'a',
    'X-Extra',
    'b',
    'Content-Type',
    'application/json',
    'Server',
    'ipfs-cluster/ipfsproxy/0.0.mock',
  ])
  const bad = await open(`${proxy.url}/api/v0/pin/ls?arg=x`, { headers: { Origin: 'http://bad' } })
  await textOf(bad)
  assert.deepEqual([bad.headers['access-control-allow-origin'], bad.headers['vary']], [undefined, 'Origin'])
  await textOf(await open(`${proxy.url}/api/v0/pin/add?arg=x`, { headers: { Origin: 'http://bad' } }))
  assert.deepEqual(daemon.requests.toSorted(), [
    'OPTIONS /api/v0/pin/ls',
    'OPTIONS /api/v0/pin/ls',
    'POST /api/v0/version',
  ])
})

describe('what the daemon said', () => {
  test('is asked for with the origin and method of the request, and kept for each until its time is over', async () => {
    const upstream = fakeUpstream(({ method }) =>
      method === 'OPTIONS' ? { vary: ['x'] } : { 'x-extra': ['1'] },
    )
    const clock = createManualClock()
    const config = { extractHeadersExtra: ['X-Extra'], extractHeadersTtlMs: 1000, extractHeadersPath: '/p' }
    await using source = sourceOf(upstream, clock, config)
    const lines = await source.of(request, {})
    assert.deepEqual(lines, [
      ['Vary', ['x']],
      ['X-Extra', ['1']],
    ])
    assert.deepEqual(upstream.asked, [
      {
        method: 'OPTIONS',
        target: '/api/v0/pin/ls',
        headers: { 'access-control-request-method': 'POST', origin: 'http://a' },
      },
      { method: 'POST', target: '/p', headers: {} },
    ])
    await source.of({ ...request, path: '/api/v0/add' }, {})
    assert.equal(upstream.asked.length, 2)
    await source.of({ ...request, method: 'GET' }, {})
    await source.of({ ...request, origin: undefined }, {})
    assert.deepEqual(upstream.asked[3]?.headers, { 'access-control-request-method': 'POST' })
    assert.equal(upstream.asked.length, 4)
    await clock.advance(1000)
    await source.of(request, {})
    assert.equal(upstream.asked.length, 6)
  })

  test('is kept for ever with 0', async () => {
    const upstream = fakeUpstream(() => ({}))
    const clock = createManualClock()
    await using source = sourceOf(upstream, clock, { extractHeadersTtlMs: 0 })
    await source.of(request, {})
    await clock.advance(10 ** 10)
    await source.of(request, {})
    assert.equal(upstream.asked.length, 2)
  })

  test('is kept when the daemon is gone, which is not asked with every request then', async () => {
    let isDown = false
    const upstream = fakeUpstream(({ method }) =>
      isDown ? Promise.reject(new Error('down')) : { vary: [method] },
    )
    const clock = createManualClock()
    await using source = sourceOf(upstream, clock, { extractHeadersTtlMs: 1000 })
    await source.of(request, {})
    isDown = true
    await clock.advance(1000)
    for (let i = 0; i < 5; i++) assert.deepEqual(await source.of(request, {}), [['Vary', ['OPTIONS']]])
    assert.equal(upstream.asked.length, 4)
    await clock.advance(5000)
    await source.of(request, {})
    assert.equal(upstream.asked.length, 6)
  })

  test('is bounded, whatever origins clients name', async () => {
    const upstream = fakeUpstream(() => ({}))
    await using source = sourceOf(upstream)
    const from = (i: number) => source.of({ ...request, origin: `http://${i}` }, {})
    for (let i = 0; i < 256; i++) await from(i)
    await from(0)
    assert.equal(upstream.asked.length, 257)
    await from(256)
    await from(0)
    assert.equal(upstream.asked.length, 258)
    await from(1)
    assert.equal(upstream.asked.length, 259)
  })

  test('is asked for once by requests at the same time; one that leaves does not end it for the others', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const upstream = fakeUpstream(() => promise.then(() => ({ vary: ['late'] })) as never)
    await using source = sourceOf(upstream)
    const left = new AbortController()
    const leaving = source.of(request, { signal: left.signal })
    const staying = [source.of(request, {}), source.of(request, {})]
    left.abort(new Error('left'))
    await assert.rejects(leaving, /left/)
    resolve()
    for (const lines of await Promise.all(staying)) assert.deepEqual(lines, [['Vary', ['late']]])
    assert.equal(upstream.asked.length, 2)
  })

  test('is not waited for when the daemon hangs', async () => {
    const upstream = fakeUpstream(() => new Promise<never>(() => undefined))
    const clock = createManualClock()
    await using source = sourceOf(upstream, clock)
    const waiting = source.of(request, {})
    await waitFor(() => upstream.asked.length === 2)
    await clock.advance(2000)
    assert.deepEqual(await waiting, [])
    assert.deepEqual(await source.of(request, {}), [])
    assert.equal(upstream.asked.length, 2)
    assert.equal(clock.pending, 0)
  })

  test('stopping ends what is under way', async () => {
    const upstream = fakeUpstream(() => new Promise<never>(() => undefined))
    const source = createHeaderSource({ upstream, clock: systemClock, logger: silentLogger }, TEST_CONFIG)
    const waiting = source.of(request, {})
    await source[Symbol.asyncDispose]()
    assert.deepEqual(await waiting, [])
  })
})
