import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Metric, PeerId } from '@ipfs-cluster/api'
import { errorCode } from '@ipfs-cluster/base'
import * as fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { allocate, AllocatorError, createAllocator, type AllocationRequest } from './index.ts'

const TAG = 'tag:group'
const SPACE = 'freespace'

interface PeerFacts {
  readonly peer: PeerId
  readonly group: string
  readonly space: number
}

function metric(name: string, peer: PeerId, value: string, weight: bigint, partitionable = false): Metric {
  return { name, peer, value, weight, partitionable, expire: 0n, valid: true, receivedAt: 0n }
}

function metricsOf(peers: readonly PeerFacts[]): Record<string, Metric[]> {
  return {
    [TAG]: peers.map(({ peer, group }) => metric(TAG, peer, group, 0n, true)),
    [SPACE]: peers.map(({ peer, space }) => metric(SPACE, peer, `${space}`, BigInt(space))),
  }
}

function request(peers: readonly PeerFacts[], fields: Partial<AllocationRequest> = {}): AllocationRequest {
  return {
    metrics: metricsOf(peers),
    allocateBy: [TAG, SPACE],
    current: [],
    priority: [],
    exclude: [],
    replicationFactorMin: 1,
    replicationFactorMax: 1,
    ...fields,
  }
}

const facts = (rows: readonly (readonly [PeerId, string, number])[]): PeerFacts[] =>
  rows.map(([peer, group, space]) => ({ peer, group, space }))

function cidOf(n: number): CID {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(0, n)
  return CID.createV1(0x55, createDigest(0x12, digest))
}

describe('the cases of wire.md 8', () => {
  const peers = facts([
    ['a1', 'a', 100],
    ['a2', 'a', 300],
    ['b1', 'b', 200],
    ['b2', 'b', 150],
    ['c1', 'c', 50],
  ])

  test('takes turns between groups, the heaviest first, and the most free space inside', () => {
    const all = allocate(request(peers, { replicationFactorMin: 1, replicationFactorMax: 5 }))
    assert.deepEqual(all, ['a2', 'b1', 'c1', 'a1', 'b2'])
  })

  test('a metric that is not partitionable keeps equal values apart', () => {
    const equal = facts([
      ['p1', 'x', 100],
      ['p2', 'x', 100],
      ['p3', 'x', 100],
      ['p4', 'x', 200],
    ])
    const chosen = allocate(request(equal, { allocateBy: [SPACE], replicationFactorMax: 2 }))
    assert.deepEqual(chosen, ['p4', 'p1'])
  })

  test('partitions of equal weight go by value', () => {
    const equal = facts([
      ['p1', 'b', 10],
      ['p2', 'a', 10],
    ])
    assert.deepEqual(allocate(request(equal, { replicationFactorMax: 2 })), ['p2', 'p1'])
  })

  test('everywhere is nobody in particular', () => {
    assert.deepEqual(
      allocate(request(peers, { replicationFactorMin: -1, replicationFactorMax: -1, current: ['a1'] })),
      [],
    )
  })

  test('preferred peers come before better ones', () => {
    const chosen = allocate(request(peers, { priority: ['c1', 'gone'], replicationFactorMax: 2 }))
    assert.deepEqual(chosen, ['c1', 'a2'])
  })

  test('enough copies stay as they are, dead and excluded ones included', () => {
    const current = ['a1', 'dead', 'b1']
    const chosen = allocate(
      request(peers, {
        current,
        exclude: ['b1'],
        replicationFactorMin: 1,
        replicationFactorMax: 3,
        priority: ['c1'],
      }),
    )
    assert.deepEqual(chosen, current)
  })

  test('too few valid copies are topped up to the maximum, without the dead ones', () => {
    const chosen = allocate(
      request(peers, { current: ['a1', 'dead'], replicationFactorMin: 2, replicationFactorMax: 3 }),
    )
    assert.deepEqual(chosen, ['a1', 'b1', 'a2'])
  })

  test('too many copies lose the worst, never a preferred one', () => {
    const chosen = allocate(
      request(peers, {
        current: ['a1', 'a2', 'b1', 'c1'],
        priority: ['c1'],
        replicationFactorMin: 1,
        replicationFactorMax: 2,
      }),
    )
    assert.deepEqual(chosen, ['c1', 'a2'])
  })

  test('a peer counts only with every metric', () => {
    const metrics = { ...metricsOf(peers) }
    metrics[SPACE] = (metrics[SPACE] ?? []).filter(({ peer }) => peer !== 'a2')
    const chosen = allocate(request(peers, { metrics, replicationFactorMax: 5 }))
    assert.equal(chosen.includes('a2'), false)
    assert.equal(chosen.length, 4)
  })

  test('an unreachable minimum is an error with its numbers', () => {
    assert.throws(
      () =>
        allocate(
          request(peers, {
            current: ['a1'],
            exclude: ['b1', 'b2'],
            replicationFactorMin: 4,
            replicationFactorMax: 6,
          }),
        ),
      (error: unknown) => {
        assert.ok(error instanceof AllocatorError)
        assert.deepEqual(error.data, { code: 'NOT_ENOUGH_PEERS', needed: 3, wanted: 5, available: 2 })
        assert.equal(
          error.message,
          'not enough peers to allocate CID. Needed at least: 3. Wanted at most: 5. Available candidates: 2. See logs for more info.',
        )
        return true
      },
    )
  })

  test('peers that measure the same share the pins', () => {
    const names = Array.from({ length: 8 }, (_, i) => `peer${i}`)
    const same = facts(names.map(name => [name, 'default', 1000]))
    const load = new Map<string, number>()
    for (let n = 0; n < 2000; n++) {
      for (const peer of allocate(
        request(same, { cid: cidOf(n), replicationFactorMin: 2, replicationFactorMax: 2 }),
      )) {
        load.set(peer, (load.get(peer) ?? 0) + 1)
      }
    }
    for (const name of names) {
      const share = load.get(name) ?? 0
      assert.ok(share > 400 && share < 600, `${name} got ${share} of 500`)
    }
  })
})

const NAMES = Array.from({ length: 12 }, (_, i) => `p${i}`)

const anyRequest = fc
  .record({
    peers: fc.uniqueArray(
      fc.record({
        peer: fc.constantFrom(...NAMES),
        group: fc.constantFrom('a', 'b', 'c'),
        space: fc.integer({ min: 1, max: 4 }),
      }),
      { selector: ({ peer }) => peer, maxLength: 12 },
    ),
    current: fc.uniqueArray(fc.constantFrom(...NAMES, 'dead'), { maxLength: 6 }),
    priority: fc.array(fc.constantFrom(...NAMES, 'gone'), { maxLength: 4 }),
    exclude: fc.array(fc.constantFrom(...NAMES), { maxLength: 4 }),
    min: fc.integer({ min: 1, max: 6 }),
    extra: fc.integer({ min: 0, max: 4 }),
    cid: fc.option(fc.nat(1000), { nil: undefined }),
  })
  .map(({ peers, current, priority, exclude, min, extra, cid }) => ({
    peers,
    request: request(peers, {
      current,
      priority,
      exclude,
      replicationFactorMin: min,
      replicationFactorMax: min + extra,
      ...(cid === undefined ? {} : { cid: cidOf(cid) }),
    }),
  }))

function attempt(asked: AllocationRequest): readonly PeerId[] | 'NOT_ENOUGH_PEERS' {
  try {
    return allocate(asked)
  } catch (error) {
    if (errorCode(error) !== 'NOT_ENOUGH_PEERS') throw error
    return 'NOT_ENOUGH_PEERS'
  }
}

describe('for any request', () => {
  test('an allocator for many pins decides on each as for it alone', () => {
    fc.assert(
      fc.property(anyRequest, fc.array(fc.nat(1000), { maxLength: 5 }), ({ peers, request: asked }, cids) => {
        const many = createAllocator(metricsOf(peers), asked.allocateBy)
        const fresh = { ...asked, current: [], priority: [], exclude: [] }
        for (const each of [asked, fresh, ...cids.map(cid => ({ ...fresh, cid: cidOf(cid) }))]) {
          // Somebody who is not there keeps nobody out, but takes the way of pins that are there already.
          const alone = attempt({ ...each, exclude: [...each.exclude, 'nobody'] })
          try {
            assert.deepEqual(many(each), alone)
          } catch (error) {
            if (errorCode(error) !== 'NOT_ENOUGH_PEERS') throw error
            assert.equal(alone, 'NOT_ENOUGH_PEERS')
          }
        }
      }),
    )
  })

  test('size, exclusion, order of buckets and failure follow the rules', () => {
    fc.assert(
      fc.property(anyRequest, ({ peers, request: asked }) => {
        const usable = peers.map(({ peer }) => peer).filter(peer => !asked.exclude.includes(peer))
        const valid = asked.current.filter(peer => usable.includes(peer))
        const addable = usable.filter(peer => !valid.includes(peer))
        const { replicationFactorMin: min, replicationFactorMax: max } = asked
        const chosen = attempt(asked)

        assert.equal(chosen === 'NOT_ENOUGH_PEERS', valid.length + addable.length < min)
        if (chosen === 'NOT_ENOUGH_PEERS') return
        assert.equal(new Set(chosen).size, chosen.length, 'a peer twice')
        if (valid.length > max) {
          assert.equal(chosen.length, max)
          assert.ok(chosen.every(peer => valid.includes(peer)))
          return
        }
        if (valid.length >= min) {
          assert.deepEqual(chosen, asked.current)
          return
        }
        assert.equal(chosen.length, Math.min(max, usable.length))
        assert.deepEqual(chosen.slice(0, valid.length), valid)
        assert.ok(chosen.every(peer => usable.includes(peer)))
        const added = chosen.slice(valid.length)
        const preferred = addable.filter(peer => asked.priority.includes(peer))
        const first = added.slice(0, preferred.length)
        assert.ok(
          first.every(peer => preferred.includes(peer)),
          'preferred peers first',
        )
      }),
      { numRuns: 500 },
    )
  })

  test('the same question has the same answer, in whatever order peers are known', () => {
    fc.assert(
      fc.property(anyRequest, fc.infiniteStream(fc.nat()), ({ peers, request: asked }, order) => {
        const mixed = peers
          .map(facts => ({ facts, at: order.next().value as number }))
          .sort((a, b) => a.at - b.at)
          .map(({ facts }) => facts)
        assert.deepEqual(attempt({ ...asked, metrics: metricsOf(mixed) }), attempt(asked))
      }),
    )
  })

  test('new copies are spread over the groups as evenly as they can be', () => {
    fc.assert(
      fc.property(anyRequest, ({ peers, request: asked }) => {
        const { current: _current, priority: _priority, ...plain } = asked
        const chosen = attempt({ ...plain, current: [], priority: [] })
        if (chosen === 'NOT_ENOUGH_PEERS') return
        const usable = peers.filter(({ peer }) => !asked.exclude.includes(peer))
        const count = (among: readonly string[], group: string) =>
          usable.filter(facts => facts.group === group && among.includes(facts.peer)).length
        const everybody = usable.map(({ peer }) => peer)
        for (const more of ['a', 'b', 'c']) {
          for (const fewer of ['a', 'b', 'c']) {
            const exhausted: boolean = count(chosen, fewer) === count(everybody, fewer)
            assert.ok(count(chosen, more) - count(chosen, fewer) <= 1 || exhausted)
          }
        }
      }),
    )
  })
})
