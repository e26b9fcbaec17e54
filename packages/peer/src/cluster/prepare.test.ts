import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newPin } from '@ipfs-cluster/api'
import { CID } from 'multiformats/cid'
import { preparePin, updatedPin } from './prepare.ts'

const A = CID.parse('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku')
const B = CID.parse('QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6')
const NOW = 1_700_000_000_000_000_000n
const DEFAULTS = { replicationFactorMin: 2, replicationFactorMax: 3 }

test('a new pin gets default factors and the time', () => {
  const pin = preparePin(newPin(A, { name: 'n', allocations: ['x'] }), undefined, DEFAULTS, NOW)
  assert.deepEqual(
    [pin.replicationFactorMin, pin.replicationFactorMax, pin.timestamp, pin.allocations],
    [2, 3, NOW, ['x']],
  )
  const everywhere = preparePin(
    newPin(A, { replicationFactorMin: -1, replicationFactorMax: -1, allocations: ['x'] }),
    undefined,
    DEFAULTS,
    NOW,
  )
  assert.deepEqual(everywhere.allocations, [])
})

test('wrong factors are refused in the words of Go', () => {
  const cases: [number, number, RegExp][] = [
    [3, 2, /^cluster\.replication_factor_min is larger than max$/],
    [-2, 2, /^cluster\.replication_factor_min is wrong$/],
    [-1, 2, /must be -1 when one of them is$/],
    [2, -1, /larger than max$/],
    [-3, -2, /replication_factor_min is wrong$/],
  ]
  for (const [replicationFactorMin, replicationFactorMax, message] of cases) {
    const pin = newPin(A, { replicationFactorMin, replicationFactorMax })
    assert.throws(() => preparePin(pin, undefined, DEFAULTS, NOW), {
      code: 'BAD_REPLICATION_FACTOR',
      message,
    })
  }
})

test('a pin that would expire in the past is refused', () => {
  const pin = newPin(A, { expireAt: NOW - 1n })
  assert.throws(() => preparePin(pin, undefined, DEFAULTS, NOW), { code: 'BAD_EXPIRY' })
  assert.equal(preparePin(newPin(A, { expireAt: NOW + 1n }), undefined, DEFAULTS, NOW).expireAt, NOW + 1n)
})

test('a re-pin may neither change the type nor weaken recursive to direct', () => {
  const recursive = newPin(A)
  assert.throws(() => preparePin(newPin(A, { mode: 'direct' }), recursive, DEFAULTS, NOW), {
    code: 'PIN_MODE_MISMATCH',
    message:
      'cannot repin a CID which is already pinned in recursive mode (new pin is pinned as direct). Unpin it first.',
  })
  const meta = newPin(A, { type: 'meta-pin', reference: B })
  assert.throws(() => preparePin(meta, recursive, DEFAULTS, NOW), {
    code: 'PIN_TYPE_MISMATCH',
    message: /New: meta-pin\. Was: pin$/,
  })
  assert.throws(() => preparePin(newPin(A, { reference: B }), recursive, DEFAULTS, NOW), {
    code: 'BAD_PIN',
    message: 'data pins should not reference other pins',
  })
  assert.equal(preparePin(recursive, newPin(A, { mode: 'direct' }), DEFAULTS, NOW).mode, 'recursive')
})

test('an update copies everything but name and expiry when they are given', () => {
  const from = newPin(A, {
    name: 'old',
    metadata: { k: 'v' },
    allocations: ['x'],
    replicationFactorMin: 1,
    replicationFactorMax: 1,
    expireAt: NOW + 5n,
  })
  const plain = updatedPin(from, newPin(B), NOW)
  assert.deepEqual({ ...plain, cid: A, pinUpdate: null, timestamp: null }, from)
  assert.ok(plain.cid.equals(B) && plain.pinUpdate?.equals(A))
  const changed = updatedPin(from, newPin(B, { name: 'new', expireAt: NOW + 9n }), NOW)
  assert.deepEqual([changed.name, changed.expireAt], ['new', NOW + 9n])
  assert.equal(updatedPin(from, newPin(B, { expireAt: NOW - 9n }), NOW).expireAt, NOW + 5n)
  assert.throws(() => updatedPin(newPin(A, { type: 'shard-pin' }), newPin(B), NOW), {
    code: 'PIN_NOT_UPDATABLE',
  })
})

test('content keeps its size when it is pinned again, and other content has another', () => {
  const existing = newPin(A, { size: 5n, maxPinSize: 9n })
  const again = preparePin(newPin(A, { name: 'n' }), existing, DEFAULTS, NOW)
  assert.deepEqual([again.size, again.maxPinSize], [5n, undefined])
  assert.equal(preparePin(newPin(A, { size: 6n }), existing, DEFAULTS, NOW).size, 6n)
  assert.equal('size' in preparePin(newPin(A), newPin(A), DEFAULTS, NOW), false)
  const updated = updatedPin(existing, newPin(B, {}), NOW)
  assert.deepEqual(['size' in updated, updated.maxPinSize], [false, 9n])
  const told = updatedPin(existing, newPin(B, { size: 7n, maxPinSize: 8n }), NOW)
  assert.deepEqual([told.size, told.maxPinSize], [7n, 8n])
})
