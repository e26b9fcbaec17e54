import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BUSY_STARTS_PER_SECOND, CHANGES_FRESH_MS, createPace } from './pace.ts'

/** How many of `asked` may start at each millisecond of a second. */
function startedInASecond(utilization: number, changes: boolean, isAwaited = false): number {
  const pace = createPace(
    () => utilization,
    () => isAwaited,
  )
  let started = 0
  for (let now = 0; now < 1000; now++) {
    if (changes) pace.changed(now)
    for (let asked = 0; asked < 5; asked++) if (pace.mayStart(now)) started++
  }
  return started
}

test('while the process is busy with changes, or somebody waits, pins are started at a bounded rate', () => {
  for (const started of [startedInASecond(0.97, true), startedInASecond(0.5, true, true)]) {
    assert(
      started >= BUSY_STARTS_PER_SECOND && started <= BUSY_STARTS_PER_SECOND + 5,
      `${started} were started`,
    )
  }
})

test('a process that has time, or whose pinset does not change, starts what is asked for', () => {
  assert.equal(startedInASecond(0.5, true), 5000)
  assert.equal(startedInASecond(1, false), 5000)
  assert.equal(startedInASecond(1, false, true), 5000)
})

test('the rate is lifted soon after the last change', () => {
  const pace = createPace(
    () => 1,
    () => true,
  )
  pace.changed(0)
  while (pace.mayStart(0));
  assert(!pace.mayStart(0))
  for (let asked = 0; asked < 100; asked++) assert(pace.mayStart(CHANGES_FRESH_MS))
})
