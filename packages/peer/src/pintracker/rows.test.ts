import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { compareBytes, createMemoryStore, toHex } from '@ipfs-cluster/base'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import {
  decodeCounts,
  decodeRow,
  encodeCounts,
  encodeRow,
  indexRange,
  MAX_ERROR_BYTES,
  NO_BYTES,
  NO_ROWS,
  QUEUES,
  queueEnd,
  queueKey,
  queueStart,
  readQueueKey,
  ROW_STATUSES,
  rowOps,
  type Row,
} from './rows.ts'

const anyRow: fc.Arbitrary<Row> = fc.record(
  {
    status: fc.constantFrom(...ROW_STATUSES),
    queue: fc.constantFrom(undefined, ...QUEUES),
    generation: fc.nat(2 ** 32 - 1),
    attempts: fc.nat(2 ** 32 - 1),
    due: fc.maxSafeNat().map(n => n % 2 ** 48),
    changed: fc.maxSafeNat().map(n => n % 2 ** 48),
    submitted: fc.maxSafeNat().map(n => n % 2 ** 48),
    direct: fc.boolean(),
    size: fc.oneof(
      fc.constant(0),
      fc.maxSafeNat().map(n => n % 2 ** 48),
    ),
    kept: fc.boolean(),
    error: fc.string({ unit: 'grapheme', maxLength: 40 }),
  },
  { noNullPrototype: true },
)

const anyCid = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map(digest => CID.createV1(0x55, createDigest(0x12, digest)))

test('the layout is what the header says', () => {
  const row: Row = {
    status: 'pin_error',
    queue: 'retry',
    direct: true,
    generation: 3,
    attempts: 2,
    due: 0x0102_0304_0506,
    changed: 7,
    submitted: 8,
    size: 0,
    kept: false,
    error: 'no',
  }
  assert.equal(
    toHex(encodeRow(row)),
    ['01', '02', '01', '00000003', '00000002', '010203040506', '000000000007', '000000000008', '6e6f'].join(
      '',
    ),
  )
  const sized = toHex(encodeRow({ ...row, size: 0x0a0b_0c0d_0e0f, kept: true }))
  assert.equal(sized.slice(0, 6), '010207')
  assert.equal(sized.slice(-16), '0a0b0c0d0e0f6e6f')
})

test('every row reads back as written', () => {
  fc.assert(fc.property(anyRow, row => assert.deepEqual(decodeRow(encodeRow(row)), row)))
})

test('a long error text is cut, a broken row refused', () => {
  const row = decodeRow(encodeRow({ ...decodeRow(new Uint8Array(29)), error: 'é'.repeat(5000) }))
  assert.equal(row.error.length, MAX_ERROR_BYTES / 2)
  for (const broken of [new Uint8Array(0), new Uint8Array(28), Uint8Array.of(99, ...new Uint8Array(40))]) {
    assert.throws(() => decodeRow(broken), RangeError)
  }
})

test('counts read back, those of another format do not', () => {
  const counts = { ...NO_ROWS, pinned: 2 ** 40, sharded: 1 }
  const bytes = { pinned: 2 ** 52 + 1, waiting: 3 }
  assert.deepEqual(decodeCounts(encodeCounts(counts, bytes)), { format: 1, counts, bytes })
  const older = encodeCounts(counts, bytes).subarray(0, 49)
  assert.deepEqual(decodeCounts(older), { format: 1, counts, bytes: NO_BYTES }, 'written without totals')
  assert.deepEqual(decodeCounts(Uint8Array.of(9)), { format: 9 })
})

test('queue keys sort by queue, then by due time', () => {
  const anyKey = fc.record({ queue: fc.nat(QUEUES.length - 1), due: fc.nat(), cid: anyCid })
  fc.assert(
    fc.property(anyKey, anyKey, (a, b) => {
      const [x, y] = [a, b].map(({ queue, due, cid }) => queueKey(QUEUES[queue]!, due, cid))
      const expected = a.queue - b.queue || a.due - b.due || compareBytes(a.cid.bytes, b.cid.bytes)
      assert.equal(Math.sign(compareBytes(x!, y!)), Math.sign(expected))
      assert.deepEqual(readQueueKey(x!), { due: a.due, cid: a.cid.bytes })
      assert.ok(compareBytes(queueStart(QUEUES[a.queue]!), x!) < 0)
      assert.ok(compareBytes(queueEnd(QUEUES[a.queue]!), x!) > 0)
    }),
  )
})

describe('index and queue follow the row', () => {
  test('through any sequence of rows', async () => {
    await fc.assert(
      fc.asyncProperty(
        anyCid,
        fc.array(fc.option(anyRow, { nil: undefined }), { maxLength: 8 }),
        async (cid, rows) => {
          const store = createMemoryStore()
          let before: Row | undefined
          for (const row of rows) {
            await store.batch(rowOps(cid, before, row))
            before = row
          }
          const keys: string[] = []
          for await (const key of store.keys()) keys.push(toHex(key))
          const expected: string[] = []
          if (before !== undefined) {
            expected.push(`72${toHex(cid.bytes)}`)
            if (before.status !== 'pinned' && before.status !== 'remote') {
              expected.push(toHex(indexRange(before.status).gte!) + toHex(cid.bytes))
            }
            if (before.queue !== undefined) expected.push(toHex(queueKey(before.queue, before.due, cid)))
          }
          assert.deepEqual(keys, expected.sort())
        },
      ),
    )
  })
})
