/**
 * The life of a row: what each event makes of it. Pure; who reads, writes and runs is elsewhere.
 *
 * Invariants of every row (checked by the tests with arbitrary sequences of events):
 * - `pin_queued`, `pin_error` and `unexpectedly_unpinned` wait in a pin queue, `unpin_queued` and `unpin_error` in the unpin queue,
 *   `pinned` in none, `remote` and `sharded` in none or, while the daemon may still hold the content because of us, in the unpin queue;
 * - the generation never decreases and grows whenever an operation under way no longer serves the row.
 */
import { assertNever } from '@ipfs-cluster/base'
import type { QueueName, Row, RowStatus } from './rows.ts'
import type { PinTrackerConfig } from './types.ts'

export type TrackerEvent =
  /** The pin is in the pinset: to be kept here, elsewhere, or nowhere (`sharded`: the root of a sharded DAG). */
  | {
      readonly type: 'track'
      readonly place: 'here' | 'remote' | 'sharded'
      /** Unix ms of the pin's timestamp, 0 when it has none. */
      readonly submitted: number
      readonly direct: boolean
      /** Bytes of the content, where the pin says; 0 where not. */
      readonly size: number
      /** A pin operation that does exactly what is asked is under way. */
      readonly continues: boolean
    }
  /** The pin has left the pinset. */
  | { readonly type: 'untrack' }
  /** The operation succeeded. `size`: bytes of what was pinned, where the daemon told. */
  | { readonly type: 'done'; readonly generation: number; readonly size?: number }
  /**
   * The operation failed. `jitter` is uniform in [0, 1). `tooLarge`: bytes of content that is more than allowed; it is not tried again
   * until somebody asks for this pin or the limit is raised. `stalled`: nothing came; the error then also tells which attempt it was and
   * when the next one is.
   */
  | {
      readonly type: 'failed'
      readonly generation: number
      readonly error: string
      readonly jitter: number
      readonly tooLarge?: number
      readonly stalled?: boolean
    }
  /** The operation ended without saying anything of this pin (stopped, or no daemon). */
  | { readonly type: 'released' }
  /** Try again now. `one`: somebody asks for this pin; `all`: a sweep, which lets fresh pins go first. */
  | { readonly type: 'recover'; readonly scope: 'one' | 'all' }
  /** The daemon does not have what generation `generation` had pinned. */
  | { readonly type: 'lost'; readonly generation: number }

export interface TransitionContext {
  /** Unix ms. */
  readonly now: number
  readonly config: PinTrackerConfig
}

export interface Transition {
  readonly row: Row | undefined
  /** An operation under way serves the row no more: stop a pin; an unpin is let finish, so that nothing overtakes it in the daemon. */
  readonly cancel: boolean
}

/** Go's words. */
export const LOST_ERROR = 'the item should be pinned but it is not'
/** First wait after a failure; it doubles with every further one. */
export const RETRY_BASE_MS = 15_000
/** Longest wait between attempts. */
export const RETRY_CAP_MS = 3_600_000
/** The due time of a pin that is not tried again by itself: the last that a key can hold. */
export const NEVER_DUE = 2 ** 48 - 1

/** Applies one event. Returns the same row object when nothing changes. */
export function transition(
  row: Row | undefined,
  event: TrackerEvent,
  context: TransitionContext,
): Transition {
  switch (event.type) {
    case 'track':
      return event.place === 'here' ? trackHere(row, event, context) : trackElsewhere(row, event, context)
    case 'untrack':
      return untrack(row, context)
    case 'done':
      return keep(row?.generation === event.generation ? finished(row, event, context) : row)
    case 'failed':
      return keep(row?.generation === event.generation ? failed(row, event, context) : row)
    case 'released':
      return keep(row)
    case 'recover':
      return keep(recovered(row, event.scope, context))
    case 'lost':
      return keep(lost(row, event.generation, context))
    default:
      return assertNever(event)
  }
}

/** Recent, and not failed too often (Go: priority pins). */
export function isPriority(
  { submitted, attempts }: Pick<Row, 'submitted' | 'attempts'>,
  { now, config }: Pick<TransitionContext, 'now' | 'config'>,
): boolean {
  return now < submitted + config.priorityPinMaxAgeMs && attempts <= config.priorityPinMaxRetries
}

/** Waits for its turn and has not failed since it was asked for. */
export function isWaiting(status: RowStatus): boolean {
  return status === 'pin_queued' || status === 'unexpectedly_unpinned'
}

/** Too large for the limits here. */
export function isTooLarge(row: Row): boolean {
  return row.due === NEVER_DUE
}

/** Whether the operation it waits for is a pin. */
export function waitsForPin(row: Row): boolean {
  return row.queue !== undefined && row.queue !== 'unpin'
}

/** Milliseconds to wait after the given number of failures: doubling, capped, and between half and all of it. */
export function retryDelayMs(attempts: number, jitter: number): number {
  const full = Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** Math.max(0, attempts - 1))
  return Math.round(full * (0.5 + jitter / 2))
}

type TrackEvent = Extract<TrackerEvent, { type: 'track' }>

const keep = (row: Row | undefined): Transition => ({ row, cancel: false })

function trackHere(row: Row | undefined, event: TrackEvent, context: TransitionContext): Transition {
  const { now } = context
  const { submitted, direct } = event
  // A pin that failed before keeps its count; one that was pinned, remote or on its way out starts anew.
  const before = row !== undefined && waitsForPin(row) ? row : undefined
  const attempts = before?.attempts ?? 0
  const generation = (row?.generation ?? 0) + (row === undefined || event.continues ? 0 : 1)
  const measured = row?.direct === direct ? row.size : 0
  const kept = row?.status === 'pinned' || before?.kept === true
  const base = { generation, attempts, changed: now, submitted, direct, size: event.size || measured, kept }
  const cancel = row !== undefined && !event.continues
  return {
    cancel,
    row: {
      ...base,
      status: 'pin_queued',
      queue: pinQueue({ submitted, attempts }, context),
      // Asking again does not cost it its place.
      due: row !== undefined && isWaiting(row.status) ? Math.min(row.due, now) : now,
      error: '',
    },
  }
}

function trackElsewhere(row: Row | undefined, event: TrackEvent, { now }: TransitionContext): Transition {
  const status: RowStatus = event.place === 'sharded' ? 'sharded' : 'remote'
  const { submitted, direct } = event
  if (row === undefined) {
    const resting = { queue: undefined, generation: 0, attempts: 0, due: 0, size: 0, kept: false, error: '' }
    return keep({ ...resting, status, changed: now, submitted, direct })
  }
  if (row.status === status) return keep({ ...row, submitted, direct })
  // On its way out already, or never pinned here: only the name of its state changes.
  if (row.queue === 'unpin' || isPassive(row))
    return keep({ ...row, status, changed: now, submitted, direct })
  return { row: { ...queuedUnpin(row, now), status, submitted, direct }, cancel: true }
}

function untrack(row: Row | undefined, { now }: TransitionContext): Transition {
  if (row === undefined) return keep(undefined)
  if (row.queue === 'unpin') {
    return keep(isPassive(row) ? { ...row, status: 'unpin_queued', changed: now } : row)
  }
  // Never pinned here, so the daemon need not be asked.
  if (isPassive(row)) return keep(undefined)
  return { row: queuedUnpin(row, now), cancel: true }
}

function finished(
  row: Row,
  { size }: Extract<TrackerEvent, { type: 'done' }>,
  { now }: TransitionContext,
): Row | undefined {
  const resting = { queue: undefined, attempts: 0, due: 0, kept: false, error: '' }
  if (row.queue !== 'unpin')
    return { ...row, ...resting, status: 'pinned', changed: now, size: size ?? row.size }
  return isPassive(row) ? { ...row, ...resting } : undefined
}

function failed(
  row: Row,
  { error: reason, jitter, tooLarge, stalled = false }: Extract<TrackerEvent, { type: 'failed' }>,
  { now }: TransitionContext,
): Row {
  const attempts = row.attempts + 1
  const due = tooLarge === undefined ? now + retryDelayMs(attempts, jitter) : NEVER_DUE
  const error = stalled ? `${reason} (attempt ${attempts}, next at ${new Date(due).toISOString()})` : reason
  if (row.queue !== 'unpin') {
    const size = tooLarge ?? row.size
    return { ...row, status: 'pin_error', queue: 'retry', attempts, due, changed: now, size, error }
  }
  return { ...row, status: isPassive(row) ? row.status : 'unpin_error', attempts, due, changed: now, error }
}

function recovered(row: Row | undefined, scope: 'one' | 'all', context: TransitionContext): Row | undefined {
  if (row === undefined) return undefined
  const { now } = context
  if (row.status === 'unpin_error')
    return { ...row, status: 'unpin_queued', due: now, changed: now, error: '' }
  if (row.status !== 'pin_error' && row.status !== 'unexpectedly_unpinned') return row
  if (scope === 'all' && isTooLarge(row)) return row
  const queue = scope === 'all' && row.attempts > 0 ? 'retry' : pinQueue(row, context)
  return { ...row, status: 'pin_queued', queue, due: now, changed: now, error: '' }
}

function lost(row: Row | undefined, generation: number, context: TransitionContext): Row | undefined {
  if (row === undefined || row.status !== 'pinned' || row.generation !== generation) return row
  const { now } = context
  return {
    ...row,
    status: 'unexpectedly_unpinned',
    queue: pinQueue(row, context),
    due: now,
    changed: now,
    kept: false,
    error: LOST_ERROR,
  }
}

function isPassive({ status }: Row): boolean {
  return status === 'remote' || status === 'sharded'
}

function queuedUnpin(row: Row, now: number): Row {
  return {
    ...row,
    status: 'unpin_queued',
    queue: 'unpin',
    generation: row.generation + 1,
    attempts: 0,
    due: now,
    changed: now,
    size: 0,
    kept: false,
    error: '',
  }
}

function pinQueue(row: Pick<Row, 'submitted' | 'attempts'>, context: TransitionContext): QueueName {
  return isPriority(row, context) ? 'priority' : 'normal'
}
