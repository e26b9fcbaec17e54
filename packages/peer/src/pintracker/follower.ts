/**
 * Turns changes of the pinset into rows of the table, for as long as the tracker lives. While somebody waits for the peer, new pins are taken as they are
 * wanted: their changes are durable and listed where they are, so what is queued already may run short first.
 */
import { asError, errorMessage, LastingFailure, type Clock, type Logger } from '@ipfs-cluster/base'
import type { PinChange, PinChangeBatch, PinChanges } from '../state/index.ts'
import { pinsetEvent } from './events.ts'
import type { Pace } from './pace.ts'
import { STORE_RETRY_MS, type Runner } from './runner.ts'
import type { TrackerSelf } from './status.ts'
import type { TrackerTable } from './table.ts'

export interface FollowerComponents {
  readonly changes: PinChanges
  readonly table: TrackerTable
  readonly runner: Pick<Runner, 'operations' | 'noticed' | 'hasNewQueued'>
  readonly pace: Pick<Pace, 'changed'>
  readonly self: Pick<TrackerSelf, 'id'>
  readonly clock: Clock
  readonly logger: Logger
  /** Whether somebody waits for the peer. @default nobody */
  readonly isAwaited?: () => boolean
  /** See `TrackerLimits`. */
  readonly gatherMs: number
}

/** Changes of the pinset applied in one batch. */
const CHANGES_LIMIT = 1000
/** The same while somebody waits for the peer: what a batch takes of the thread, they wait longer. */
const CHANGES_LIMIT_AWAITED = 64
/**
 * Changes put in the order of their CIDs before they are applied. Of the millions that an import or a join leaves behind, any thousand are
 * strewn over all files of the store, and each would cost opening one: here, and again when they are pinned, in the order of their arrival.
 */
const CHANGES_AHEAD = 8192
/** Changes put off at most; with a batch that is being applied they are as many as a listing adds to the table (`PENDING_LISTED`). */
const MOST_PUT_OFF = 8192
/**
 * Rest after a full batch, as a share of the time it took: those who make changes have the thread to themselves for that long. After one that
 * is not full the rest is as long as the batch, so that the busier the peer is, the larger are the batches and the less each change costs.
 */
const FOLLOWER_REST = 0.25

/** Ends with the reason of the signal. */
export async function followPinset(components: FollowerComponents, signal: AbortSignal): Promise<never> {
  const { changes, clock, logger } = components
  const trouble = new LastingFailure(logger, clock)
  while (true) {
    try {
      const arePutOff = await putOff(components, signal)
      const limit = arePutOff ? CHANGES_LIMIT_AWAITED : CHANGES_AHEAD
      await followBatch(components, await changes.next(limit, { signal }), signal)
      trouble.succeeded('changes of the pinset are followed again')
    } catch (error) {
      signal.throwIfAborted()
      trouble.failed(
        { err: asError(error) },
        `changes of the pinset cannot be followed: ${errorMessage(error)}`,
      )
      await clock.sleep(STORE_RETRY_MS, { signal })
    }
  }
}

/** Waits until there are changes, and for as long as these can wait. @returns whether more of them can than the next few. */
async function putOff(
  { changes, runner, pace, clock, isAwaited = () => false, gatherMs }: FollowerComponents,
  signal: AbortSignal,
): Promise<boolean> {
  if (gatherMs <= 0) return false
  let seen = -1
  while (true) {
    await changes.waitForAny({ signal })
    const { count, hasPressing, version } = changes.backlog()
    const canWait = count < MOST_PUT_OFF && !hasPressing && isAwaited()
    if (!canWait || !runner.hasNewQueued()) return canWait
    if (version !== seen) pace.changed(clock.monotonic())
    seen = version
    await clock.sleep(gatherMs, { signal })
  }
}

async function followBatch(
  components: FollowerComponents,
  batch: PinChangeBatch,
  signal: AbortSignal,
): Promise<void> {
  const { isAwaited = () => false } = components
  const limit = isAwaited() ? CHANGES_LIMIT_AWAITED : CHANGES_LIMIT
  let part: readonly PinChange[] = []
  for await (const next of batch.changes(limit)) {
    if (part.length > 0) await follow(components, { part, limit, ends: undefined }, signal)
    part = next
  }
  await follow(components, { part, limit, ends: batch }, signal)
}

interface Part {
  readonly part: readonly PinChange[]
  readonly limit: number
  /** The batch that it is the last part of, which is acknowledged with it. */
  readonly ends: PinChangeBatch | undefined
}

async function follow(
  { table, runner, pace, self, clock, gatherMs }: FollowerComponents,
  { part, limit, ends }: Part,
  signal: AbortSignal,
): Promise<void> {
  const began = clock.monotonic()
  pace.changed(began)
  await table.exclusive(
    async () => {
      const events = part.map(({ cid, pin }) => ({
        cid,
        event: pinsetEvent(pin, self.id, runner.operations.get(cid)),
      }))
      runner.noticed(await table.apply(events, ends?.ack))
      ends?.acknowledged()
    },
    { signal },
  )
  if (gatherMs <= 0) return
  const took = clock.monotonic() - began
  const isFull = part.length >= limit
  await clock.sleep(isFull ? took * FOLLOWER_REST : Math.max(gatherMs, took), { signal })
}
