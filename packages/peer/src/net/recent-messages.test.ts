import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createRecentMessages, sequenceBytes } from './recent-messages.ts'

const idPrefix = new Uint8Array(16).fill(7)

const START = 1_790_000_000_000_000_000n

function setup() {
  const wanted: { peer: string; ids: readonly Uint8Array[] }[] = []
  const recent = createRecentMessages({
    want: (peer, ids) => wanted.push({ peer, ids }),
    now: () => START + 3_600_000_000_000n,
  })
  const heard = (author: string, sequence: bigint, forwarder = author) =>
    recent.heard({ author, idPrefix, sequence, forwarder })
  return { recent, wanted, heard }
}

test('the first message of an author has its forwarder asked for those before', () => {
  const { wanted, heard } = setup()
  assert.equal(heard('author', START, 'forwarder'), false)
  assert.equal(wanted.length, 1)
  assert.equal(wanted[0]?.peer, 'forwarder')
  assert.equal(wanted[0].ids.length, 256)
  assert.deepEqual(wanted[0].ids[0], Uint8Array.of(...idPrefix, ...sequenceBytes(START - 1n)))
  assert.deepEqual(wanted[0].ids.at(-1), Uint8Array.of(...idPrefix, ...sequenceBytes(START - 256n)))

  assert.equal(heard('author', START + 1n), false)
  assert.equal(heard('author', START - 2n, 'forwarder'), true, 'an old message')
  assert.equal(wanted.length, 1, 'once an author')
})

test('an author that subscribes anew is asked about anew', () => {
  const { recent, wanted, heard } = setup()
  heard('author', START)
  recent.forget('author')
  heard('author', START + 5_000n)
  assert.equal(wanted.length, 2)
})

test('an author that takes random numbers is left alone', () => {
  const { wanted, heard } = setup()
  for (const sequence of [0n, 5n, 2n ** 63n, START * 2n, 2n ** 64n - 1n]) {
    assert.equal(heard('author', sequence), false)
  }
  assert.equal(wanted.length, 0)
})
