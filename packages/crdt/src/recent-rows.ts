import type { Store } from '@ipfs-cluster/base'
import { keyRow } from './layout.ts'
import type { KeyRows } from './spill.ts'

type Row = Uint8Array | undefined

/** Rows remembered, in two halves: once the younger is full the elder is forgotten. Finding the oldest for each that comes would cost more than the rest. */
const MAX_ROWS = 8192
/** Larger ones are read again. Bytes. */
const MAX_ROW_BYTES = 512

/**
 * Rows of keys as they were read a moment ago. Whoever changes a key has just looked at it, and a commit that need not read it again is on
 * disk a quarter sooner: going to the engine's thread and back takes as long as writing.
 *
 * `changed` must be called after each write of such rows. A read that began before the write and ends after it is not remembered.
 */
export class RecentRows {
  readonly #store: Pick<Store, 'get' | 'getMany'>
  #younger = new Map<string, Row>()
  #elder = new Map<string, Row>()
  /** When keys were written, of those of late. */
  readonly #written = new Map<string, number>()
  /** Of what was written before, no time is known. */
  #horizon = 0
  #time = 0

  constructor(store: Pick<Store, 'get' | 'getMany'>) {
    this.#store = store
  }

  async get(key: string): Promise<Row> {
    const began = ++this.#time
    const row = await this.#store.get(keyRow(key))
    this.#remember(key, row, began)
    return row
  }

  async getMany(keys: readonly string[]): Promise<readonly Row[]> {
    const began = ++this.#time
    const rows = await this.#store.getMany(keys.map(keyRow))
    for (const [i, key] of keys.entries()) this.#remember(key, rows[i], began)
    return rows
  }

  /** The rows as of the last write; only those not remembered are read. Nothing may be written meanwhile. */
  async recall(keys: readonly string[]): Promise<KeyRows> {
    const missing: string[] = []
    const recalled = new Map<string, Row>()
    for (const key of keys) {
      const half = this.#younger.has(key) ? this.#younger : this.#elder
      if (!half.has(key)) missing.push(key)
      recalled.set(key, half.get(key))
    }
    if (missing.length === 0) return recalled
    const rows = await this.#store.getMany(missing.map(keyRow))
    for (const [i, key] of missing.entries()) recalled.set(key, rows[i])
    return recalled
  }

  /** The rows of these keys have been written, or may have been. */
  changed(keys: Iterable<string>): void {
    const now = ++this.#time
    for (const key of keys) {
      this.#younger.delete(key)
      this.#elder.delete(key)
      this.#written.set(key, now)
    }
    if (this.#written.size <= MAX_ROWS) return
    this.#written.clear()
    this.#horizon = now
  }

  #remember(key: string, row: Row, began: number): void {
    if (began < this.#horizon || began < (this.#written.get(key) ?? 0)) return
    if (row !== undefined && row.length > MAX_ROW_BYTES) return
    this.#younger.set(key, row)
    if (this.#younger.size < MAX_ROWS / 2) return
    this.#elder = this.#younger
    this.#younger = new Map()
  }
}
