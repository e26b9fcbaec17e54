import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { cidText, TRACKER_STATUS } from '@ipfs-cluster/api'
import { createMemoryStore } from '@ipfs-cluster/base'
import { createWorld, isSorted, OTHER, SELF, settle, statusName, testCid, until } from './test-world.ts'

const key = (n: number) => cidText(testCid(n))
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

describe('status', () => {
  test('asks the daemon of what should be pinned, and repairs what is not', async () => {
    const world = await createWorld()
    await using _ = world.tracker
    const pin = world.pin(1, { name: 'one', metadata: { a: 'b' } })
    await world.pinset.put(pin)
    await until(() => world.daemon.pinned.size === 1)
    await settle()
    assert.deepEqual(await world.tracker.status(testCid(1)), {
      cid: testCid(1),
      name: 'one',
      peer: SELF,
      allocations: [SELF],
      origins: [],
      created: pin.timestamp,
      metadata: { a: 'b' },
      peerName: 'me',
      ipfs: 'ipfs-peer',
      ipfsAddresses: ['/ip4/10.0.0.1/tcp/4001'],
      status: TRACKER_STATUS.pinned,
      ts: pin.timestamp,
      error: '',
      attemptCount: 0,
      priorityPin: false,
    })
    world.daemon.hanging.add(key(1))
    world.daemon.pinned.clear()
    const lost = await world.tracker.status(testCid(1))
    assert.equal(lost.status, TRACKER_STATUS.unexpectedly_unpinned)
    assert.equal(lost.error, 'the item should be pinned but it is not')
    await until(() => world.daemon.active.has(key(1)))
  })

  test('lists a pin before its change is followed', async () => {
    // With the clock standing still, nothing is followed after the first batch.
    const world = await createWorld({ limits: { gatherMs: 1_000 } })
    await using _ = world.tracker
    world.daemon.hanging.add(key(5))
    await world.pinset.put(world.pin(5))
    await until(() => world.daemon.active.size === 1)
    await world.pinset.put(world.pin(6, { name: 'six' }), world.pin(1, { allocations: [OTHER] }))
    const listed = await world.list()
    assert.ok(isSorted(listed))
    assert.equal(listed.length, 3)
    assert.deepEqual(await world.statusNames(), { 1: 'remote', 5: 'pinning', 6: 'pin_queued' })
    const names = async (filter: number) => (await world.list(filter)).map(({ name }) => name)
    assert.deepEqual(await names(TRACKER_STATUS.pin_queued), ['six'])
    assert.deepEqual(await names(TRACKER_STATUS.error), [])
    const options = { facts: false, after: listed[0]?.cid }
    const bare = (await Array.fromAsync(world.tracker.statusBatches(0, options))).flat()
    assert.deepEqual(
      bare.map(({ cid, status }) => [cid, status]),
      listed.slice(1).map(({ cid, status }) => [cid, status]),
    )
    await world.pinset.remove(testCid(6))
    assert.deepEqual(await world.statusNames(), { 1: 'remote', 5: 'pinning' })
  })

  test('a pin that comes back while it is removed is queued', async () => {
    const world = await createWorld({ limits: { gatherMs: 1_000 } })
    await using _ = world.tracker
    await world.pinset.put(world.pin(1))
    await until(() => world.daemon.pinned.size === 1)
    world.daemon.hanging.add(key(1))
    await world.pinset.remove(testCid(1))
    await world.clock.advance(1_000)
    await until(() => world.daemon.active.get(key(1)) === 'unpin')
    assert.deepEqual(await world.statusNames(), { 1: 'unpinning' })
    await world.pinset.put(world.pin(1))
    assert.deepEqual(await world.statusNames(), { 1: 'pin_queued' })
    assert.equal((await world.tracker.status(testCid(1))).status, TRACKER_STATUS.pin_queued)
  })

  test('says what it cannot know', async () => {
    const world = await createWorld()
    await using _ = world.tracker
    await world.pinset.put(world.pin(1))
    await until(() => world.daemon.pinned.size === 1)
    await settle()
    world.daemon.reachable = false
    const info = await world.tracker.status(testCid(1))
    assert.deepEqual([info.status, info.error], [TRACKER_STATUS.cluster_error, 'connection refused'])
    const unknown = await world.tracker.status(testCid(99))
    assert.deepEqual([unknown.status, unknown.name, unknown.created], [TRACKER_STATUS.unpinned, '', null])
  })

  test('does not wait for ever for a daemon that keeps silent', async () => {
    const world = await createWorld()
    await using _ = world.tracker
    await world.pinset.put(world.pin(1))
    await until(() => world.daemon.pinned.size === 1)
    await settle()
    world.daemon.ipfs.pinLsCid = (_cid, _mode, { signal } = {}) =>
      new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason)))
    const asked = world.tracker.status(testCid(1))
    await world.clock.advance(10_000)
    assert.equal((await asked).status, TRACKER_STATUS.cluster_error)
  })

  test('lists in the order of binary CIDs, filtered, without the daemon', async () => {
    const world = await createWorld({ config: { concurrentPins: 2 } })
    await using _ = world.tracker
    await world.pinset.put(...numbers(20).map(n => world.pin(n)))
    await until(() => world.daemon.pinned.size === 20)
    for (const n of [30, 31, 32]) world.daemon.failing.set(key(n), 'broken')
    await world.pinset.put(...[30, 31, 32].map(n => world.pin(n)))
    await until(async () => (await world.list(TRACKER_STATUS.pin_error)).length === 3)
    await world.pinset.put(
      ...numbers(10).map(n => world.pin(n + 40, { allocations: [OTHER] })),
      world.pin(60, { type: 'meta-pin' }),
    )
    await until(async () => (await world.list()).length === 34)
    for (const n of [70, 71, 72, 73]) world.daemon.hanging.add(key(n))
    await world.pinset.put(...[70, 71, 72, 73].map(n => world.pin(n)))
    await until(() => world.daemon.active.size === 2)

    const before = world.daemon.calls.length
    const everything = await world.list()
    assert.equal(everything.length, 38)
    assert.ok(isSorted(everything))
    const names = [
      'pinned',
      'remote',
      'sharded',
      'pin_error',
      'error',
      'pinning',
      'pin_queued',
      'queued',
    ] as const
    const counts = [20, 10, 1, 3, 3, 2, 2, 2]
    for (const [i, name] of names.entries()) {
      const listed = await world.list(TRACKER_STATUS[name])
      assert.equal(listed.length, counts[i], name)
      assert.ok(isSorted(listed))
    }
    const mixed = await world.list(
      TRACKER_STATUS.pinning | TRACKER_STATUS.pin_queued | TRACKER_STATUS.pin_error | TRACKER_STATUS.sharded,
    )
    assert.equal(mixed.length, 8)
    assert.ok(isSorted(mixed))
    assert.equal(world.daemon.calls.length, before)
  })

  test('a filter on what failed reads no more than that', async () => {
    const store = createMemoryStore()
    const world = await createWorld({ store })
    await using _ = world.tracker
    await world.pinset.put(...numbers(300).map(n => world.pin(n)))
    await until(() => world.daemon.pinned.size === 300)
    world.daemon.failing.set(key(500), 'broken')
    await world.pinset.put(world.pin(500))
    await until(async () => (await world.tracker.status(testCid(500))).status === TRACKER_STATUS.pin_error)
    let rows = 0
    const { entries, getMany } = store
    store.entries = () => {
      throw new Error('the table is read as a whole')
    }
    store.getMany = keys => {
      rows += keys.length
      return getMany(keys)
    }
    assert.equal((await world.list(TRACKER_STATUS.error)).length, 1)
    assert.ok(rows < 20, `${rows} rows read`)
    store.entries = entries
  })
})

describe('recovery', () => {
  test('one at once', async () => {
    const world = await createWorld()
    await using _ = world.tracker
    world.daemon.failing.set(key(1), 'broken')
    await world.pinset.put(world.pin(1), world.pin(2))
    await until(async () => (await world.tracker.status(testCid(1))).status === TRACKER_STATUS.pin_error)
    world.daemon.failing.clear()
    const info = await world.tracker.recover(testCid(1))
    assert.deepEqual([statusName(info.status), info.attemptCount, info.error], ['pin_queued', 1, ''])
    await until(() => world.daemon.pinned.size === 2)
    await settle()
    assert.equal((await world.tracker.recover(testCid(2))).status, TRACKER_STATUS.pinned)
    assert.equal((await world.tracker.recover(testCid(50))).status, TRACKER_STATUS.unpinned)
  })

  test('all that failed, and only that', async () => {
    const world = await createWorld()
    await using _ = world.tracker
    for (const n of [1, 2, 3]) world.daemon.failing.set(key(n), 'broken')
    await world.pinset.put(...numbers(10).map(n => world.pin(n)))
    await until(async () => (await world.list(TRACKER_STATUS.pin_error)).length === 3)
    world.daemon.failing.set(key(5), 'locked')
    await world.pinset.remove(testCid(5))
    await until(async () => (await world.list(TRACKER_STATUS.unpin_error)).length === 1)
    world.daemon.failing.clear()
    const recovered = await Array.fromAsync(world.tracker.recoverAll())
    assert.deepEqual(recovered.map(({ status }) => statusName(status)).sort(), [
      'pin_queued',
      'pin_queued',
      'pin_queued',
      'unpin_queued',
    ])
    await until(() => world.daemon.pinned.size === 9)
    assert.deepEqual(await Array.fromAsync(world.tracker.recoverAll()), [])
  })
})
