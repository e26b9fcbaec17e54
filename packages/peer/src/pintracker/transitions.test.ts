import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import type { Row } from './rows.ts'
import {
  isPriority,
  LOST_ERROR,
  RETRY_BASE_MS,
  RETRY_CAP_MS,
  retryDelayMs,
  transition,
  type TrackerEvent,
  type TransitionContext,
} from './transitions.ts'
import { DEFAULT_PIN_TRACKER_CONFIG } from './types.ts'

const NOW = 1_700_000_000_000
const HOUR = 3_600_000
const context: TransitionContext = { now: NOW, config: DEFAULT_PIN_TRACKER_CONFIG }

type TrackEvent = Extract<TrackerEvent, { type: 'track' }>

const here: TrackEvent = {
  type: 'track',
  place: 'here',
  submitted: NOW - HOUR,
  direct: false,
  size: 0,
  continues: false,
}
const remote: TrackEvent = { ...here, place: 'remote' }

/** The row after these events. */
function after(...events: readonly TrackerEvent[]): Row | undefined {
  let row: Row | undefined
  for (const event of events) row = transition(row, event, context).row
  return row
}

const failure = (generation = 0): TrackerEvent => ({
  type: 'failed',
  generation,
  error: 'no route',
  jitter: 1,
})

describe('pins kept here', () => {
  test('wait, recent ones first', () => {
    assert.deepEqual(after(here), {
      status: 'pin_queued',
      queue: 'priority',
      generation: 0,
      attempts: 0,
      due: NOW,
      changed: NOW,
      submitted: NOW - HOUR,
      direct: false,
      size: 0,
      kept: false,
      error: '',
    })
    assert.equal(after({ ...here, submitted: NOW - 25 * HOUR })?.queue, 'normal')
    assert.equal(after({ ...here, submitted: 0 })?.queue, 'normal')
  })

  test('rest when pinned', () => {
    const row = after(here, { type: 'done', generation: 0 })
    assert.equal(row?.status, 'pinned')
    assert.equal(row?.queue, undefined)
  })

  test('after a failure wait behind the fresh ones, longer every time', () => {
    let row = after(here)
    let due = NOW
    for (let attempts = 1; attempts <= 12; attempts++) {
      row = transition(row, failure(), context).row
      assert.equal(row?.status, 'pin_error')
      assert.equal(row?.queue, 'retry')
      assert.equal(row?.attempts, attempts)
      assert.equal(row?.error, 'no route')
      assert.ok((row?.due ?? 0) >= due)
      due = row?.due ?? 0
    }
    assert.equal(due, NOW + RETRY_CAP_MS)
  })

  test('asked again, keep their attempts and their place', () => {
    assert.equal(after(here, failure(), here)?.attempts, 1)
    assert.equal(after(here, failure(), here)?.queue, 'priority')
    const often = after(here, ...Array.from({ length: 6 }, () => failure()), here)
    assert.equal(often?.queue, 'normal', 'too many attempts for priority')
    const waiting = after(here)
    const later = transition(waiting, here, { ...context, now: NOW + 500 })
    assert.equal(later.row?.due, NOW)
  })

  test('asked for differently, the operation under way no longer counts', () => {
    const { row, cancel } = transition(after(here), here, context)
    assert.equal(cancel, true)
    assert.equal(transition(row, { type: 'done', generation: 0 }, context).row, row)
    assert.equal(transition(row, { type: 'done', generation: 1 }, context).row?.status, 'pinned')
  })

  test('asked for the same, the operation under way still counts', () => {
    const { row, cancel } = transition(after(here), { ...here, continues: true }, context)
    assert.equal(cancel, false)
    assert.equal(transition(row, { type: 'done', generation: 0 }, context).row?.status, 'pinned')
  })
})

describe('pins kept elsewhere', () => {
  test('never pinned here need nothing', () => {
    assert.equal(after(remote)?.status, 'remote')
    assert.equal(after(remote)?.queue, undefined)
    assert.equal(after(remote, { type: 'untrack' }), undefined)
    assert.equal(after({ ...here, place: 'sharded' })?.status, 'sharded')
  })

  test('pinned here before are unpinned, and called remote all the while', () => {
    const leaving = after(here, { type: 'done', generation: 0 }, remote)
    assert.deepEqual([leaving?.status, leaving?.queue], ['remote', 'unpin'])
    const failed = transition(leaving, failure(1), context).row
    assert.deepEqual([failed?.status, failed?.queue, failed?.error], ['remote', 'unpin', 'no route'])
    const gone = transition(leaving, { type: 'done', generation: 1 }, context).row
    assert.deepEqual([gone?.status, gone?.queue], ['remote', undefined])
  })
})

describe('pins that left the pinset', () => {
  test('are unpinned and forgotten', () => {
    const leaving = after(here, { type: 'untrack' })
    assert.deepEqual([leaving?.status, leaving?.queue], ['unpin_queued', 'unpin'])
    assert.equal(transition(leaving, { type: 'done', generation: 1 }, context).row, undefined)
    const failed = transition(leaving, failure(1), context).row
    assert.deepEqual([failed?.status, failed?.attempts], ['unpin_error', 1])
    assert.equal(transition(failed, { type: 'recover', scope: 'one' }, context).row?.status, 'unpin_queued')
  })

  test('an operation under way is stopped', () => {
    assert.equal(transition(after(here), { type: 'untrack' }, context).cancel, true)
  })
})

describe('recovery', () => {
  test('asked for one, goes first; in a sweep, failed ones stay behind fresh ones', () => {
    const row = after(here, failure())
    assert.equal(transition(row, { type: 'recover', scope: 'one' }, context).row?.queue, 'priority')
    const swept = transition(row, { type: 'recover', scope: 'all' }, context).row
    assert.deepEqual([swept?.status, swept?.queue, swept?.due], ['pin_queued', 'retry', NOW])
  })

  test('lost pins are told and queued', () => {
    const row = after(here, { type: 'done', generation: 0 }, { type: 'lost', generation: 0 })
    assert.deepEqual([row?.status, row?.queue, row?.error], ['unexpectedly_unpinned', 'priority', LOST_ERROR])
    assert.equal(transition(row, { type: 'recover', scope: 'all' }, context).row?.status, 'pin_queued')
    const pinned = after(here, { type: 'done', generation: 0 })
    assert.equal(transition(pinned, { type: 'lost', generation: 7 }, context).row, pinned)
  })

  test('what rests needs none', () => {
    for (const row of [after(here), after(remote), after(here, { type: 'done', generation: 0 })]) {
      assert.equal(transition(row, { type: 'recover', scope: 'one' }, context).row, row)
    }
  })
})

test('the wait after a failure doubles, is jittered by half, and capped', () => {
  assert.equal(retryDelayMs(1, 0), RETRY_BASE_MS / 2)
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 10_000 }),
      fc.double({ min: 0, max: 0.999, noNaN: true }),
      (attempts, jitter) => {
        const full = Math.min(RETRY_CAP_MS, RETRY_BASE_MS * 2 ** (attempts - 1))
        const delay = retryDelayMs(attempts, jitter)
        assert.ok(delay >= Math.floor(full / 2) && delay <= full)
      },
    ),
  )
})

type Step =
  | {
      readonly kind: 'track'
      readonly place: 'here' | 'remote' | 'sharded'
      readonly request: number
      readonly ageMs: number
    }
  | { readonly kind: 'untrack' | 'start' | 'lose' | 'recover' | 'recoverAll' }
  | { readonly kind: 'end'; readonly outcome: 'done' | 'failed' | 'released'; readonly reached: boolean }
  | { readonly kind: 'wait'; readonly ms: number }

const anyStep: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('track' as const),
    place: fc.constantFrom('here' as const, 'here' as const, 'remote' as const, 'sharded' as const),
    request: fc.nat(1),
    ageMs: fc.constantFrom(0, 30 * HOUR),
  }),
  fc.record({
    kind: fc.constantFrom('untrack' as const, 'lose' as const, 'recover' as const, 'recoverAll' as const),
  }),
  fc.record({ kind: fc.constant('start' as const) }),
  fc.record({
    kind: fc.constant('end' as const),
    outcome: fc.constantFrom('done' as const, 'failed' as const, 'released' as const),
    reached: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('wait' as const), ms: fc.nat(100_000) }),
)

/** One CID with a daemon, and what the pinset wants of it. */
class Model {
  row: Row | undefined
  wanted: 'here' | 'remote' | 'sharded' | 'nothing' = 'nothing'
  request = 0
  inDaemon = false
  everHere = false
  now = NOW
  operation:
    | {
        readonly kind: 'pin' | 'unpin'
        readonly generation: number
        readonly request: number
        cancelled: boolean
      }
    | undefined

  apply(event: TrackerEvent): void {
    const before = this.row
    const { row, cancel } = transition(before, event, { ...context, now: this.now })
    checkRow(before, row, event)
    if (cancel && this.operation !== undefined) this.operation.cancelled = true
    if (before !== undefined && row !== undefined && !cancel) assert.equal(row.generation, before.generation)
    this.row = row
    if (row?.status === 'pinned') assert.equal(this.inDaemon, true, 'pinned is never said of what is not')
    if (row === undefined) assert.equal(this.inDaemon, false, 'nothing is forgotten in the daemon')
  }

  step(step: Step): void {
    switch (step.kind) {
      case 'track': {
        const continues =
          this.operation?.kind === 'pin' &&
          !this.operation.cancelled &&
          this.operation.request === step.request
        this.wanted = step.place
        this.request = step.request
        this.everHere ||= step.place === 'here'
        this.apply({
          type: 'track',
          place: step.place,
          submitted: this.now - step.ageMs,
          direct: false,
          size: 0,
          continues,
        })
        break
      }
      case 'untrack':
        this.wanted = 'nothing'
        this.apply({ type: 'untrack' })
        break
      case 'start':
        if (this.operation !== undefined || this.row?.queue === undefined || this.row.due > this.now) break
        this.operation = {
          kind: this.row.queue === 'unpin' ? 'unpin' : 'pin',
          generation: this.row.generation,
          request: this.request,
          cancelled: false,
        }
        break
      case 'end':
        this.end(step.outcome, step.reached)
        break
      case 'lose':
        if (this.operation !== undefined || this.row?.status !== 'pinned') break
        this.inDaemon = false
        this.apply({ type: 'lost', generation: this.row.generation })
        break
      case 'recover':
      case 'recoverAll':
        if (this.operation === undefined)
          this.apply({ type: 'recover', scope: step.kind === 'recover' ? 'one' : 'all' })
        break
      case 'wait':
        this.now += step.ms
        break
    }
  }

  /** @param reached whether a call that did not succeed had its effect in the daemon all the same. */
  end(outcome: 'done' | 'failed' | 'released', reached: boolean): void {
    const { operation } = this
    if (operation === undefined) return
    this.operation = undefined
    const stopped = operation.cancelled && operation.kind === 'pin'
    const result = stopped ? 'released' : outcome
    if (result === 'done' || reached) this.inDaemon = operation.kind === 'pin'
    const { generation } = operation
    if (result === 'done') this.apply({ type: 'done', generation })
    else if (result === 'failed') this.apply({ type: 'failed', generation, error: 'x', jitter: 0.5 })
    else this.apply({ type: 'released' })
  }
}

function checkRow(before: Row | undefined, row: Row | undefined, event: TrackerEvent): void {
  if (row === undefined) return
  const { status, queue } = row
  if (status === 'pin_queued' || status === 'pin_error' || status === 'unexpectedly_unpinned') {
    assert.ok(queue !== undefined && queue !== 'unpin', `${status} waits in ${queue}`)
  } else if (status === 'unpin_queued' || status === 'unpin_error') assert.equal(queue, 'unpin')
  else if (status === 'pinned') assert.equal(queue, undefined)
  else assert.ok(queue === undefined || queue === 'unpin')
  if (queue === 'priority') assert.ok(row.attempts <= context.config.priorityPinMaxRetries)
  if (before === undefined) return
  assert.ok(row.generation >= before.generation)
  if (event.type === 'failed' && event.generation === before.generation) {
    assert.equal(row.attempts, before.attempts + 1)
    assert.ok(queue === 'retry' || queue === 'unpin', 'a failure never stays before the fresh ones')
  } else if (event.type === 'recover') assert.equal(row.attempts, before.attempts)
}

describe('for any history of one CID', () => {
  test('in the end the daemon has it exactly when the pinset wants it here', () => {
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 60 }), steps => {
        const model = new Model()
        for (const step of steps) model.step(step)
        model.end('released', false)
        for (let rounds = 0; model.row?.queue !== undefined; rounds++) {
          assert.ok(rounds < 5, 'it comes to rest')
          model.now = Math.max(model.now, model.row.due)
          model.step({ kind: 'start' })
          model.end('done', true)
        }
        assert.equal(model.row?.status ?? 'nothing', model.wanted === 'here' ? 'pinned' : model.wanted)
        assert.equal(model.inDaemon, model.wanted === 'here')
        if (!model.everHere)
          assert.equal(model.row?.generation ?? 0, 0, 'no operation for what was never here')
      }),
      { numRuns: 5000 },
    )
  })
})

test('priority ends with age and with attempts', () => {
  const at = (submitted: number, attempts: number) => isPriority({ submitted, attempts }, context)
  assert.equal(at(NOW - 24 * HOUR + 1, 5), true)
  assert.equal(at(NOW - 24 * HOUR, 0), false)
  assert.equal(at(NOW, 6), false)
})
