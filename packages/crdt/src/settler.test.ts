import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTaskScope, silentLogger, systemRandom } from '@ipfs-cluster/base'
import { createManualClock } from '@ipfs-cluster/testkit'
import type { Head } from './heads.ts'
import { BURST_MESSAGES, MAX_SETTLE_MS, SETTLE_MS } from './limits.ts'
import { linkOfDigest } from './node.ts'
import { Settler } from './settler.ts'

const head = (n: number): Head => ({ ...linkOfDigest(new Uint8Array(32).fill(n)), height: 1 })

function setup() {
  const clock = createManualClock()
  const heads = new Map([1, 2].map(n => [head(n).id, head(n)]))
  const scope = createTaskScope(silentLogger)
  let announced = 0
  const settler = new Settler({
    clock,
    random: systemRandom,
    scope,
    heads: () => heads,
    announce: async () => {
      announced++
    },
  })
  return { clock, settler, scope, heads: [...heads.values()].map(({ cid }) => cid), count: () => announced }
}

test('a burst ends in one announcement of all heads, once it is quiet', async () => {
  const { clock, settler, scope, count } = setup()
  await using _ = scope
  for (let i = 0; i < 100; i++) settler.message([])
  await clock.advance(SETTLE_MS / 2 - 1)
  settler.message([])
  assert.equal(count(), 0)
  await clock.advance(4 * SETTLE_MS)
  assert.equal(count(), 1)
  await clock.advance(10 * MAX_SETTLE_MS)
  assert.equal(count(), 1)
})

test('a few announcements are no burst', async () => {
  const { clock, settler, scope, count } = setup()
  await using _ = scope
  for (let i = 1; i < BURST_MESSAGES; i++) settler.message([])
  await clock.advance(MAX_SETTLE_MS)
  assert.equal(count(), 0)
})

test('a peer that hears all heads of another keeps quiet', async () => {
  const { clock, settler, scope, heads, count } = setup()
  await using _ = scope
  for (let i = 0; i < 100; i++) settler.message([])
  await clock.advance(SETTLE_MS / 2 - 1)
  settler.message(heads)
  await clock.advance(MAX_SETTLE_MS)
  assert.equal(count(), 0)
})

test('a burst that does not end is interrupted', async () => {
  const { clock, settler, scope, count } = setup()
  await using _ = scope
  for (let i = 0; i < 300; i++) {
    settler.message([])
    await clock.advance(100)
  }
  assert.ok(count() >= 1 && count() <= 4, String(count()))
})
