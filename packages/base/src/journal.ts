/** A place beside the rows of a store for what must be on disk soon and becomes rows later. */

export interface JournalRecord {
  /** Rises with each record that was ever appended, not always by one. */
  readonly number: number
  readonly payload: Uint8Array
}

export interface AppendOptions {
  /** Nobody else waits: it may be written at once, on the event loop, where the disk is quick. @default false */
  readonly isAlone?: boolean
}

export interface Journal {
  /** Of an earlier process, in order; none that has been released since. */
  readonly left: readonly JournalRecord[]
  /**
   * Resolves with the record's number once it would survive a power cut. One at a time: await it before the next call.
   *
   * @throws StoreError; the record is not there then.
   */
  append(payload: Uint8Array, options?: AppendOptions): Promise<number>
  /** The records up to this number are rows now, durably. All numbers to come are higher. */
  release(number: number): void
}

/** Keeps nothing beyond its process; `left` has all that was appended, for a store that is opened anew in the same one. */
export function createMemoryJournal(): Journal {
  let records: JournalRecord[] = []
  let last = 0
  return {
    get left() {
      return records
    },
    async append(payload) {
      records.push({ number: ++last, payload: payload.slice() })
      return last
    },
    release(number) {
      last = Math.max(last, number)
      records = records.filter(record => record.number > number)
    },
  }
}
