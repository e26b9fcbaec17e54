import { cidText } from '@ipfs-cluster/api'
import { errorMessage, type Clock, type Logger, type Random, type TaskScope } from '@ipfs-cluster/base'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import { isUnreachable, type Breaker } from './breaker.ts'
import type { Places } from './feeder.ts'
import type { Operation, OperationKind, Operations } from './operations.ts'
import { QUEUES } from './rows.ts'
import type { TrackerEvent } from './transitions.ts'

export interface WorkersComponents {
  readonly ipfs: Pick<IpfsConnector, 'pin' | 'unpin'>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly scope: TaskScope
  readonly operations: Operations
  readonly breaker: Breaker
  readonly places: Places
  /** Called after each operation. */
  readonly onFinished: () => void
}

/** Runs ready operations, one call of the daemon each. */
export interface Workers {
  /** Operations that ended and are not written down yet; who writes them removes them. */
  readonly finished: Operation[]
  /** Starts what is ready and has a place. */
  start(): void
}

/** Finished operations not yet written down, at most: beyond it nothing is started. */
const MAX_UNFLUSHED = 256

/** The outcome that leaves the row as it is. */
export const RELEASED: TrackerEvent = { type: 'released' }

export function createWorkers(components: WorkersComponents): Workers {
  const { clock, scope, operations, breaker, places, onFinished } = components
  const finished: Operation[] = []

  const mayStart = (kind: OperationKind) =>
    !breaker.isOpen() && finished.length < MAX_UNFLUSHED && operations.running(kind) < places[kind]

  const start = () => {
    for (const kind of ['pin', 'unpin'] as const) {
      while (mayStart(kind)) {
        const next = nextReady(operations, kind)
        if (next === undefined) break
        launch(next)
      }
    }
  }

  const launch = (operation: Operation) => {
    operation.state = 'running'
    operation.startedAt = clock.now()
    scope.run(operation.kind, async () => {
      operation.outcome = await perform(operation, components)
      operation.state = 'finished'
      finished.push(operation)
      start()
      onFinished()
    })
  }

  scope.signal.addEventListener('abort', () => {
    for (const { controller } of operations.all()) controller.abort(scope.signal.reason)
  })
  return { finished, start }
}

async function perform(operation: Operation, components: WorkersComponents): Promise<TrackerEvent> {
  const { ipfs, breaker, logger, random } = components
  const { cid, kind, pin, generation, controller } = operation
  const { signal } = controller
  try {
    // The deadlines are the connector's: a pin may take days as long as it moves.
    if (kind === 'unpin' || pin === undefined) await ipfs.unpin(cid, { signal })
    else await ipfs.pin(pin, { signal, onProgress: progress => (operation.progress = progress) })
    breaker.answered()
    return { type: 'done', generation }
  } catch (error) {
    if (signal.aborted) return RELEASED
    if (isUnreachable(error)) {
      breaker.trip(cid)
      return RELEASED
    }
    breaker.answered()
    const text = errorMessage(error)
    logger.warn({ cid: cidText(cid), error: text }, `${kind} failed; it will be tried again`)
    return { type: 'failed', generation, error: text, jitter: random.float() }
  }
}

/** The ready operation of the best queue, oldest first. */
function nextReady(operations: Operations, kind: OperationKind): Operation | undefined {
  let best: Operation | undefined
  for (const operation of operations.all()) {
    if (operation.state !== 'ready' || operation.kind !== kind) continue
    if (best === undefined || QUEUES.indexOf(operation.queue) < QUEUES.indexOf(best.queue)) best = operation
  }
  return best
}
