import { cidText, type Pin } from '@ipfs-cluster/api'
import type { CID } from 'multiformats/cid'
import type { IpfsPinProgress } from '../ipfsconn/index.ts'
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
  /** What to pin. */
  readonly pin: Pin | undefined
  readonly controller: AbortController
  state: 'ready' | 'running' | 'finished'
  /** Unix ms; 0 until it runs. */
  startedAt: number
  progress: IpfsPinProgress | undefined
  outcome: TrackerEvent | undefined
}

/** Operations by CID, at most one of each: few, whatever the length of the queues. */
export interface Operations {
  get(cid: CID): Operation | undefined
  has(key: string): boolean
  add(operation: Operation): void
  remove(operation: Operation): void
  all(): IterableIterator<Operation>
  running(kind: OperationKind): number
  readyPins(which: 'fresh' | 'retry'): number
  readyUnpins(): number
  /** Retries that are ready or run. */
  retries(): number
}

export function createOperations(): Operations {
  const byKey = new Map<string, Operation>()
  const countIf = (test: (operation: Operation) => boolean) => {
    let count = 0
    for (const operation of byKey.values()) if (test(operation)) count++
    return count
  }
  return {
    get: cid => byKey.get(cidText(cid)),
    has: key => byKey.has(key),
    add: operation => void byKey.set(operation.key, operation),
    remove(operation) {
      if (byKey.get(operation.key) === operation) byKey.delete(operation.key)
    },
    all: () => byKey.values(),
    running: wanted => countIf(({ state, kind }) => state === 'running' && kind === wanted),
    readyPins: which =>
      countIf(
        ({ state, kind, queue }) =>
          state === 'ready' && kind === 'pin' && (queue === 'retry') === (which === 'retry'),
      ),
    readyUnpins: () => countIf(({ state, kind }) => state === 'ready' && kind === 'unpin'),
    retries: () => countIf(({ queue, state }) => queue === 'retry' && state !== 'finished'),
  }
}

export function newOperation(
  fields: Pick<Operation, 'cid' | 'kind' | 'queue' | 'generation' | 'counted' | 'pin'>,
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
    (a.pinUpdate === null ? b.pinUpdate === null : b.pinUpdate !== null && a.pinUpdate.equals(b.pinUpdate)) &&
    a.origins.length === b.origins.length &&
    a.origins.every((origin, i) => origin === b.origins[i])
  )
}
