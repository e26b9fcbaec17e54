import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryStore, utf8 } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { openPinOutbox } from './outbox.ts'
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
  assert.equal(outbox.pending, 3)
  assert.equal((await openPinOutbox(store)).pending, 3)

  const rows = await Array.fromAsync(outbox.rows())
  await store.batch(rows.slice(0, 2).map(([key]) => ({ type: 'del', key })))
  await Array.fromAsync(outbox.rows())
  assert.equal(outbox.pending, 1)
  await store.batch(rows.slice(2).map(([key]) => ({ type: 'del', key })))
  await Array.fromAsync(outbox.rows())
  assert.equal(outbox.pending, 0)
  await store.batch(outbox.project([changeOf(4)]))
  assert.equal(outbox.pending, 1)
})
