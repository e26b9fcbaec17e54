import type { PeerId } from '@ipfs-cluster/api'
import type { Clock } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { PinState } from '../state/index.ts'
import { pinsetEvent, placeOf } from './events.ts'
import { newOperation, type Lane, type Operation, type Operations } from './operations.ts'
import { createQueueReader, type Candidate, type QueueReader } from './queue.ts'
import { QUEUES, type QueueName } from './rows.ts'
import type { Applied, TableEvent, TrackerTable } from './table.ts'
import { isWaiting } from './transitions.ts'

export interface FeederComponents {
  readonly table: TrackerTable
  readonly state: Pick<PinState, 'getMany'>
  readonly selfId: PeerId
  readonly clock: Clock
  readonly operations: Operations
  readonly ahead: Ahead
  /** After rows were corrected; inside `exclusive`. */
  readonly noticed: (applied: readonly Applied[]) => void
}

/** Operations to have ready, at least: as many as there are places. */
export type Ahead = Readonly<Record<Lane, number>>

/**
 * Milliseconds of work to have ready: what is read and written together costs a fraction of what it costs one by one. Of more, whoever asks for a
 * status meanwhile waits for all of it: at `BUSY_STARTS_PER_SECOND` it is 20 pins, each worth half a millisecond.
 */
const AHEAD_MS = 100
/** Operations to have ready, at most; also how many of a kind are read at once. */
export const MAX_AHEAD = 512

/**
 * Takes operations out of the queues ahead of time, so that a place that falls free is taken at once: as many as there are places, or as
 * are done in a moment. All calls inside `exclusive`.
 */
export interface Feeder {
  /** `again`: some of what it found was stale, so look once more. `wakeAt`: Unix ms when the next one is due. */
  refill(): Promise<{ readonly again: boolean; readonly wakeAt: number | undefined }>
  /** Whether so few are ready, and more may be due, that the queues should be looked at soon. */
  isLow(): boolean
  /** See `QueueReader.rewind`. */
  rewind(queue: QueueName, due: number, cid: CID): void
  /** See `QueueReader.mayHaveMore`. */
  mayHaveMore(queue: QueueName): boolean
  /** See `QueueReader.oldestDue`. */
  oldestDue(queue: QueueName): number | undefined
}

export function createFeeder(components: FeederComponents): Feeder {
  const { table, clock, operations, ahead } = components
  const readers = Object.fromEntries(
    QUEUES.map((name): [QueueName, QueueReader] => [name, createQueueReader(table, name)]),
  ) as Readonly<Record<QueueName, QueueReader>>

  const wanted: Record<Lane, number> = { ...ahead }
  let measured = { at: clock.monotonic(), fresh: 0, unpin: 0 }
  /** What was started since the last look, scaled to `AHEAD_MS`. */
  const measure = () => {
    const at = clock.monotonic()
    const passed = at - measured.at
    if (passed <= 0) return
    const [fresh, unpin] = [operations.started('fresh'), operations.started('unpin')]
    const scaled = (count: number, least: number) =>
      Math.min(MAX_AHEAD, Math.max(least, Math.ceil((count / passed) * AHEAD_MS)))
    wanted.fresh = scaled(fresh - measured.fresh, ahead.fresh)
    wanted.unpin = scaled(unpin - measured.unpin, ahead.unpin)
    measured = { at, fresh, unpin }
  }

  const rewind = (queue: QueueName, due: number, cid: CID) => readers[queue].rewind(due, cid)

  const mayHaveMore = (queue: QueueName) => readers[queue].mayHaveMore()

  return {
    rewind,
    mayHaveMore,
    oldestDue: queue => readers[queue].oldestDue(),
    isLow() {
      const low = (lane: Lane) => operations.ready(lane) <= wanted[lane] / 2
      const isMoreFresh = mayHaveMore('priority') || mayHaveMore('normal')
      return (low('fresh') && isMoreFresh) || (low('unpin') && mayHaveMore('unpin'))
    },
    async refill() {
      const now = clock.now()
      measure()
      const candidates: Candidate[] = []
      const dues: number[] = []
      const ask = async (queue: QueueName, count: number) => {
        if (count <= 0) return
        const taken = await readers[queue].take(count, now, key => operations.has(key))
        candidates.push(...taken)
        const due = readers[queue].nextDue()
        if (taken.length < count && due !== undefined) dues.push(due)
      }
      try {
        // Retries that are ready must not keep fresh pins from being taken; of retries there are few at a time.
        const room = wanted.fresh - operations.ready('fresh')
        await ask('priority', room)
        await ask('normal', room - candidates.length)
        const left = room - candidates.length - operations.ready('retry')
        await ask('retry', Math.min(left, ahead.retry - operations.ready('retry')))
        await ask('unpin', wanted.unpin - operations.ready('unpin'))
        const admitted = await admit(components, candidates)
        const wakeAt = dues.length === 0 ? undefined : Math.min(...dues)
        return { again: admitted < candidates.length, wakeAt }
      } catch (error) {
        for (const { queue, due, cid } of candidates) rewind(queue, due, cid)
        throw error
      }
    },
  }
}

/** Makes operations of the candidates that still are what they seemed; resolves with their number. */
async function admit(components: FeederComponents, candidates: readonly Candidate[]): Promise<number> {
  if (candidates.length === 0) return 0
  const { table, state, selfId, operations, noticed } = components
  const cids = candidates.map(({ cid }) => cid)
  const [rows, pins] = await Promise.all([table.rows(cids), state.getMany(cids)])
  const corrections: TableEvent[] = []
  const admitted: Operation[] = []
  candidates.forEach(({ cid, queue, due }, i) => {
    const [row, pin] = [rows[i], pins[i]]
    if (row?.queue !== queue || row.due !== due) return
    const kind = queue === 'unpin' ? 'unpin' : 'pin'
    const here = pin !== undefined && placeOf(pin, selfId) === 'here'
    if (here !== (kind === 'pin')) {
      // The pinset is ahead of the table: its change is on the way, and running the old order would be wrong.
      corrections.push({ cid, event: pinsetEvent(pin, selfId, undefined) })
      return
    }
    const { generation, status, size, kept } = row
    const counted = isWaiting(status)
    admitted.push(newOperation({ cid, kind, queue, generation, pin, counted, size, kept }))
  })
  if (corrections.length > 0) noticed(await table.apply(corrections))
  for (const operation of admitted) operations.add(operation)
  return admitted.length
}
