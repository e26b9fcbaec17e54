import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMeter, prometheusText, refusalsOf } from './meter.ts'

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
