import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromHex } from '@ipfs-cluster/base'
import { decodeOp, encodeOp } from './wal.ts'

test('a row of the write-ahead table that cannot be read is a corrupt store', () => {
  const put = encodeOp({ type: 'put', key: '/KEY', value: Uint8Array.of(1, 2) })
  assert.deepEqual(decodeOp(put), { type: 'put', key: '/KEY', value: Uint8Array.of(1, 2) })
  // Found by fuzzing: another kind, a number without an end, a key beyond the end.
  for (const hex of ['', '0304', '01ffff', 'dededededede', '0231b874c5fe', '025bc67fffffff']) {
    assert.throws(() => decodeOp(fromHex(hex)), { code: 'CRDT_STORE_CORRUPT' }, hex)
  }
})
