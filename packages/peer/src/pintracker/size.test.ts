import { cidText, TRACKER_STATUS, type Pin } from '@ipfs-cluster/api'
import { createMemoryStore } from '@ipfs-cluster/base'
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { IpfsPinProgress } from '../ipfsconn/index.ts'
import { advance, pinProgress, reservedBytes } from './progress.ts'
import type { Row } from './rows.ts'
import { PinSizeError, sizeLimit } from './size-limit.ts'
import { createWorld, settle, startTracker, testCid, until, type World } from './test-world.ts'
import { NEVER_DUE, transition, type TrackerEvent, type TransitionContext } from './transitions.ts'
import { DEFAULT_PIN_TRACKER_CONFIG } from './types.ts'

const key = (n: number) => cidText(testCid(n))

/** Makes the daemon tell what the test says of each pin, which ends when the test lets it. */
function tellProgress(world: World) {
  const running = new Map<
    string,
    { readonly tell: (progress: IpfsPinProgress) => void; readonly end: () => void; readonly pin: Pin }
  >()
  const { ipfs } = world.daemon
  const original = ipfs.pin
  ipfs.pin = async (pin, options = {}) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    running.set(cidText(pin.cid), {
      pin,
      tell: progress => options.onProgress?.(progress),
      end: resolve,
    })
    await Promise.race([
      promise,
      new Promise((_, reject) =>
        options.signal?.addEventListener('abort', () => reject(options.signal?.reason)),
      ),
    ])
    const { onProgress: _, ...rest } = options
    await original(pin, rest)
  }
  return async (n: number) => {
    await until(() => running.has(key(n)), `pin ${n} runs`)
    const found = running.get(key(n))
    assert.ok(found)
    running.delete(key(n))
    return found
  }
}

describe('progress', () => {
  test('is shown while it pins, and the size from then on', async () => {
    const world = await createWorld()
    await using _ = world.tracker
    const runs = tellProgress(world)
    await world.pinset.put(world.pin(1), world.pin(2, { size: 4000n }))
    const one = await runs(1)
    assert.equal('progress' in (await world.tracker.status(testCid(1))), false, 'nothing is known yet')
    one.tell({ blocks: 1, bytes: 100, totalBytes: 3000 })
    await world.clock.advance(2_000)
    one.tell({ blocks: 2, bytes: 1100, totalBytes: 3000 })
    assert.deepEqual((await world.tracker.status(testCid(1))).progress, {
      blocks: 2,
      bytes: 1100n,
      totalBytes: 3000n,
      bytesPerSecond: 500,
    })
    const two = await runs(2)
    two.tell({ blocks: 7 })
    const [listed] = (await world.list()).filter(({ cid }) => cid.equals(testCid(2)))
    assert.deepEqual(listed?.progress, { blocks: 7, bytes: 0n, totalBytes: 4000n, bytesPerSecond: 0 })
    one.tell({ blocks: 3, bytes: 2900, totalBytes: 3000 })
    one.end()
    two.end()
    await until(async () => (await world.list(TRACKER_STATUS.pinned)).length === 2)
    const sizes = (await world.list()).map(({ cid, size, progress }) => [cidText(cid), size, progress])
    assert.deepEqual(Object.fromEntries(sizes), { [key(1)]: 2900n, [key(2)]: 4000n })
    assert.deepEqual(
      sizes.map(([, , progress]) => progress),
      [undefined, undefined],
    )
  })

  test('the rate is that of the last seconds', () => {
    let pace = advance(undefined, { blocks: 0, bytes: 0 }, 0)
    for (let second = 1; second <= 60; second++)
      pace = advance(pace, { blocks: second, bytes: second * 1_000_000 }, second * 1000)
    assert.equal(pinProgress(pace, undefined, 60_000).bytesPerSecond, 1_000_000)
    for (let second = 61; second <= 75; second++)
      pace = advance(pace, { blocks: second, bytes: 60_000_000 + (second - 60) * 10 }, second * 1000)
    assert.ok(pinProgress(pace, undefined, 75_000).bytesPerSecond <= 10)
    assert.ok(pinProgress(pace, undefined, 175_000).bytesPerSecond < 1, 'and falls while nothing comes')
  })
})

describe('space', () => {
  test('of pins that wait or run is reserved, as far as it is not taken yet', async () => {
    const world = await createWorld({ config: { concurrentPins: 1 } })
    await using _ = world.tracker
    const runs = tellProgress(world)
    await world.pinset.put(world.pin(1, { size: 1000n }))
    const one = await runs(1)
    await world.pinset.put(world.pin(2, { size: 500n }))
    await until(() => world.tracker.reservedBytes() === 1500)
    await world.clock.advance(1000)
    await world.pinset.put(world.pin(3))
    one.tell({ blocks: 1, bytes: 300 })
    assert.equal(world.tracker.reservedBytes(), 1200)
    one.tell({ blocks: 2, bytes: 400, totalBytes: 900 })
    assert.equal(world.tracker.reservedBytes(), 1000)
    one.end()
    ;(await runs(2)).end()
    const three = await runs(3)
    three.tell({ blocks: 1, bytes: 10, totalBytes: 100 })
    assert.equal(world.tracker.reservedBytes(), 90, 'known as soon as the daemon tells')
    three.end()
    await until(() => world.tracker.reservedBytes() === 0)
    await world.pinset.put(world.pin(1, { size: 1000n, name: 'again' }))
    await runs(1)
    assert.equal(world.tracker.reservedBytes(), 0, 'it is here already')
  })

  test('is known again after a restart', async () => {
    const store = createMemoryStore()
    const world = await createWorld({ store })
    world.daemon.reachable = false
    await world.pinset.put(world.pin(1, { size: 1000n }), world.pin(2, { size: 30n }))
    await until(() => world.tracker.reservedBytes() === 1030)
    await world.tracker[Symbol.asyncDispose]()
    await using tracker = await startTracker({ store, ...world })
    assert.equal(tracker.reservedBytes(), 1030)
  })

  test('is never less than nothing', () => {
    assert.equal(reservedBytes(-5, []), 0)
  })
})

describe('max_pin_size', () => {
  test('the smaller of the two limits holds, and 0 is none', () => {
    const limit = (ofPin: bigint | undefined, ofPeer: number | undefined) =>
      sizeLimit(
        ofPin === undefined ? {} : { maxPinSize: ofPin },
        ofPeer === undefined ? {} : { maxPinSize: ofPeer },
      )
    assert.equal(limit(undefined, undefined).bytes, Infinity)
    assert.equal(limit(0n, 0).bytes, Infinity)
    assert.equal(limit(5n, 0).bytes, 5)
    assert.equal(limit(0n, 7).bytes, 7)
    assert.equal(limit(9n, 7).bytes, 7)
    limit(9n, 7).check(7, 7)
    assert.throws(
      () => limit(undefined, 16_000_000).check(64_000_000, 17_000_000),
      new PinSizeError(
        'the content is too large: it has 64 MB (64000000 bytes), and max_pin_size of this peer is 16 MB (16000000 bytes); raise the limit and recover the pin, or unpin it',
        { code: 'PIN_TOO_LARGE', limit: 16_000_000, reached: 64_000_000 },
      ),
    )
    assert.throws(
      () => limit(5n, 16).check(6, 6),
      /it has reached 6 bytes, and max_pin_size of the pin is 5 bytes/,
    )
  })

  test('known to be too large, nothing is fetched', async () => {
    const world = await createWorld({ config: { maxPinSize: 1000 } })
    await using _ = world.tracker
    await world.pinset.put(world.pin(1, { size: 1001n }))
    await until(async () => (await world.list(TRACKER_STATUS.pin_error)).length === 1)
    assert.deepEqual(world.daemon.calls, [])
    const [info] = await world.list()
    assert.match(info?.error ?? '', /it has 1\.0 kB \(1001 bytes\), and max_pin_size of this peer/)
    assert.equal(info?.size, undefined)
    assert.equal(world.tracker.reservedBytes(), 0)
  })

  test('one that grows beyond it is stopped at once, unpinned, and not tried again by itself', async () => {
    const world = await createWorld()
    await using _ = world.tracker
    const runs = tellProgress(world)
    await world.pinset.put(world.pin(1, { maxPinSize: 1000n, pinUpdate: testCid(9) }))
    const run = await runs(1)
    assert.equal(run.pin.pinUpdate, null, 'an update would tell nothing on its way')
    run.tell({ blocks: 1, bytes: 1000 })
    await settle()
    assert.deepEqual(await world.statusNames(), { 1: 'pinning' })
    run.tell({ blocks: 2, bytes: 1500 })
    await until(async () => (await world.list(TRACKER_STATUS.pin_error)).length === 1)
    assert.equal(world.daemon.count('unpin'), 1)
    const [info] = await world.list()
    assert.match(
      info?.error ?? '',
      /it has reached 1\.5 kB \(1500 bytes\), and max_pin_size of the pin is 1\.0 kB/,
    )
    assert.equal(info?.attemptCount, 1)
    await world.clock.advance(30 * 24 * 3_600_000)
    assert.deepEqual(await Array.fromAsync(world.tracker.recoverAll()), [])
    await settle()
    assert.deepEqual(await world.statusNames(), { 1: 'pin_error' })
    await world.tracker.recover(testCid(1))
    const again = await runs(1)
    again.end()
    await until(async () => (await world.list(TRACKER_STATUS.pinned)).length === 1)
  })

  test('ended by the daemon before it was stopped, it is unpinned all the same', async () => {
    const world = await createWorld({ config: { maxPinSize: 10 } })
    await using _ = world.tracker
    const { ipfs, pinned } = world.daemon
    ipfs.pin = (pin, { onProgress } = {}) => {
      pinned.set(cidText(pin.cid), 'recursive')
      onProgress?.({ blocks: 1, bytes: 11 })
      return Promise.resolve()
    }
    await world.pinset.put(world.pin(1))
    await until(async () => (await world.list(TRACKER_STATUS.pin_error)).length === 1)
    assert.equal(pinned.size, 0)
  })

  test('asked for with a larger limit, or started with one, it is tried again', async () => {
    const store = createMemoryStore()
    const world = await createWorld({ store, config: { maxPinSize: 1000 } })
    await world.pinset.put(
      world.pin(1, { size: 1500n }),
      world.pin(2, { size: 2500n }),
      world.pin(3, { size: 1500n, maxPinSize: 1200n }),
    )
    await until(async () => (await world.list(TRACKER_STATUS.pin_error)).length === 3)
    await world.tracker[Symbol.asyncDispose]()
    world.tracker = await startTracker({ store, ...world }, { maxPinSize: 2000 })
    await using _ = world.tracker
    await until(() => world.daemon.pinned.has(key(1)))
    await settle()
    assert.deepEqual(await world.statusNames(), { 1: 'pinned', 2: 'pin_error', 3: 'pin_error' })
    await world.pinset.put(world.pin(3, { size: 1500n, maxPinSize: 1600n }))
    await until(() => world.daemon.pinned.has(key(3)))
    await world.pinset.put(world.pin(3, { size: 1500n, maxPinSize: 1000n }))
    await until(() => world.daemon.count('pin') === 3, 'what is here already is not refused')
    await settle()
    assert.deepEqual(await world.statusNames(), { 1: 'pinned', 2: 'pin_error', 3: 'pinned' })
  })
})

const NOW = 1_700_000_000_000

describe('sizes in rows', () => {
  const here: TrackerEvent = {
    type: 'track',
    place: 'here',
    submitted: 0,
    direct: false,
    size: 0,
    continues: false,
  }
  const context: TransitionContext = { now: NOW, config: DEFAULT_PIN_TRACKER_CONFIG }
  const after = (...events: readonly TrackerEvent[]) =>
    events.reduce<Row | undefined>((row, event) => transition(row, event, context).row, undefined)
  const done: TrackerEvent = { type: 'done', generation: 0, size: 500 }
  const tooLarge: TrackerEvent = { type: 'failed', generation: 0, error: 'x', jitter: 0, tooLarge: 900 }

  test('are what the pin says until the daemon has told, and survive being asked again', () => {
    assert.equal(after({ ...here, size: 400 })?.size, 400)
    assert.equal(after({ ...here, size: 400 }, done)?.size, 500)
    assert.equal(after({ ...here, size: 400 }, { type: 'done', generation: 0 })?.size, 400)
    const again = after(here, done, here)
    assert.deepEqual([again?.status, again?.size, again?.kept], ['pin_queued', 500, true])
    assert.equal(after(here, done, here, { type: 'done', generation: 1 })?.kept, false)
    assert.equal(after(here, done, { ...here, direct: true })?.size, 0, 'another part of the DAG')
    assert.equal(after(here, done, { type: 'untrack' })?.size, 0)
  })

  test('what the daemon lost needs its space again', () => {
    const lost = after(here, done, { type: 'lost', generation: 0 })
    assert.deepEqual([lost?.size, lost?.kept], [500, false])
  })

  test('too large is an error that no timer ends', () => {
    const row = after(here, tooLarge)
    assert.deepEqual([row?.status, row?.queue, row?.due, row?.size], ['pin_error', 'retry', NEVER_DUE, 900])
    assert.equal(transition(row, { type: 'recover', scope: 'all' }, context).row, row)
    const asked = transition(row, { type: 'recover', scope: 'one' }, context).row
    assert.deepEqual([asked?.status, asked?.due], ['pin_queued', NOW])
    const pinnedAgain = transition(row, here, context).row
    assert.deepEqual([pinnedAgain?.status, pinnedAgain?.due], ['pin_queued', NOW])
    assert.equal(transition(row, { type: 'untrack' }, context).row?.due, NOW)
  })
})
