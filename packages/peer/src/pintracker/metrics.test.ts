import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cidText, TRACKER_STATUS } from '@ipfs-cluster/api'
import { createMemoryStore, createMeter, seededRandom, silentLogger, type Store } from '@ipfs-cluster/base'
import { createManualClock } from '@ipfs-cluster/testkit'
import { createPinTracker, DEFAULT_TRACKER_LIMITS } from './index.ts'
import {
  createFakeDaemon,
  createFakePinset,
  herePin,
  OTHER,
  SELF,
  settle,
  testCid,
  until,
} from './test-world.ts'
import { DEFAULT_PIN_TRACKER_CONFIG } from './types.ts'
import { newPin, type Pin } from '@ipfs-cluster/api'

const CONFIG = { ...DEFAULT_PIN_TRACKER_CONFIG, concurrentPins: 2 }

async function setup(store: Store = createMemoryStore()) {
  const [clock, daemon, meter] = [createManualClock(), createFakeDaemon(), createMeter()]
  const pinset = createFakePinset(() => store)
  const tracker = await createPinTracker(
    {
      store,
      clock,
      meter,
      state: pinset.state,
      changes: pinset.changes,
      ipfs: daemon.ipfs,
      self: { id: SELF, info: () => ({ peerName: '', ipfs: '', ipfsAddresses: [] }) },
      random: seededRandom(1),
      logger: silentLogger,
    },
    CONFIG,
    // At once: a clock that stands still ends no gathering.
    { ...DEFAULT_TRACKER_LIMITS, gatherMs: 0, auditAfterMs: 0 },
  )
  const values = (name: string) =>
    Object.fromEntries(
      (meter.collect().find(metric => metric.name === `ipfscluster_${name}`)?.samples ?? []).map(
        ({ labels, value }) => [Object.values(labels)[0] ?? '', value],
      ),
    )
  return {
    clock,
    daemon,
    pinset,
    tracker,
    pin: (n: number, fields?: Partial<Pin>) => newPin(testCid(n), herePin(clock, fields)),
    values,
    value: (name: string) => values(name)[''],
  }
}

test('the gauges of Go follow the table, a restart included', async () => {
  const store = createMemoryStore()
  {
    const { pinset, pin, daemon, tracker, value, values, clock } = await setup(store)
    await using _ = tracker
    const gate = Promise.withResolvers<void>()
    daemon.delay = () => gate.promise
    daemon.failing.set(cidText(testCid(0)), 'no such block')
    await pinset.put(...[0, 1, 2, 3, 4].map(n => pin(n)), pin(5, { allocations: [OTHER] }))
    await until(() => value('pins') === 6 && value('pins_pinning') === 2)
    assert.equal(value('pins_pin_queued'), 3)
    assert.equal(values('pintracker_oldest_waiting_seconds')['priority'], 0)
    await clock.advance(4_000)
    assert.equal(values('pintracker_oldest_waiting_seconds')['priority'], 4)
    gate.resolve()
    await until(() => daemon.pinned.size === 4)
    await until(() => value('pins_pin_error') === 1)
    await until(() => values('pintracker_rows')['pinned'] === 4)
    assert.deepEqual([value('pins_pin_queued'), value('pins_pinning'), value('pins')], [0, 0, 6])
    assert.equal(values('pintracker_oldest_waiting_seconds')['priority'], 0)
    assert.deepEqual(values('pintracker_rows'), {
      pin_queued: 0,
      pin_error: 1,
      pinned: 4,
      unexpectedly_unpinned: 0,
      unpin_queued: 0,
      unpin_error: 0,
      remote: 1,
      sharded: 0,
    })
    await pinset.remove(testCid(1), testCid(5))
    await until(() => value('pins') === 4)
  }
  const { tracker, value } = await setup(store)
  await using _ = tracker
  assert.equal(value('pins'), 4)
  assert.equal(value('pins_pin_error'), 1)
})

test('a daemon that is away shows, and so does how long pins wait for it', async () => {
  const { pinset, pin, daemon, tracker, value, values, clock } = await setup()
  await using _ = tracker
  assert.equal(value('pintracker_daemon_reachable'), 1)
  daemon.reachable = false
  await pinset.put(...[0, 1, 2, 3, 4, 5, 6, 7].map(n => pin(n)))
  await until(() => value('pintracker_daemon_reachable') === 0)
  await settle()
  await clock.advance(120_000)
  assert.equal(value('pins_pin_queued'), 8)
  assert.ok((values('pintracker_oldest_waiting_seconds')['priority'] ?? 0) >= 120)
  const statuses = await Array.fromAsync(tracker.statusAll(TRACKER_STATUS.pin_queued))
  assert.equal(statuses.length, 8)
})
