import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { cidText, TRACKER_STATUS } from '@ipfs-cluster/api'
import { createMemoryStore, errorCode, utf8Text } from '@ipfs-cluster/base'
import { IpfsError } from '../ipfsconn/index.ts'
import { FIRST_PAUSE_MS } from './daemon-load.ts'
import { FIRST_PATIENCE_MS } from './patience.ts'
import { RETRY_BASE_MS } from './transitions.ts'
import { createWorld, OTHER, settle, startTracker, testCid, until } from './test-world.ts'

const key = (n: number) => cidText(testCid(n))
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

describe('following the pinset', () => {
  test('pins what is to be kept here, and nothing else', async () => {
    const world = await createWorld()
    await using _ = world.tracker
    await world.pinset.put(
      world.pin(1),
      world.pin(2, { allocations: [OTHER] }),
      world.pin(3, { replicationFactorMin: -1, replicationFactorMax: -1, allocations: [] }),
      world.pin(4, { type: 'meta-pin', allocations: [] }),
    )
    await until(() => world.daemon.pinned.size === 2)
    await settle()
    assert.deepEqual(await world.statusNames(), { 1: 'pinned', 2: 'remote', 3: 'pinned', 4: 'sharded' })
    assert.equal(world.daemon.count('unpin'), 0)
    assert.equal(world.daemon.count('pin'), 2)
  })

  test('unpins what left, and what moved to another peer only if it was here', async () => {
    const world = await createWorld()
    await using _ = world.tracker
    await world.pinset.put(world.pin(1), world.pin(2), world.pin(3, { allocations: [OTHER] }))
    await until(() => world.daemon.pinned.size === 2)
    await world.pinset.put(world.pin(2, { allocations: [OTHER] }))
    await world.pinset.remove(testCid(1), testCid(3))
    await until(() => world.daemon.pinned.size === 0)
    await settle()
    assert.deepEqual(await world.statusNames(), { 2: 'remote' })
    assert.deepEqual(
      world.daemon.calls
        .filter(({ call }) => call === 'unpin')
        .map(made => made.key)
        .sort(),
      [key(1), key(2)].sort(),
    )
  })

  test('an unpin stops the pin under way at once, and no CID ever has two operations', async () => {
    const world = await createWorld()
    await using _ = world.tracker
    world.daemon.hanging.add(key(1))
    await world.pinset.put(world.pin(1))
    await until(() => world.daemon.active.get(key(1)) === 'pin')
    assert.equal((await world.tracker.status(testCid(1))).status, TRACKER_STATUS.pinning)
    assert.deepEqual(world.tracker.progress(testCid(1)), { blocks: 1 })
    world.daemon.hanging.clear()
    await world.pinset.remove(testCid(1))
    await until(() => world.daemon.aborted === 1)
    await until(async () => (await world.list()).length === 0)
    assert.equal(world.daemon.count('unpin'), 1)
    assert.deepEqual(world.daemon.clashes, [])
    assert.equal((await world.tracker.status(testCid(1))).status, TRACKER_STATUS.unpinned)
  })

  test('a pin asked for differently while it runs is stopped and run anew; the same again is not', async () => {
    const world = await createWorld()
    await using _ = world.tracker
    world.daemon.hanging.add(key(1)).add(key(2))
    await world.pinset.put(world.pin(1, { mode: 'direct', maxDepth: 0 }), world.pin(2))
    await until(() => world.daemon.active.size === 2)
    world.daemon.hanging.delete(key(1))
    await world.pinset.put(world.pin(1), world.pin(2, { name: 'renamed' }))
    await until(() => world.daemon.pinned.get(key(1)) === 'recursive')
    await settle()
    assert.equal(world.daemon.aborted, 1)
    assert.equal(world.daemon.active.get(key(2)), 'pin')
    assert.deepEqual(world.daemon.clashes, [])
    const info = await world.tracker.status(testCid(2))
    assert.deepEqual([info.name, info.status, info.attemptCount], ['renamed', TRACKER_STATUS.pinning, 1])
  })

  test('the pinset is asked before each operation: what changed meanwhile is not done', async () => {
    const world = await createWorld({ config: { concurrentPins: 1 } })
    await using _ = world.tracker
    const gate = Promise.withResolvers<void>()
    world.daemon.delay = () => gate.promise
    await world.pinset.put(...numbers(6).map(n => world.pin(n)))
    await until(async () => (await world.list()).length === 6)
    await until(() => world.daemon.active.size === 1)
    await settle()
    // The pinset is ahead, its news not yet here. Another is taken ahead of time, so leave the next in order alone.
    const order = (await world.list()).map(({ cid }) => numbers(6).find(n => testCid(n).equals(cid)) ?? -1)
    const [gone, moved] = order.slice(-2) as [number, number]
    world.pinset.pins.delete(key(gone))
    world.pinset.pins.set(key(moved), world.pin(moved, { allocations: [OTHER] }))
    gate.resolve()
    await until(() => world.daemon.pinned.size === 4)
    await settle()
    const tried = world.daemon.calls.filter(({ call }) => call === 'pin').map(made => made.key)
    assert.ok(!tried.includes(key(gone)) && !tried.includes(key(moved)))
    assert.equal((await world.tracker.status(testCid(moved))).status, TRACKER_STATUS.remote)
    assert.equal((await world.list()).length, 5)
    await world.pinset.remove(testCid(gone))
    await world.pinset.put(world.pin(moved, { allocations: [OTHER] }))
    await settle()
    assert.equal((await world.list()).length, 5)
  })

  test('a pin that returns while it is being unpinned waits for the end of that', async () => {
    const world = await createWorld()
    await using _ = world.tracker
    await world.pinset.put(world.pin(1))
    await until(() => world.daemon.pinned.size === 1)
    const gate = Promise.withResolvers<void>()
    world.daemon.delay = () => gate.promise
    await world.pinset.remove(testCid(1))
    await until(() => world.daemon.active.get(key(1)) === 'unpin')
    await world.pinset.put(world.pin(1))
    await settle()
    assert.equal(world.daemon.active.get(key(1)), 'unpin')
    gate.resolve()
    await until(() => world.daemon.pinned.has(key(1)))
    await settle()
    assert.deepEqual(await world.statusNames(), { 1: 'pinned' })
    assert.deepEqual(world.daemon.clashes, [])
  })
})

describe('the order of work', () => {
  test('at most so many pins at once, and one unpin beside them', async () => {
    const world = await createWorld({ config: { concurrentPins: 4 } })
    await using _ = world.tracker
    await world.pinset.put(...numbers(5).map(n => world.pin(n)))
    await until(() => world.daemon.pinned.size === 5)
    const gate = Promise.withResolvers<void>()
    world.daemon.delay = () => gate.promise
    await world.pinset.put(...numbers(30).map(n => world.pin(n + 10)))
    await world.pinset.remove(...numbers(5).map(testCid))
    await until(() => world.daemon.active.size === 5)
    await settle()
    assert.equal(world.daemon.active.size, 5)
    assert.equal(world.tracker.pinQueueSize(), 26)
    assert.deepEqual(world.tracker.stats().pinning, 4)
    gate.resolve()
    await until(() => world.daemon.pinned.size === 30)
    assert.deepEqual(world.daemon.most, { pin: 4, unpin: 1 })
    await until(() => world.tracker.pinQueueSize() === 0)
  })

  test('a process that is busy with changes starts a bounded number in a time', async () => {
    const world = await createWorld({ config: { concurrentPins: 100 }, utilization: () => 1 })
    await using _tracker = world.tracker
    await world.pinset.put(...Array.from({ length: 40 }, (_, n) => world.pin(n)))
    await settle()
    const atOnce = world.daemon.count('pin')
    assert.ok(atOnce > 0 && atOnce <= 12, `${atOnce} at once`)
    await world.clock.advance(10)
    await settle()
    const later = world.daemon.count('pin')
    assert.ok(later > atOnce && later <= atOnce + 12, `${later} after 10 ms`)
    for (let i = 0; i < 20; i++) {
      await world.clock.advance(10)
      await settle()
    }
    assert.equal(world.daemon.count('pin'), 40)
  })

  test('many changes are taken together, and few while somebody waits', async () => {
    let isAwaited = false
    const world = await createWorld({ isAwaited: () => isAwaited })
    await using _tracker = world.tracker
    let next = 0
    const largest = async () => {
      world.pinset.taken.length = 0
      const pins = Array.from({ length: 300 }, () => world.pin(next++))
      await world.pinset.put(...pins)
      await until(() => world.pinset.taken.reduce((sum, count) => sum + count, 0) === pins.length)
      await settle()
      return Math.max(...world.pinset.taken)
    }
    assert.equal(await largest(), 300)
    isAwaited = true
    assert.equal(await largest(), 64)
  })

  test('new pins are taken as they are wanted while somebody waits, and listed all the same', async () => {
    let isAwaited = true
    const world = await createWorld({
      isAwaited: () => isAwaited,
      config: { concurrentPins: 2 },
      limits: { gatherMs: 20 },
    })
    await using _ = world.tracker
    world.daemon.delay = () => new Promise(() => undefined)
    const rows = () => world.tracker.stats().counts.pin_queued ?? 0
    const after = async (ms: number) => {
      for (let passed = 0; passed < ms; passed += 10) {
        await world.clock.advance(10)
        await settle()
      }
    }
    await world.pinset.put(...numbers(70).map(n => world.pin(n)))
    await after(100)
    assert.equal(rows(), 64, 'a few at a time')
    await world.pinset.put(...numbers(1000).map(n => world.pin(n + 100)))
    await after(1000)
    assert.equal(rows(), 64, 'enough is queued')
    assert.equal(world.tracker.pinQueueSize(), 1070 - 2)
    assert.equal((await world.list(TRACKER_STATUS.pin_queued)).length, 1070 - 2)
    await world.pinset.remove(testCid(1))
    await after(100)
    assert.equal(rows(), 1069, 'what leaves is not put off, nor what came before it')
    await world.pinset.put(...numbers(100).map(n => world.pin(n + 2000)))
    await after(100)
    assert.equal(rows(), 1069)
    isAwaited = false
    await after(100)
    assert.equal(rows(), 1169, 'nobody waits any more')
  })

  test('however long somebody waits, so many changes are not put off that listings would miss some', async () => {
    const world = await createWorld({
      isAwaited: () => true,
      config: { concurrentPins: 2 },
      limits: { gatherMs: 20 },
    })
    await using _ = world.tracker
    world.daemon.delay = () => new Promise(() => undefined)
    const takenOf = async (count: number) => {
      await world.clock.advance(20)
      await settle()
      return world.tracker.stats().counts.pin_queued === count
    }
    await world.pinset.put(world.pin(0), world.pin(1), world.pin(2), world.pin(3), world.pin(4))
    await until(() => takenOf(5))
    await world.pinset.put(...numbers(8000).map(n => world.pin(n + 10)))
    for (let i = 0; i < 50; i++) assert.ok(await takenOf(5))
    await world.pinset.put(...numbers(200).map(n => world.pin(n + 9000)))
    await until(() => takenOf(5 + 8192))
  })

  test('recent pins go before old ones', async () => {
    const world = await createWorld({ config: { concurrentPins: 1 } })
    await using _ = world.tracker
    world.daemon.hanging.add(key(0))
    await world.pinset.put(world.pin(0))
    await until(() => world.daemon.active.size === 1)
    await world.pinset.put(...numbers(5).map(n => world.pin(n + 1, { timestamp: 1n })))
    await settle()
    await world.pinset.put(...numbers(5).map(n => world.pin(n + 11)))
    await settle()
    world.daemon.hanging.clear()
    await world.pinset.remove(testCid(0))
    await until(() => world.daemon.pinned.size === 10)
    const order = world.daemon.calls.filter(({ call }) => call === 'pin').map(made => made.key)
    const recent = numbers(5).map(n => order.indexOf(key(n + 11)))
    const old = numbers(5).map(n => order.indexOf(key(n + 1)))
    // One old pin may have been taken ahead of time, before the recent ones came.
    assert.ok(Math.max(...recent) < (old.sort((a, b) => a - b)[1] ?? 0))
  })

  test('failing pins are tried again later and leave places to fresh ones', async () => {
    const world = await createWorld({ config: { concurrentPins: 4 } })
    await using _ = world.tracker
    const bad = numbers(40)
    for (const n of bad) world.daemon.failing.set(key(n), 'no providers')
    await world.pinset.put(...bad.map(n => world.pin(n)))
    await until(async () => (await world.list(TRACKER_STATUS.pin_error)).length === 40)
    assert.equal(world.daemon.count('pin'), 40, 'once each')
    const [failed] = await world.list(TRACKER_STATUS.pin_error)
    assert.deepEqual([failed?.error, failed?.attemptCount], ['no providers', 1])

    // From now on a retry takes for ever: retries hold half of the places at most, and none once it shows that they do not move.
    for (const n of bad) world.daemon.hanging.add(key(n))
    await world.clock.advance(RETRY_BASE_MS)
    await until(() => world.daemon.active.size >= 2)
    await world.pinset.put(...numbers(50).map(n => world.pin(n + 50)))
    await until(() => world.daemon.pinned.size === 50)
    assert.equal((await world.list(TRACKER_STATUS.pinning)).length, world.daemon.active.size)
    assert.ok(world.daemon.active.size <= 2 + 4 * 5, 'half of the places, and five times all aside')
  })

  test('content that nobody provides holds no place that fresh pins need', async () => {
    const world = await createWorld({ config: { concurrentPins: 2 } })
    await using _ = world.tracker
    const dead = numbers(40)
    for (const n of dead) world.daemon.hanging.add(key(n))
    await world.pinset.put(...dead.map(n => world.pin(n)))
    await until(() => world.daemon.active.size === 2)
    // Each round the places pass to the next; beyond ten aside the first of them is given up.
    for (let seconds = 0; seconds < 60; seconds++) {
      await world.clock.advance(FIRST_PATIENCE_MS)
      await settle()
    }
    const [failed, ...others] = await world.list(TRACKER_STATUS.pin_error)
    assert.ok(others.length >= 20, `${others.length + 1} of 40 were given up`)
    assert.match(
      failed?.error ?? '',
      /^no progress for [\d.]+ s with 1 blocks so far: no peer .* seems to provide the rest; .* \(attempt 1, next at 20\d\d-.*Z\)$/,
    )
    await world.pinset.put(...numbers(50).map(n => world.pin(n + 50)))
    await world.clock.advance(FIRST_PATIENCE_MS)
    await until(() => world.daemon.pinned.size === 50)
    assert.deepEqual(world.daemon.clashes, [])
  })

  test('what the daemon has already needs no pin, and what it lacks is asked for in groups', async () => {
    const world = await createWorld()
    await using _ = world.tracker
    const groups: number[] = []
    world.daemon.arePinned = async pins => {
      groups.push(pins.length)
      return pins.map(({ cid }) => world.daemon.pinned.has(cidText(cid)))
    }
    for (const n of numbers(10)) world.daemon.pinned.set(key(n), 'recursive')
    await world.pinset.put(...numbers(20).map(n => world.pin(n)))
    await until(async () => (await world.list(TRACKER_STATUS.pinned)).length === 20)
    assert.equal(world.daemon.count('pin'), 10)
    assert.ok(groups.length < 20, `${groups.length} questions`)
    assert.ok(world.daemon.absent.size === 10, 'each was told that it need not ask again')
    assert.equal(world.tracker.pinQueueSize(), 0)
  })

  test('an overloaded daemon gets fewer pins, after a pause, and no pin pays for it', async () => {
    const world = await createWorld({ config: { concurrentPins: 8 } })
    await using _ = world.tracker
    for (const n of numbers(30)) world.daemon.failing.set(key(n), 'busy')
    world.daemon.failWith = text =>
      new IpfsError(text, { code: 'IPFS_REQUEST_FAILED', path: 'pin/add', status: 503, text })
    await world.pinset.put(...numbers(30).map(n => world.pin(n)))
    await until(() => world.daemon.count('pin') >= 8)
    await settle()
    assert.equal(world.daemon.count('pin'), 8, 'the rest waits')
    world.daemon.failing.clear()
    await world.clock.advance(FIRST_PAUSE_MS)
    await until(() => world.daemon.pinned.size === 30)
    await settle()
    assert.equal((await world.list(TRACKER_STATUS.pin_error)).length, 0)
  })

  test('a daemon that goes away in the middle of a pin costs no attempt', async () => {
    const world = await createWorld()
    await using _ = world.tracker
    world.daemon.failing.set(key(1), 'gone')
    world.daemon.failWith = text => {
      world.daemon.reachable = false
      return new IpfsError(text, { code: 'IPFS_REQUEST_FAILED', path: 'pin/add', text, broken: true })
    }
    await world.pinset.put(world.pin(1))
    await until(() => !world.tracker.stats().daemonReachable)
    await settle()
    const { status, attemptCount } = await world.tracker.status(testCid(1))
    assert.deepEqual([status, attemptCount], [TRACKER_STATUS.pin_queued, 0])
    world.daemon.failing.clear()
    world.daemon.reachable = true
    await world.clock.advance(2_000)
    await until(() => world.daemon.pinned.size === 1)
  })

  test('what failed is pinned by itself once it can be', async () => {
    const world = await createWorld()
    await using _ = world.tracker
    world.daemon.failing.set(key(1), 'not now')
    await world.pinset.put(world.pin(1))
    await until(async () => (await world.tracker.status(testCid(1))).status === TRACKER_STATUS.pin_error)
    for (let attempts = 2; attempts < 6; attempts++) {
      await world.clock.advance(RETRY_BASE_MS * 2 ** (attempts - 2))
      await until(async () => (await world.tracker.status(testCid(1))).attemptCount === attempts)
    }
    world.daemon.failing.clear()
    await world.clock.advance(RETRY_BASE_MS * 16)
    await until(() => world.daemon.pinned.size === 1)
    await until(async () => (await world.tracker.status(testCid(1))).status === TRACKER_STATUS.pinned)
    assert.equal((await world.tracker.status(testCid(1))).attemptCount, 0)
  })
})

describe('a daemon that is away', () => {
  test('stops the queues, costs no attempts, and is noticed when it returns', async () => {
    const world = await createWorld({ config: { concurrentPins: 3 } })
    await using _ = world.tracker
    world.daemon.reachable = false
    await world.pinset.put(...numbers(100).map(n => world.pin(n)))
    await until(() => !world.tracker.stats().daemonReachable)
    await settle()
    assert.ok(world.daemon.count('pin') <= 3, `${world.daemon.count('pin')} pins tried`)
    await world.clock.advance(30_000)
    assert.ok(world.daemon.count('pin') <= 3)
    assert.ok(world.daemon.count('pinLsCid') >= 25, 'it is probed')
    const queued = await world.list(TRACKER_STATUS.pin_queued)
    assert.equal(queued.length, 100)
    assert.ok(queued.every(({ attemptCount }) => attemptCount === 0))
    world.daemon.reachable = true
    await world.clock.advance(2_000)
    await until(() => world.daemon.pinned.size === 100)
    assert.equal(world.tracker.stats().daemonReachable, true)
    assert.deepEqual(world.daemon.clashes, [])
  })
})

describe('a failing store', () => {
  test('stops nothing for good', async () => {
    const store = createMemoryStore()
    const world = await createWorld({ store })
    await using _ = world.tracker
    const { batch } = store
    let failures = 0
    store.batch = (ops, options) => {
      const isOurs = ops.some(({ key }) => utf8Text(key).startsWith('/tracker/'))
      if (!isOurs || failures >= 3) return batch(ops, options)
      failures++
      return Promise.reject(new Error('disk full'))
    }
    await world.pinset.put(...numbers(5).map(n => world.pin(n)))
    await world.clock.advance(10_000)
    await until(async () => (await world.list(TRACKER_STATUS.pinned)).length === 5)
    assert.equal(failures, 3)
  })

  test('a table of another version is refused', async () => {
    const store = createMemoryStore()
    const world = await createWorld({ store })
    await world.pinset.put(world.pin(1))
    await until(() => world.daemon.pinned.size === 1)
    await world.tracker[Symbol.asyncDispose]()
    for await (const [at, value] of store.entries()) {
      if (at.at(-1) === 'm'.charCodeAt(0)) {
        await store.batch([{ type: 'put', key: at, value: Uint8Array.of(9, ...value.subarray(1)) }])
      }
    }
    const { clock, daemon, pinset } = world
    await assert.rejects(
      startTracker({ store, clock, daemon, pinset }),
      error => errorCode(error) === 'TRACKER_FORMAT',
    )
  })
})

test('disposing stops everything, and may be repeated', async () => {
  const world = await createWorld()
  world.daemon.hanging.add(key(1)).add(key(2))
  await world.pinset.put(world.pin(1), world.pin(2))
  await until(() => world.daemon.active.size === 2)
  await world.tracker[Symbol.asyncDispose]()
  await world.tracker[Symbol.asyncDispose]()
  assert.equal(world.daemon.active.size, 0)
  assert.equal(world.clock.pending, 0)
})
