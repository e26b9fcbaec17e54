import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { cidText, newPin } from '@ipfs-cluster/api'
import { createMemoryStore, raceSignal, type Clock, type Store } from '@ipfs-cluster/base'
import { createManualClock } from '@ipfs-cluster/testkit'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import * as fc from 'fast-check'
import { RETRY_CAP_MS } from './transitions.ts'
import {
  createFakeDaemon,
  createFakePinset,
  herePin,
  OTHER,
  settle,
  startTracker,
  statusName,
  testCid,
  type FakePinset,
  until,
} from './test-world.ts'

/** The store, until its `batches`-th batch: from then on nothing of it answers. */
function mortal(store: Store, batches: number): Store {
  let left = batches
  const alive = () => {
    if (left <= 0) throw new Error('crashed')
  }
  return {
    ...store,
    async batch(ops, options) {
      alive()
      left--
      await store.batch(ops, options)
    },
    async get(key) {
      alive()
      return await store.get(key)
    },
    async getMany(keys) {
      alive()
      return await store.getMany(keys)
    },
  }
}

const CIDS = 6

const anyStep = fc.oneof(
  fc.record({
    kind: fc.constantFrom('here' as const, 'remote' as const, 'gone' as const),
    n: fc.nat(CIDS - 1),
  }),
  fc.record({
    kind: fc.constantFrom('fail' as const, 'heal' as const, 'hang' as const),
    n: fc.nat(CIDS - 1),
  }),
  fc.record({ kind: fc.constantFrom('rest' as const, 'down' as const, 'up' as const), n: fc.constant(0) }),
)

test('a crash at any batch loses nothing and leaves nothing behind in the daemon', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyStep, { maxLength: 25 }),
      fc.array(fc.nat(12), { minLength: 1, maxLength: 4 }),
      async (steps, crashes) => {
        const store = createMemoryStore()
        const clock = createManualClock()
        const daemon = createFakeDaemon()
        const pinset = createFakePinset(() => store)
        const doIt = async ({ kind, n }: (typeof steps)[number]) => {
          const cid = testCid(n)
          const key = cidText(cid)
          if (kind === 'here') await pinset.put(newPin(cid, herePin(clock)))
          else if (kind === 'remote') await pinset.put(newPin(cid, herePin(clock, { allocations: [OTHER] })))
          else if (kind === 'gone') await pinset.remove(cid)
          else if (kind === 'fail') daemon.failing.set(key, 'broken')
          else if (kind === 'hang') daemon.hanging.add(key)
          else if (kind === 'heal') {
            daemon.failing.delete(key)
            daemon.hanging.delete(key)
          } else if (kind === 'down') daemon.reachable = false
          else if (kind === 'up') daemon.reachable = true
          else await clock.advance(20_000)
        }
        const share = Math.ceil(steps.length / crashes.length)
        for (const [i, batches] of crashes.entries()) {
          const tracker = await startTracker({ store: mortal(store, batches + 1), clock, daemon, pinset })
          for (const step of steps.slice(i * share, (i + 1) * share)) await doIt(step)
          await settle()
          await tracker[Symbol.asyncDispose]()
        }
        daemon.failing.clear()
        daemon.hanging.clear()
        daemon.reachable = true
        await using tracker = await startTracker({ store, clock, daemon, pinset })
        await clock.advance(2 * RETRY_CAP_MS)
        await settle()

        const wanted = [...pinset.pins.values()].filter(({ allocations }) => !allocations.includes(OTHER))
        assert.deepEqual([...daemon.pinned.keys()].sort(), wanted.map(({ cid }) => cidText(cid)).sort())
        const listed = await Array.fromAsync(tracker.statusAll(0))
        assert.deepEqual(
          Object.fromEntries(listed.map(({ cid, status }) => [cidText(cid), statusName(status)])),
          Object.fromEntries(
            [...pinset.pins].map(([key, { allocations }]) => [
              key,
              allocations.includes(OTHER) ? 'remote' : 'pinned',
            ]),
          ),
        )
        assert.deepEqual(daemon.clashes, [])
        assert.equal(tracker.pinQueueSize(), 0)
        assert.deepEqual(tracker.stats().counts, {
          ...Object.fromEntries(Object.keys(tracker.stats().counts).map(status => [status, 0])),
          pinned: wanted.length,
          remote: pinset.pins.size - wanted.length,
        })
      },
    ),
    { numRuns: 200 },
  )
})

test('a crash in the middle of thousands of changes, which are acknowledged at the end of them, loses none', async () => {
  const cids = Array.from({ length: 2_500 }, (_, n) => testCid(n))
  for (const batches of [1, 2, 3, 5]) {
    const store = createMemoryStore()
    const clock = createManualClock()
    const daemon = createFakeDaemon()
    const pinset = createFakePinset(() => store)
    await pinset.put(...cids.map(cid => newPin(cid, herePin(clock))))
    const doomed = await startTracker({ store: mortal(store, batches), clock, daemon, pinset })
    await settle()
    await doomed[Symbol.asyncDispose]()
    await using tracker = await startTracker({ store, clock, daemon, pinset })
    await until(() => tracker.stats().counts.pinned === cids.length)
    assert.equal(tracker.pinQueueSize(), 0)
    assert.deepEqual([...daemon.pinned.keys()].sort(), cids.map(cidText).sort())
  }
})

setFlagsFromString('--expose_gc')
const collectGarbage = runInNewContext('gc') as () => void

function heapMiB(): number {
  collectGarbage()
  collectGarbage()
  return process.memoryUsage().heapUsed / 2 ** 20
}

/** A pinset of `size` pins that are not kept in memory. */
function endlessPinset(clock: Clock): Pick<FakePinset, 'state' | 'changes'> & { grow(size: number): void } {
  const pinOf = (cid: ReturnType<typeof testCid>) => newPin(cid, herePin(clock))
  const feed = { sent: 0, size: 0 }
  let wake = Promise.withResolvers<void>()
  return {
    state: {
      get: cid => Promise.resolve(pinOf(cid)),
      getMany: cids => Promise.resolve(cids.map(pinOf)),
    },
    changes: {
      async next(limit, { signal } = {}) {
        while (feed.sent >= feed.size) await raceSignal(wake.promise, signal)
        const cids = Array.from({ length: Math.min(limit, feed.size - feed.sent) }, (_, i) =>
          testCid(feed.sent + i),
        )
        feed.sent += cids.length
        return {
          async *changes(most) {
            for (let at = 0; at < cids.length; at += most)
              yield cids.slice(at, at + most).map(cid => ({ cid, pin: pinOf(cid) }))
          },
          ack: [],
          acknowledged: () => undefined,
        }
      },
      cids: () => Promise.resolve([]),
      backlog: () => ({ count: feed.size - feed.sent, hasPressing: false, version: feed.size }),
      async waitForAny({ signal } = {}) {
        while (feed.sent >= feed.size) await raceSignal(wake.promise, signal)
      },
    },
    grow(to) {
      feed.size = to
      wake.resolve()
      wake = Promise.withResolvers()
    },
  }
}

test('a hundred thousand queued pins cost disk, not heap', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tracker-'))
  try {
    await using store = await openLevelStore(folder)
    const clock = createManualClock()
    const daemon = createFakeDaemon()
    daemon.delay = () => new Promise(() => undefined)
    const pinset = endlessPinset(clock)
    await using tracker = await startTracker({ store, clock, daemon, pinset })
    pinset.grow(2_000)
    await until(() => tracker.stats().counts.pin_queued === 2_000)
    const before = heapMiB()
    pinset.grow(100_000)
    await until(() => tracker.stats().counts.pin_queued === 100_000, '100k rows', 60_000)
    await settle()
    const grown = heapMiB() - before
    assert.ok(grown < 4, `the heap grew by ${grown.toFixed(1)} MiB`)
    let listed = 0
    for await (const _info of tracker.statusAll(0)) listed++
    assert.equal(listed, 100_000)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
