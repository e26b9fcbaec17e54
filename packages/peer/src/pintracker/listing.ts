import {
  cidOfBytes,
  isRareStatus,
  matchesStatus,
  TRACKER_STATUS,
  type Pin,
  type PinInfo,
  type TrackerStatus,
} from '@ipfs-cluster/api'
import { Batched, batchesOf, compareBytes, type AbortOptions } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { PinChanges, PinState } from '../state/index.ts'
import type { Operations } from './operations.ts'
import { ROW_STATUSES, type Row, type RowStatus } from './rows.ts'
import { pinInfo, type StatusContext } from './status.ts'
import type { TrackerTable } from './table.ts'
import type { StatusListOptions } from './types.ts'

export interface ListingComponents {
  readonly table: TrackerTable
  readonly state: Pick<PinState, 'getMany'>
  readonly changes: Pick<PinChanges, 'cids'>
  readonly operations: Operations
  readonly context: () => StatusContext
}

/** A binary CID, with its row where that has been read already. */
type Listed = readonly [cid: Uint8Array, row: Row | undefined]

/** Rows joined with the pinset at a time. */
const LISTING_CHUNK = 500
/** Changes of the pinset that are listed although they are not followed yet: more than single pins leave behind. An import is listed as it is followed. */
const PENDING_LISTED = 16_384
/** Statuses of pins that are not in the table yet. */
const WITHOUT_ROW = TRACKER_STATUS.pin_queued | TRACKER_STATUS.remote | TRACKER_STATUS.sharded

/**
 * Every CID whose status here matches `filter`, in the order of binary CIDs, in batches; one of them may be empty, which tells that the list
 * goes on. Pins whose change is not followed yet are in it. A rare status is read from its index, so that it costs what it yields.
 */
export async function* listStatus(
  components: ListingComponents,
  filter: TrackerStatus,
  options: StatusListOptions = {},
): AsyncGenerator<readonly PinInfo[]> {
  const { table, changes } = components
  const { facts = true } = options
  // Before the table: what is followed meanwhile is in one of the two, or in both.
  const pending = matchesAny(filter, WITHOUT_ROW) ? await changes.cids(PENDING_LISTED, options) : []
  const rows: AsyncIterable<Listed> = isRareStatus(filter)
    ? indexed(components, filter, options)
    : table.entries(options)
  const source = pending.length === 0 ? rows : new Batched(withPending(batchesOf(rows), pending))
  for await (const chunk of inChunks(source, LISTING_CHUNK)) {
    options.signal?.throwIfAborted()
    const infos = await describe(components, chunk, facts)
    yield filter === 0 ? infos : infos.filter(({ status }) => matchesStatus(status, filter))
  }
}

function matchesAny(filter: TrackerStatus, statuses: TrackerStatus): boolean {
  return filter === 0 || (filter & statuses) !== 0
}

/** Adds CIDs, which are in order, each once. */
async function* withPending(
  batches: AsyncIterable<readonly Listed[]>,
  pending: readonly Uint8Array[],
): AsyncGenerator<readonly Listed[]> {
  let next = 0
  for await (const batch of batches) {
    const merged: Listed[] = []
    for (const listed of batch) {
      for (; next < pending.length; next++) {
        const cid = pending[next] as Uint8Array
        const order = compareBytes(cid, listed[0])
        if (order > 0) break
        if (order < 0) merged.push([cid, undefined])
      }
      merged.push(listed)
    }
    yield merged
  }
  yield pending.slice(next).map(cid => [cid, undefined])
}

/** Statuses of these CIDs from the table, in their order; of those that are in neither table nor pinset, too. */
export async function statusesOf(
  { table, state, operations, context }: ListingComponents,
  cids: readonly CID[],
): Promise<PinInfo[]> {
  const [rows, pins] = await Promise.all([table.rows(cids), state.getMany(cids)])
  const now = context()
  return cids.map((cid, i) => pinInfo(cid, rows[i], operations.get(cid), pins[i], now))
}

/** CIDs that may match, in order; a row is read when it is described. */
async function* indexed(
  { table, operations }: ListingComponents,
  filter: TrackerStatus,
  options: StatusListOptions,
): AsyncGenerator<Listed> {
  const statuses = ROW_STATUSES.filter(status => (TRACKER_STATUS[status] & filter) !== 0)
  const sources = statuses.map(status => table.withStatus(status, options))
  if ((filter & (TRACKER_STATUS.pinning | TRACKER_STATUS.unpinning)) !== 0) {
    sources.push(underWay(operations, options.after))
  }
  for await (const cid of mergeSorted(sources)) yield [cid, undefined]
}

/** CIDs of the stored statuses given, in order. */
export function withAnyStatus(
  table: TrackerTable,
  statuses: readonly RowStatus[],
  options: AbortOptions = {},
): AsyncIterable<Uint8Array> {
  return mergeSorted(statuses.map(status => table.withStatus(status, options)))
}

async function* underWay(operations: Operations, after: CID | undefined): AsyncGenerator<Uint8Array> {
  const cids = [...operations.all()].filter(({ state }) => state !== 'ready').map(({ cid }) => cid.bytes)
  yield* cids.filter(cid => after === undefined || compareBytes(cid, after.bytes) > 0).sort(compareBytes)
}

async function describe(
  { table, state, operations, context }: ListingComponents,
  chunk: readonly Listed[],
  facts: boolean,
): Promise<PinInfo[]> {
  const cids = chunk.map(([bytes]) => cidOfBytes(bytes))
  const [rows, known] = await Promise.all([rowsOf(table, cids, chunk), facts ? state.getMany(cids) : []])
  const pins = facts ? known : await pinsWithoutRow(state, cids, rows)
  const now = context()
  const infos: PinInfo[] = []
  cids.forEach((cid, i) => {
    const row = rows[i]
    // It was in the index, or a change, and is gone: nothing to tell.
    if (row === undefined && pins[i] === undefined) return
    const operation = row?.queue === undefined ? undefined : operations.get(cid)
    infos.push(pinInfo(cid, row, operation, pins[i], now))
  })
  return infos
}

async function rowsOf(
  table: TrackerTable,
  cids: readonly CID[],
  chunk: readonly Listed[],
): Promise<(Row | undefined)[]> {
  if (chunk.every(([, row]) => row !== undefined)) return chunk.map(([, row]) => row)
  const read = await table.rows(cids.filter((_, i) => chunk[i]?.[1] === undefined))
  let next = 0
  return chunk.map(([, row]) => row ?? read[next++])
}

/** The place of any other is empty. */
async function pinsWithoutRow(
  state: Pick<PinState, 'getMany'>,
  cids: readonly CID[],
  rows: readonly (Row | undefined)[],
): Promise<(Pin | undefined)[]> {
  if (rows.every(row => row !== undefined)) return []
  const read = await state.getMany(cids.filter((_, i) => rows[i] === undefined))
  let next = 0
  return rows.map(row => (row === undefined ? read[next++] : undefined))
}

/** Merges sources that are each in order into one, without repetitions. */
export async function* mergeSorted(
  sources: readonly AsyncIterable<Uint8Array>[],
): AsyncGenerator<Uint8Array> {
  const iterators = sources.map(source => source[Symbol.asyncIterator]())
  try {
    const heads = await Promise.all(iterators.map(iterator => iterator.next()))
    while (true) {
      let least: Uint8Array | undefined
      for (const { done, value } of heads) {
        if (done !== true && (least === undefined || compareBytes(value, least) < 0)) least = value
      }
      if (least === undefined) return
      yield least
      for (const [i, iterator] of iterators.entries()) {
        const head = heads[i]
        if (head?.done !== true && head !== undefined && compareBytes(head.value, least) === 0) {
          heads[i] = await iterator.next()
        }
      }
    }
  } finally {
    await Promise.all(iterators.map(iterator => iterator.return?.()))
  }
}

/** Groups of at most `size` items. */
export async function* inChunks<T>(source: AsyncIterable<T>, size: number): AsyncGenerator<readonly T[]> {
  let chunk: T[] = []
  for await (const batch of batchesOf(source)) {
    for (const item of batch) {
      chunk.push(item)
      if (chunk.length < size) continue
      yield chunk
      chunk = []
    }
  }
  if (chunk.length > 0) yield chunk
}
