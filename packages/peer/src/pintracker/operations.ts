import { cidText, type Pin } from '@ipfs-cluster/api'
import type { CID } from 'multiformats/cid'
import type { Pace } from './progress.ts'
import type { QueueName } from './rows.ts'
import type { TrackerEvent } from './transitions.ts'

export type OperationKind = 'pin' | 'unpin'

/** One call of the daemon for one CID, from being taken out of its queue until its outcome is in the table. */
export interface Operation {
  readonly cid: CID
  readonly key: string
  readonly kind: OperationKind
  readonly queue: QueueName
  /** Of the row it serves. */
  readonly generation: number
  /** The row counts as waiting (see `isWaiting`). */
  readonly counted: boolean
  /** Of the row. */
  readonly size: number
  readonly kept: boolean
  /** What to pin. */
  readonly pin: Pin | undefined
  readonly controller: AbortController
  state: 'ready' | 'running' | 'finished'
  /** Unix ms; 0 until it runs. */
  startedAt: number
  progress: Pace | undefined
  outcome: TrackerEvent | undefined
}

/** What waits together: fresh pins, pins that have failed, unpins. */
export type Lane = 'fresh' | 'retry' | 'unpin'

/** Operations by CID, at most one of each: few, whatever the length of the queues. */
export interface Operations {
  get(cid: CID): Operation | undefined
  has(key: string): boolean
  add(operation: Operation): void
  remove(operation: Operation): void
  all(): IterableIterator<Operation>
  /** From ready to running. @param now Unix ms. */
  start(operation: Operation, now: number): void
  /** To finished, from either. */
  finish(operation: Operation, outcome: TrackerEvent): void
  running(kind: OperationKind): number
  ready(lane: Lane): number
  /** The ready one of the best queue, oldest first. */
  next(lane: Lane): Operation | undefined
  /** Retries that are ready or run. */
  retries(): number
  /** Operations ever started. */
  started(lane: Lane): number
  /** Those no more ready whose rows count as waiting. */
  countedUnderWay(): number
  /** Takes at most `count` ready pins that were not taken by it before. */
  unchecked(count: number): Operation[]
  /** Takes that back. */
  uncheck(operations: readonly Operation[]): void
}

export function laneOf(queue: QueueName): Lane {
  return queue === 'retry' || queue === 'unpin' ? queue : 'fresh'
}

export function createOperations(): Operations {
  const byKey = new Map<string, Operation>()
  const ready = {
    priority: new Set<Operation>(),
    normal: new Set<Operation>(),
    retry: new Set<Operation>(),
    unpin: new Set<Operation>(),
  }
  const unchecked = new Set<Operation>()
  const running = { pin: 0, unpin: 0 }
  const started = { fresh: 0, retry: 0, unpin: 0 }
  let runningRetries = 0
  let counted = 0

  const count = (operation: Operation, by: 1 | -1) => {
    running[operation.kind] += by
    if (operation.queue === 'retry') runningRetries += by
  }
  const unready = (operation: Operation) => {
    ready[operation.queue].delete(operation)
    unchecked.delete(operation)
  }
  const first = <T>(set: ReadonlySet<T>): T | undefined => {
    for (const item of set) return item
    return undefined
  }

  return {
    get: cid => byKey.get(cidText(cid)),
    has: key => byKey.has(key),
    add(operation) {
      byKey.set(operation.key, operation)
      ready[operation.queue].add(operation)
      if (operation.kind === 'pin') unchecked.add(operation)
    },
    remove(operation) {
      if (byKey.get(operation.key) !== operation) return
      byKey.delete(operation.key)
      if (operation.state === 'ready') return unready(operation)
      if (operation.state === 'running') count(operation, -1)
      if (operation.counted) counted--
    },
    all: () => byKey.values(),
    start(operation, now) {
      unready(operation)
      operation.state = 'running'
      operation.startedAt = now
      count(operation, 1)
      started[laneOf(operation.queue)]++
      if (operation.counted) counted++
    },
    finish(operation, outcome) {
      if (operation.state === 'ready') {
        unready(operation)
        started[laneOf(operation.queue)]++
        if (operation.counted) counted++
      } else count(operation, -1)
      operation.outcome = outcome
      operation.state = 'finished'
    },
    running: kind => running[kind],
    ready: lane => (lane === 'fresh' ? ready.priority.size + ready.normal.size : ready[lane].size),
    next: lane => (lane === 'fresh' ? (first(ready.priority) ?? first(ready.normal)) : first(ready[lane])),
    retries: () => ready.retry.size + runningRetries,
    started: lane => started[lane],
    countedUnderWay: () => counted,
    unchecked(most) {
      const taken: Operation[] = []
      for (const operation of unchecked) {
        if (taken.length >= most) break
        taken.push(operation)
        unchecked.delete(operation)
      }
      return taken
    },
    uncheck(operations) {
      for (const operation of operations) if (operation.state === 'ready') unchecked.add(operation)
    },
  }
}

export function newOperation(
  fields: Pick<Operation, 'cid' | 'kind' | 'queue' | 'generation' | 'counted' | 'size' | 'kept' | 'pin'>,
): Operation {
  return {
    ...fields,
    key: cidText(fields.cid),
    controller: new AbortController(),
    state: 'ready',
    startedAt: 0,
    progress: undefined,
    outcome: undefined,
  }
}

/** True when the daemon would be asked for the same: the rest of a pin concerns the cluster alone. */
export function isSameRequest(a: Pin, b: Pin): boolean {
  return (
    a.mode === b.mode &&
    a.maxDepth === b.maxDepth &&
    a.maxPinSize === b.maxPinSize &&
    (a.pinUpdate === null ? b.pinUpdate === null : b.pinUpdate !== null && a.pinUpdate.equals(b.pinUpdate)) &&
    a.origins.length === b.origins.length &&
    a.origins.every((origin, i) => origin === b.origins[i])
  )
}
