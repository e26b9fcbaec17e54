import * as fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newPin, pinMatcher, ANY_PIN, type Pin } from '@ipfs-cluster/api'
import { createMemoryStore, PRESENT, utf8 } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { FORMER_TIME_PREFIX, INDEXED_ROW, TIME_PREFIX } from './layout.ts'
import { listingTime } from './newest.ts'
import { openTestState, putPin } from './test-state.ts'

const S = 1_000_000_000n
/** Keeps what is committed in the journal. */
const QUEUED = { batching: { maxOps: 100_000, maxAgeMs: 3_600_000 } }

function cidOf(n: number): CID {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(28, Math.imul(n + 1, 0x9e3779b1) >>> 0)
  return CID.createV1(n % 2 === 0 ? 0x55 : 0x70, Digest.create(0x12, digest))
}

const numbersOf = (pins: readonly Pin[]) => pins.map(({ cid }) => cid.toString())

const anyPin = fc
  .record({
    n: fc.nat(20),
    name: fc.constantFrom('', 'a', 'ab'),
    seconds: fc.constantFrom(null, -5n, 3n, 3n, 3n, 4n, 2n ** 40n),
  })
  .map(({ n, name, seconds }) => newPin(cidOf(n), { name, timestamp: seconds === null ? null : seconds * S }))

test('the newest come first, stored or queued, between the times that are asked for', () =>
  fc.assert(
    fc.asyncProperty(
      fc.array(anyPin, { maxLength: 20 }),
      fc.array(anyPin, { maxLength: 10 }),
      fc.constantFrom({}, { name: 'a' }, { name: 'a', match: 'partial' as const }),
      fc.constantFrom(null, 0n, 3n * S, 3n * S + 500_000_000n, 3n * S + 500_000_001n, 4n * S),
      fc.constantFrom(null, -1n, 0n, 3n * S, 3n * S + 250_000_000n),
      async (stored, queued, named, before, after) => {
        const store = createMemoryStore()
        {
          await using world = await openTestState(store)
          if (stored.length > 0) await world.crdt.commit(stored.map(putPin))
        }
        await using world = await openTestState(store, QUEUED)
        if (queued.length > 0) await world.crdt.commit(queued.map(putPin))
        const filter = { ...ANY_PIN, ...named }
        const matches = pinMatcher(filter)
        const expected = (await Array.fromAsync(world.state.list()))
          .filter(pin => matches(pin))
          .filter(pin => before === null || listingTime(pin) < before)
          .filter(pin => after === null || listingTime(pin) > after)
        const newest = await Array.fromAsync(world.state.newest({ filter, before, after }))
        assert.deepEqual(numbersOf(newest).toSorted(), numbersOf(expected).toSorted())
        const times = newest.map(listingTime)
        assert.ok(times.every((time, i) => i === 0 || time <= (times[i - 1] as bigint)))
        assert.equal(await world.state.count({ filter, before, after, most: 1_000 }), expected.length)
        const some = await world.state.count({ filter, before, after, most: 2 })
        assert.equal(some, Math.min(2, expected.length))
      },
    ),
    { numRuns: 150 },
  ))

test('thousands of pins of one name come in the order of their times, a part at a time', async () => {
  await using world = await openTestState(createMemoryStore())
  const pins = Array.from({ length: 3_500 }, (_, i) =>
    newPin(cidOf(i), { name: 'same', timestamp: BigInt(1 + ((i * 7919) % 3_500)) * S }),
  )
  await world.crdt.commit(pins.map(putPin))
  const newest = await Array.fromAsync(world.state.newest({ filter: { ...ANY_PIN, name: 'same' } }))
  assert.deepEqual(
    newest.map(({ timestamp }) => timestamp),
    Array.from({ length: 3_500 }, (_, i) => BigInt(3_500 - i) * S),
  )
})

test('rows of creation as they were before are replaced', async () => {
  const store = createMemoryStore()
  const rowsOf = (prefix: Uint8Array) =>
    Array.fromAsync(store.keys({ gte: prefix, lt: utf8(`${new TextDecoder().decode(prefix)}~`) }))
  {
    await using world = await openTestState(store)
    await world.crdt.commit([1, 2, 3].map(n => putPin(newPin(cidOf(n), { timestamp: BigInt(n) * S }))))
    const rows = await rowsOf(TIME_PREFIX)
    assert.equal(rows.length, 3)
    await store.batch([
      ...rows.map(key => ({ type: 'del' as const, key })),
      { type: 'put', key: utf8('state/t\0\0\0\0\0\0\0\u0001xyz'), value: PRESENT },
      { type: 'put', key: INDEXED_ROW, value: PRESENT },
    ])
  }
  await using world = await openTestState(store)
  const newest = await Array.fromAsync(world.state.newest())
  assert.deepEqual(numbersOf(newest), numbersOf([3, 2, 1].map(n => newPin(cidOf(n)))))
  assert.deepEqual(await rowsOf(FORMER_TIME_PREFIX), [])
})
