import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { encodePin, newPin, type Pin } from '@ipfs-cluster/api'
import { createMemoryStore, equalBytes, isAbortError, utf8, type JournaledStore } from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import type { CrdtConfig } from '@ipfs-cluster/crdt'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { EXPIRY_PREFIX } from './layout.ts'
import { cidOfPinKey, pinKey } from './pin-key.ts'
import { openTestState, pinsOf, putPin } from './test-state.ts'

const RAW = 0x55
const S = 1_000_000_000n

function cidOf(n: number): CID {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(0, n)
  return CID.createV1(RAW, Digest.create(0x12, digest))
}

async function setUp(store: JournaledStore = createMemoryStore(), config: Partial<CrdtConfig> = {}) {
  const room = await openTestState(store, config)
  const { crdt } = room
  return {
    ...room,
    store,
    pin: (...pins: Pin[]) => crdt.commit(pins.map(putPin)),
    unpin: (...cids: CID[]) => crdt.commit(cids.map(cid => ({ type: 'delete', key: pinKey(cid) }))),
  }
}

const names = async (pins: AsyncIterable<Pin>) => (await Array.fromAsync(pins)).map(({ name }) => name)

test('keys of pins are those of Go, and read back exactly', () => {
  const v1 = CID.parse('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku')
  assert.equal(pinKey(v1), '/AFKREIHDWDCEFGH4DQKJV67UZCMW7OJEE6XEDZDETOJUZJEVTENXQUVYKU')
  const v0 = CID.parse('QmaQUK1qA3DvbmGaGJGWXbSd2KNxeegH1M1psG6Y37WVJB')
  assert.equal(pinKey(v0), '/CIQLGRWPER2V6RY3VULAPHTAD35KFRXXUFGGGRYA6JFF5JNXDQQFSPA')
  for (const cid of [v0, v1]) assert.ok(cidOfPinKey(pinKey(cid))?.equals(cid))
  for (const key of ['', '/', '/abc', 'x', '/AFKREI', `${pinKey(v1)}A`, pinKey(v1).slice(1), '/É', '/A']) {
    assert.equal(cidOfPinKey(key), undefined, key)
  }
  const digests = fc.uint8Array({ minLength: 1, maxLength: 64 })
  fc.assert(
    fc.property(digests, fc.nat({ max: 0x300 }), (digest, codec) => {
      const cid = CID.createV1(codec, Digest.create(0x00, digest))
      assert.ok(cidOfPinKey(pinKey(cid))?.equals(cid))
    }),
  )
})

test('pins are found, listed in key order and resumed', async () => {
  await using world = await setUp()
  const pins = [3, 1, 2].map(n => newPin(cidOf(n), { name: String(n), timestamp: 5n * S }))
  await world.pin(...pins)
  assert.deepEqual(await world.state.get(cidOf(1)), pins[1])
  assert.equal(await world.state.get(cidOf(9)), undefined)
  assert.deepEqual(
    (await world.state.getMany([cidOf(2), cidOf(9), cidOf(3)])).map(pin => pin?.name),
    ['2', undefined, '3'],
  )
  assert.deepEqual(await names(world.state.list()), ['1', '2', '3'])
  assert.deepEqual(await names(world.state.list({ after: cidOf(1) })), ['2', '3'])
})

test('what is no pin is left out and counted; the CID is that of the key', async () => {
  await using world = await setUp()
  const value = encodePin(newPin(cidOf(7), { name: 'seven' }))
  await world.crdt.commit([
    { type: 'put', key: pinKey(cidOf(1)), value },
    { type: 'put', key: pinKey(cidOf(2)), value: utf8('no pin at all') },
    { type: 'put', key: '/something-else', value },
  ])
  assert.ok((await world.state.get(cidOf(1)))?.cid.equals(cidOf(1)))
  assert.equal(await world.state.get(cidOf(2)), undefined)
  assert.deepEqual(await names(world.state.list()), ['seven'])
  assert.equal(world.undecodable(), 3)
  const changes = await pinsOf(world.changes.next(10))
  assert.deepEqual(
    changes.map(({ cid }) => cid.toString()),
    [cidOf(1).toString()],
  )
})

test('changes come again until they are acknowledged, once per CID, with the newest pin', async () => {
  await using world = await setUp()
  await world.pin(newPin(cidOf(1), { name: 'a' }))
  await world.pin(newPin(cidOf(1), { name: 'b' }), newPin(cidOf(2), { name: 'c' }))
  await world.unpin(cidOf(2))
  const first = await world.changes.next(10)
  assert.deepEqual(
    (await pinsOf(first)).map(({ cid, pin }) => [cid.equals(cidOf(1)), pin?.name]),
    [
      [true, 'b'],
      [false, undefined],
    ],
  )
  assert.deepEqual((await world.changes.next(10)).ack, first.ack)
  // A change between reading and acknowledging is not lost.
  await world.pin(newPin(cidOf(1), { name: 'd' }))
  await world.store.batch(first.ack)
  const second = await world.changes.next(10)
  assert.deepEqual(
    (await pinsOf(second)).map(({ pin }) => pin?.name),
    ['d'],
  )
  await world.store.batch(second.ack)
  // Nothing left: waits for the next change, or for the signal.
  const abort = new AbortController()
  const aborted = world.changes.next(1, { signal: abort.signal })
  abort.abort()
  await assert.rejects(aborted, isAbortError)
  const waiting = world.changes.next(1)
  await world.pin(newPin(cidOf(3), { name: 'e' }), newPin(cidOf(4), { name: 'f' }))
  const third = await waiting
  assert.equal((await pinsOf(third)).length, 1)
  await world.store.batch(third.ack)
  assert.deepEqual(
    (await pinsOf(world.changes.next(1))).map(({ pin }) => pin?.name),
    ['f'],
  )
})

test('the changes of a batch are in the order of their CIDs, and come in parts', async () => {
  await using world = await setUp()
  for (const n of [7, 3, 9, 1, 8, 2, 6]) await world.pin(newPin(cidOf(n), { name: `${n}` }))
  const batch = await world.changes.next(5)
  const parts = await Array.fromAsync(batch.changes(2))
  assert.deepEqual(
    parts.map(part => part.map(({ pin }) => pin?.name)),
    [['1', '3'], ['7', '8'], ['9']],
  )
  await world.store.batch(batch.ack)
  assert.deepEqual(
    (await pinsOf(world.changes.next(5))).map(({ pin }) => pin?.name),
    ['2', '6'],
  )
})

test('what is not acknowledged can be looked at, in order, with what is still in the journal', async () => {
  await using world = await setUp(createMemoryStore(), { batching: { maxOps: 100, maxAgeMs: 60_000 } })
  const numbersOf = async (after?: CID) =>
    (await world.changes.cids(100, { after })).map(bytes =>
      [1, 2, 3, 4].find(n => equalBytes(cidOf(n).bytes, bytes)),
    )
  assert.deepEqual(await numbersOf(), [])
  await world.pin(newPin(cidOf(3)))
  await world.pin(newPin(cidOf(1)))
  await world.pin(newPin(cidOf(3), { name: 'again' }))
  assert.deepEqual(await numbersOf(), [1, 3])
  // A hundred operations are a node.
  for (let i = 0; i < 97; i++) await world.pin(newPin(cidOf(2), { name: `${i}` }))
  await world.pin(newPin(cidOf(4)))
  assert.deepEqual(await numbersOf(), [1, 2, 3, 4])
  assert.deepEqual(await numbersOf(cidOf(2)), [3, 4])
  const batch = await world.changes.next(10)
  await pinsOf(batch)
  await world.store.batch(batch.ack)
  assert.deepEqual(await numbersOf(), [4])
})

test('a change is there once its pin is acknowledged, also when somebody looked while it was written', async () => {
  await using world = await setUp()
  const { batch } = world.store
  world.store.batch = async (...args) => {
    await world.changes.cids(10)
    await batch(...args)
  }
  await world.pin(newPin(cidOf(1)))
  assert.deepEqual(await world.changes.cids(10), [cidOf(1).bytes])
})

test('a change that nobody can read does not hold up the next', async () => {
  await using world = await setUp()
  await world.crdt.commit([{ type: 'put', key: pinKey(cidOf(1)), value: utf8('no pin') }])
  const waiting = world.changes.next(1)
  await world.pin(newPin(cidOf(2), { name: 'good' }))
  const unreadable = await waiting
  assert.deepEqual(await pinsOf(unreadable), [])
  await world.store.batch(unreadable.ack)
  assert.deepEqual(
    (await pinsOf(world.changes.next(1))).map(({ pin }) => pin?.name),
    ['good'],
  )
})

test('changes outlive the process, in a real store', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pin-state-'))
  try {
    {
      await using store = await openLevelStore(folder)
      await using world = await setUp(store)
      await world.pin(newPin(cidOf(1), { name: 'one' }), newPin(cidOf(2), { name: 'two' }))
      const { ack } = await world.changes.next(1)
      await store.batch(ack)
    }
    await using store = await openLevelStore(folder)
    await using world = await setUp(store)
    await world.pin(newPin(cidOf(3), { name: 'three' }))
    const changes = await pinsOf(world.changes.next(10))
    assert.deepEqual(
      changes.map(({ pin }) => pin?.name),
      ['two', 'three'],
    )
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('expired pins come soonest first; re-pinning, extending and unpinning move them', async () => {
  await using world = await setUp()
  const expiring = (n: number, seconds: bigint | null) =>
    newPin(cidOf(n), { name: String(n), expireAt: seconds === null ? null : seconds * S + 5n })
  await world.pin(
    expiring(1, 300n),
    expiring(2, 100n),
    expiring(3, 200n),
    expiring(4, 150n),
    expiring(5, null),
  )
  assert.deepEqual(await names(world.state.expired(100)), [])
  assert.deepEqual(await names(world.state.expired(101)), ['2'])
  assert.deepEqual(await names(world.state.expired(1000)), ['2', '4', '3', '1'])
  await world.pin(expiring(2, 250n), expiring(1, null))
  await world.unpin(cidOf(4))
  assert.deepEqual(await names(world.state.expired(1000)), ['3', '2'])
  const rows = await Array.fromAsync(world.store.keys({ gte: EXPIRY_PREFIX, lt: utf8('state/f') }))
  assert.equal(rows.length, 2, 'no row is left behind')
})
