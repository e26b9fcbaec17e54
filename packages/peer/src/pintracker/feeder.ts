import type { PeerId } from '@ipfs-cluster/api'
import type { Clock } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { PinState } from '../state/index.ts'
import { pinsetEvent, placeOf } from './events.ts'
import { newOperation, type Operation, type Operations } from './operations.ts'
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
  readonly places: Places
  /** After rows were corrected; inside `exclusive`. */
  readonly noticed: (applied: readonly Applied[]) => void
}

/** Operations that may run at once. */
export interface Places {
  readonly pin: number
  readonly unpin: number
  /** Of those for pins, how many retries may take. */
  readonly retry: number
}

/**
 * Takes operations out of the queues ahead of time, as many as there are places, so that a place that falls free is taken at once.
 * All calls inside `exclusive`.
 */
export interface Feeder {
  /** `again`: some of what it found was stale, so look once more. `wakeAt`: Unix ms when the next one is due. */
  refill(): Promise<{ readonly again: boolean; readonly wakeAt: number | undefined }>
  /** Whether the queues may hold more that is due. */
  mayHaveMore(): boolean
  /** See `QueueReader.rewind`. */
  rewind(queue: QueueName, due: number, cid: CID): void
  /** See `QueueReader.oldestDue`. */
  oldestDue(queue: QueueName): number | undefined
}

export function createFeeder(components: FeederComponents): Feeder {
  const { table, clock, operations, places } = components
  const readers = Object.fromEntries(
    QUEUES.map((name): [QueueName, QueueReader] => [name, createQueueReader(table, name)]),
  ) as Readonly<Record<QueueName, QueueReader>>

  const rewind = (queue: QueueName, due: number, cid: CID) => readers[queue].rewind(due, cid)

  return {
    rewind,
    oldestDue: queue => readers[queue].oldestDue(),
    mayHaveMore: () => QUEUES.some(name => readers[name].mayHaveMore()),
    async refill() {
      const now = clock.now()
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
        const room = places.pin - operations.readyPins('fresh')
        await ask('priority', room)
        await ask('normal', room - candidates.length)
        const left = room - candidates.length - operations.readyPins('retry')
        await ask('retry', Math.min(left, places.retry - operations.retries()))
        await ask('unpin', places.unpin - operations.readyUnpins())
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
    const { generation, status } = row
    admitted.push(newOperation({ cid, kind, queue, generation, pin, counted: isWaiting(status) }))
  })
  if (corrections.length > 0) noticed(await table.apply(corrections))
  for (const operation of admitted) operations.add(operation)
  return admitted.length
}
