import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryStore, toHex, utf8 } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
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
