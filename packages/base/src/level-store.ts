/**
 * The durable `Store`: LevelDB through `classic-level` (prebuilt, no compiler). One folder, one process.
 */
import { ClassicLevel } from 'classic-level'
import { CodedError, errorCode, errorMessage } from './errors.ts'
import type { Store, StoreRange, StoreReader } from './store.ts'

export type StoreFailure =
  | { readonly code: 'STORE_LOCKED'; readonly path: string }
  | { readonly code: 'STORE_CORRUPT'; readonly path: string }
  | { readonly code: 'STORE_FULL'; readonly path: string }
  | { readonly code: 'STORE_FAILED'; readonly path: string }

export class StoreError extends CodedError<StoreFailure> {
  override readonly name = 'StoreError'
}

export interface LevelStoreOptions {
  /** Bytes of uncompressed blocks kept in memory. @default 32 MiB */
  readonly cacheBytes?: number
  /** Bytes of writes kept in memory before they become a sorted file. @default 16 MiB */
  readonly writeBufferBytes?: number
}

export interface LevelStore extends Store, AsyncDisposable {
  /** What LevelDB tells of itself, such as `leveldb.stats`; empty when it does not know. Cheap. */
  property(name: string): string
}

type Level = ClassicLevel<Uint8Array, Uint8Array>
type Snapshot = ReturnType<Level['snapshot']>

/** Rows fetched by one step of a scan: a compromise between round trips and memory. */
const SCAN_ROWS = 1000

/**
 * Opens or creates the store in folder `path`.
 *
 * @throws StoreError `STORE_LOCKED` when another process has it open, `STORE_CORRUPT` when it cannot be read.
 */
export async function openLevelStore(path: string, options: LevelStoreOptions = {}): Promise<LevelStore> {
  const db: Level = new ClassicLevel(path, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    cacheSize: options.cacheBytes ?? 32 * 1024 * 1024,
    writeBufferSize: options.writeBufferBytes ?? 16 * 1024 * 1024,
  })
  const guard = <T>(promise: Promise<T>) =>
    promise.catch((error: unknown) => Promise.reject(toStoreError(error, path)))
  await guard(db.open())
  return {
    ...reader(db, guard),
    batch: (ops, { sync = false } = {}) =>
      ops.length === 0 ? Promise.resolve() : guard(db.batch([...ops], { sync })),
    snapshot() {
      const snapshot = db.snapshot()
      return { ...reader(db, guard, snapshot), [Symbol.dispose]: () => void snapshot.close() }
    },
    property: name => (db.status === 'open' ? db.getProperty(name) : ''),
    [Symbol.asyncDispose]: () => guard(db.close()),
  }
}

function reader(db: Level, guard: <T>(promise: Promise<T>) => Promise<T>, snapshot?: Snapshot): StoreReader {
  const at = snapshot === undefined ? {} : { snapshot }
  async function* scan<T>(
    iterator: { nextv(n: number): Promise<T[]>; close(): Promise<void> },
    signal?: AbortSignal,
  ) {
    try {
      while (true) {
        signal?.throwIfAborted()
        const rows = await guard(iterator.nextv(SCAN_ROWS))
        if (rows.length === 0) return
        yield* rows
      }
    } finally {
      await iterator.close()
    }
  }
  return {
    get: key => guard(db.get(key, at)),
    getMany: keys => guard(db.getMany([...keys], at)),
    entries: (range = {}, { signal } = {}) => scan(db.iterator({ ...levelRange(range), ...at }), signal),
    keys: (range = {}, { signal } = {}) => scan(db.keys({ ...levelRange(range), ...at }), signal),
  }
}

function levelRange({ limit, ...range }: StoreRange): Omit<StoreRange, 'limit'> & { limit: number } {
  return { ...range, limit: limit ?? -1 }
}

function toStoreError(error: unknown, path: string): StoreError {
  const cause = error instanceof Error ? (error.cause ?? error) : error
  const text = errorMessage(cause)
  const options = { cause: error }
  if (errorCode(cause) === 'LEVEL_LOCKED') {
    return new StoreError(
      `the store ${path} is open in another process; stop that one first`,
      { code: 'STORE_LOCKED', path },
      options,
    )
  }
  if (errorCode(cause) === 'LEVEL_CORRUPTION' || text.startsWith('Corruption')) {
    return new StoreError(
      `the store ${path} is damaged (${text}); restore it from a copy, or move it away and let the peer sync anew`,
      { code: 'STORE_CORRUPT', path },
      options,
    )
  }
  if (/no space left/i.test(text) || errorCode(cause) === 'ENOSPC') {
    return new StoreError(
      `no space left on the disk of ${path}; free some and try again`,
      { code: 'STORE_FULL', path },
      options,
    )
  }
  return new StoreError(`the store ${path} failed: ${text}`, { code: 'STORE_FAILED', path }, options)
}
