/**
 * Who asks goes before who changes. What a busy peer works at together makes all of it slower, so the more is asked, the fewer single pins and unpins
 * are worked at: a script that pins a million can wait for some milliseconds, those who want to know of a pin should not.
 */
import { Limiter, type AbortOptions, type Clock } from '@ipfs-cluster/base'

/** Changes worked at together at most as soon as something is asked; as many as there are while nothing is. */
export const MOST_CHANGES = 40
/** However much is asked. */
export const LEAST_CHANGES = 4
/** Questions a second that take the place of one change; fewer are nothing. */
export const QUESTIONS_PER_CHANGE = 40
/**
 * Milliseconds over which questions are counted: most wait in a socket until they are answered at once, so few are ever under way. Longer, and those
 * who come together wait for all changes that begin until then; they are let in one by one, one in a turn of the event loop.
 */
export const COUNTED_MS = 25
/** Milliseconds for which somebody who was answered is expected to come again: a client that does one thing after the other is away for a moment each time. */
export const RETURNS_MS = 20

export interface Turns {
  /** A question begins at once. */
  ask<T>(work: () => Promise<T>): Promise<T>
  /**
   * A change begins when there is room, in the order of arrival. Rejects with the signal's reason when that fires before. `work` must not wait for a
   * turn of its own. As many wait as there are callers, each with its connection.
   */
  change<T>(work: () => Promise<T>, options?: AbortOptions): Promise<T>
  /** Whether somebody waits for either, or did a moment ago. */
  isAwaited(): boolean
}

export function createTurns(clock: Pick<Clock, 'monotonic'>): Turns {
  let underWay = 0
  let endedAt = Number.NEGATIVE_INFINITY
  let counted = { since: clock.monotonic(), questions: 0 }
  let perSecond = 0
  const questionsPerSecond = () => {
    const now = clock.monotonic()
    const passed = now - counted.since
    if (passed < COUNTED_MS) return perSecond
    perSecond = (counted.questions * 1000) / passed
    counted = { since: now, questions: 0 }
    return perSecond
  }
  const changes = new Limiter(() => {
    const places = Math.floor(questionsPerSecond() / QUESTIONS_PER_CHANGE)
    return places === 0 ? Number.POSITIVE_INFINITY : Math.max(LEAST_CHANGES, MOST_CHANGES - places)
  })
  return {
    async ask(work) {
      underWay++
      counted.questions++
      try {
        return await work()
      } finally {
        underWay--
        endedAt = clock.monotonic()
      }
    },
    async change(work, options) {
      try {
        return await changes.run(work, options)
      } finally {
        endedAt = clock.monotonic()
      }
    },
    isAwaited: () => underWay + changes.active > 0 || clock.monotonic() - endedAt < RETURNS_MS,
  }
}
