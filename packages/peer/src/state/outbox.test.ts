import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodePin, newPin, parseCid, type Pin } from '@ipfs-cluster/api'
import { concatBytes, createMemoryStore, toHex, utf8 } from '@ipfs-cluster/base'
import type { CrdtChange } from '@ipfs-cluster/crdt'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { sequenceOf } from './layout.ts'
import { acknowledge, openPinOutbox } from './outbox.ts'
import { pinKey } from './pin-key.ts'

const changeOf = (n: number) => ({
  key: pinKey(CID.createV1(0x55, Digest.create(0x12, new Uint8Array(32).fill(n)))),
  value: utf8('unreadable'),
  previous: undefined,
})

test('says how many changes wait, without reading them, also after a restart', async () => {
  const store = createMemoryStore()
  const outbox = await openPinOutbox(store)
  assert.equal(outbox.pending, 0)
  await store.batch(outbox.project([changeOf(1), changeOf(2), changeOf(3)]))
  outbox.written()
  assert.equal(outbox.pending, 3)
  assert.equal((await openPinOutbox(store)).pending, 3)

  const [row, ...others] = await Array.fromAsync(outbox.rows())
  assert.ok(row !== undefined && others.length === 0, 'the changes of a batch share a row')
  assert.equal(row.cids.length, 3)
  await store.batch([acknowledge(row, 2)])
  const left = await Array.fromAsync(outbox.rows())
  assert.deepEqual(
    left.map(({ cids }) => cids.map(toHex)),
    [row.cids.slice(2).map(toHex)],
  )
  assert.equal(outbox.pending, 1)
  assert.equal((await openPinOutbox(store)).pending, 1)
  await store.batch(left.map(each => acknowledge(each, each.cids.length)))
  await Array.fromAsync(outbox.rows())
  assert.equal(outbox.pending, 0)
  // Whoever looks while a change is written does not see it yet.
  const ops = outbox.project([changeOf(4)])
  assert.deepEqual(await Array.fromAsync(outbox.rows()), [])
  await store.batch(ops)
  outbox.written()
  assert.equal(outbox.pending, 1)
})

test('what is acknowledged while it is read does not wait again', async () => {
  const store = createMemoryStore()
  const outbox = await openPinOutbox(store)
  await store.batch(outbox.project([changeOf(1), changeOf(2)]))
  outbox.written()
  const [row] = await Array.fromAsync(outbox.rows())
  assert.ok(row !== undefined)
  const reading = outbox.rows()[Symbol.asyncIterator]().next()
  outbox.acknowledged(2)
  await store.batch([acknowledge(row, 2)])
  assert.equal((await reading).value?.cids.length, 2)
  assert.equal(outbox.pending, 0)
})

test('tells new pins of unknown size, which can wait, from all else', async () => {
  const store = createMemoryStore()
  const outbox = await openPinOutbox(store)
  const write = async (change: CrdtChange) => {
    await store.batch(outbox.project([change]))
    outbox.written()
  }
  const settled = async () => {
    const rows = await Array.fromAsync(outbox.rows())
    await store.batch(rows.map(row => acknowledge(row, row.cids.length)))
    outbox.acknowledged(sequenceOf(rows.at(-1)?.key ?? new Uint8Array()))
    assert.deepEqual([outbox.hasPressing, outbox.pending], [false, 0])
  }
  const { key, value } = changeOf(1)
  const pinOf = (fields: Partial<Pin>) => encodePin(newPin(parseCid('bafkqaaa'), fields))
  assert.equal(outbox.hasPressing, false)
  await write({ key, value: pinOf({ name: 'new' }), previous: undefined })
  assert.equal(outbox.hasPressing, false)
  for (const pressing of [
    { key, value: undefined, previous: value },
    { key, value: pinOf({ name: 'other' }), previous: pinOf({ name: 'new' }) },
    { key, value: pinOf({ size: 5n }), previous: undefined },
    // Not in the usual order of fields.
    { key, value: concatBytes([Uint8Array.of(0x38, 1), pinOf({ size: 5n })]), previous: undefined },
  ]) {
    await write(pressing)
    assert.equal(outbox.hasPressing, true)
    await write({ key: changeOf(2).key, value: pinOf({ name: 'new' }), previous: undefined })
    assert.equal(outbox.hasPressing, true, 'until it is acknowledged')
    await settled()
  }
  await write({ key, value: pinOf({ name: 'new' }), previous: undefined })
  assert.equal((await openPinOutbox(store)).hasPressing, true, 'what an earlier process left may be anything')
})
