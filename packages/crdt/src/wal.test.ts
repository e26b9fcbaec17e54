import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromHex } from '@ipfs-cluster/base'
import type { CrdtOp } from './types.ts'
import { decodeOps, encodeOps } from './wal.ts'

test('a row of the write-ahead table that cannot be read is a corrupt store', () => {
  const ops: CrdtOp[] = [
    { type: 'put', key: '/KEY', value: Uint8Array.of(1, 2) },
    { type: 'delete', key: '/KEY' },
  ]
  assert.deepEqual(decodeOps(encodeOps(ops)), ops)
  // Found by fuzzing: another kind, a number without an end, a key beyond the end.
  for (const hex of [
    '00',
    '020304',
    '0301ffff',
    '06dededededede',
    '060231b874c5fe',
    '07025bc67fffffff',
    '03',
  ]) {
    assert.throws(() => decodeOps(fromHex(hex)), { code: 'CRDT_STORE_CORRUPT' }, hex)
  }
})
