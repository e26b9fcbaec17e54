import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { comparePeerIds, peerIdText, type Alert, type Metric, type PeerId } from '@ipfs-cluster/api'
import { createMeter, silentLogger, utf8, utf8Text } from '@ipfs-cluster/base'
import { createManualClock } from '@ipfs-cluster/testkit'
import * as fc from 'fast-check'
import type { PubsubMessage } from '../net/index.ts'
import { isLive, nextSample, shouldAlert, type Sample } from './expiry.ts'
import { createMonitor, type MetricCodec } from './index.ts'
import { MAX_NAMES_PER_PEER, MAX_PEERS } from './metric-table.ts'

const peerId = (n: number): PeerId => {
  const key = new Uint8Array(32)
  new DataView(key.buffer).setUint32(0, n)
  return peerIdText(Uint8Array.of(0, 36, 8, 1, 18, 32, ...key))
}

const self = peerId(500)

const codec: MetricCodec = {
  encode: metric =>
    utf8(JSON.stringify(metric, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value))),
  decode: bytes =>
    JSON.parse(utf8Text(bytes), (_, value: unknown) =>
      typeof value === 'string' && /^-?\d+n$/.test(value) ? BigInt(value.slice(0, -1)) : value,
    ) as Metric,
}

function setup() {
  const clock = createManualClock()
  const meter = createMeter()
  const sent: Uint8Array[] = []
  const subscribers = new Set<(message: PubsubMessage) => void>()
  const topics = new Set<string>()
  const monitor = createMonitor(
    {
      selfId: self,
      clock,
      codec,
      meter,
      logger: silentLogger,
      pubsub: {
        publish(topic, data) {
          topics.add(topic)
          sent.push(data)
          return Promise.resolve()
        },
        subscribe(topic, handler) {
          topics.add(topic)
          subscribers.add(handler)
          return { [Symbol.dispose]: () => void subscribers.delete(handler) }
        },
      },
    },
    { checkIntervalMs: 15_000 },
  )
  const deliver = (data: Uint8Array, from: PeerId) => subscribers.forEach(handler => handler({ data, from }))
  const metric = (peer: PeerId, fields: Partial<Metric> = {}): Metric => ({
    name: 'ping',
    peer,
    value: '',
    expire: clock.nowNs() + 30_000_000_000n,
    valid: true,
    weight: 0n,
    partitionable: false,
    receivedAt: 0n,
    ...fields,
  })
  const hear = (peer: PeerId, fields: Partial<Metric> = {}) =>
    deliver(codec.encode(metric(peer, fields)), peer)
  return { clock, meter, monitor, sent, subscribers, topics, deliver, metric, hear }
}

test('keeps the latest live metric of each peer, sorted by the bytes of the peer id', async () => {
  const { monitor, hear, clock } = setup()
  await using _ = monitor
  const peers = [7, 3, 900, 41].map(peerId)
  for (const peer of peers) hear(peer, { value: 'old' })
  await clock.advance(5_000)
  for (const peer of peers) hear(peer, { value: 'new' })
  hear(peerId(9), { valid: false })
  hear(peerId(10), { expire: clock.nowNs() - 1n })
  const latest = monitor.latest('ping')
  assert.deepEqual(
    latest.map(({ peer }) => peer),
    [...peers].sort(comparePeerIds),
  )
  assert.ok(
    latest.every(
      ({ value, receivedAt }) => value === 'new' && receivedAt / 1_000_000n === BigInt(clock.now()),
    ),
  )
  assert.equal(monitor.latestOf('ping', peerId(9)), undefined)
  assert.equal(monitor.latestOf('ping', peerId(7))?.value, 'new')
  assert.deepEqual(monitor.latest('unknown'), [])
  await clock.advance(30_001)
  assert.deepEqual(monitor.latest('ping'), [])
})

test('members are those with a live ping and ourselves', async () => {
  const { monitor, hear, clock } = setup()
  await using _ = monitor
  assert.deepEqual(monitor.members(), [self])
  hear(peerId(900))
  hear(peerId(3))
  hear(peerId(4), { name: 'freespace' })
  assert.deepEqual(monitor.members(), [peerId(3), self, peerId(900)])
  await clock.advance(31_000)
  assert.deepEqual(monitor.members(), [self])
})

test('takes only what its author says of itself, in the new and the old form', async () => {
  const { monitor, deliver, metric } = setup()
  await using _ = monitor
  deliver(codec.encode(metric(peerId(1))), peerId(2))
  assert.deepEqual(monitor.latest('ping'), [])
  deliver(Uint8Array.of(1, 2, 3), peerId(2))
  deliver(Uint8Array.of(9, ...utf8('/msgpack\n'), ...codec.encode(metric(peerId(2)))), peerId(2))
  assert.deepEqual(
    monitor.latest('ping').map(({ peer }) => peer),
    [peerId(2)],
  )
})

test('publishes valid metrics on monitor.metrics and knows its own at once', async () => {
  const { monitor, sent, metric, topics } = setup()
  await using _ = monitor
  await monitor.publish(metric(self, { value: 'x' }))
  await monitor.publish(metric(self, { name: 'freespace', valid: false }))
  assert.deepEqual([...topics], ['monitor.metrics'])
  assert.equal(sent.length, 1)
  assert.equal(codec.decode(sent[0]!).value, 'x')
  assert.equal(monitor.latestOf('ping', self)?.value, 'x')
  assert.deepEqual(monitor.names(), ['ping'])
  await assert.rejects(monitor.publish(metric(peerId(1))))
})

describe('alerts', () => {
  test('one for each expiry, again only after a live metric in between', async () => {
    const { monitor, hear, clock } = setup()
    await using _ = monitor
    const heard: Alert[] = []
    using _subscription = monitor.onAlert(alert => heard.push(alert))
    hear(peerId(1))
    hear(peerId(2), { expire: clock.nowNs() + 600_000_000_000n })
    await clock.advance(30_000)
    assert.equal(heard.length, 0, 'a metric is good until its expiry')
    await clock.advance(15_000)
    assert.deepEqual(
      heard.map(({ name, peer }) => [name, peer]),
      [['ping', peerId(1)]],
    )
    assert.equal((heard[0]?.triggeredAt ?? 0n) / 1_000_000n, BigInt(clock.now()))
    await clock.advance(120_000)
    assert.equal(heard.length, 1, 'silence')
    hear(peerId(1), { expire: clock.nowNs() - 1n })
    await clock.advance(30_000)
    assert.equal(heard.length, 1, 'an expired metric is no sign of life')
    hear(peerId(1))
    await clock.advance(60_000)
    assert.equal(heard.length, 2)
    assert.deepEqual(monitor.alerts(), [heard[1], heard[0]], 'newest first')
  })

  test('a failing handler does not keep the others from hearing', async () => {
    const { monitor, hear, clock } = setup()
    await using _ = monitor
    let heard = 0
    monitor.onAlert(() => {
      throw new Error('broken handler')
    })
    monitor.onAlert(() => heard++)
    hear(peerId(1))
    await clock.advance(45_000)
    assert.equal(heard, 1)
  })

  test('at most 1000 are kept', async () => {
    const { monitor, hear, clock } = setup()
    await using _ = monitor
    for (let n = 1; n <= 1100; n++) hear(peerId(n))
    await clock.advance(45_000)
    assert.equal(monitor.alerts().length, 1000)
  })
})

describe('limits', () => {
  test('names of a peer, and peers, until silent ones are dropped', async () => {
    const { monitor, hear, clock } = setup()
    await using _ = monitor
    for (let n = 0; n < MAX_NAMES_PER_PEER + 5; n++) hear(peerId(0), { name: `tag:${n}` })
    assert.equal(monitor.names().length, MAX_NAMES_PER_PEER)
    for (let n = 1; n < MAX_PEERS; n++) hear(peerId(n))
    hear(peerId(77_777))
    assert.equal(monitor.latestOf('ping', peerId(77_777)), undefined)
    await clock.advance(3_600_000 + 45_000)
    assert.deepEqual(monitor.names(), [])
    hear(peerId(77_777))
    assert.notEqual(monitor.latestOf('ping', peerId(77_777)), undefined)
  })

  test('a peer whose clock is slow is not dropped while it speaks', async () => {
    const { monitor, hear, clock } = setup()
    await using _ = monitor
    let alerts = 0
    monitor.onAlert(() => alerts++)
    for (let n = 0; n < 20; n++) {
      hear(peerId(1), { expire: clock.nowNs() - 60_000_000_000n })
      await clock.advance(600_000)
    }
    assert.equal(alerts, 0)
    assert.deepEqual(monitor.names(), ['ping'])
  })
})

test('disposing ends the subscription and the loop, and may be repeated', async () => {
  const { monitor, subscribers, clock } = setup()
  await monitor[Symbol.asyncDispose]()
  await monitor[Symbol.asyncDispose]()
  assert.equal(subscribers.size, 0)
  assert.equal(clock.pending, 0)
})

test('for any history there is exactly one alert between two signs of life', () => {
  const step = fc.oneof(
    fc.record({
      kind: fc.constant('hear' as const),
      ttl: fc.integer({ min: -5, max: 20 }),
      valid: fc.boolean(),
    }),
    fc.record({ kind: fc.constant('check' as const), wait: fc.integer({ min: 1, max: 15 }) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      let now = 1000n
      let sample: Sample | undefined
      let alertsSinceLife = 0
      for (const event of steps) {
        if (event.kind === 'hear') {
          const metric: Metric = {
            name: 'ping',
            peer: self,
            value: '',
            weight: 0n,
            partitionable: false,
            receivedAt: now,
            valid: event.valid,
            expire: now + BigInt(event.ttl),
          }
          sample = nextSample(sample, metric)
          if (isLive(sample, now)) alertsSinceLife = 0
          continue
        }
        now += BigInt(event.wait)
        if (sample === undefined || !shouldAlert(sample, now)) continue
        sample = { ...sample, alerted: true }
        alertsSinceLife++
        assert.equal(alertsSinceLife, 1)
        assert.equal(isLive(sample, now), false)
      }
    }),
  )
})

test('a peer whose clock is behind is alive while it announces itself, and no longer', async () => {
  const { monitor, hear, clock } = setup()
  await using _ = monitor
  const behind = peerId(7)
  const SKEW_NS = 60_000_000_000n
  const announce = () => hear(behind, { expire: clock.nowNs() + 30_000_000_000n - SKEW_NS })
  for (let round = 0; round < 3; round++) {
    announce()
    await clock.advance(15_000)
  }
  announce()
  for (let round = 0; round < 5; round++) {
    await clock.advance(14_999)
    assert.deepEqual(monitor.members().length, 2)
    await clock.advance(1)
    announce()
  }
  assert.deepEqual(monitor.alerts(), [])
  await clock.advance(30_001)
  assert.deepEqual(monitor.members(), [self])
  await clock.advance(15_000)
  assert.deepEqual(
    monitor.alerts().map(({ peer }) => peer),
    [behind],
  )
})

test('what is refused is counted', async () => {
  const { monitor, deliver, metric, meter } = setup()
  await using _ = monitor
  deliver(codec.encode(metric(peerId(1))), peerId(2))
  deliver(Uint8Array.of(1, 2, 3), peerId(2))
  deliver(codec.encode(metric(peerId(1), { value: 'x'.repeat(20_000) })), peerId(1))
  const samples = meter.collect().flatMap(({ samples }) => samples)
  assert.deepEqual(
    samples.map(({ labels, value }) => [labels['protocol'], labels['reason'], value]),
    [
      ['metrics', 'of_another_peer', 1],
      ['metrics', 'malformed', 1],
      ['metrics', 'too_many', 1],
    ],
  )
})
