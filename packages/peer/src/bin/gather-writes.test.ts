import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { gatherWrites } from './gather-writes.ts'

function recorded() {
  const groups: string[] = []
  const stream = new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      groups.push(String(chunk))
      done()
    },
    writev(chunks, done) {
      groups.push(chunks.map(({ chunk }) => String(chunk)).join(''))
      done()
    },
  })
  return { groups, stream, release: gatherWrites(stream) }
}

test('what is written in one turn goes out together, in order', async () => {
  const { groups, stream } = recorded()
  stream.write('a')
  stream.write('b')
  assert.deepEqual(groups, [])
  await turn()
  stream.write('c')
  await turn()
  assert.deepEqual(groups, ['ab', 'c'])
})

test('at the end nothing is held back', () => {
  const { groups, stream, release } = recorded()
  stream.write('a')
  stream.write('b')
  release()
  release()
  assert.deepEqual(groups, ['ab'])
})
