import assert from 'node:assert/strict'
import { test } from 'node:test'
import { firstOfTurn, gather } from './gather.ts'

test('what is asked in one turn goes together, up to the limit, and each gets its answer', async () => {
  const groups: number[][] = []
  const ask = gather(4, (items: readonly number[]) => {
    groups.push([...items])
    return Promise.resolve(items.map(n => n * 2))
  })
  assert.deepEqual(await Promise.all([1, 2, 3, 4, 5].map(ask)), [2, 4, 6, 8, 10])
  assert.equal(await ask(6), 12)
  assert.deepEqual(groups, [[1, 2, 3, 4], [5], [6]])
})

test('a failure is that of everybody in the group, and of nobody after it', async () => {
  let failing = true
  const ask = gather(10, async (items: readonly number[]) => {
    if (failing) throw new Error('no')
    return items
  })
  const results = await Promise.allSettled([ask(1), ask(2)])
  assert.deepEqual(
    results.map(({ status }) => status),
    ['rejected', 'rejected'],
  )
  failing = false
  assert.equal(await ask(3), 3)
})

test('too few answers are a failure', async () => {
  const ask = gather(10, (_items: readonly number[]) => Promise.resolve([1]))
  await assert.rejects(Promise.all([ask(1), ask(2)]), /1 answers to 2 questions/)
})

test('a question waits for no other that is under way', async () => {
  const first = Promise.withResolvers<readonly number[]>()
  let calls = 0
  const ask = gather(10, (items: readonly number[]) =>
    calls++ === 0 ? first.promise : Promise.resolve(items),
  )
  const slow = ask(1)
  await new Promise(resolve => setImmediate(resolve))
  assert.equal(await ask(2), 2)
  first.resolve([1])
  assert.equal(await slow, 1)
})

test('one is the first of a turn, until the event loop has turned', async () => {
  const isFirst = firstOfTurn()
  for (let turn = 0; turn < 3; turn++) {
    assert.deepEqual([isFirst(), isFirst(), isFirst()], [true, false, false])
    await new Promise(resolve => setImmediate(resolve))
  }
})
