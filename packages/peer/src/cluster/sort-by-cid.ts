/** Brings a list of unknown order into that of CID bytes, in bounded memory: what does not fit waits on the disk. */
import type { PinInfo } from '@ipfs-cluster/api'
import {
  compareBytes,
  createMemoryStore,
  type AbortOptions,
  type Store,
  type StoreOp,
} from '@ipfs-cluster/base'
import { decodeObject, encodeObject } from '@ipfs-cluster/gorpc'
import { pinInfo } from '../net/index.ts'

/** Room on the disk for what does not fit in memory: empty when it is opened, gone when it is disposed of. */
export type OpenScratch = () => Promise<Store & AsyncDisposable>

/** For tests and throw-away peers. */
export const scratchInMemory: OpenScratch = () =>
  Promise.resolve({ ...createMemoryStore(), [Symbol.asyncDispose]: () => Promise.resolve() })

/** Bytes of encoded items kept in memory. */
export const SORT_MEMORY_BYTES: number = 16 * 1024 * 1024
/** What an item costs beside its encoded bytes. */
const ITEM_OVERHEAD_BYTES = 256
/** Items written or handed on at a time. */
const SORT_BATCH = 250

type Item = readonly [cid: Uint8Array, encoded: Uint8Array]

/** Batches in the order of CID bytes, each CID once. Everything is read before the first batch comes. */
export async function* sortedByCid(
  items: AsyncIterable<PinInfo>,
  openScratch: OpenScratch,
  { signal }: AbortOptions = {},
  memoryBytes: number = SORT_MEMORY_BYTES,
): AsyncGenerator<readonly PinInfo[]> {
  await using stack = new AsyncDisposableStack()
  let scratch: Store | undefined
  let held: Item[] = []
  let bytes = 0
  for await (const item of items) {
    const encoded = encodeObject(pinInfo, item)
    held.push([item.cid.bytes, encoded])
    bytes += encoded.length + item.cid.bytes.length + ITEM_OVERHEAD_BYTES
    if (scratch === undefined ? bytes < memoryBytes : held.length < SORT_BATCH) continue
    scratch ??= stack.use(await openScratch())
    await put(scratch, held)
    held = []
  }
  if (scratch === undefined) {
    held.sort(([a], [b]) => compareBytes(a, b))
    yield* batched(unique(held))
    return
  }
  await put(scratch, held)
  yield* batched(scratch.entries({}, { signal }))
}

/** In small batches, as each is copied by the store. */
async function put(store: Store, items: readonly Item[]): Promise<void> {
  for (let from = 0; from < items.length; from += SORT_BATCH) {
    const part = items.slice(from, from + SORT_BATCH)
    await store.batch(part.map(([key, value]): StoreOp => ({ type: 'put', key, value })))
  }
}

function* unique(items: readonly Item[]): Generator<Item> {
  for (const [i, item] of items.entries()) {
    const next = items[i + 1]
    if (next === undefined || compareBytes(item[0], next[0]) !== 0) yield item
  }
}

async function* batched(items: AsyncIterable<Item> | Iterable<Item>): AsyncGenerator<readonly PinInfo[]> {
  let batch: PinInfo[] = []
  for await (const [, encoded] of items) {
    batch.push(decodeObject(pinInfo, encoded))
    if (batch.length < SORT_BATCH) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
