import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryStore, utf8, type BatchOptions, type Store, type StoreOp } from '@ipfs-cluster/base'
import { createManualClock } from '@ipfs-cluster/testkit'
import { openTable, type TableEvent } from './table.ts'
import { testCid } from './test-world.ts'
import { DEFAULT_PIN_TRACKER_CONFIG } from './types.ts'

/**
 * A store that can lose power as LevelDB may: its log is in several files, and each of them loses what was written after its last sync, so that a
 * later write can survive an earlier one.
 */
function createCuttableStore() {
  const memory = createMemoryStore()
  const logs: { readonly ops: readonly StoreOp[]; readonly sync: boolean }[][] = [[]]
  const store: Store = {
    ...memory,
    async batch(ops: readonly StoreOp[], { sync = false }: BatchOptions = {}) {
      logs.at(-1)?.push({ ops, sync })
      await memory.batch(ops)
    },
  }
  return {
    store,
    nextLog: () => void logs.push([]),
    async afterPowerCut(): Promise<Store> {
      const left = createMemoryStore()
      for (const log of logs) {
        for (const { ops } of log.slice(0, log.findLastIndex(({ sync }) => sync) + 1)) await left.batch(ops)
      }
      return left
    },
  }
}

const track = (n: number): TableEvent => ({
  cid: testCid(n),
  event: { type: 'track', place: 'here', submitted: 0, direct: false, size: 0, continues: false },
})

test('after a power cut the counts are those of the rows, whatever part of the log is left', async () => {
  const { store, nextLog, afterPowerCut } = createCuttableStore()
  const clock = createManualClock()
  const table = await openTable(store, clock, DEFAULT_PIN_TRACKER_CONFIG)
  await table.apply([track(1), track(2), track(3)])
  nextLog()
  await table.apply([{ cid: testCid(1), event: { type: 'done', generation: 1 } }, track(4)])
  // Somebody else's acknowledged write takes with it what is before it in the same file.
  await store.batch([{ type: 'put', key: utf8('other'), value: utf8('room') }], { sync: true })

  const left = await openTable(await afterPowerCut(), clock, DEFAULT_PIN_TRACKER_CONFIG)
  const rows: Record<string, number> = {}
  for await (const [, { status }] of left.entries()) rows[status] = (rows[status] ?? 0) + 1
  const counts = Object.fromEntries(Object.entries(left.counts()).filter(([, count]) => count !== 0))
  assert.deepEqual(counts, rows)
  assert.equal(left.waiting(), (rows['pin_queued'] ?? 0) + (rows['unexpectedly_unpinned'] ?? 0))
})
