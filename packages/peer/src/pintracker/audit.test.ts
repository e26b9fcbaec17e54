import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { cidText, TRACKER_STATUS } from '@ipfs-cluster/api'
import { createMemoryStore } from '@ipfs-cluster/base'
import { CidFilter } from './cid-filter.ts'
import { createWorld, settle, startTracker, testCid, until } from './test-world.ts'

const key = (n: number) => cidText(testCid(n))
const numbers = (count: number) => Array.from({ length: count }, (_, n) => n)

async function pinnedWorld(count: number, maxFilterBytes = 2 ** 16) {
  const world = await createWorld({ limits: { maxFilterBytes } })
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

  test('with little memory overlooks some, which one of the next audits finds', async () => {
    const world = await pinnedWorld(400, 128)
    await using _ = world.tracker
    const gone = numbers(400).filter(n => n % 10 === 0)
    for (const n of gone) world.daemon.pinned.delete(key(n))
    for (const n of gone) world.daemon.hanging.add(key(n))
    const before = world.daemon.count('pinLs')
    const found = [(await world.tracker.audit()).lost]
    assert.ok(
      Number(found[0]) > 0 && Number(found[0]) < gone.length,
      `${found[0]} of ${gone.length} found at once`,
    )
    while (found.length < 50) found.push((await world.tracker.audit()).lost)
    assert.equal(
      found.reduce((sum, lost) => sum + lost),
      gone.length,
    )
    assert.equal(world.daemon.count('pinLs') - before, found.length)
  })

  test('overlooks nothing when the daemon has many more pins than ours', async () => {
    const world = await pinnedWorld(40, 2 ** 20)
    await using _ = world.tracker
    const { pinLs } = world.daemon.ipfs
    let lists = 0
    world.daemon.ipfs.pinLs = async function* (options) {
      lists++
      yield* pinLs(options)
      for (let n = 0; n < 200_000; n++) yield { cid: testCid(n + 1000), type: 'recursive' as const }
    }
    const gone = numbers(40).filter(n => n % 2 === 0)
    for (const n of gone) world.daemon.pinned.delete(key(n))
    for (const n of gone) world.daemon.hanging.add(key(n))
    assert.deepEqual(await world.tracker.audit(), { checked: 40, lost: gone.length })
    assert.equal(lists, 2)
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

describe('a filter of CIDs', () => {
  const filled = (bits: number, seed: number, count: number) => {
    const filter = new CidFilter(bits, seed)
    for (let n = 0; n < count; n++) filter.add(testCid(n).bytes, 0)
    return filter
  }
  const mistakes = (filter: CidFilter, from: number, count: number) =>
    numbers(count).filter(n => filter.has(testCid(n + from).bytes, 0))

  test('has what was added, as the kind it was added as', () => {
    const filter = filled(2 ** 16, 1, 1000)
    assert.equal(filter.size, 1000)
    assert.equal(mistakes(filter, 0, 1000).length, 1000)
    assert.ok(numbers(1000).filter(n => filter.has(testCid(n).bytes, 1)).length < 5)
  })

  test('finds as little by mistake as the theory says, and something else with another seed', () => {
    const [bits, count, asked] = [2 ** 16, 8192, 8000]
    const expected = asked * (1 - Math.exp((-8 * count) / bits)) ** 8
    const found = [1, 2].map(seed => mistakes(filled(bits, seed, count), count, asked))
    for (const { length } of found) {
      assert.ok(length > expected / 1.5 && length < expected * 1.5, `${length}, expected ${expected}`)
    }
    assert.ok(new Set(found[0]).intersection(new Set(found[1])).size < expected / 4)
  })

  test('finds everything by mistake when it is full, and nothing when it is empty', () => {
    assert.equal(mistakes(filled(32, 1, 1000), 1000, 100).length, 100)
    assert.equal(mistakes(filled(32, 1, 0), 0, 100).length, 0)
  })
})
