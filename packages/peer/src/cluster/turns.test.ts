import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createTurns,
  COUNTED_MS,
  LEAST_CHANGES,
  MOST_CHANGES,
  QUESTIONS_PER_CHANGE,
  RETURNS_MS,
  type Turns,
} from './turns.ts'

function testTurns() {
  let now = 0
  return { turns: createTurns({ monotonic: () => now }), pass: (ms: number) => (now += ms) }
}

/** Just after so many questions in the time over which they are counted. */
async function turnsAfter(questions: number): Promise<Turns> {
  const { turns, pass } = testTurns()
  await Promise.all(times(questions, () => turns.ask(async () => undefined)))
  pass(COUNTED_MS)
  return turns
}

/** Work that is held until it is let go; `begun` counts. */
function heldWork() {
  const held = Promise.withResolvers<void>()
  const work = {
    begun: 0,
    run: async () => {
      work.begun++
      await held.promise
    },
    letGo: held.resolve,
  }
  return work
}

const times = <T>(count: number, make: () => T) => Array.from({ length: count }, make)

/** Changes that begin after so many questions. */
async function changesAfter(questions: number): Promise<number> {
  const turns = await turnsAfter(questions)
  const work = heldWork()
  const all = times(2 * MOST_CHANGES, () => turns.change(work.run))
  await Promise.resolve()
  const { begun } = work
  work.letGo()
  await Promise.all(all)
  assert.equal(work.begun, 2 * MOST_CHANGES, 'all of them have their turn')
  return begun
}

test('the more is asked, the fewer changes are worked at together, but always some', async () => {
  const perChange = (QUESTIONS_PER_CHANGE * COUNTED_MS) / 1000
  assert.equal(await changesAfter(0), 2 * MOST_CHANGES)
  assert.equal(await changesAfter(perChange - 1), 2 * MOST_CHANGES, 'a look now and then slows down nobody')
  assert.equal(await changesAfter(perChange), MOST_CHANGES - 1)
  assert.equal(await changesAfter(10 * perChange), MOST_CHANGES - 10)
  assert.equal(await changesAfter(1000 * perChange), LEAST_CHANGES)
})

test('changes have their room again once nobody asks', async () => {
  const { turns, pass } = testTurns()
  await Promise.all(times(10_000, () => turns.ask(async () => undefined)))
  pass(COUNTED_MS)
  const [before, after] = [heldWork(), heldWork()]
  const first = times(MOST_CHANGES, () => turns.change(before.run))
  await Promise.resolve()
  assert.equal(before.begun, LEAST_CHANGES)
  pass(COUNTED_MS)
  const second = times(MOST_CHANGES - LEAST_CHANGES, () => turns.change(after.run))
  await Promise.resolve()
  before.letGo()
  await Promise.all(first)
  assert.equal(after.begun, MOST_CHANGES - LEAST_CHANGES)
  after.letGo()
  await Promise.all(second)
})

test('a question begins at once, whatever is under way', async () => {
  const turns = await turnsAfter(10_000)
  const work = heldWork()
  const changes = times(2 * MOST_CHANGES, () => turns.change(work.run))
  assert.equal(await turns.ask(async () => 'known'), 'known')
  work.letGo()
  await Promise.all(changes)
})

test('somebody waits as long as a question or a change is under way, and may come again', async () => {
  const { turns, pass } = testTurns()
  assert(!turns.isAwaited())
  for (const kind of ['ask', 'change'] as const) {
    const work = heldWork()
    const given = turns[kind](work.run)
    assert(turns.isAwaited())
    work.letGo()
    await given
    pass(RETURNS_MS - 1)
    assert(turns.isAwaited())
    pass(1)
    assert(!turns.isAwaited())
    await assert.rejects(
      turns[kind](() => Promise.reject(new Error('not known'))),
      /not known/,
    )
    assert(turns.isAwaited())
    pass(RETURNS_MS)
    assert(!turns.isAwaited())
  }
})

test('a change whose caller has left takes no room', async () => {
  const turns = await turnsAfter(10_000)
  const work = heldWork()
  const all = times(LEAST_CHANGES, () => turns.change(work.run))
  const left = new AbortController()
  const given = turns.change(work.run, { signal: left.signal })
  left.abort(new Error('the client left'))
  await assert.rejects(given, /the client left/)
  work.letGo()
  await Promise.all(all)
  assert.equal(work.begun, LEAST_CHANGES)
})
