import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { createMeter, silentLogger, systemClock, type MeterRegistry } from '@ipfs-cluster/base'
import { createMetricsServer } from './index.ts'

describe('the metrics endpoint', () => {
  let meter: MeterRegistry
  let server: Awaited<ReturnType<typeof createMetricsServer>>
  let url: string
  let refreshed = 0

  beforeEach(async () => {
    meter = createMeter()
    const refresh = () => {
      refreshed++
      return Promise.resolve()
    }
    server = await createMetricsServer(
      { meter, refresh, vars: () => ({ pid: 7 }), clock: systemClock, logger: silentLogger },
      { listen: ['/ip4/127.0.0.1/tcp/0'] },
    )
    url = server.urls[0] ?? ''
  })
  afterEach(() => server[Symbol.asyncDispose]())

  test('serves what the meter has, as new as it can be', async () => {
    meter.gauge('refreshes', 'Refreshes', () => refreshed)
    meter.counter('things_total', 'Things').add({ kind: 'new' }, 3)
    const metrics = await fetch(`${url}/metrics?now`)
    assert.equal(metrics.status, 200)
    assert.equal(metrics.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
    assert.equal(
      await metrics.text(),
      '# HELP refreshes Refreshes\n# TYPE refreshes gauge\nrefreshes 1\n' +
        '# HELP things_total Things\n# TYPE things_total counter\nthings_total{kind="new"} 3\n',
    )
  })

  test('knows no other path and no other method', async () => {
    for (const path of [
      '/',
      '/metrics/',
      '/debug/pprof/',
      '/debug/pprof/cmdline',
      '/__proto__',
      '/toString',
    ]) {
      assert.equal((await fetch(`${url}${path}`)).status, 404, path)
    }
    for (const path of ['/metrics', '/debug/vars', '/debug/pprof/heap']) {
      const posted = await fetch(`${url}${path}`, { method: 'POST' })
      assert.equal(posted.status, 405, path)
      assert.equal(posted.headers.get('allow'), 'GET, HEAD')
    }
  })

  test('/debug/vars is JSON', async () => {
    const answer = await fetch(`${url}/debug/vars`)
    const vars = (await answer.json()) as { pid: number; heap: { used_heap_size: number } }
    assert.equal(vars.pid, 7)
    assert.ok(vars.heap.used_heap_size > 0)
  })

  test('profiles open in the tools that read them', async () => {
    const cpu = await fetch(`${url}/debug/pprof/profile?seconds=1`)
    assert.equal(cpu.headers.get('content-disposition'), 'attachment; filename="ipfs-cluster.cpuprofile"')
    const { nodes, samples } = (await cpu.json()) as { nodes: unknown[]; samples: unknown[] }
    assert.ok(nodes.length > 0 && samples.length > 0)

    const heap = await fetch(`${url}/debug/pprof/heap?seconds=1`)
    const { head } = (await heap.json()) as { head: { children: unknown[] } }
    assert.ok(Array.isArray(head.children))
  })

  test('of two profiles at once, one is refused', async () => {
    const paths = ['profile', 'heap']
    const answers = await Promise.all(paths.map(path => fetch(`${url}/debug/pprof/${path}?seconds=1`)))
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 503])
  })

  test('seconds out of range are refused', async () => {
    for (const seconds of ['0', '-1', '301', '1e9', 'x', '1.5']) {
      assert.equal((await fetch(`${url}/debug/pprof/profile?seconds=${seconds}`)).status, 400, seconds)
    }
  })
})
