import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { cidText, TRACKER_STATUS } from '@ipfs-cluster/api'
import { createMemoryStore } from '@ipfs-cluster/base'
import * as fc from 'fast-check'
import { fingerprint, FINGERPRINT_LIMIT, NumberSet } from './fingerprints.ts'
import { createWorld, settle, startTracker, testCid, until } from './test-world.ts'

const key = (n: number) => cidText(testCid(n))
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

async function pinnedWorld(count: number, maxPinsInMemory = 1000) {
  const world = await createWorld({ limits: { maxPinsInMemory } })
  await world.pinset.put(...numbers(count).map(n => world.pin(n)))
  await until(async () => (await world.list(TRACKER_STATUS.pinned)).length === count)
  await world.clock.advance(1)
  return world
}

describe('the audit', () => {
  test('finds what the daemon lost, and it is pinned again', async () => {
    const world = await pinnedWorld(50)
    await using _ = world.tracker
    assert.deepEqual(await world.tracker.audit(), { checked: 50, lost: 0 })
    for (const n of [3, 17, 42]) world.daemon.pinned.delete(key(n))
    assert.deepEqual(await world.tracker.audit(), { checked: 50, lost: 3 })
    await until(() => world.daemon.pinned.size === 50)
    assert.equal(world.daemon.count('pin'), 53)
  })

  test('shows lost pins as unexpectedly_unpinned until they are pinned', async () => {
    const world = await pinnedWorld(20)
    await using _ = world.tracker
    for (const n of [1, 2]) {
      world.daemon.pinned.delete(key(n))
      world.daemon.failing.set(key(n), 'gone')
    }
    world.daemon.delay = () => new Promise(() => undefined)
    await world.pinset.put(...numbers(10).map(n => world.pin(n + 100)))
    await until(() => world.daemon.active.size === 10)
    await world.tracker.audit()
    const lost = await world.list(TRACKER_STATUS.unexpectedly_unpinned)
    assert.equal(lost.length, 2)
    assert.equal(lost[0]?.error, 'the item should be pinned but it is not')
    assert.equal((await Array.fromAsync(world.tracker.recoverAll())).length, 2)
    assert.deepEqual(await world.list(TRACKER_STATUS.unexpectedly_unpinned), [])
  })

  test('with little memory asks the daemon several times and finds the same', async () => {
    const world = await pinnedWorld(400, 50)
    await using _ = world.tracker
    const gone = numbers(400).filter(n => n % 37 === 0)
    for (const n of gone) world.daemon.pinned.delete(key(n))
    for (const n of gone) world.daemon.hanging.add(key(n))
    const before = world.daemon.count('pinLs')
    assert.deepEqual(await world.tracker.audit(), { checked: 400, lost: gone.length })
    assert.ok(world.daemon.count('pinLs') - before >= 8)
  })

  test('takes a direct pin for no recursive one, but a recursive for a direct one', async () => {
    const world = await createWorld()
    await using _ = world.tracker
    await world.pinset.put(world.pin(1), world.pin(2, { mode: 'direct', maxDepth: 0 }))
    await until(async () => (await world.list(TRACKER_STATUS.pinned)).length === 2)
    await world.clock.advance(1)
    assert.deepEqual(await world.tracker.audit(), { checked: 2, lost: 0 })
    world.daemon.pinned.set(key(1), 'direct').set(key(2), 'recursive')
    assert.deepEqual(await world.tracker.audit(), { checked: 2, lost: 1 })
    await until(() => world.daemon.pinned.get(key(1)) === 'recursive')
  })

  test('leaves alone what is pinned or unpinned while it reads the list', async () => {
    const world = await pinnedWorld(30)
    await using _ = world.tracker
    const { pinLs } = world.daemon.ipfs
    const reached = Promise.withResolvers<void>()
    const gate = Promise.withResolvers<void>()
    world.daemon.ipfs.pinLs = async function* (options) {
      const listed = await Array.fromAsync(pinLs(options))
      reached.resolve()
      await gate.promise
      yield* listed
    }
    const asked = world.tracker.audit()
    await reached.promise
    await world.clock.advance(5)
    await world.pinset.put(...numbers(5).map(n => world.pin(n + 50)))
    await world.pinset.remove(testCid(0), testCid(1))
    await until(() => world.daemon.pinned.size === 33)
    await settle()
    gate.resolve()
    assert.deepEqual(await asked, { checked: 28, lost: 0 })
  })

  test('at the start leaves the daemon alone when nothing was pinned before', async () => {
    const store = createMemoryStore()
    const limits = { auditAfterMs: 2_000 }
    const world = await createWorld({ store, limits })
    await world.pinset.put(world.pin(1))
    await until(async () => (await world.list(TRACKER_STATUS.pinned)).length === 1)
    await world.clock.advance(5_000)
    await settle()
    assert.equal(world.daemon.count('pinLs'), 0)
    await world.tracker[Symbol.asyncDispose]()
    await using _ = await startTracker({ ...world, store }, {}, limits)
    await world.clock.advance(5_000)
    await until(() => world.daemon.count('pinLs') === 1)
  })

  test('at the start waits for the daemon, then finds what was lost meanwhile', async () => {
    const store = createMemoryStore()
    const world = await createWorld({ store })
    await world.pinset.put(...numbers(10).map(n => world.pin(n)))
    await until(async () => (await world.list(TRACKER_STATUS.pinned)).length === 10)
    await world.tracker[Symbol.asyncDispose]()
    await world.clock.advance(1000)
    world.daemon.pinned.delete(key(4))
    world.daemon.reachable = false
    await using _ = await startTracker({ ...world, store })
    await settle()
    assert.equal(world.daemon.pinned.size, 9)
    world.daemon.reachable = true
    await world.clock.advance(10_000)
    await until(() => world.daemon.pinned.has(key(4)))
  })

  test('an error of the daemon is no loss', async () => {
    const world = await pinnedWorld(10)
    await using _ = world.tracker
    world.daemon.ipfs.pinLs = async function* () {
      yield { cid: testCid(0), type: 'recursive' as const }
      throw new Error('stream broken')
    }
    await assert.rejects(world.tracker.audit(), /stream broken/)
    assert.equal((await world.list(TRACKER_STATUS.pinned)).length, 10)
  })
})

describe('fingerprints', () => {
  test('a set of numbers holds what was added, and no more', () => {
    const anyValue = fc.integer({ min: 1, max: 2 ** 53 - 1 })
    fc.assert(
      fc.property(
        fc.array(anyValue, { maxLength: 3000 }),
        fc.array(anyValue),
        anyValue,
        (added, others, limit) => {
          const set = new NumberSet(10)
          const model = new Set(added)
          for (const value of added) set.add(value)
          assert.equal(set.size, model.size)
          for (const value of [...added, ...others]) assert.equal(set.has(value), model.has(value))
          set.filter(value => value < limit)
          for (const value of added) assert.equal(set.has(value), value < limit)
          assert.equal(set.size, [...model].filter(value => value < limit).length)
        },
      ),
      { numRuns: 30 },
    )
  })

  test('are spread evenly, differ between CIDs and between seeds', () => {
    const seen = new Set<number>()
    const buckets = Array.from({ length: 16 }, () => 0)
    for (let n = 0; n < 20_000; n++) {
      const mark = fingerprint(testCid(n).bytes, 1)
      assert.ok(mark >= 1 && mark < FINGERPRINT_LIMIT)
      assert.notEqual(mark, fingerprint(testCid(n).bytes, 2))
      seen.add(mark)
      const bucket = Math.floor((mark / FINGERPRINT_LIMIT) * 16)
      buckets[bucket] = (buckets[bucket] ?? 0) + 1
    }
    assert.equal(seen.size, 20_000)
    for (const count of buckets) assert.ok(count > 1000 && count < 1500, `${buckets.join(' ')}`)
  })
})
