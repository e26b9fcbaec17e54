import { prefixRange, raceSignal, type AbortOptions, type Store, type StoreOp } from '@ipfs-cluster/base'
import type { CrdtChange } from '@ipfs-cluster/crdt'
import { OUTBOX_PREFIX, outboxRow, sequenceOf } from './layout.ts'
import { projectChanges } from './projection.ts'

/**
 * The changes not yet acknowledged, in the order of their sequence. Rows are appended in the CRDT's batches (`project`), read in order and deleted
 * by whoever has dealt with them. A row's number is never given twice while it is in use, so deleting the rows that were read
 * cannot delete a change that came later.
 */
export interface PinOutbox {
  /** For the CRDT's projection. */
  project(changes: readonly CrdtChange[]): StoreOp[]
  /** Call when a batch has been written: wakes those who wait. */
  written(): void
  /** Resolves when a batch has been written since `version`. */
  waitBeyond(version: number, options?: AbortOptions): Promise<void>
  /** Counts the batches. */
  readonly version: number
  /** About how many changes are not yet acknowledged: as of the last look, and what came since. */
  readonly pending: number
  /** Rows from the oldest on. */
  rows(options?: AbortOptions): AsyncIterable<readonly [row: Uint8Array, cid: Uint8Array]>
}

export async function openPinOutbox(store: Store): Promise<PinOutbox> {
  let sequence = 0
  for await (const row of store.keys({ ...prefixRange(OUTBOX_PREFIX), reverse: true, limit: 1 })) {
    sequence = sequenceOf(row)
  }
  let version = 0
  let wake = Promise.withResolvers<void>()
  // Rows are deleted in about the order of their numbers: below the oldest one found last time there is nothing but the
  // engine's marks of deleted rows, which would slow down every scan.
  let oldest = outboxRow(0)
  /** Number of the oldest row there may be. */
  let oldestSequence = sequence + 1
  for await (const row of store.keys({ ...prefixRange(OUTBOX_PREFIX), limit: 1 })) {
    oldestSequence = sequenceOf(row)
  }
  return {
    get version() {
      return version
    },
    get pending() {
      return Math.max(0, sequence - oldestSequence + 1)
    },
    project: changes => projectChanges(changes, () => ++sequence),
    written() {
      version++
      wake.resolve()
      wake = Promise.withResolvers()
    },
    async waitBeyond(seen, { signal } = {}) {
      if (version <= seen) await raceSignal(wake.promise, signal)
    },
    async *rows(options) {
      let first = true
      const newest = sequence
      for await (const [row, cid] of store.entries({ ...prefixRange(OUTBOX_PREFIX), gte: oldest }, options)) {
        if (first) {
          oldest = row.slice()
          oldestSequence = sequenceOf(row)
        }
        first = false
        yield [row, cid]
      }
      if (first) oldestSequence = newest + 1
    },
  }
}
