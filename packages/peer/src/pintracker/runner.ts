import type { PeerId } from '@ipfs-cluster/api'
import {
  asError,
  errorMessage,
  LastingFailure,
  type Clock,
  type Logger,
  type Random,
  type TaskScope,
} from '@ipfs-cluster/base'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import type { PinState } from '../state/index.ts'
import { createBreaker, type Breaker } from './breaker.ts'
import { createDaemonLoad, type DaemonLoad } from './daemon-load.ts'
import { createFeeder } from './feeder.ts'
import { createOperations, type Operation, type Operations } from './operations.ts'
import { createPlaces, placeLimits, type Places } from './places.ts'
import type { Pace } from './pace.ts'
import type { QueueName } from './rows.ts'
import type { Applied, TrackerTable } from './table.ts'
import type { PinTrackerConfig } from './types.ts'
import { createWakeup } from './wakeup.ts'
import { createWorkers, RELEASED } from './workers.ts'

export interface RunnerComponents {
  readonly table: TrackerTable
  readonly state: Pick<PinState, 'getMany'>
  readonly ipfs: Pick<IpfsConnector, 'pin' | 'unpin' | 'pinLsCid' | 'arePinned'>
  readonly selfId: PeerId
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly scope: TaskScope
  /** See `TrackerLimits`. */
  readonly gatherMs: number
  readonly pace: Pace
}

/** Takes operations out of the queues, runs a bounded number of them, and writes down what became of them. */
export interface Runner {
  readonly operations: Operations
  readonly breaker: Breaker
  readonly places: Pick<Places, 'aside'>
  readonly load: Pick<DaemonLoad, 'limit'>
  /** Whether there may be a pin in the queue of those that came in of late which is neither under way nor ready to be. */
  hasNewQueued(): boolean
  /** See `QueueReader.oldestDue`. */
  oldestDue(queue: QueueName): number | undefined
  /** After `table.apply`, still inside `exclusive`: stops what is no longer wanted and looks at what came in. */
  noticed(applied: readonly Applied[]): void
  /** Writes down finished operations. Inside `exclusive`. */
  flush(): Promise<void>
}

/** Unpins under way at once; they have their own place, so that neither kind waits for the other. */
export const UNPIN_CONCURRENCY = 1
/** Finished operations gathered before they are written down. */
const MAX_GATHERED = 512
/** How many times longer results are gathered while more is ready to run. */
const GATHER_BUSY = 5
/** Milliseconds of rest after the store failed. */
export const STORE_RETRY_MS = 1_000
/** Longest rest in milliseconds: keeps timers inside what the system can count. */
const MAX_IDLE_MS = 3_600_000

/** Starts to run what is queued, in `scope`. */
export function createRunner(components: RunnerComponents, config: PinTrackerConfig): Runner {
  const { table, clock, logger, scope, gatherMs } = components
  const limits = placeLimits(config.concurrentPins)
  const ahead = { fresh: limits.pins, retry: limits.retries, unpin: UNPIN_CONCURRENCY }
  const places = createPlaces(limits)
  const load = createDaemonLoad(config.concurrentPins)
  const operations = createOperations()
  const wakeup = createWakeup(clock)
  // For what a turn should not be put off for.
  const hurry = createWakeup(clock)
  const wakeNow = () => {
    wakeup.wake()
    hurry.wake()
  }
  const breaker = createBreaker(components, wakeNow)
  const onFinished = () => {
    wakeup.wake()
    if (workers.finished.length >= MAX_GATHERED || feeder.isLow()) hurry.wake()
  }
  const workers = createWorkers({
    ...components,
    operations,
    breaker,
    places,
    load,
    unpins: UNPIN_CONCURRENCY,
    config,
    onFinished,
  })

  const noticed = (applied: readonly Applied[]) => {
    for (const { cid, row, before, cancel } of applied) {
      if (row?.queue !== undefined && row !== before) feeder.rewind(row.queue, row.due, cid)
      const operation = cancel ? operations.get(cid) : undefined
      if (operation?.state === 'ready') operations.remove(operation)
      if (operation?.kind === 'pin') operation.controller.abort(noLongerWanted())
    }
    wakeNow()
  }
  const feeder = createFeeder({ ...components, operations, ahead, noticed })

  const flush = async () => {
    const batch = workers.finished.slice()
    if (batch.length === 0) return
    const applied = await table.apply(batch.map(({ cid, outcome }) => ({ cid, event: outcome ?? RELEASED })))
    workers.finished.splice(0, batch.length)
    applied.forEach(({ cid, row }, i) => {
      operations.remove(batch[i] as Operation)
      if (row?.queue !== undefined) feeder.rewind(row.queue, row.due, cid)
    })
  }

  const turn = async () => {
    await flush()
    return await feeder.refill()
  }

  const trouble = new LastingFailure(logger, clock)
  scope.run('pin queues', async signal => {
    while (true) {
      try {
        const { again, wakeAt } = await table.exclusive(turn, { signal })
        trouble.succeeded('the pin queues work again')
        workers.start()
        if (again) continue
        await wakeup.wait(restMs(wakeAt, clock), signal)
        // Whoever has more to do waits longer for company; nothing stands still meanwhile.
        const company = operations.ready('fresh') + operations.ready('unpin') > 0 ? GATHER_BUSY : 1
        if (gatherMs > 0) await hurry.wait(gatherMs * company, signal)
      } catch (error) {
        signal.throwIfAborted()
        trouble.failed(
          { err: asError(error) },
          `the pin queues cannot be read or written: ${errorMessage(error)}`,
        )
        await clock.sleep(STORE_RETRY_MS, { signal })
      }
    }
  })
  return {
    operations,
    breaker,
    places,
    load,
    hasNewQueued: () => feeder.mayHaveMore('priority'),
    oldestDue: queue => feeder.oldestDue(queue),
    noticed,
    flush,
  }
}

function restMs(wakeAt: number | undefined, clock: Clock): number | undefined {
  return wakeAt === undefined ? undefined : Math.min(MAX_IDLE_MS, Math.max(1, wakeAt - clock.now()))
}

function noLongerWanted(): DOMException {
  return new DOMException('no longer wanted', 'AbortError')
}
