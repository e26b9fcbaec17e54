import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { ExportedMetric } from './exposition.ts'
import { exercise, startMeasuredPeer, type MeasuredPeer } from './measured-peer.ts'
import { documentedMetrics, goMetrics, sectionOf, type GoMetric, type TableRow } from './metrics-table.ts'

/** Of what does not happen in the exercise. */
const WITHOUT_SAMPLES = new Set([
  'ipfscluster_refused_total',
  'ipfscluster_rpc_errors_total',
  'ipfscluster_tracing_spans_dropped_total',
  'ipfscluster_tracing_spans_sent_total',
])

const isLinux = process.platform === 'linux'

describe('the metrics of a peer', () => {
  let measured: MeasuredPeer
  let exported: ReadonlyMap<string, ExportedMetric>
  let documented: readonly TableRow[]
  let go: Readonly<Record<string, GoMetric>>

  before(async () => {
    measured = await startMeasuredPeer()
    await exercise(measured)
    exported = await measured.scrape()
    documented = await documentedMetrics()
    go = await goMetrics()
  })
  after(() => measured[Symbol.asyncDispose]())

  const value = (name: string, labels = '') => exported.get(name)?.values.get(labels)

  test('docs/metrics.md tells of all of them, and of no others', { skip: !isLinux }, () => {
    assert.deepEqual(
      documented.map(({ name }) => name).sort(),
      [...exported.keys()].sort(),
      'run: node test/observability/metrics-table.ts',
    )
    for (const { name, type, labels, help, section } of documented) {
      const metric = exported.get(name)
      assert.equal(metric?.type, type, name)
      assert.equal(metric.help, help, name)
      assert.equal(sectionOf(name, go), section, name)
      if (metric.labels === undefined) assert.ok(WITHOUT_SAMPLES.has(name), `${name} has no sample`)
      else assert.deepEqual(metric.labels, [...labels].sort(), name)
    }
  })

  test('everything that a Go peer exports is there, of the same type, with the same labels and buckets', () => {
    for (const [name, { type, labels, bounds }] of Object.entries(go)) {
      if (name.startsWith('process_') && !isLinux) continue
      const metric = exported.get(name)
      assert.equal(metric?.type, type, name)
      assert.deepEqual(metric.labels, [...labels].sort(), name)
      if (bounds !== undefined) assert.deepEqual(metric.bounds, bounds, name)
    }
  })

  test('they tell what has happened', () => {
    assert.equal(value('ipfscluster_pins'), 3, 'two pins and an add')
    const errors = value('ipfscluster_pins_pin_error') ?? 0
    assert.ok(errors >= 1, 'a pin that failed')
    assert.ok((value('ipfscluster_pins_pin_add_errors') ?? 0) >= errors)
    assert.ok((value('ipfscluster_pins_pin_add') ?? 0) > (value('ipfscluster_pins_pin_add_errors') ?? 0))
    assert.equal(value('ipfscluster_pins_ipfs_pins'), 1)
    assert.equal(value('ipfscluster_informer_disk'), 1e10)
    assert.equal(value('ipfscluster_crdt_commit_ops'), 3)
    const add = 'api="restapi",route="/add",method="POST",status="2xx"'
    assert.equal(value('ipfscluster_http_request_duration_seconds', add), 1)
    const notFound = 'api="restapi",route="/allocations/{hash}",method="GET",status="4xx"'
    assert.equal(value('ipfscluster_http_request_duration_seconds', notFound), 1)
    assert.equal(value('ipfscluster_outbox_changes'), 0)
    assert.ok((value('ipfscluster_store_size_bytes') ?? 0) > 0)
    assert.ok((value('ipfscluster_disk_free_bytes') ?? 0) > 0)
    assert.equal(value('ipfscluster_pubsub_peers'), 1)
  })

  test('GET /health/ready exercises the parts, and names those that fail', async () => {
    const url = `${measured.peer.restUrls[0]}/health/ready`
    assert.equal((await fetch(url)).status, 204)
    measured.kubo.fail({ path: 'id', kind: 'error', status: 500, message: 'out of order' })
    const failed = await fetch(url)
    assert.equal(failed.status, 503)
    const body = (await failed.json()) as { code: number; message: string }
    assert.equal(body.code, 503)
    assert.match(body.message, /^not ready: ipfs: .*out of order/)
    assert.equal((await fetch(`${measured.peer.restUrls[0]}/health`)).status, 204)
  })

  test('/debug/vars tells of the process, and keeps arguments and environment to itself', async () => {
    const text = await (await fetch(new URL('/debug/vars', measured.metricsUrl))).text()
    const vars = JSON.parse(text) as Record<string, unknown>
    assert.deepEqual(Object.keys(vars).sort(), [
      'arch',
      'heap',
      'memory',
      'pid',
      'platform',
      'resources',
      'uptime_seconds',
      'version',
      'versions',
    ])
    assert.doesNotMatch(text, /argv|\benv\b|PATH/)
  })
})
