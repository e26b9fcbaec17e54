import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cidOfBytes, TRACKER_STATUS, type PinInfo } from '@ipfs-cluster/api'
import { compareBytes } from '@ipfs-cluster/base'
import { decodeObject, encodeObject } from '@ipfs-cluster/gorpc'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { identity } from 'multiformats/hashes/identity'
import {
  decodeStatusRows,
  encodeStatusRows,
  statusPage,
  statusPagesRequest,
  type StatusPage,
} from './status-page.ts'

const PEER = '12D3KooWGMaoXmVRE8v4pAPPHSdC9yqMgrd8UPtQcu279ytr9nQN'
const SPEAKER = { peerName: 'one', ipfs: PEER, ipfsAddresses: ['/ip4/1.2.3.4/tcp/4001'] }

const some = <T>(value: fc.Arbitrary<T>, usual: T) =>
  fc.oneof({ weight: 3, arbitrary: fc.constant(usual) }, value)

const infos = fc.uniqueArray(
  fc.record(
    {
      cid: fc
        .uint8Array({ minLength: 1, maxLength: 200 })
        .map(bytes => CID.createV1(raw.code, identity.digest(bytes))),
      status: fc.constantFrom(...Object.values(TRACKER_STATUS)),
      ts: fc.oneof(
        fc.constant(null),
        fc.bigInt({ min: 0n, max: 5_000_000_000n }).map(seconds => seconds * 1_000_000_000n),
        fc.bigInt({ min: 1n, max: 2n ** 62n }),
      ),
      error: some(fc.string(), ''),
      attemptCount: some(fc.nat(), 0),
      priorityPin: some(fc.boolean(), false),
      size: fc.oneof(fc.constant(undefined), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
    },
    { noNullPrototype: true },
  ),
  { selector: ({ cid }) => cid.toString(), maxLength: 40 },
)

function full({ size, ...fields }: Partial<PinInfo> & { cid: CID }): PinInfo {
  return {
    name: 'not sent',
    peer: PEER,
    allocations: [PEER],
    origins: [],
    created: 5n,
    metadata: { not: 'sent' },
    peerName: '',
    ipfs: '',
    ipfsAddresses: [],
    status: 0,
    ts: null,
    error: '',
    attemptCount: 0,
    priorityPin: false,
    ...fields,
    ...(size === undefined ? {} : { size }),
  }
}

test('what is packed is read again, with who speaks', () => {
  fc.assert(
    fc.property(infos, list => {
      const sorted = list
        .map(({ size, ...info }) => full({ ...info, ...(size !== undefined && { size }) }))
        .sort((a, b) => compareBytes(a.cid.bytes, b.cid.bytes))
      const page: StatusPage = { speaker: SPEAKER, scanned: 500, rows: encodeStatusRows(sorted) }
      const sent = decodeObject(statusPage, encodeObject(statusPage, page))
      assert.deepEqual(sent, page)
      const rows = decodeStatusRows(sent.rows, SPEAKER, undefined)
      assert.deepEqual(
        rows.map(({ cid, status }) => [cidOfBytes(cid).toString(), status]),
        sorted.map(({ cid, status, ts, error, attemptCount, priorityPin, size }) => [
          cid.toString(),
          {
            ...SPEAKER,
            status,
            ts,
            error,
            attemptCount,
            priorityPin,
            ...(size === undefined ? {} : { size }),
          },
        ]),
      )
    }),
  )
})

test('a usual row is small', () => {
  const cid = CID.parse('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku')
  const info = full({ cid, status: TRACKER_STATUS.pinned, ts: 1_700_000_000_000_000_000n })
  assert.equal(encodeStatusRows([info]).length, cid.bytes.length + 6)
})

test('rows out of order and rows that are none are refused', () => {
  const [a, b] = [1, 2].map(n => full({ cid: CID.createV1(raw.code, identity.digest(Uint8Array.of(n))) }))
  assert.ok(a && b)
  const rows = encodeStatusRows([a, b])
  assert.throws(() => decodeStatusRows(encodeStatusRows([b, a]), SPEAKER, undefined), /order/)
  assert.throws(() => decodeStatusRows(rows, SPEAKER, a.cid.bytes), /order/)
  for (let length = 1; length < rows.length - 1; length++) {
    if (length === 1 + 1 + a.cid.bytes.length) continue
    assert.throws(() => decodeStatusRows(rows.subarray(0, length), SPEAKER, undefined), RangeError)
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), bytes => {
      try {
        decodeStatusRows(bytes, SPEAKER, undefined)
      } catch (error) {
        assert.ok(error instanceof RangeError || (error as Error).name === 'MsgpackError')
      }
    }),
  )
})

test('a request says what to list, and where to go on', () => {
  const cid = CID.createV1(raw.code, identity.digest(Uint8Array.of(1)))
  for (const request of [
    { filter: 0, after: null },
    { filter: TRACKER_STATUS.error, after: cid },
  ]) {
    assert.deepEqual(decodeObject(statusPagesRequest, encodeObject(statusPagesRequest, request)), request)
  }
})
