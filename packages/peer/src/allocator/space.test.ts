import { newPin, type Metric, type Pin } from '@ipfs-cluster/api'
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { CID } from 'multiformats/cid'
import { allocate, AllocatorError, createSpaceLedger } from './index.ts'

const cid = CID.parse('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku')
const SECOND = 1_000_000_000n

function freespace(peer: string, free: number, receivedAt = 0n): Metric {
  const fields = { name: 'freespace', value: `${free}`, weight: BigInt(free), partitionable: false }
  return { ...fields, peer, expire: 0n, valid: true, receivedAt }
}

function setup(...metrics: Metric[]) {
  const world = { now: 100n * SECOND, metrics }
  const ledger = createSpaceLedger({ latest: () => world.metrics }, { nowNs: () => world.now })
  return { world, ledger }
}

const keptBy = (peers: readonly string[], size: bigint): Pin =>
  newPin(cid, { size, allocations: peers, replicationFactorMin: 1, replicationFactorMax: 3 })

describe('the space ledger', () => {
  test('counts what was handed out since a peer told, not what it held already', () => {
    const { ledger } = setup(freespace('a', 1000), freespace('b', 500))
    assert.deepEqual([...ledger.withoutRoom(500n)], [])
    assert.deepEqual([...ledger.withoutRoom(501n)], ['b'])
    ledger.handOut(keptBy(['a', 'elsewhere'], 600n), undefined)
    assert.deepEqual([...ledger.withoutRoom(401n)], ['a'])
    ledger.handOut(keptBy(['a', 'b'], 300n), keptBy(['a'], 300n))
    assert.deepEqual([...ledger.withoutRoom(201n)], ['b'])
    ledger.handOut(newPin(cid, { size: 100n, replicationFactorMin: -1, replicationFactorMax: -1 }), undefined)
    assert.deepEqual([...ledger.withoutRoom(101n)], ['b'])
    assert.deepEqual([...ledger.withoutRoom(301n)], ['a', 'b'])
    ledger.handOut(newPin(cid, { allocations: ['a'] }), undefined)
    assert.deepEqual([...ledger.withoutRoom(300n)], ['b'], 'an unknown size is none')
  })

  test('forgets what the next metric tells, but not what it cannot know yet', () => {
    const { world, ledger } = setup(freespace('a', 1000, world0()))
    ledger.handOut(keptBy(['a'], 400n), undefined)
    world.now += 10n * SECOND
    ledger.handOut(keptBy(['a'], 300n), undefined)
    world.metrics = [freespace('a', 1000, world.now + SECOND)]
    assert.deepEqual([...ledger.withoutRoom(700n)], [])
    assert.deepEqual([...ledger.withoutRoom(701n)], ['a'])
    world.metrics = [freespace('a', 650, world.now + 6n * SECOND)]
    assert.deepEqual([...ledger.withoutRoom(650n)], [])
  })

  test('what is stored already is in the next metric', () => {
    const { world, ledger } = setup(freespace('a', 1000, 0n), freespace('b', 1000, 0n))
    ledger.handOut(keptBy(['a'], 400n), undefined, true)
    assert.deepEqual([...ledger.withoutRoom(601n)], ['a'])
    assert.deepEqual(
      ledger.lessHandedOut(world.metrics).map(({ weight }) => weight),
      [600n, 1000n],
    )
    world.metrics = [freespace('a', 600, world.now + SECOND), freespace('b', 1000, world.now + SECOND)]
    assert.deepEqual([...ledger.withoutRoom(600n)], [])
    assert.deepEqual(ledger.lessHandedOut(world.metrics), world.metrics)
  })

  test('holds as much as was handed out, however often', () => {
    const { world, ledger } = setup(freespace('a', 1_000_000))
    for (let i = 0; i < 5000; i++) {
      world.now += SECOND / 3n
      ledger.handOut(keptBy(['a'], 100n), undefined)
    }
    assert.deepEqual([...ledger.withoutRoom(500_000n)], [])
    assert.deepEqual([...ledger.withoutRoom(500_001n)], ['a'])
  })
})

const world0 = () => 99n * SECOND

describe('allocating content of known size', () => {
  const request = {
    metrics: { freespace: [freespace('a', 100), freespace('b', 90), freespace('c', 80)] },
    allocateBy: ['freespace'],
    current: [],
    priority: [],
    exclude: [],
    replicationFactorMin: 2,
    replicationFactorMax: 3,
    cid,
  }

  test('passes over peers without room, preferred ones too, but not over those that have it', () => {
    const room = { bytes: 95n, without: new Set(['b', 'c']) }
    assert.deepEqual(allocate({ ...request, room, current: ['b'], priority: ['c'] }), ['b', 'a'])
  })

  test('says why there are too few', () => {
    const room = { bytes: 95n, without: new Set(['b', 'c']) }
    assert.throws(
      () => allocate({ ...request, room }),
      (error: unknown) => {
        assert.ok(error instanceof AllocatorError)
        assert.equal(
          error.message,
          'not enough peers to allocate CID. Needed at least: 2. Wanted at most: 3. Available candidates: 1. See logs for more info.' +
            ' 2 more peers have less free space than the content needs (95 bytes)',
        )
        assert.deepEqual(error.data, {
          code: 'NOT_ENOUGH_PEERS',
          needed: 2,
          wanted: 3,
          available: 1,
          full: 2,
        })
        return true
      },
    )
    assert.throws(() => allocate({ ...request, exclude: ['b', 'c'] }), /See logs for more info\.$/)
  })
})
