import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { newPin } from '@ipfs-cluster/api'
import * as fc from 'fast-check'
import { newOperation, type Operation } from './operations.ts'
import { createPatience, FIRST_PATIENCE_MS, MAX_PATIENCE_MS, MIN_PATIENCE_MS } from './patience.ts'
import { createPlaces, placeLimits } from './places.ts'
import type { QueueName } from './rows.ts'
import { testCid } from './test-world.ts'

let made = 0
function operation(queue: QueueName = 'priority'): Operation {
  const cid = testCid(made++)
  return newOperation({
    cid,
    kind: 'pin',
    queue,
    generation: 0,
    counted: true,
    kept: false,
    size: 0,
    pin: newPin(cid),
  })
}

describe('patience', () => {
  test('is a second at first, then follows what is usual, within bounds', () => {
    const patience = createPatience()
    assert.equal(patience.ms(), FIRST_PATIENCE_MS)
    for (let i = 0; i < 100; i++) patience.observed(i % 2 === 0 ? 180 : 220)
    assert.ok(patience.ms() > 220 && patience.ms() < 320, `${patience.ms()}`)
    for (let i = 0; i < 100; i++) patience.observed(1)
    assert.equal(patience.ms(), MIN_PATIENCE_MS)
    for (let i = 0; i < 100; i++) patience.observed(60_000)
    assert.equal(patience.ms(), MAX_PATIENCE_MS)
  })
})

describe('places', () => {
  test('are given back by who does not move, and taken again by who does', () => {
    const places = createPlaces(placeLimits(2))
    const [a, b, c] = [operation(), operation(), operation()]
    places.enter(a, 0)
    places.enter(b, 0)
    assert.equal(places.mayStart('fresh', 2), false)
    assert.equal(places.nextReview(), FIRST_PATIENCE_MS)
    places.moved(b, 10)
    assert.deepEqual(places.review(60), [])
    assert.deepEqual([places.aside(), places.mayStart('fresh', 2)], [1, true])
    places.enter(c, 60)
    places.moved(a, 70)
    assert.deepEqual([places.aside(), places.mayStart('retry', 2)], [0, false])
  })

  test('retries take half of them, none beyond the limit, and are never given up', () => {
    const limits = placeLimits(4)
    const places = createPlaces(limits)
    let now = 0
    for (let i = 0; i < limits.retriesAside; i++) {
      assert.ok(places.mayStart('retry', 4))
      places.enter(operation('retry'), now)
      now += 6_000
      assert.deepEqual(places.review(now), [])
    }
    assert.equal(places.mayStart('retry', 4), false)
    assert.equal(places.mayStart('fresh', 4), true)
  })

  test('beyond the room aside the one that has waited longest is given up', () => {
    const limits = placeLimits(1)
    const places = createPlaces(limits)
    const all = Array.from({ length: limits.aside + 2 }, () => operation())
    const givenUp: Operation[] = []
    let now = 0
    for (const one of all) {
      places.enter(one, now)
      now += FIRST_PATIENCE_MS
      givenUp.push(...places.review(now).map(({ operation: given }) => given))
    }
    assert.deepEqual(givenUp, all.slice(0, 2))
    assert.equal(places.aside(), limits.aside)
  })

  test('content that nobody provides, a fifth of all, slows the rest by less than a tenth', () => {
    // A daemon of 50 ms a pin, ten places, in steps of a millisecond.
    const simulate = (deadShare: number) => {
      const places = createPlaces(placeLimits(10))
      const running = new Map<Operation, number>()
      let [live, started, most] = [0, 0, 0]
      for (let now = 0; now < 60_000; now++) {
        for (const [one, end] of running) {
          if (end > now) continue
          running.delete(one)
          places.leave(one, now, true)
          if (now >= 10_000) live++
        }
        for (const { operation: given } of places.review(now)) running.delete(given)
        while (places.mayStart('fresh', 10)) {
          const one = operation()
          started++
          // Every fifth, but not in step with anything.
          const isDead = (Math.imul(started, 0x9e3779b1) >>> 0) / 2 ** 32 < deadShare
          running.set(one, isDead ? Number.POSITIVE_INFINITY : now + 50)
          places.enter(one, now)
        }
        most = Math.max(most, running.size)
      }
      return { perSecond: live / 50, most }
    }
    const without = simulate(0)
    const withDead = simulate(0.2)
    assert.ok(without.perSecond > 195 && without.most <= 10, JSON.stringify(without))
    assert.ok(withDead.perSecond > 0.9 * without.perSecond, JSON.stringify(withDead))
    // The places, those that make up for the dead, and those aside.
    assert.ok(withDead.perSecond < 1.1 * without.perSecond && withDead.most <= 10 + 20 + 50 + 1)
  })

  test('never lose count, whatever happens', () => {
    const step = fc.record({
      what: fc.constantFrom('enter', 'retry', 'moved', 'leave', 'review'),
      at: fc.nat(20),
      ms: fc.nat(4_000),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), steps => {
        const limits = placeLimits(3)
        const places = createPlaces(limits)
        const inside: Operation[] = []
        let now = 0
        for (const { what, at, ms } of steps) {
          now += ms
          const one = inside[at % Math.max(1, inside.length)]
          if (what === 'enter' || what === 'retry') {
            if (!places.mayStart(what === 'enter' ? 'fresh' : 'retry', 3)) continue
            const entered = operation(what === 'enter' ? 'priority' : 'retry')
            inside.push(entered)
            places.enter(entered, now)
          } else if (what === 'review') {
            for (const { operation: given } of places.review(now)) {
              assert.notEqual(given.queue, 'retry')
              inside.splice(inside.indexOf(given), 1)
              places.leave(given, now, false)
            }
            assert.ok(places.aside() <= limits.aside + limits.retriesAside)
          } else if (one !== undefined && what === 'moved') places.moved(one, now)
          else if (one !== undefined) {
            inside.splice(inside.indexOf(one), 1)
            places.leave(one, now, at % 2 === 0)
          }
        }
        for (const one of inside) places.leave(one, now, false)
        assert.deepEqual([places.aside(), places.nextReview()], [0, undefined])
        assert.ok(places.mayStart('retry', 3), 'all places are free again')
      }),
    )
  })
})
