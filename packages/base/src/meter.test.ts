import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMeter, refusalsOf } from './meter.ts'
import { goFloat, prometheusText } from './prometheus-text.ts'

test('counters and gauges read as Prometheus text', () => {
  const meter = createMeter()
  let queued = 1
  meter.gauge('queue', 'Waiting "now"', () => queued)
  refusalsOf(meter, 'rpc').count('too_many_calls')
  refusalsOf(meter, 'rpc').count('too_many_calls')
  meter.counter('odd_total', 'a\nb').add({ text: 'say "hi"\\\n' }, 3)
  queued = 7

  assert.equal(
    prometheusText(meter.collect()),
    [
      '# HELP ipfscluster_refused_total Connections, streams, messages and blocks of other peers that were refused, by protocol and reason',
      '# TYPE ipfscluster_refused_total counter',
      'ipfscluster_refused_total{protocol="rpc",reason="too_many_calls"} 2',
      '# HELP odd_total a\\nb',
      '# TYPE odd_total counter',
      'odd_total{text="say \\"hi\\"\\\\\\n"} 3',
      '# HELP queue Waiting "now"',
      '# TYPE queue gauge',
      'queue 7',
      '',
    ].join('\n'),
  )
})

test('a counter with endless labels keeps a bounded number of series', () => {
  const meter = createMeter()
  const counter = meter.counter('wild_total', 'wild')
  for (let i = 0; i < 5000; i++) counter.add({ id: String(i) })
  const samples = meter.collect()[0]?.samples ?? []
  assert.ok(samples.length <= 1001)
  assert.equal(
    samples.reduce((sum, { value }) => sum + value, 0),
    5000,
  )
})

test('a series that is kept is the one that labels find', () => {
  const meter = createMeter()
  const counter = meter.counter('asked_total', 'asked')
  const kept = counter.of({ method: 'POST', status: '200' })
  kept.add()
  kept.add(2)
  counter.add({ status: '200', method: 'POST' }, 4)
  counter.of({ method: 'POST', status: '500' })
  assert.deepEqual(
    meter.collect()[0]?.samples.map(({ value }) => value),
    [7, 0],
  )
})

test('labels in another order are the same series', () => {
  const meter = createMeter()
  const counter = meter.counter('done_total', 'done')
  for (const labels of [
    { a: '1', b: '2' },
    { b: '2', a: '1' },
    { a: '2', b: '1' },
  ])
    counter.add(labels)
  assert.deepEqual(meter.collect()[0]?.samples, [
    { labels: { a: '1', b: '2' }, value: 2 },
    { labels: { a: '2', b: '1' }, value: 1 },
  ])
})

test('a histogram counts what is at most each bound, as Prometheus reads it', () => {
  const meter = createMeter()
  const histogram = meter.histogram('size_bytes', 'Sizes', [1, 1_048_576])
  assert.deepEqual(meter.collect()[0]?.samples, [], 'nothing seen')
  for (const value of [0.5, 1, 2, 1_048_576, 2e6]) histogram.of({ kind: 'a' }).observe(value)
  meter.histogram('size_bytes', 'Sizes', [1, 1_048_576]).observe(7)

  assert.equal(
    prometheusText(meter.collect()),
    [
      '# HELP size_bytes Sizes',
      '# TYPE size_bytes histogram',
      'size_bytes_bucket{kind="a",le="1"} 2',
      'size_bytes_bucket{kind="a",le="1.048576e+06"} 4',
      'size_bytes_bucket{kind="a",le="+Inf"} 5',
      'size_bytes_sum{kind="a"} 3.0485795e+06',
      'size_bytes_count{kind="a"} 5',
      'size_bytes_bucket{le="1"} 0',
      'size_bytes_bucket{le="1.048576e+06"} 1',
      'size_bytes_bucket{le="+Inf"} 1',
      'size_bytes_sum 7',
      'size_bytes_count 1',
      '',
    ].join('\n'),
  )
})

test('a histogram with endless labels keeps a bounded number of series', () => {
  const meter = createMeter()
  const histogram = meter.histogram('wild', 'wild', [1])
  for (let i = 0; i < 3000; i++) histogram.of({ id: String(i) }).observe(1)
  const counts = meter.collect()[0]?.samples.filter(({ suffix }) => suffix === '_count') ?? []
  assert.ok(counts.length <= 1001)
  assert.equal(
    counts.reduce((sum, { value }) => sum + value, 0),
    3000,
  )
})

test('a total is a counter that somebody else keeps', () => {
  const meter = createMeter()
  let seconds = 1
  meter.total('cpu_seconds_total', 'CPU', () => seconds, { mode: 'user' })
  seconds = 2.5
  assert.deepEqual(meter.collect(), [
    {
      name: 'cpu_seconds_total',
      help: 'CPU',
      type: 'counter',
      samples: [{ labels: { mode: 'user' }, value: 2.5 }],
    },
  ])
})

test('numbers as Go writes them', () => {
  const texts = [0, 0.05, 1, 262144, 999999, 1e6, 1048576, 1.6777216e7, 1e-5, 1e21, NaN, Infinity, -Infinity]
  assert.deepEqual(
    texts.map(goFloat),
    '0 0.05 1 262144 999999 1e+06 1.048576e+06 1.6777216e+07 1e-05 1e+21 NaN +Inf -Inf'.split(' '),
  )
})
