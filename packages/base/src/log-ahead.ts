/**
 * Room made in advance in LevelDB's log.
 *
 * An append makes the file longer, and to sync it the file system has to write down its new length, too: a second write, in its journal, for each row.
 * Over zeros that were laid before there is only the row. LevelDB reads zeros as the end of what was written (type 0 and length 0,
 * `log_reader.cc`).
 *
 * What a power cut leaves may have gaps then, where pages of unsynced batches had not reached the disk: see `BatchOptions`.
 */
import { constants, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Laid at a time, when half as much is left. Bytes. */
export const STEP_BYTES = 1024 * 1024
/** Of a batch with all that goes with it, from which on the journal does not matter. Bytes. */
const LARGE_BYTES = 64 * 1024

const ZEROS = new Uint8Array(STEP_BYTES)

/** At the end of a file, wherever that is by then; not of one that LevelDB has just deleted. */
const APPEND = constants.O_WRONLY | constants.O_APPEND

/** Follows what a store writes into its log. Whatever fails here costs speed alone: LevelDB makes its log longer by itself. */
export class LogAhead {
  readonly #folder: string
  /** Zeros not written over yet; more, when the log is a new one since. */
  #left = 0
  #bytes = 0
  #syncs = 0
  #laying: Promise<void> | undefined

  constructor(folder: string) {
    this.#folder = folder
  }

  /** To be told of each batch that was written. */
  wrote(bytes: number, sync: boolean): void {
    this.#left = Math.max(0, this.#left - bytes)
    this.#bytes += bytes
    if (!sync) return
    this.#syncs++
    if (this.#bytes < STEP_BYTES / 2 || this.#left > STEP_BYTES / 2 || this.#laying !== undefined) return
    const isWorthIt = this.#bytes < this.#syncs * LARGE_BYTES
    this.#bytes = 0
    this.#syncs = 0
    if (isWorthIt) this.#laying = this.#lay()
  }

  /** Resolves when nothing is being laid. */
  async settled(): Promise<void> {
    await this.#laying
  }

  async #lay(): Promise<void> {
    try {
      const logs = (await readdir(this.#folder)).filter(name => name.endsWith('.log'))
      const latest = logs.toSorted((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10)).at(-1)
      if (latest === undefined) return
      // LevelDB writes on where it is meanwhile, over zeros or behind them.
      await using file = await open(join(this.#folder, latest), APPEND)
      await file.appendFile(ZEROS)
      this.#left += STEP_BYTES
      await file.datasync()
    } catch {
      // A full disk, say. The next batch tells whoever wants to write.
    } finally {
      this.#laying = undefined
    }
  }
}
