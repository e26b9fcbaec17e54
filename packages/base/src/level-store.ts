/**
 * The durable `Store`: LevelDB through `classic-level` (prebuilt, no compiler). One folder, one process.
 */
import { dirname } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { Batched, readAhead } from './batched.ts'
import { systemClock, type Clock } from './clock.ts'
import { DirectReads } from './direct-reads.ts'
import { FileJournal } from './file-journal.ts'
import { firstOfTurn, gather } from './gather.ts'
import { LevelEngine, type Level } from './level-engine.ts'
import { toStoreError } from './level-errors.ts'
import { utf8Text } from './bytes.ts'
import { syncFolder } from './sync-folder.ts'
import type { JournaledStore, StoreRange, StoreReader, TextRow } from './store.ts'

export { StoreError, type StoreFailure } from './level-errors.ts'
export { syncFolder } from './sync-folder.ts'

export interface LevelStoreOptions {
  /** Bytes of uncompressed blocks kept in memory. @default 8 MiB */
  readonly cacheBytes?: number
  /** Bytes of writes kept in memory before they become a sorted file. @default 32 MiB */
  readonly writeBufferBytes?: number
  /** Paces attempts to write again after a failure. @default systemClock */
  readonly clock?: Clock
}

export interface LevelStore extends JournaledStore, AsyncDisposable {
  /** What LevelDB tells of itself, such as `leveldb.stats`; empty when it does not know. Cheap. */
  property(name: string): string
  /**
   * Makes a sorted file of the log, which opening would have to do first: up to 0.6 s of the next start. It writes into the folder, which therefore
   * must not have been moved.
   *
   * @throws StoreError when it cannot be done; the log stays, and everything is in it.
   */
  emptyLog(): Promise<void>
  /**
   * Gives back the memory that the system counts for what was read of mapped files, by opening the store anew: questions asked meanwhile wait for some
   * tens of milliseconds. False if a listing, a snapshot or a writer is at work; nothing was done then.
   *
   * @throws StoreError when the disk is not fit for it. The store can be used all the same.
   */
  unmapFiles(): Promise<boolean>
}

/**
 * Sorted files open at a time, 2 MiB each, and ten more. They are mapped, and what was read of them counts as the process's memory until it is closed: with
 * LevelDB's own 1,000 a listing of 10 million pins leaves 2 GB there. Point reads of a store with more files pay for it by opening some
 * (docs/decisions/0017-store-engine.md).
 */
const MAX_OPEN_FILES = 114

type Snapshot = ReturnType<Level['snapshot']>

/** Keys of one turn of the event loop that are read by one call of the engine; a larger request is a call of its own. */
const GROUP_KEYS = 64

/** Rows fetched by one step of a scan: a compromise between round trips and memory. */
const SCAN_ROWS = 1000

/** Rows of the first chunk of a listing; each is so many times as large as the one before, up to the most. */
const FIRST_CHUNK_ROWS = 32
const CHUNK_GROWTH = 4
const LAST_CHUNK_ROWS = 8192
/** A chunk ends at so many bytes: less than a millisecond of work, after which others have their turn. */
const CHUNK_BYTES = 64 * 1024

/**
 * Opens or creates the store in folder `path`.
 *
 * @throws StoreError `STORE_LOCKED` when another process has it open, `STORE_CORRUPT` when it cannot be read.
 */
export async function openLevelStore(path: string, options: LevelStoreOptions = {}): Promise<LevelStore> {
  const db: Level = new ClassicLevel(path, {
    keyEncoding: 'view',
    valueEncoding: 'view',
    cacheSize: options.cacheBytes ?? 8 * 1024 * 1024,
    writeBufferSize: options.writeBufferBytes ?? 32 * 1024 * 1024,
    maxOpenFiles: MAX_OPEN_FILES,
  })
  const guard = <T>(promise: Promise<T>) =>
    promise.catch((error: unknown) => Promise.reject(toStoreError(error, path)))
  await guard(db.open())
  // The engine syncs its files and its folder; that this folder is there is left to us.
  await guard(syncFolder(dirname(path)))
  const clock = options.clock ?? systemClock
  const engine = new LevelEngine(db, path, clock)
  const journal = await openJournal(path, clock, db)
  const direct = new DirectReads(clock)
  const ask = <T>(question: () => Promise<T>) =>
    guard(engine.isReadable ? question() : engine.readable().then(question))
  const access: Access = { ask, direct, use: () => engine.use() }
  return {
    ...reader(db, access),
    journal,
    batch: (ops, { sync = false } = {}) => engine.write(ops, sync),
    snapshot() {
      const taken = takeSnapshot(db, engine)
      return { ...reader(db, access, taken.at), [Symbol.dispose]: () => taken[Symbol.dispose]() }
    },
    property: name => (db.status === 'open' ? db.getProperty(name) : ''),
    emptyLog: () => guard(engine.emptyLog()),
    unmapFiles: () => guard(engine.unmapFiles()),
    async [Symbol.asyncDispose]() {
      await guard(engine.close())
      await journal[Symbol.asyncDispose]()
    },
  }
}

/** What it cannot read leaves the store closed. */
async function openJournal(path: string, clock: Clock, db: Level): Promise<FileJournal> {
  try {
    return await FileJournal.open(path, clock)
  } catch (error) {
    await db.close()
    throw error
  }
}

/** Taken at once, or when the engine has been opened anew. */
function takeSnapshot(db: Level, engine: LevelEngine): Disposable & { at(): { snapshot: Snapshot } } {
  const use = engine.use()
  let snapshot: Snapshot | undefined
  let isOver = false
  const at = () => ({ snapshot: (snapshot ??= db.snapshot()) })
  if (engine.isReadable) at()
  else {
    engine.readable().then(
      () => isOver || at(),
      // Whoever reads is told.
      () => undefined,
    )
  }
  return {
    at,
    [Symbol.dispose]() {
      isOver = true
      use[Symbol.dispose]()
      void snapshot?.close()
    },
  }
}

const NO_SNAPSHOT = {}

interface Access {
  /** Puts a question to the engine when it can be read. */
  ask<T>(question: () => Promise<T>): Promise<T>
  readonly direct: DirectReads
  /** Keeps the engine open while a scan goes on. */
  use(): Disposable
}

/** @param at the snapshot to read, asked for when the engine can be read. */
function reader(
  db: Level,
  { ask, direct, use }: Access,
  at: () => { readonly snapshot?: Snapshot } = () => NO_SNAPSHOT,
): StoreReader {
  async function* chunks<T>(
    open: () => { nextv(n: number): Promise<T[]>; close(): Promise<void> },
    signal: AbortSignal | undefined,
    first = SCAN_ROWS,
    last = SCAN_ROWS,
  ) {
    using _inUse = use()
    const iterator = await ask(async () => open())
    try {
      for (let size = first; ; size = Math.min(size * CHUNK_GROWTH, last)) {
        signal?.throwIfAborted()
        const rows = await ask(() => iterator.nextv(size))
        if (rows.length === 0) return
        yield rows
      }
    } finally {
      await iterator.close()
    }
  }
  const scan = <T>(...args: Parameters<typeof chunks<T>>) => new Batched(chunks(...args))
  const getMany = (keys: readonly Uint8Array[]) => ask(() => db.getMany([...keys], at()))
  const readNow = async (keys: readonly Uint8Array[]) =>
    direct.run(() => keys.map(key => db.getSync(key, at())))
  // Going to the engine's thread and back costs ten times as much as reading a row.
  const gathered = gather(GROUP_KEYS, (keys: readonly Uint8Array[]) =>
    direct.suits(keys.length) ? ask(() => readNow(keys)) : getMany(keys),
  )
  const isFirst = firstOfTurn()
  // Whoever comes alone does not wait for the turn to end.
  const get = (key: Uint8Array) => {
    if (!direct.suits(1) || !isFirst()) return gathered(key)
    return ask(async () => direct.run(() => db.getSync(key, at())))
  }
  return {
    get,
    getMany: keys => (keys.length > GROUP_KEYS ? getMany(keys) : Promise.all(keys.map(get))),
    entries: (range = {}, { signal } = {}) =>
      scan(() => db.iterator({ ...levelRange(range), ...at() }), signal),
    keys: (range = {}, { signal } = {}) => scan(() => db.keys({ ...levelRange(range), ...at() }), signal),
    // Reading and what is done with it overlap.
    textChunks: (range = {}, { signal } = {}) =>
      readAhead(
        chunks<TextRow>(
          () =>
            db.iterator<string, Uint8Array>({
              ...textRange(range),
              ...at(),
              keyEncoding: 'utf8',
              highWaterMarkBytes: CHUNK_BYTES,
            }),
          signal,
          FIRST_CHUNK_ROWS,
          LAST_CHUNK_ROWS,
        ),
        1,
      ),
  }
}

function textRange({ gt, gte, lt, lte, reverse, limit }: StoreRange) {
  const bounds = Object.entries({ gt, gte, lt, lte }).flatMap(([name, bound]) =>
    bound === undefined ? [] : [[name, utf8Text(bound)]],
  )
  return {
    ...(Object.fromEntries(bounds) as { gt?: string; gte?: string; lt?: string; lte?: string }),
    ...(reverse === undefined ? {} : { reverse }),
    limit: limit ?? -1,
  }
}

function levelRange({ limit, ...range }: StoreRange): Omit<StoreRange, 'limit'> & { limit: number } {
  return { ...range, limit: limit ?? -1 }
}
