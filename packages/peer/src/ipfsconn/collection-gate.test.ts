import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createManualClock } from '@ipfs-cluster/testkit'
import { ADD_WAIT_MS, ADD_YIELD_MS, COLLECTION_WAIT_MS, createCollectionGate } from './collection-gate.ts'

const stateOf = async (promise: Promise<unknown>) => {
  const pending = Symbol('pending')
  for (let turn = 0; turn < 5; turn++) await Promise.resolve()
  return (await Promise.race([promise, Promise.resolve(pending)])) === pending ? 'waits' : 'passed'
}

test('adds and collections wait for each other; each goes beside its own kind', async () => {
  const gate = createCollectionGate(createManualClock())
  const [first, second] = [await gate.enter(), await gate.enter()]
  const collecting = gate.collect()
  first[Symbol.dispose]()
  first[Symbol.dispose]()
  assert.equal(await stateOf(collecting), 'waits')
  const third = await gate.stay()
  second[Symbol.dispose]()
  assert.equal(await stateOf(collecting), 'waits')
  third[Symbol.dispose]()
  const collection = await collecting
  const another = await gate.collect()
  const entering = gate.enter()
  collection[Symbol.dispose]()
  assert.equal(await stateOf(entering), 'waits')
  another[Symbol.dispose]()
  ;(await entering)[Symbol.dispose]()
})

test('adds that follow each other let a collection in between, but do not wait long for their turn', async () => {
  const clock = createManualClock()
  const gate = createCollectionGate(clock)
  const first = await gate.enter()
  const collecting = gate.collect()
  const next = gate.enter()
  assert.equal(await stateOf(next), 'waits')
  first[Symbol.dispose]()
  const collection = await collecting
  assert.equal(await stateOf(next), 'waits')
  collection[Symbol.dispose]()
  const second = await next
  const again = gate.collect()
  const impatient = gate.enter()
  await clock.advance(ADD_YIELD_MS)
  const third = await impatient
  assert.equal(await stateOf(again), 'waits')
  second[Symbol.dispose]()
  third[Symbol.dispose]()
  ;(await again)[Symbol.dispose]()
})

test('nobody waits for ever, and whoever is refused is told why', async () => {
  const clock = createManualClock()
  const gate = createCollectionGate(clock)
  const add = await gate.enter()
  const refused = assert.rejects(gate.collect(), {
    code: 'IPFS_HELD',
    message: /garbage collection is held back: 1 add puts blocks here.*within 120 s; collect again later/,
  })
  await clock.advance(COLLECTION_WAIT_MS)
  await refused
  add[Symbol.dispose]()
  using _collection = await gate.collect()
  const waiting = assert.rejects(gate.enter(), {
    code: 'IPFS_COLLECTING',
    message: /IPFS is collecting garbage.*within 90 s; add again later/,
  })
  await clock.advance(ADD_WAIT_MS)
  await waiting
  await assert.rejects(gate.enter({ signal: AbortSignal.abort(new Error('gone')) }), /gone/)
})
