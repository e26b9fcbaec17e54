import { cidText, type Pin } from '@ipfs-cluster/api'
import { errorMessage, type Clock, type Logger, type Random, type TaskScope } from '@ipfs-cluster/base'
import type { IpfsConnector, IpfsPinProgress } from '../ipfsconn/index.ts'
import { isUnreachable, type Breaker } from './breaker.ts'
import { createChecks } from './checks.ts'
import type { DaemonLoad } from './daemon-load.ts'
import { isBroken, isOverload, NoProgress, noProgressText, stalledMs } from './no-progress.ts'
import type { Operation, Operations } from './operations.ts'
import type { Pace } from './pace.ts'
import type { Places } from './places.ts'
import { advance } from './progress.ts'
import { leastSize, PinSizeError, sizeLimit } from './size-limit.ts'
import type { TrackerEvent } from './transitions.ts'
import type { PinTrackerConfig } from './types.ts'
import { createWakeup } from './wakeup.ts'

export interface WorkersComponents {
  readonly ipfs: Pick<IpfsConnector, 'pin' | 'unpin' | 'arePinned'>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly scope: TaskScope
  readonly operations: Operations
  readonly breaker: Breaker
  readonly places: Places
  readonly load: DaemonLoad
  readonly pace: Pace
  /** Unpins at once. */
  readonly unpins: number
  readonly config: Pick<PinTrackerConfig, 'maxPinSize'>
  /** Called after each operation, and when others could be started before the end of one. */
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
const MAX_UNFLUSHED = 1024
/** Milliseconds between two looks at what does not move, at least. */
const REVIEW_INTERVAL_MS = 10

/** Milliseconds for which pins that come too fast are held back. */
const HELD_BACK_MS = 10

/** The outcome that leaves the row as it is. */
export const RELEASED: TrackerEvent = { type: 'released' }

export function createWorkers(components: WorkersComponents): Workers {
  const { clock, scope, operations, breaker, places, load, pace, unpins, onFinished } = components
  const finished: Operation[] = []
  const reviews = createWakeup(clock)
  const checks = createChecks({
    ...components,
    onChecked(pinned) {
      for (const operation of pinned) ended(operation, { type: 'done', generation: operation.generation })
      start()
    },
  })

  const ended = (operation: Operation, outcome: TrackerEvent) => {
    operations.finish(operation, outcome)
    finished.push(operation)
    onFinished()
  }

  let startsLater = false
  const startLater = () => {
    if (startsLater) return
    startsLater = true
    scope.run('pins held back', async signal => {
      await clock.sleep(HELD_BACK_MS, { signal })
      startsLater = false
      start()
    })
  }

  const start = () => {
    if (breaker.isOpen() || isPaused()) return
    checks.wake()
    while (finished.length < MAX_UNFLUSHED && operations.running('unpin') < unpins) {
      const next = operations.next('unpin')
      if (next === undefined) break
      launch(next)
    }
    while (finished.length < MAX_UNFLUSHED) {
      const fresh = operations.next('fresh')
      const next = fresh ?? operations.next('retry')
      if (next === undefined || !checks.isDone(next)) break
      if (!places.mayStart(fresh === undefined ? 'retry' : 'fresh', load.limit())) break
      if (!pace.mayStart(clock.monotonic())) {
        startLater()
        break
      }
      launch(next)
    }
  }

  const launch = (operation: Operation) => {
    operations.start(operation, clock.now())
    const isPin = operation.kind === 'pin'
    if (isPin) {
      if (places.nextReview() === undefined) reviews.wake()
      places.enter(operation, clock.monotonic())
    }
    scope.run(operation.kind, async () => {
      const outcome = await perform(operation, checks.isAbsent(operation), components)
      if (isPin) places.leave(operation, clock.monotonic(), outcome.type === 'done')
      ended(operation, outcome)
      if (isPaused()) reviews.wake()
      start()
    })
  }

  /** Lets those stand aside that do not move, and goes on after a pause. */
  const review = () => {
    for (const { operation, silentMs } of places.review(clock.monotonic())) {
      operation.controller.abort(new NoProgress(silentMs))
    }
    start()
    // Those that stand aside have made room, and taken what was ready.
    onFinished()
  }

  const isPaused = () => clock.monotonic() < load.pausedUntil()
  const untilReview = () => {
    const times = [places.nextReview(), isPaused() ? load.pausedUntil() : undefined].filter(
      at => at !== undefined,
    )
    if (times.length === 0) return undefined
    return Math.max(REVIEW_INTERVAL_MS, Math.min(...times) - clock.monotonic())
  }

  scope.run('pins that do not move', async signal => {
    while (true) {
      await reviews.wait(untilReview(), signal)
      review()
    }
  })
  scope.signal.addEventListener('abort', () => {
    for (const { controller } of operations.all()) controller.abort(scope.signal.reason)
  })
  return { finished, start }
}

async function perform(
  operation: Operation,
  isAbsent: boolean,
  components: WorkersComponents,
): Promise<TrackerEvent> {
  const { ipfs, breaker, load, clock, logger, random } = components
  const { cid, kind, pin, generation, controller } = operation
  const { signal } = controller
  try {
    // The deadlines are the connector's: a pin may take days as long as it moves.
    if (kind === 'unpin' || pin === undefined) await ipfs.unpin(cid, { signal })
    else await performPin(operation, pin, isAbsent, components)
    breaker.answered()
    load.answered()
    const size = operation.progress?.latest.bytes
    return { type: 'done', generation, ...(size === undefined ? {} : { size }) }
  } catch (error) {
    if (error instanceof PinSizeError) {
      logger.warn({ cid: cidText(cid), ...error.data }, 'pin refused: its content is too large')
      return { type: 'failed', generation, error: error.message, jitter: 0, tooLarge: error.data.reached }
    }
    const gaveUp = signal.reason instanceof NoProgress ? signal.reason.silentMs : undefined
    if (signal.aborted && gaveUp === undefined) return RELEASED
    if (isUnreachable(error)) {
      breaker.trip(cid)
      return RELEASED
    }
    if (isBroken(error) && (await breaker.suspect(cid))) return RELEASED
    breaker.answered()
    if (isOverload(error)) {
      load.overloaded(clock.monotonic())
      logger.debug({ cid: cidText(cid), error: errorMessage(error) }, 'the IPFS daemon is overloaded')
      return RELEASED
    }
    const silentMs = gaveUp ?? stalledMs(error)
    const text = silentMs === undefined ? errorMessage(error) : noProgressText(operation, silentMs)
    logger.warn({ cid: cidText(cid), error: text }, `${kind} failed; it will be tried again`)
    const jitter = random.float()
    return {
      type: 'failed',
      generation,
      error: text,
      jitter,
      ...(silentMs !== undefined && { stalled: true }),
    }
  }
}

/** @throws PinSizeError before it begins, or as soon as the daemon tells of more than is allowed; what is fetched by then is garbage. */
async function performPin(
  operation: Operation,
  pin: Pin,
  isAbsent: boolean,
  { ipfs, clock, config, logger, places }: WorkersComponents,
): Promise<void> {
  const { controller } = operation
  const { signal } = controller
  const limit = sizeLimit(pin, config)
  if (!operation.kept) limit.check(Number(pin.size ?? 0n), 0)
  // An update tells nothing until it is done.
  const asked = limit.bytes === Number.POSITIVE_INFINITY ? pin : { ...pin, pinUpdate: null }
  const onProgress = (progress: IpfsPinProgress) => {
    if (progress.blocks > 0 || (progress.bytes ?? 0) > 0) places.moved(operation, clock.monotonic())
    operation.progress = advance(operation.progress, progress, clock.now())
    try {
      limit.check(leastSize(progress), progress.bytes ?? 0)
    } catch (error) {
      controller.abort(error)
    }
  }
  try {
    await ipfs.pin(asked, { signal, onProgress, ...(isAbsent && { isAbsent }) })
    if (signal.reason instanceof PinSizeError) throw signal.reason
  } catch (error) {
    if (!(signal.reason instanceof PinSizeError)) throw error
    // It may have been pinned before it heard of the end.
    await ipfs.unpin(pin.cid).catch((failure: unknown) => {
      logger.warn(
        { cid: cidText(pin.cid), error: errorMessage(failure) },
        'what is too large is not unpinned',
      )
    })
    throw signal.reason
  }
}
