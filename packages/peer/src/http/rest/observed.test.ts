import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CodedError, createMeter, silentLogger, systemClock } from '@ipfs-cluster/base'
import { waitFor } from '@ipfs-cluster/testkit'
import type { Cluster } from '../../cluster/index.ts'
import { createRestApi } from './index.ts'
import { basic, TEST_CONFIG } from './test-api.ts'

const parts = (cluster: Partial<Cluster> = {}) => ({
  cluster: cluster as Cluster,
  clock: systemClock,
  logger: silentLogger,
})

test('requests are counted by route and class of status, never by path', async () => {
  const meter = createMeter()
  await using api = await createRestApi(
    { ...parts({ version: () => ({ version: '1.1.6' }) }), meter },
    TEST_CONFIG,
  )
  const samples = (name: string) => meter.collect().find(metric => metric.name === name)?.samples ?? []
  const [url = ''] = api.urls
  const paths = ['/version', '/version', '/nothing', '/more/nothing', '/pins/notacid', '/health', '/id/']
  for (const path of paths) await (await fetch(url + path, { redirect: 'manual' })).text()
  // A connection is told that its answer is over a moment after the client is.
  const counts = () =>
    samples('ipfscluster_http_request_duration_seconds').filter(({ suffix }) => suffix === '_count')
  await waitFor(() => counts().reduce((sum, { value }) => sum + value, 0) === paths.length, {
    what: 'all requests are over',
  })
  assert.deepEqual(
    counts()
      .map(({ labels, value }) => `${labels['route']} ${labels['method']} ${labels['status']} ${value}`)
      .sort(),
    ['/health GET 2xx 1', '/pins/{hash} GET 4xx 1', '/version GET 2xx 2', 'none GET 3xx 1', 'none GET 4xx 2'],
  )
  assert.deepEqual(samples('ipfscluster_http_requests_in_flight'), [{ labels: { api: 'restapi' }, value: 0 }])
  const views = (name: string) => samples(`ipfscluster_opencensus_io_http_server_${name}`)
  assert.equal(views('request_count')[0]?.value, paths.length)
  assert.deepEqual(
    Object.fromEntries(
      views('response_count_by_status_code').map(({ labels, value }) => [labels['http_status'], value]),
    ),
    { 200: 2, 204: 1, 307: 1, 400: 1, 404: 2 },
  )
})

test('GET /health/ready needs a login, unlike GET /health', async () => {
  const failing = () => Promise.reject(new CodedError('not ready: ipfs: gone', { code: 'NOT_READY' }))
  let check: () => Promise<void> = () => Promise.resolve()
  await using api = await createRestApi(
    { ...parts(), probe: { check: () => check() } },
    { ...TEST_CONFIG, credentials: { user: 'word' } },
  )
  const [url = ''] = api.urls
  const authorization = basic('user', 'word')
  assert.equal((await fetch(`${url}/health`)).status, 204)
  assert.equal((await fetch(`${url}/health/ready`)).status, 401)
  assert.equal((await fetch(`${url}/health/ready`, { headers: { authorization } })).status, 204)
  check = failing
  const failed = await fetch(`${url}/health/ready`, { headers: { authorization } })
  assert.equal(failed.status, 503)
  assert.deepEqual(await failed.json(), { code: 503, message: 'not ready: ipfs: gone' })
  assert.equal(
    (await fetch(`${url}/health/ready`, { method: 'POST', headers: { authorization } })).status,
    405,
  )
})
