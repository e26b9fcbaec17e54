import type { AbortOptions } from './abort.ts'
import { batchesOf, mapBatches } from './batched.ts'
import { concatBytes, utf8Text } from './bytes.ts'
import type { Journal } from './journal.ts'

export type StoreOp =
  | { readonly type: 'put'; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'del'; readonly key: Uint8Array }

/** The value of a row whose key says everything. */
export const PRESENT: Uint8Array = Uint8Array.of(1)

/** Bytewise bounds of a scan; without any, everything. */
export interface StoreRange {
  readonly gt?: Uint8Array
  readonly gte?: Uint8Array
  readonly lt?: Uint8Array
  readonly lte?: Uint8Array
  readonly reverse?: boolean
  /** At most this many rows. */
  readonly limit?: number
}

export interface BatchOptions {
  /** Resolve only when the batch, with all before it, would survive a power cut. Of those that are not synced any may be lost, whatever became of later ones. */
  readonly sync?: boolean
}

/** What can be read: the store as it is now, or as it was when a snapshot was taken. */
export interface StoreReader {
  get(key: Uint8Array): Promise<Uint8Array | undefined>
  /** Values in the order of `keys`. */
  getMany(keys: readonly Uint8Array[]): Promise<(Uint8Array | undefined)[]>
  /**
   * Rows in key order. A scan sees one consistent state; the consumer may `break`. An engine that reads many rows at a time gives them as
   * `Batched`.
   */
  entries(range?: StoreRange, options?: AbortOptions): AsyncIterable<readonly [Uint8Array, Uint8Array]>
  keys(range?: StoreRange, options?: AbortOptions): AsyncIterable<Uint8Array>
  /**
   * As `entries`, for listings of millions: rows in chunks, as the engine reads them, and keys as text, which costs a third. Keys and bounds in
   * the range must be UTF-8. The first chunks are small, so that whoever wants little reads little.
   */
  textChunks(range?: StoreRange, options?: AbortOptions): AsyncIterable<readonly TextRow[]>
}

export type TextRow = readonly [key: string, value: Uint8Array]

/**
 * The port to an ordered key-value engine. A batch is atomic: after a crash all of it is there or none of it.
 *
 * @throws StoreError from every method when the engine fails; code `STORE_FULL` when the disk is full.
 */
export interface Store extends StoreReader {
  /** @throws TypeError, with nothing written, when a value is empty: `PRESENT` is the least. */
  batch(ops: readonly StoreOp[], options?: BatchOptions): Promise<void>
  /** A frozen view; hold it as short as possible and dispose of it. */
  snapshot(): StoreReader & Disposable
}

/** A root store. What is in the journal is the caller's to make rows of, and to release when they are written with `sync`. */
export interface JournaledStore extends Store {
  readonly journal: Journal
}

/** `classic-level` 3.0.0 never frees the copy that it makes of an empty value: 32 bytes of each. @throws TypeError */
export function checkValues(ops: readonly StoreOp[]): void {
  for (const op of ops) {
    if (op.type === 'put' && op.value.length === 0) throw new TypeError('a row needs a value')
  }
}

/** A view of the rows below `prefix`; keys inside it do not carry the prefix. */
export function subStore(store: Store, prefix: Uint8Array): Store {
  return {
    ...subReader(store, prefix),
    batch: (ops, options) => store.batch(prefixOps(prefix, ops), options),
    snapshot() {
      const snapshot = store.snapshot()
      return { ...subReader(snapshot, prefix), [Symbol.dispose]: () => snapshot[Symbol.dispose]() }
    },
  }
}

/** Makes operations on a `subStore` fit for a batch of the store below it, so that several rooms can share one batch. */
export function prefixOps(prefix: Uint8Array, ops: readonly StoreOp[]): StoreOp[] {
  return ops.map(op => ({ ...op, key: concatBytes([prefix, op.key]) }))
}

/** The range of all keys that start with `prefix`. */
export function prefixRange(prefix: Uint8Array): StoreRange {
  const end = prefixEnd(prefix)
  return end === undefined ? { gte: prefix } : { gte: prefix, lt: end }
}

function subReader(store: StoreReader, prefix: Uint8Array): StoreReader {
  const full = (key: Uint8Array) => concatBytes([prefix, key])
  return {
    get: key => store.get(full(key)),
    getMany: keys => store.getMany(keys.map(full)),
    entries: (range, options) =>
      mapBatches(batchesOf(store.entries(subRange(prefix, range), options)), rows =>
        rows.map(([key, value]) => [key.subarray(prefix.length), value] as const),
      ),
    keys: (range, options) =>
      mapBatches(batchesOf(store.keys(subRange(prefix, range), options)), keys =>
        keys.map(key => key.subarray(prefix.length)),
      ),
    async *textChunks(range, options) {
      const { length } = utf8Text(prefix)
      for await (const rows of store.textChunks(subRange(prefix, range), options)) {
        yield rows.map(([key, value]) => [key.slice(length), value])
      }
    },
  }
}

function subRange(prefix: Uint8Array, range: StoreRange = {}): StoreRange {
  const { gt, gte, lt, lte, ...rest } = range
  const end = prefixEnd(prefix)
  const full = (key: Uint8Array) => concatBytes([prefix, key])
  return {
    ...rest,
    ...(gt !== undefined ? { gt: full(gt) } : { gte: full(gte ?? new Uint8Array(0)) }),
    ...(lt !== undefined
      ? { lt: full(lt) }
      : lte !== undefined
        ? { lte: full(lte) }
        : end !== undefined
          ? { lt: end }
          : {}),
  }
}

/** The smallest key above every key with this prefix; none when the prefix is all 0xff. */
function prefixEnd(prefix: Uint8Array): Uint8Array | undefined {
  let length = prefix.length
  while (length > 0 && prefix[length - 1] === 0xff) length--
  if (length === 0) return undefined
  const end = prefix.slice(0, length)
  end[length - 1] = (end[length - 1] as number) + 1
  return end
}
