import {
  cidOfBytes,
  matchesStatus,
  TRACKER_STATUS,
  type PinInfo,
  type TrackerStatus,
} from '@ipfs-cluster/api'
import { compareBytes, type AbortOptions } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { PinState } from '../state/index.ts'
import type { Operations } from './operations.ts'
import { ROW_STATUSES, type Row, type RowStatus } from './rows.ts'
import { pinInfo, type StatusContext } from './status.ts'
import type { TrackerTable } from './table.ts'

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

/** Statuses that no index holds: nearly every pin has one of them. */
const RESTING = TRACKER_STATUS.pinned | TRACKER_STATUS.remote

/**
 * Every CID whose status here matches `filter`, in the order of binary CIDs. A filter without `pinned` and `remote` reads the index
 * alone, so that it costs what it yields.
 */
export async function* listStatus(
  components: ListingComponents,
  filter: TrackerStatus,
  options: AbortOptions = {},
): AsyncGenerator<PinInfo> {
  const { table } = components
  const whole = filter === 0 || (filter & RESTING) !== 0
  const source: AsyncIterable<Listed> = whole ? table.entries(options) : indexed(components, filter, options)
  for await (const chunk of inChunks(source, LISTING_CHUNK)) {
    options.signal?.throwIfAborted()
    for (const info of await describe(components, chunk)) {
      if (matchesStatus(info.status, filter)) yield info
    }
  }
}

/** CIDs that may match, in order; a row is read when it is described. */
async function* indexed(
  { table, operations }: ListingComponents,
  filter: TrackerStatus,
  options: AbortOptions,
): AsyncGenerator<Listed> {
  const statuses = ROW_STATUSES.filter(status => (TRACKER_STATUS[status] & filter) !== 0)
  const sources = statuses.map(status => table.withStatus(status, options))
  if ((filter & (TRACKER_STATUS.pinning | TRACKER_STATUS.unpinning)) !== 0) sources.push(underWay(operations))
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

async function* underWay(operations: Operations): AsyncGenerator<Uint8Array> {
  const cids = [...operations.all()].filter(({ state }) => state !== 'ready').map(({ cid }) => cid.bytes)
  yield* cids.sort(compareBytes)
}

async function describe(
  { table, state, operations, context }: ListingComponents,
  chunk: readonly Listed[],
): Promise<PinInfo[]> {
  const cids = chunk.map(([bytes]) => cidOfBytes(bytes))
  const [rows, pins] = await Promise.all([rowsOf(table, cids, chunk), state.getMany(cids)])
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
  for await (const item of source) {
    chunk.push(item)
    if (chunk.length < size) continue
    yield chunk
    chunk = []
  }
  if (chunk.length > 0) yield chunk
}
