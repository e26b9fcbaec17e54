import { cidText } from '@ipfs-cluster/api'
import {
  Limiter,
  prefixOps,
  subStore,
  type AbortOptions,
  type Clock,
  type Store,
  type StoreOp,
} from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import {
  cidOfIndexKey,
  cidOfRowKey,
  decodeCounts,
  decodeRow,
  encodeCounts,
  indexRange,
  metaKey,
  NO_ROWS,
  queueEnd,
  readQueueKey,
  ROW_FORMAT,
  rowKey,
  rowOps,
  rowRange,
  TRACKER_PREFIX,
  type QueueEntry,
  type QueueName,
  type Row,
  type RowCounts,
  type RowStatus,
} from './rows.ts'
import { isWaiting, transition, type TrackerEvent } from './transitions.ts'
import { PinTrackerError, type PinTrackerConfig } from './types.ts'

export interface TableEvent {
  readonly cid: CID
  readonly event: TrackerEvent
}

/** What an event did. */
export interface Applied {
  readonly cid: CID
  readonly before: Row | undefined
  readonly row: Row | undefined
  readonly cancel: boolean
}

/** The durable table. Reading is free; `apply` only inside `exclusive`. */
export interface TrackerTable {
  /** Runs `work` alone: nothing else changes the table meanwhile. */
  exclusive<T>(work: () => Promise<T>, options?: AbortOptions): Promise<T>
  /**
   * Applies events in order in one atomic batch, together with `extra` operations of the root store.
   * Resolves with one result for each event.
   */
  apply(events: readonly TableEvent[], extra?: readonly StoreOp[]): Promise<readonly Applied[]>
  row(cid: CID): Promise<Row | undefined>
  /** Rows in the order of `cids`. */
  rows(cids: readonly CID[]): Promise<(Row | undefined)[]>
  /** Every row in key order, of one consistent state. */
  entries(options?: AbortOptions): AsyncIterable<readonly [cid: Uint8Array, row: Row]>
  /** Binary CIDs with that stored status, in key order; not for `pinned` and `remote`, which have no index. */
  withStatus(status: RowStatus, options?: AbortOptions): AsyncIterable<Uint8Array>
  /** Queue rows from `from` on, soonest first, at most `limit`. */
  queued(
    queue: QueueName,
    from: Uint8Array,
    limit: number,
  ): AsyncIterable<readonly [key: Uint8Array, entry: QueueEntry]>
  counts(): RowCounts
  /** Pins that wait for their first turn, those under way included. */
  waiting(): number
}

/**
 * Opens the table below `TRACKER_PREFIX` of the root store.
 *
 * @throws PinTrackerError `TRACKER_FORMAT` when it was written by another version.
 */
export async function openTable(root: Store, clock: Clock, config: PinTrackerConfig): Promise<TrackerTable> {
  const store = subStore(root, TRACKER_PREFIX)
  const lock = new Limiter(1)
  let counts = await readCounts(store)

  const apply: TrackerTable['apply'] = async (events, extra = []) => {
    const known = await readRows(store, events)
    const now = clock.now()
    const next: Record<RowStatus, number> = { ...counts }
    const applied: Applied[] = []
    for (const { cid, event } of events) {
      const entry = known.get(cidText(cid))
      const before = entry?.now
      const waiting = waitingOf(next)
      const { row, cancel } = transition(before, event, { now, waiting, config })
      if (entry !== undefined) entry.now = row
      if (before !== undefined) next[before.status]--
      if (row !== undefined) next[row.status]++
      applied.push({ cid, before, row, cancel })
    }
    const ops = [...known.values()].flatMap(({ cid, stored, now }) => rowOps(cid, stored, now))
    if (ops.length > 0) ops.push({ type: 'put', key: metaKey, value: encodeCounts(next) })
    // Not synced: what a power cut takes is taken whole, the acknowledged changes and the rows that came of them, and is done again.
    await root.batch([...prefixOps(TRACKER_PREFIX, ops), ...extra])
    counts = next
    return applied
  }

  return {
    exclusive: (work, options) => lock.run(work, options),
    apply,
    async row(cid) {
      const bytes = await store.get(rowKey(cid))
      return bytes === undefined ? undefined : decodeRow(bytes)
    },
    async rows(cids) {
      const found = await store.getMany(cids.map(rowKey))
      return found.map(bytes => (bytes === undefined ? undefined : decodeRow(bytes)))
    },
    async *entries(options) {
      for await (const [key, value] of store.entries(rowRange, options))
        yield [cidOfRowKey(key), decodeRow(value)]
    },
    async *withStatus(status, options) {
      for await (const key of store.keys(indexRange(status), options)) yield cidOfIndexKey(key)
    },
    async *queued(queue, from, limit) {
      const range = { gte: from, lt: queueEnd(queue), limit }
      for await (const key of store.keys(range)) yield [key, readQueueKey(key)]
    },
    counts: () => counts,
    waiting: () => waitingOf(counts),
  }
}

interface KnownRow {
  readonly cid: CID
  readonly stored: Row | undefined
  now: Row | undefined
}

async function readRows(store: Store, events: readonly TableEvent[]): Promise<Map<string, KnownRow>> {
  const cids = new Map(events.map(({ cid }) => [cidText(cid), cid]))
  const found = await store.getMany([...cids.values()].map(rowKey))
  let i = 0
  const known = new Map<string, KnownRow>()
  for (const [key, cid] of cids) {
    const bytes = found[i++]
    const stored = bytes === undefined ? undefined : decodeRow(bytes)
    known.set(key, { cid, stored, now: stored })
  }
  return known
}

async function readCounts(store: Store): Promise<RowCounts> {
  const bytes = await store.get(metaKey)
  if (bytes === undefined) return NO_ROWS
  const { format, counts } = decodeCounts(bytes)
  if (counts !== undefined) return counts
  throw new PinTrackerError(
    `the pin table has format ${format}, this version reads ${ROW_FORMAT}; run the version that wrote it`,
    { code: 'TRACKER_FORMAT', found: format, expected: ROW_FORMAT },
  )
}

function waitingOf(counts: RowCounts): number {
  let waiting = 0
  for (const [status, count] of Object.entries(counts)) {
    if (isWaiting(status as RowStatus)) waiting += count
  }
  return waiting
}
