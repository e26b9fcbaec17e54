import { cidText } from '@ipfs-cluster/api'
import {
  batchesOf,
  Limiter,
  mapBatches,
  prefixOps,
  subStore,
  type AbortOptions,
  type Clock,
  type Store,
  type StoreOp,
  type StoreRange,
} from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import {
  cidOfIndexKey,
  cidOfRowKey,
  decodeCounts,
  decodeRow,
  encodeCounts,
  indexKey,
  indexRange,
  metaKey,
  NO_BYTES,
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
  type RowBytes,
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

export interface RangeOptions extends AbortOptions {
  readonly after?: CID | undefined
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
  /** Every row in key order, of one consistent state; with `after`, those behind that CID. */
  entries(options?: RangeOptions): AsyncIterable<readonly [cid: Uint8Array, row: Row]>
  /** Binary CIDs with that stored status, in key order; not for `pinned` and `remote`, which have no index. */
  withStatus(status: RowStatus, options?: RangeOptions): AsyncIterable<Uint8Array>
  /** Queue rows from `from` on, soonest first, at most `limit`. */
  queued(
    queue: QueueName,
    from: Uint8Array,
    limit: number,
  ): AsyncIterable<readonly [key: Uint8Array, entry: QueueEntry]>
  counts(): RowCounts
  bytes(): RowBytes
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
  let { counts, bytes } = await readCounts(store)

  const apply: TrackerTable['apply'] = async (events, extra = []) => {
    const known = await readRows(store, events)
    const now = clock.now()
    const next: Record<RowStatus, number> = { ...counts }
    let nextBytes = bytes
    const applied: Applied[] = []
    for (const { cid, event } of events) {
      const entry = known.get(cidText(cid))
      const before = entry?.now
      const { row, cancel } = transition(before, event, { now, config })
      if (entry !== undefined) entry.now = row
      if (before !== undefined) next[before.status]--
      if (row !== undefined) next[row.status]++
      nextBytes = changedBytes(nextBytes, before, row)
      applied.push({ cid, before, row, cancel })
    }
    const ops = [...known.values()].flatMap(({ cid, stored, now }) => rowOps(cid, stored, now))
    if (ops.length > 0) ops.push({ type: 'put', key: metaKey, value: encodeCounts(next, nextBytes) })
    // Synced although all of it could be done again: the engine's log is in several files, a power cut takes the unsynced end of each, and the
    // counts of a later batch would stay without the rows of an earlier one. A batch is many results, and shares the sync of others.
    await root.batch([...prefixOps(TRACKER_PREFIX, ops), ...extra], { sync: ops.length > 0 })
    counts = next
    bytes = nextBytes
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
    entries: options =>
      mapBatches(batchesOf(store.entries(behind(rowRange, rowKey, options), options)), rows =>
        rows.map(([key, value]) => [cidOfRowKey(key), decodeRow(value)] as const),
      ),
    withStatus(status, options) {
      const range = behind(indexRange(status), cid => indexKey(status, cid), options)
      return mapBatches(batchesOf(store.keys(range, options)), keys => keys.map(cidOfIndexKey))
    },
    async *queued(queue, from, limit) {
      const range = { gte: from, lt: queueEnd(queue), limit }
      for await (const key of store.keys(range)) yield [key, readQueueKey(key)]
    },
    counts: () => counts,
    bytes: () => bytes,
    waiting: () => waitingOf(counts),
  }
}

/** The part of a range behind the key of `after`. */
function behind(
  range: StoreRange,
  keyOf: (cid: CID) => Uint8Array,
  { after }: RangeOptions = {},
): StoreRange {
  if (after === undefined) return range
  const { lt } = range
  return { gt: keyOf(after), ...(lt === undefined ? {} : { lt }) }
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

function changedBytes(bytes: RowBytes, before: Row | undefined, after: Row | undefined): RowBytes {
  if (bytesOf(before) === 0 && bytesOf(after) === 0) return bytes
  const sum = (of: (row: Row | undefined) => number, now: number) => Math.max(0, now - of(before) + of(after))
  return { pinned: sum(pinnedBytesOf, bytes.pinned), waiting: sum(waitingBytesOf, bytes.waiting) }
}

const bytesOf = (row: Row | undefined) => row?.size ?? 0
const pinnedBytesOf = (row: Row | undefined) => (row?.status === 'pinned' ? row.size : 0)
const waitingBytesOf = (row: Row | undefined) =>
  row !== undefined && isWaiting(row.status) && !row.kept ? row.size : 0

async function readCounts(store: Store): Promise<{ readonly counts: RowCounts; readonly bytes: RowBytes }> {
  const row = await store.get(metaKey)
  if (row === undefined) return { counts: NO_ROWS, bytes: NO_BYTES }
  const { format, counts, bytes = NO_BYTES } = decodeCounts(row)
  if (counts !== undefined) return { counts, bytes }
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
