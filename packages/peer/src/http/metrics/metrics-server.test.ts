import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMeter, silentLogger, systemClock } from '@ipfs-cluster/base'
import { createMetricsServer } from './index.ts'

test('serves what the meter has, and nothing else', async () => {
  const meter = createMeter()
  meter.counter('things_total', 'Things').add({ kind: 'new' }, 3)
  await using server = await createMetricsServer(
    { meter, clock: systemClock, logger: silentLogger },
    { listen: ['/ip4/127.0.0.1/tcp/0'] },
  )
  const [url = ''] = server.urls
  const metrics = await fetch(`${url}/metrics?now`)
  assert.equal(metrics.status, 200)
  assert.equal(metrics.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  assert.equal(
    await metrics.text(),
    '# HELP things_total Things\n# TYPE things_total counter\nthings_total{kind="new"} 3\n',
  )
  assert.equal((await fetch(`${url}/`)).status, 404)
  const posted = await fetch(`${url}/metrics`, { method: 'POST' })
  assert.equal(posted.status, 405)
  assert.equal(posted.headers.get('allow'), 'GET, HEAD')
})
