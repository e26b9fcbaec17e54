import {
  cidOfBytes,
  isRareStatus,
  matchesStatus,
  TRACKER_STATUS,
  type PinInfo,
  type TrackerStatus,
} from '@ipfs-cluster/api'
import { batchesOf, compareBytes, type AbortOptions } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { PinState } from '../state/index.ts'
import type { Operations } from './operations.ts'
import { ROW_STATUSES, type Row, type RowStatus } from './rows.ts'
import { pinInfo, type StatusContext } from './status.ts'
import type { TrackerTable } from './table.ts'
import type { StatusListOptions } from './types.ts'

export interface ListingComponents {
  readonly table: TrackerTable
  readonly state: Pick<PinState, 'getMany'>
  readonly operations: Operations
  readonly context: () => StatusContext
}

/** A binary CID, with its row where that has been read already. */
type Listed = readonly [cid: Uint8Array, row: Row | undefined]

/** Rows joined with the pinset at a time. */
const LISTING_CHUNK = 500

/**
 * Every CID whose status here matches `filter`, in the order of binary CIDs, in batches; one of them may be empty, which tells that the list
 * goes on. A rare status is read from its index, so that it costs what it yields.
 */
export async function* listStatus(
  components: ListingComponents,
  filter: TrackerStatus,
  options: StatusListOptions = {},
): AsyncGenerator<readonly PinInfo[]> {
  const { table } = components
  const { facts = true } = options
  const source: AsyncIterable<Listed> = isRareStatus(filter)
    ? indexed(components, filter, options)
    : table.entries(options)
  for await (const chunk of inChunks(source, LISTING_CHUNK)) {
    options.signal?.throwIfAborted()
    const infos = await describe(components, chunk, facts)
    yield filter === 0 ? infos : infos.filter(({ status }) => matchesStatus(status, filter))
  }
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
  const [rows, pins] = await Promise.all([rowsOf(table, cids, chunk), facts ? state.getMany(cids) : []])
  const now = context()
  const infos: PinInfo[] = []
  cids.forEach((cid, i) => {
    const row = rows[i]
    // It was in the index and is gone: nothing to tell.
    if (row === undefined) return
    const operation = row.queue === undefined ? undefined : operations.get(cid)
    infos.push(pinInfo(cid, row, operation, pins[i], now))
  })
  return infos
}

async function rowsOf(
  table: TrackerTable,
  cids: readonly CID[],
  chunk: readonly Listed[],
): Promise<(Row | undefined)[]> {
  return chunk.every(([, row]) => row !== undefined) ? chunk.map(([, row]) => row) : await table.rows(cids)
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
