import { cidOfBytes, cidText } from '@ipfs-cluster/api'
import { compareBytes } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { queueEnd, queueKey, queueStart, type QueueName } from './rows.ts'
import type { TrackerTable } from './table.ts'

/** A CID at the head of a queue. Only a hint: its row may have changed since, so compare queue and due time with it. */
export interface Candidate {
  readonly cid: CID
  readonly queue: QueueName
  readonly due: number
}

/** Queue rows read ahead by one scan. */
export const WINDOW_ROWS = 256

/** Reads one queue from its head without keeping it in memory. Used by one caller at a time. */
export interface QueueReader {
  /** At most `count` candidates due at `now`, none of them `busy`. */
  take(count: number, now: number, busy: (key: string) => boolean): Promise<Candidate[]>
  /** This CID is in the queue and may have been passed over: it came in, or it is no longer busy. */
  rewind(due: number, cid: CID): void
  /** False when nothing that is due was left after the last `take`. */
  mayHaveMore(): boolean
  /** Unix ms of the first one that is not due yet, as far as known. */
  nextDue(): number | undefined
  /** Unix ms at which the first one that waits became due, as far as known without reading. */
  oldestDue(): number | undefined
}

export function createQueueReader(table: TrackerTable, queue: QueueName): QueueReader {
  // No row that could be taken lies below the floor. Without it every scan would wade through the deleted rows at the head, which an LSM
  // store keeps until it compacts.
  let floor = queueStart(queue)
  let window: Candidate[] = []
  let drained = false
  let nextDue: number | undefined
  /** Of the soonest one that came in since the last scan. */
  let cameIn: number | undefined

  const scan = async (now: number, busy: (key: string) => boolean) => {
    const found: Candidate[] = []
    let first: Uint8Array | undefined
    let last = queueEnd(queue)
    let rows = 0
    nextDue = undefined
    cameIn = undefined
    for await (const [key, entry] of table.queued(queue, floor, WINDOW_ROWS)) {
      rows++
      last = key
      if (entry.due > now) {
        first ??= key
        nextDue = entry.due
        break
      }
      const cid = cidOfBytes(entry.cid)
      if (busy(cidText(cid))) continue
      first ??= key
      found.push({ cid, queue, due: entry.due })
    }
    drained = rows < WINDOW_ROWS || nextDue !== undefined
    // Busy rows may stay below the floor: whoever ends their operation rewinds.
    floor = first ?? last
    window = found
  }

  return {
    async take(count, now, busy) {
      const taken: Candidate[] = []
      if (nextDue !== undefined && nextDue <= now) drained = false
      while (taken.length < count) {
        const next = window.shift()
        if (next !== undefined) {
          if (!busy(cidText(next.cid))) taken.push(next)
          continue
        }
        if (drained) break
        const batch = new Set(taken.map(({ cid }) => cidText(cid)))
        await scan(now, key => busy(key) || batch.has(key))
      }
      return taken
    },
    rewind(due, cid) {
      const key = queueKey(queue, due, cid)
      if (compareBytes(key, floor) < 0) floor = key
      drained = false
      cameIn = Math.min(due, cameIn ?? due)
    },
    mayHaveMore: () => !drained || window.length > 0,
    nextDue: () => nextDue,
    oldestDue() {
      const dues = [window[0]?.due, cameIn].filter(due => due !== undefined)
      return dues.length === 0 ? undefined : Math.min(...dues)
    },
  }
}
