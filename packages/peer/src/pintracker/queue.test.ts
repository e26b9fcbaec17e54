import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cidText } from '@ipfs-cluster/api'
import { createMemoryStore, PRESENT, subStore } from '@ipfs-cluster/base'
import { createManualClock } from '@ipfs-cluster/testkit'
import * as fc from 'fast-check'
import { createQueueReader, WINDOW_ROWS } from './queue.ts'
import { queueKey, TRACKER_PREFIX } from './rows.ts'
import { openTable } from './table.ts'
import { testCid } from './test-world.ts'
import { DEFAULT_PIN_TRACKER_CONFIG } from './types.ts'

async function setup() {
  const root = createMemoryStore()
  const store = subStore(root, TRACKER_PREFIX)
  const table = await openTable(root, createManualClock(), DEFAULT_PIN_TRACKER_CONFIG)
  const reader = createQueueReader(table, 'normal')
  const put = (n: number, due: number) =>
    store.batch([{ type: 'put', key: queueKey('normal', due, testCid(n)), value: PRESENT }])
  const remove = (n: number, due: number) =>
    store.batch([{ type: 'del', key: queueKey('normal', due, testCid(n)) }])
  return { reader, put, remove }
}

test('gives what is due, soonest first, and tells when the next is', async () => {
  const { reader, put } = await setup()
  for (const [n, due] of [
    [1, 50],
    [2, 10],
    [3, 30],
    [4, 90],
  ] as const)
    await put(n, due)
  const taken = await reader.take(10, 50, () => false)
  assert.deepEqual(
    taken.map(({ due }) => due),
    [10, 30, 50],
  )
  assert.equal(reader.nextDue(), 90)
  const busy = new Set(taken.map(({ cid }) => cidText(cid)))
  assert.deepEqual(await reader.take(10, 89, key => busy.has(key)), [])
  assert.equal((await reader.take(10, 90, key => busy.has(key))).length, 1)
})

test('passes over more busy rows than a window holds, and finds them again after a rewind', async () => {
  const { reader, put } = await setup()
  const total = WINDOW_ROWS + 20
  for (let n = 0; n < total; n++) await put(n, n)
  const busy = new Set(Array.from({ length: total - 1 }, (_, n) => cidText(testCid(n))))
  const first = await reader.take(5, total, key => busy.has(key))
  assert.deepEqual(
    first.map(({ due }) => due),
    [total - 1],
  )
  busy.clear()
  busy.add(cidText(testCid(total - 1)))
  reader.rewind(3, testCid(3))
  const again = await reader.take(2, total, key => busy.has(key))
  assert.deepEqual(
    again.map(({ due }) => due),
    [3, 4],
  )
})

test('misses nothing, whatever comes, goes and is busy meanwhile', async () => {
  const anyStep = fc.oneof(
    fc.record({ kind: fc.constant('put' as const), n: fc.nat(30), due: fc.nat(50) }),
    fc.record({ kind: fc.constant('take' as const), count: fc.integer({ min: 1, max: 4 }) }),
    fc.record({ kind: fc.constant('end' as const), removed: fc.boolean() }),
    fc.record({ kind: fc.constant('remove' as const), n: fc.nat(30) }),
    fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(20) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 60 }), async steps => {
      const { reader, put, remove } = await setup()
      const stored = new Map<number, number>()
      const busy = new Map<string, number>()
      let now = 0
      const requeue = async (n: number, due: number | undefined) => {
        const old = stored.get(n)
        if (old !== undefined) await remove(n, old)
        stored.delete(n)
        if (due === undefined) return
        stored.set(n, due)
        await put(n, due)
        reader.rewind(due, testCid(n))
      }
      const take = async (count: number) => {
        const taken = await reader.take(count, now, key => busy.has(key))
        for (const { cid, due } of taken) {
          const n = [...Array(31).keys()].find(i => testCid(i).equals(cid))!
          assert.ok(due <= now)
          // A candidate that is no longer true is the caller's to drop.
          if (stored.get(n) === due) {
            assert.ok(!busy.has(cidText(cid)))
            busy.set(cidText(cid), n)
          }
        }
        return taken.length
      }
      for (const step of steps) {
        if (step.kind === 'put') await requeue(step.n, step.due)
        else if (step.kind === 'remove') await requeue(step.n, undefined)
        else if (step.kind === 'wait') now += step.ms
        else if (step.kind === 'take') await take(step.count)
        else {
          const [key, n] = [...busy][0] ?? []
          if (key === undefined || n === undefined) continue
          busy.delete(key)
          const due = stored.get(n)
          if (step.removed) await requeue(n, undefined)
          else if (due !== undefined) reader.rewind(due, testCid(n))
        }
      }
      now = 1000
      while ((await take(3)) > 0);
      const expected = [...stored.keys()].map(n => cidText(testCid(n)))
      assert.deepEqual([...busy.keys()].filter(key => expected.includes(key)).sort(), expected.sort())
    }),
    { numRuns: 300 },
  )
})
