import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { Stream } from '@libp2p/interface'
import { createManualClock } from '@ipfs-cluster/testkit'
import { BandwidthCounter } from './bandwidth.ts'
import { addressOf, createTestNetwork, until } from './test-network.ts'

const stack = new AsyncDisposableStack()
after(() => stack.disposeAsync())

test('both sides of a connection count the same bytes, by protocol', async () => {
  const [here, there] = [stack.use(await createTestNetwork()), stack.use(await createTestNetwork())]
  assert.deepEqual(here.bandwidth(), {})
  let received = 0
  there.subscribe('news', ({ data }) => void (received += data.length))
  here.subscribe('news', () => undefined)
  await here.connect(addressOf(there))
  await until(async () => {
    await here.publish('news', new Uint8Array(10_000))
    return received > 0
  })
  const gossip = (totals: ReturnType<typeof here.bandwidth>) =>
    Object.entries(totals).find(([protocol]) => protocol.startsWith('/meshsub/'))?.[1]
  let sent: ReturnType<typeof gossip>
  await until(() => {
    sent = gossip(here.bandwidth())
    return (sent?.totalOut ?? 0n) > 10_000n && gossip(there.bandwidth())?.totalIn === sent?.totalOut
  })
  assert.ok((sent?.rateOut ?? 0) > 0)
  assert.ok(here.bandwidth()['/ipfs/id/1.0.0']?.totalIn, 'streams of the other side, too')
})

test('rates fade, totals stay', async () => {
  const clock = createManualClock()
  const counter = new BandwidthCounter(clock)
  const stream = {
    protocol: '/x',
    send: () => true,
    onData: () => undefined,
    addEventListener: () => undefined,
  } as unknown as Stream
  counter.watch(stream)
  for (let i = 0; i < 100; i++) {
    stream.send(new Uint8Array(1_000))
    await clock.advance(100)
  }
  const steady = counter.totals()['/x']
  assert.equal(steady?.totalOut, 100_000n)
  assert.ok(Math.abs((steady?.rateOut ?? 0) - 10_000) < 1_000, `${steady?.rateOut} B/s`)
  await clock.advance(20_000)
  const later = counter.totals()['/x']
  assert.deepEqual([later?.totalOut, later?.totalIn, later?.rateIn], [100_000n, 0n, 0])
  assert.ok((later?.rateOut ?? 1) < 0.01)
})
