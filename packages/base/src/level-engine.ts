/**
 * LevelDB made fit for disks that fail for a while.
 *
 * After a failed append LevelDB writes on behind the torn record, and what follows it in that block of the log is lost at the next start although it was
 * acknowledged; after a failed flush or compaction it refuses every write until it is opened anew. So the first failed write closes the engine to
 * writers, reading goes on, and writing begins again with a new log: by closing and opening the engine, as soon as a trial shows that
 * the disk takes as much as that needs. A batch that was refused is undone then, should the log have brought it back.
 */
import { open as openFile, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ClassicLevel } from 'classic-level'
import type { Clock } from './clock.ts'
import { isWriteFailure, StoreError, toStoreError } from './level-errors.ts'
import { LogAhead } from './log-ahead.ts'
import { checkValues, type StoreOp } from './store.ts'

/** LevelDB leaves alone what is not named like its own files. */
const TRIAL_FILE = 'trial'

export type Level = ClassicLevel<Uint8Array, Uint8Array>

/** Operations written together; a batch with more is written alone. */
const GROUP_OPS = 20_000
/** Between attempts to write again after a failure, in milliseconds. */
const RETRY_MS = 1_000
/** Beside its log, opening writes a manifest and may start a compaction. Bytes. */
const SPARE_BYTES = 4 * 1024 * 1024
/** Behind every key of ours, which begin with ASCII. */
const BEHIND_ALL = new Uint8Array(16).fill(0xff)
const TRIAL_CHUNK = new Uint8Array(256 * 1024).fill(0x5a)
interface Write {
  readonly ops: readonly StoreOp[]
  readonly sync: boolean
  readonly done: PromiseWithResolvers<void>
}

/**
 * One writer at a time, so that nothing is written behind a failure; batches that come meanwhile share the next one, as LevelDB itself would group
 * them, but without a thread waiting for each.
 */
export class LevelEngine {
  readonly #db: Level
  readonly #path: string
  readonly #clock: Clock
  readonly #ahead: LogAhead
  #writes: Write[] = []
  #writing: Promise<void> | undefined
  /** Why nothing may be written. */
  #broken: StoreError | undefined
  /** The batch that failed: it may be in the log all the same, and come back when the engine is opened anew. */
  #doubtful: readonly StoreOp[] | undefined
  /** What undoes it, from before the engine was closed until it is written. */
  #undo: StoreOp[] | undefined
  /** The engine is closed, or about to be. */
  #reopening: Promise<void> | undefined
  #isShut = false
  /** Scans and snapshots. */
  #uses = 0
  #triedAt = Number.NEGATIVE_INFINITY
  #isClosed = false

  constructor(db: Level, path: string, clock: Clock) {
    this.#db = db
    this.#path = path
    this.#clock = clock
    this.#ahead = new LogAhead(path)
  }

  /** Whether the engine may be asked at once; otherwise await `readable`. */
  get isReadable(): boolean {
    return this.#reopening === undefined && !this.#isShut
  }

  /** Resolves when the engine can be read. @throws StoreError when it cannot be opened. */
  async readable(): Promise<void> {
    if (this.#reopening !== undefined) return await this.#reopening
    if (!this.#isShut || this.#isClosed) return
    this.#pace()
    await this.#reopen()
  }

  /** Until it is disposed of, the engine is opened anew only after a failure. */
  use(): Disposable {
    let isOver = false
    this.#uses++
    return {
      [Symbol.dispose]: () => {
        if (!isOver) this.#uses--
        isOver = true
      },
    }
  }

  /** All or nothing. @throws StoreError, TypeError when a value is empty. */
  async write(ops: readonly StoreOp[], sync: boolean): Promise<void> {
    checkValues(ops)
    if (ops.length === 0) return
    const done = Promise.withResolvers<void>()
    this.#writes.push({ ops, sync, done })
    this.#writing ??= this.#writeAll()
    await done.promise
  }

  async close(): Promise<void> {
    this.#isClosed = true
    while (this.#writing !== undefined) await this.#writing
    // How it ended has been told to those who wanted to write.
    await this.#reopening?.catch(() => undefined)
    await this.#ahead.settled()
    await this.#db.close()
  }

  /** Makes a sorted file of the log. */
  async emptyLog(): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken
    if (!this.isReadable) await this.readable()
    using _inUse = this.use()
    // A range without rows: nothing else is rewritten.
    await this.#db.compactRange(BEHIND_ALL, BEHIND_ALL)
  }

  /** Opens the engine anew, unless it is in use: false then. @throws StoreError when the disk would not take what that writes. */
  async unmapFiles(): Promise<boolean> {
    if (this.#isInUse()) return false
    await tryDisk(this.#path)
    if (this.#isInUse()) return false
    await this.#reopen()
    return true
  }

  #isInUse(): boolean {
    const isWriting = this.#writing !== undefined || this.#broken !== undefined
    return isWriting || this.#uses > 0 || !this.isReadable || this.#isClosed
  }

  async #writeAll(): Promise<void> {
    while (this.#writes.length > 0) {
      const group = this.#takeGroup()
      const ops = group.length === 1 ? (group[0] as Write).ops : group.flatMap(write => write.ops)
      try {
        await this.#put(
          ops,
          group.some(({ sync }) => sync),
        )
        for (const { done } of group) done.resolve()
      } catch (error) {
        for (const { done } of group) done.reject(error)
      }
    }
    this.#writing = undefined
  }

  #takeGroup(): Write[] {
    let ops = 0
    let count = 0
    for (const write of this.#writes) {
      if (count > 0 && ops + write.ops.length > GROUP_OPS) break
      ops += write.ops.length
      count++
    }
    return this.#writes.splice(0, count)
  }

  async #put(ops: readonly StoreOp[], sync: boolean): Promise<void> {
    if (this.#broken === undefined) {
      if (!this.isReadable) await this.readable()
      try {
        return await this.#attempt(ops, sync)
      } catch (error) {
        if (this.#broken === undefined) throw error
      }
    }
    await this.#recover()
    // What failed is repeated: if only syncing it failed it is in the log, and no answer may contradict what a restart would find.
    await this.#attempt(ops, sync)
  }

  async #attempt(ops: readonly StoreOp[], sync: boolean): Promise<void> {
    try {
      await this.#db.batch([...ops], { sync })
      this.#ahead.wrote(sizeInLog(ops), sync)
    } catch (cause) {
      const error = toStoreError(cause, this.#path)
      if (isWriteFailure(cause)) {
        this.#broken = error
        this.#doubtful = ops
      }
      throw error
    }
  }

  /** What puts the rows of these operations back to what they are now. */
  async #asTheyAre(ops: readonly StoreOp[]): Promise<StoreOp[]> {
    const keys = ops.map(({ key }) => key)
    const values = await this.#db.getMany(keys)
    return keys.map((key, i) => {
      const value = values[i]
      return value === undefined ? { type: 'del', key } : { type: 'put', key, value }
    })
  }

  /** @throws StoreError while writing is not possible. */
  async #recover(): Promise<void> {
    if (this.#broken === undefined) return
    this.#pace()
    try {
      if (!this.#isShut) await tryDisk(this.#path)
      await this.#reopen()
    } catch (error) {
      this.#broken = toStoreError(error, this.#path)
      throw this.#broken
    }
    this.#broken = undefined
  }

  /** @throws StoreError when it is too early for the next attempt. */
  #pace(): void {
    const now = this.#clock.monotonic()
    const reason = this.#broken
    if (reason !== undefined && (now - this.#triedAt < RETRY_MS || this.#isClosed)) {
      throw new StoreError(reason.message, reason.data, { cause: reason })
    }
    this.#triedAt = now
  }

  async #reopen(): Promise<void> {
    this.#reopening ??= this.#openAnew().finally(() => {
      this.#reopening = undefined
    })
    await this.#reopening
  }

  async #openAnew(): Promise<void> {
    try {
      // Not closed before that is known: if it cannot be read, whoever wants to write is told, and the next one tries again.
      if (this.#doubtful !== undefined) this.#undo = await this.#asTheyAre(this.#doubtful)
      this.#doubtful = undefined
      if (this.#db.status === 'open') await this.#db.close()
      this.#isShut = true
      // A folder that has gone, as with a disk that was taken away, is not to be begun anew.
      await this.#db.open({ createIfMissing: false })
      // Whoever was told that nothing was changed goes by it, and so does what is kept in memory of the store: nobody reads it before.
      if (this.#undo !== undefined) await this.#db.batch(this.#undo, { sync: true })
      this.#undo = undefined
      this.#isShut = false
    } catch (error) {
      throw toStoreError(error, this.#path)
    }
  }
}

/** Opening turns the log into a sorted file: sees whether there is room for it, so that the engine is not closed in vain. */
async function tryDisk(folder: string): Promise<void> {
  const logs = (await readdir(folder)).filter(name => name.endsWith('.log'))
  const sizes = await Promise.all(logs.map(async name => (await stat(join(folder, name))).size))
  const path = join(folder, TRIAL_FILE)
  try {
    await using file = await openFile(path, 'w')
    let left = sizes.reduce((sum, size) => sum + size, SPARE_BYTES)
    for (; left > 0; left -= TRIAL_CHUNK.length) await file.writeFile(TRIAL_CHUNK)
    await file.datasync()
  } finally {
    await rm(path, { force: true })
  }
}

/** Of a batch and of each operation, beside keys and values; about. Bytes. */
const BATCH_BYTES = 19
const OP_BYTES = 3

function sizeInLog(ops: readonly StoreOp[]): number {
  let bytes = BATCH_BYTES
  for (const op of ops) bytes += OP_BYTES + op.key.length + (op.type === 'put' ? op.value.length : 0)
  return bytes
}
