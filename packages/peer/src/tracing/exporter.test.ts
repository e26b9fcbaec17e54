import { createMeter, seededRandom, systemClock, type Clock, type Logger } from '@ipfs-cluster/base'
import { waitFor } from '@ipfs-cluster/testkit'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createExporter, MAX_BATCH_SPANS, MAX_QUEUED_SPANS } from './exporter.ts'
import { startCollector } from './test-collector.ts'
import type { SpanRecord } from './types.ts'

const NOBODY = 'http://127.0.0.1:1/v1/traces'

function span(name: string): SpanRecord {
  const ids = { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16), parentSpanId: '', traceState: '' }
  return {
    ...ids,
    name,
    kind: 'internal',
    startNs: 1n,
    endNs: 2n,
    attributes: {},
    error: undefined,
    events: [],
  }
}

/** Sleeps pass at once, and are noted, except where the time for stopping is measured. */
function hasty() {
  const sleeps: number[] = []
  const clock: Clock = {
    ...systemClock,
    async sleep(ms, options) {
      sleeps.push(ms)
      await systemClock.sleep(ms === 3_000 ? ms : 0, options)
    },
  }
  return { clock, sleeps }
}

function setUp(tracesUrl: string, clock: Clock = hasty().clock) {
  const meter = createMeter()
  const lines: string[] = []
  const log = (level: string) => (fields: unknown, message?: string) =>
    void lines.push(`${level} ${JSON.stringify(fields)} ${message ?? ''}`)
  const logger: Logger = {
    error: log('error'),
    warn: log('warn'),
    info: log('info'),
    debug: log('debug'),
    child: () => logger,
  }
  const config = {
    tracesUrl,
    headers: { Authorization: 'Bearer s3cret' },
    resource: { 'service.name': 'test' },
  }
  const exporter = createExporter({ clock, random: seededRandom(1), logger, meter }, config)
  const counted = () =>
    Object.fromEntries(
      meter
        .collect()
        .flatMap(({ name, samples }) =>
          samples.map(({ labels, value }) => [
            [name.replace('ipfscluster_tracing_spans_', ''), ...Object.values(labels)].join(' '),
            value,
          ]),
        ),
    )
  return { exporter, counted, lines }
}

test('spans travel in batches, with the headers; what is left goes when the peer stops', async () => {
  await using collector = await startCollector()
  const { exporter, counted, lines } = setUp(`${collector.url}/v1/traces`, systemClock)
  for (let i = 0; i < MAX_BATCH_SPANS + 3; i++) exporter.add(span(`s${i}`))
  await waitFor(() => collector.spans.length >= MAX_BATCH_SPANS, { what: 'the full batch, at once' })
  await exporter[Symbol.asyncDispose]()
  await exporter[Symbol.asyncDispose]()
  assert.deepEqual(
    collector.spans.map(({ name }) => name),
    Array.from({ length: MAX_BATCH_SPANS + 3 }, (_, i) => `s${i}`),
  )
  assert.equal(collector.requests.length, 2)
  assert.match(collector.requests[0] ?? '', /^POST \/v1\/traces .*"authorization":"Bearer s3cret"/)
  assert.match(collector.requests[0] ?? '', /"content-type":"application\/json"/)
  assert.deepEqual(counted(), { sent_total: MAX_BATCH_SPANS + 3, queued: 0 })
  exporter.add(span('late'))
  assert.equal(counted()['dropped_total stopped'], 1)
  assert.deepEqual(lines, [])
})

test('a collector that is busy is asked again, as late as it says; one that refuses is not', async () => {
  await using collector = await startCollector()
  const { clock, sleeps } = hasty()
  const { exporter, counted, lines } = setUp(`${collector.url}/v1/traces`, clock)
  collector.answer({ status: 503 }, { status: 429, headers: { 'Retry-After': '20' } })
  exporter.add(span('patient'))
  await waitFor(() => collector.spans.length === 1, { what: 'the span' })
  const [, first = 0, second = 0] = sleeps
  assert.ok(first >= 800 && first <= 1200, `${first}`)
  assert.ok(second >= 16_000 && second <= 24_000, `${second}`)

  collector.answer({ status: 400, body: 'no thanks' })
  exporter.add(span('refused'))
  await waitFor(() => counted()['dropped_total rejected'] === 1, { what: 'the refusal' })
  collector.answer({ status: 200, body: '{"partialSuccess":{"rejectedSpans":"1","errorMessage":"too old"}}' })
  exporter.add(span('partly'))
  await waitFor(() => counted()['dropped_total rejected'] === 2, { what: 'the partial refusal' })
  collector.answer({ status: 302, headers: { Location: `${collector.url}/elsewhere` } })
  exporter.add(span('sent elsewhere'))
  await waitFor(() => counted()['dropped_total rejected'] === 3, { what: 'the redirect' })
  await exporter[Symbol.asyncDispose]()
  assert.equal(collector.requests.length, 6, 'no header has gone elsewhere')
  const loud = lines.filter(line => !line.startsWith('debug')).map(line => line.split(' ', 1)[0])
  assert.deepEqual(loud, ['warn', 'info', 'warn', 'info', 'warn'], 'each change once')
  assert.ok(!lines.join().includes('s3cret'))
  assert.ok(
    !lines
      .filter(line => !line.startsWith('debug'))
      .join()
      .includes('no thanks'),
  )
})

test('nobody there: nothing grows, everything is counted, and it is said once', async () => {
  // Rests last until the end, as they may in life.
  const { exporter, counted, lines } = setUp(NOBODY, systemClock)
  const total = MAX_QUEUED_SPANS + MAX_BATCH_SPANS + 1000
  for (let i = 0; i < MAX_BATCH_SPANS; i++) exporter.add(span('first'))
  await waitFor(() => lines.length > 0, { what: 'the first failure' })
  for (let i = MAX_BATCH_SPANS; i < total; i++) exporter.add(span('more'))
  assert.deepEqual(counted(), { queued: MAX_QUEUED_SPANS, 'dropped_total queue_full': 1000 })
  const start = performance.now()
  await exporter[Symbol.asyncDispose]()
  assert.ok(performance.now() - start < 3_500)
  assert.deepEqual(counted(), {
    queued: 0,
    'dropped_total queue_full': 1000,
    'dropped_total stopped': MAX_QUEUED_SPANS + MAX_BATCH_SPANS,
  })
  assert.deepEqual(
    lines.filter(line => !line.startsWith('debug')).map(line => line.replace(/"error":"[^"]*"/, '')),
    [`warn {"url":"${NOBODY}",} spans cannot be delivered. Is a collector there that takes OTLP over HTTP?`],
  )
})

test('spans that cannot be delivered are given up after some attempts, and later ones have their turn', async () => {
  await using collector = await startCollector()
  const { exporter, counted } = setUp(`${collector.url}/v1/traces`)
  collector.answer(...Array.from({ length: 5 }, () => ({ status: 500 })))
  exporter.add(span('unlucky'))
  await waitFor(() => counted()['dropped_total undeliverable'] === 1, { what: 'the end of patience' })
  exporter.add(span('lucky'))
  await waitFor(() => collector.spans.length === 1, { what: 'the next span' })
  assert.equal(collector.spans[0]?.name, 'lucky')
  await exporter[Symbol.asyncDispose]()
})
