/**
 * Which pins may be under way at once. `concurrent_pins` places are for pins that move. One that shows no sign of life for longer than is
 * usual stands aside: it goes on, but its place is free for another, and is its again when something comes. So content that nobody
 * provides, which makes the daemon wait and not work, costs the others next to nothing. Pure but for the time it is told.
 */
import type { Operation } from './operations.ts'
import { createPatience, MOVING_PATIENCE_MS } from './patience.ts'

export interface PlaceLimits {
  /** Pins that move, at most (`concurrent_pins`). */
  readonly pins: number
  /** Of these, retries. */
  readonly retries: number
  /** Fresh pins that stand aside; beyond it the one that has done so longest is given up, to be tried again later. */
  readonly aside: number
  /** Retries that stand aside; beyond it none is started. They are never given up before their time. */
  readonly retriesAside: number
}

/** Share of the places that retries may take; the others stay free for fresh pins. */
const RETRY_SHARE = 0.5
/** How many pins, of either kind, may stand aside for each place. */
const ASIDE_PER_PLACE = 5

export function placeLimits(concurrentPins: number): PlaceLimits {
  return {
    pins: concurrentPins,
    retries: Math.max(1, Math.floor(concurrentPins * RETRY_SHARE)),
    aside: concurrentPins * ASIDE_PER_PLACE,
    retriesAside: concurrentPins * ASIDE_PER_PLACE,
  }
}

/** Most places beyond the limit, as a multiple of it, that make up for those which pins hold until it shows that they do not move. */
const MOST_EXTRA = 2
/** Weight of all places given up before, against the next one. */
const MEMORY = 0.98

export interface Places {
  /** @param limit of pins that move, as far as the daemon bears it now. */
  mayStart(queue: 'fresh' | 'retry', limit: number): boolean
  /** @param now milliseconds of a monotonic clock, here and below. */
  enter(operation: Operation, now: number): void
  /** The daemon has told of progress. */
  moved(operation: Operation, now: number): void
  leave(operation: Operation, now: number, succeeded: boolean): void
  /** Lets those stand aside that have not moved. Gives what has to give up for them. */
  review(now: number): readonly GivenUp[]
  /** When `review` should be called next; `undefined` while nothing runs. */
  nextReview(): number | undefined
  /** Pins that stand aside. */
  aside(): number
}

export interface GivenUp {
  readonly operation: Operation
  /** Milliseconds without a sign of life. */
  readonly silentMs: number
}

interface Stay {
  readonly operation: Operation
  readonly enteredAt: number
  /** Of the last sign of life, or the beginning. */
  movedAt: number
  hasMoved: boolean
}

export function createPlaces(limits: PlaceLimits): Places {
  const patience = createPatience()
  // In the order of `movedAt`, those that have moved apart from those that have not.
  const silent = new Map<Operation, Stay>()
  const moving = new Map<Operation, Stay>()
  // In the order in which they stood aside.
  const aside = { fresh: new Map<Operation, Stay>(), retry: new Map<Operation, Stay>() }
  let retries = 0
  const spent = { useful: 0, idle: 0 }

  const kindOf = ({ queue }: Operation) => (queue === 'retry' ? 'retry' : 'fresh')
  const asideOf = (operation: Operation) => aside[kindOf(operation)]
  const countRetry = (operation: Operation, by: 1 | -1) => {
    if (operation.queue === 'retry') retries += by
  }
  const spend = (kind: 'useful' | 'idle', ms: number) => {
    spent.useful *= MEMORY
    spent.idle *= MEMORY
    spent[kind] += ms
  }
  /** Of the places, so many are held, by experience, by pins that will turn out not to move. */
  const extra = (limit: number) => {
    if (spent.idle === 0) return 0
    return Math.round(limit * Math.min(MOST_EXTRA, spent.idle / Math.max(1, spent.useful)))
  }
  const standAside = (stay: Stay, now: number) => {
    const { operation } = stay
    silent.delete(operation)
    moving.delete(operation)
    countRetry(operation, -1)
    spend('idle', now - stay.movedAt)
    asideOf(operation).set(operation, stay)
  }

  return {
    mayStart(queue, limit) {
      const held = silent.size + moving.size
      if (queue === 'fresh') return held < limit + extra(limit)
      return held < limit && retries < limits.retries && aside.retry.size < limits.retriesAside
    },
    enter(operation, now) {
      countRetry(operation, 1)
      silent.set(operation, { operation, enteredAt: now, movedAt: now, hasMoved: false })
    },
    moved(operation, now) {
      const waiting = asideOf(operation).get(operation)
      const stay = waiting ?? silent.get(operation) ?? moving.get(operation)
      if (stay === undefined) return
      if (!stay.hasMoved) patience.observed(now - stay.enteredAt)
      if (waiting !== undefined) {
        asideOf(operation).delete(operation)
        countRetry(operation, 1)
      }
      stay.movedAt = now
      stay.hasMoved = true
      silent.delete(operation)
      moving.delete(operation)
      moving.set(operation, stay)
    },
    leave(operation, now, succeeded) {
      const stay = silent.get(operation) ?? moving.get(operation)
      if (stay !== undefined) {
        countRetry(operation, -1)
        spend('useful', now - stay.enteredAt)
      }
      const left = stay ?? asideOf(operation).get(operation)
      if (succeeded && left !== undefined && !left.hasMoved) patience.observed(now - left.enteredAt)
      silent.delete(operation)
      moving.delete(operation)
      asideOf(operation).delete(operation)
    },
    review(now) {
      for (const [stays, allowedMs] of [
        [silent, patience.ms()],
        [moving, MOVING_PATIENCE_MS],
      ] as const) {
        for (const stay of stays.values()) {
          if (now - stay.movedAt < allowedMs) break
          standAside(stay, now)
        }
      }
      const givenUp: GivenUp[] = []
      for (const { operation, movedAt } of aside.fresh.values()) {
        if (aside.fresh.size - givenUp.length <= limits.aside) break
        givenUp.push({ operation, silentMs: now - movedAt })
      }
      for (const { operation } of givenUp) aside.fresh.delete(operation)
      return givenUp
    },
    nextReview() {
      const [first] = silent.values()
      const [firstMoving] = moving.values()
      if (first === undefined && firstMoving === undefined) return undefined
      return Math.min(
        first === undefined ? Number.POSITIVE_INFINITY : first.movedAt + patience.ms(),
        firstMoving === undefined ? Number.POSITIVE_INFINITY : firstMoving.movedAt + MOVING_PATIENCE_MS,
      )
    },
    aside: () => aside.fresh.size + aside.retry.size,
  }
}
