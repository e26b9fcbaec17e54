import { prefixRange, raceSignal, type AbortOptions, type Store, type StoreOp } from '@ipfs-cluster/base'
import type { CrdtChange } from '@ipfs-cluster/crdt'
import { decodeOutboxCids, encodeOutboxCids, OUTBOX_PREFIX, outboxRow, sequenceOf } from './layout.ts'
import { projectChanges } from './projection.ts'

/** Some of the changes that one batch brought. */
export interface OutboxRow {
  readonly key: Uint8Array
  /** Binary CIDs of the changed pins. */
  readonly cids: readonly Uint8Array[]
}

/**
 * The changes not yet acknowledged, in the order of their sequence. Rows are appended in the CRDT's batches (`project`), read in order and
 * acknowledged by whoever has dealt with them. A row's number is never given twice while it is in use, so acknowledging the rows that were read
 * cannot take a change with it that came later.
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
  /** Call when all changes up to this number have been acknowledged. */
  acknowledged(last: number): void
  /** How many changes are not yet acknowledged. */
  readonly pending: number
  /** Whether there may be one among them that is more than a new pin of unknown size. */
  readonly hasPressing: boolean
  /** Rows from the oldest on. */
  rows(options?: AbortOptions): AsyncIterable<OutboxRow>
  /** Tells the soonest expiry (Unix seconds) among the pins of a batch, once that is written. */
  onExpiry(listener: (seconds: number) => void): Disposable
}

/** What takes the first `count` changes out of a row. */
export function acknowledge({ key, cids }: OutboxRow, count: number): StoreOp {
  if (count >= cids.length) return { type: 'del', key }
  return { type: 'put', key, value: encodeOutboxCids(cids.slice(count)) }
}

export async function openPinOutbox(store: Store): Promise<PinOutbox> {
  let sequence = 0
  for await (const row of store.keys({ ...prefixRange(OUTBOX_PREFIX), reverse: true, limit: 1 })) {
    sequence = sequenceOf(row)
  }
  /** Number of the newest change that is written: later ones are on their way to the disk. */
  let written = sequence
  /** Number of the last change of the newest batch with a pressing one; what an earlier process left may be anything. */
  let pressing = sequence
  let version = 0
  const expiryListeners = new Set<(seconds: number) => void>()
  let soonest: bigint | undefined
  let wake = Promise.withResolvers<void>()
  // Rows are deleted in about the order of their numbers: below the oldest one found last time there is nothing but the
  // engine's marks of deleted rows, which would slow down every scan.
  let oldest = outboxRow(0)
  /** Number of the oldest change there may be. */
  let oldestSequence = sequence + 1
  for await (const [key, value] of store.entries({ ...prefixRange(OUTBOX_PREFIX), limit: 1 })) {
    oldestSequence = firstSequence({ key, cids: decodeOutboxCids(value) })
  }
  return {
    get version() {
      return version
    },
    get pending() {
      return Math.max(0, sequence - oldestSequence + 1)
    },
    acknowledged(last) {
      oldestSequence = Math.max(oldestSequence, last + 1)
    },
    get hasPressing() {
      return pressing >= oldestSequence
    },
    project(changes) {
      let isPressing = false
      const ops = projectChanges(changes, {
        advance: count => (sequence += count),
        onExpiry(seconds) {
          if (soonest === undefined || seconds < soonest) soonest = seconds
        },
        onPressing: () => (isPressing = true),
      })
      if (isPressing) pressing = sequence
      return ops
    },
    written() {
      written = sequence
      const seconds = soonest
      soonest = undefined
      if (seconds !== undefined) for (const listener of expiryListeners) listener(Number(seconds))
      version++
      wake.resolve()
      wake = Promise.withResolvers()
    },
    async waitBeyond(seen, { signal } = {}) {
      if (version <= seen) await raceSignal(wake.promise, signal)
    },
    onExpiry(listener) {
      expiryListeners.add(listener)
      return { [Symbol.dispose]: () => void expiryListeners.delete(listener) }
    },
    async *rows(options) {
      let first = true
      const newest = written
      const range = { ...prefixRange(OUTBOX_PREFIX), gte: oldest }
      for await (const [key, value] of store.entries(range, options)) {
        const cids = decodeOutboxCids(value)
        if (first) {
          oldest = key.slice()
          // More may have been acknowledged since it was read.
          oldestSequence = Math.max(oldestSequence, firstSequence({ key, cids }))
        }
        first = false
        yield { key, cids }
      }
      if (first) oldestSequence = Math.max(oldestSequence, newest + 1)
    },
  }
}

/** Number of the first change in a row. */
export function firstSequence({ key, cids }: OutboxRow): number {
  return sequenceOf(key) - cids.length + 1
}
