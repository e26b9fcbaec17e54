import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8, utf8Text } from './bytes.ts'
import { groupReads } from './grouped-reads.ts'

const NAMES = Array.from({ length: 150 }, (_, i) => `key ${i}`)

function world(answer: (names: readonly string[]) => Promise<void> = () => Promise.resolve()) {
  const calls: string[][] = []
  const getMany = groupReads(async keys => {
    const names = keys.map(utf8Text)
    calls.push(names)
    await answer(names)
    return names.map(name => (name.startsWith('no') ? undefined : utf8(`value of ${name}`)))
  })
  const read = async (...names: string[]) =>
    (await getMany(names.map(utf8))).map(value => (value === undefined ? undefined : utf8Text(value)))
  return { calls, read }
}

test('what is asked for in one turn is read in one call, and everybody gets the own', async () => {
  const { calls, read } = world()
  const answers = await Promise.all([read('a'), read('none', 'b'), read(), read('c')])
  assert.deepEqual(answers, [['value of a'], [undefined, 'value of b'], [], ['value of c']])
  assert.deepEqual(calls, [['a', 'none', 'b', 'c']])
  assert.deepEqual(await read('d'), ['value of d'])
  assert.equal(calls.length, 2)
})

test('a call stays small, a large request is one of its own, and nothing is read twice', async () => {
  const { calls, read } = world()
  const single = NAMES.map(name => read(name))
  const large = read(...NAMES)
  assert.deepEqual((await Promise.all(single)).flat(), await large)
  assert.ok(calls.length <= 4)
  assert.equal(calls.flat().length, 2 * NAMES.length)
})

test('a failure reaches those of its call alone', async () => {
  const { read } = world(names =>
    names.includes('bad') ? Promise.reject(new Error('broken')) : Promise.resolve(),
  )
  const first = [read('bad'), read('a')]
  for (const each of first) await assert.rejects(each, { message: 'broken' })
  assert.deepEqual(await read('b'), ['value of b'])
})
