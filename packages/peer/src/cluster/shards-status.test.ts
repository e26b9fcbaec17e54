import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { newPin, TRACKER_STATUS, type GlobalPinInfo, type Pin, type PinInfoShort } from '@ipfs-cluster/api'
import { batchesOf, mapBatches } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { create } from 'multiformats/hashes/digest'
import { ClusterError } from './errors.ts'
import { shardState, withShards } from './shards-status.ts'

const cidOf = (n: number) => CID.createV1(raw.code, create(0x12, new Uint8Array(32).fill(n)))
const { pinned, pinning, pin_error, cluster_error, remote, sharded, unexpectedly_unpinned } = TRACKER_STATUS

const says = (status: number, error = ''): PinInfoShort => ({
  peerName: 'somebody',
  ipfs: '',
  ipfsAddresses: [],
  status,
  ts: null,
  error,
  attemptCount: 0,
  priorityPin: false,
})

const shardOf = (n: number, allocations: readonly string[], copies: number): Pin =>
  newPin(cidOf(n), {
    type: 'shard-pin',
    allocations,
    replicationFactorMin: copies,
    replicationFactorMax: copies,
  })

describe('how a shard does', () => {
  const one = shardOf(1, ['a'], 1)
  const two = shardOf(1, ['a', 'b'], 2)
  const everywhere = newPin(cidOf(1), {
    type: 'shard-pin',
    replicationFactorMin: -1,
    replicationFactorMax: -1,
  })
  const cases: [string, Pin, Record<string, PinInfoShort>, string, RegExp][] = [
    ['enough copies', one, { a: says(pinned), b: says(remote) }, 'pinned', /^$/],
    ['one of two, the other comes', two, { a: says(pinned), b: says(pinning) }, 'pinning', /^$/],
    [
      'one of two, the other failed',
      two,
      { a: says(pinned), b: says(pin_error, 'no progress') },
      'error',
      /^1 of 2 copies: somebody: no progress$/,
    ],
    [
      'one of two, the other is dead',
      two,
      { a: says(pinned) },
      'error',
      /^1 of 2 copies: b does not answer; recover the root/,
    ],
    [
      'the only one is dead',
      one,
      { b: says(remote) },
      'error',
      /^nobody has it: a does not answer\. Bring back a peer that kept it, or add the content again$/,
    ],
    [
      'the only one does not answer',
      one,
      { a: says(cluster_error, 'dial') },
      'error',
      /^nobody has it: a does not answer/,
    ],
    [
      'the only one lost it',
      one,
      { a: says(unexpectedly_unpinned, 'it should be pinned') },
      'error',
      /^somebody: it should be pinned$/,
    ],
    [
      'everywhere, and one failed',
      everywhere,
      { a: says(pinned), b: says(pin_error, 'full'), c: says(pinned) },
      'error',
      /^2 of 3 copies: somebody: full$/,
    ],
    ['everywhere', everywhere, { a: says(pinned), b: says(pinned), c: says(pinned) }, 'pinned', /^$/],
  ]
  for (const [name, pin, peerMap, state, error] of cases) {
    test(name, () => {
      const found = shardState(pin, { peerMap }, ['a', 'b', 'c'])
      assert.equal(found.state, state)
      assert.match(found.error, error)
    })
  }
})

function setUp(shards: readonly [Pin | undefined, Record<string, PinInfoShort>][]) {
  const meta = newPin(cidOf(200), {
    type: 'meta-pin',
    name: 'x',
    reference: cidOf(201),
    replicationFactorMin: 2,
    replicationFactorMax: 2,
  })
  const pins = new Map<string, Pin>([[String(meta.cid), meta]])
  const peerMaps = new Map<string, Record<string, PinInfoShort>>([
    [String(meta.cid), { a: says(sharded), b: says(sharded) }],
    [String(meta.reference), { a: says(pinned), b: says(pinned) }],
  ])
  for (const [i, [pin, peerMap]] of shards.entries()) {
    if (pin !== undefined) pins.set(String(pin.cid), pin)
    peerMaps.set(String(cidOf(i)), peerMap)
  }
  const done: string[] = []
  const infoOf = (cid: CID): GlobalPinInfo => ({
    cid,
    name: '',
    allocations: [],
    origins: [],
    created: null,
    metadata: null,
    peerMap: peerMaps.get(String(cid)) ?? {},
  })
  const world = { unreadable: false }
  const queries = withShards(
    {
      status: async cid => infoOf(cid),
      async recover(cid) {
        done.push(`recover ${cid.multihash.digest[0]}`)
        return infoOf(cid)
      },
      statusOf: asked => mapBatches(batchesOf(asked), batch => batch.map(({ cid }) => infoOf(cid))),
    },
    {
      consensus: {
        state: {
          get: async cid => pins.get(String(cid)),
          getMany: async cids => cids.map(cid => pins.get(String(cid))),
        },
      },
      pinning: {
        async pinObject(pin) {
          done.push(
            `pin ${pin.name} ${pin.type} ${pin.replicationFactorMin} ${pin.reference?.multihash.digest[0]}`,
          )
          return pin
        },
        async reallocate(cid, gone) {
          done.push(`reallocate ${cid.multihash.digest[0]} from ${gone}`)
          return true
        },
        sharded: {
          async shardsOf() {
            if (world.unreadable)
              throw new ClusterError('the list is lost', { code: 'SHARDS_UNKNOWN', cid: '' })
            return shards.map((_, i) => cidOf(i))
          },
        },
      },
      monitor: { members: () => ['a', 'b'] },
    },
    { followerMode: false },
  )
  return { queries, meta, done, world }
}

describe('the root of sharded content', () => {
  const two = (n: number, other = 'b') => shardOf(n, ['a', other], 2)

  test('tells how its shards do, in one answer', async () => {
    const { queries, meta, world } = setUp([
      [two(0), { a: says(pinned), b: says(pinned) }],
      [two(1), { a: says(pinned), b: says(pinning) }],
      [two(2, 'dead'), { a: says(pinned), b: says(remote) }],
      [undefined, {}],
    ])
    const { shards } = await queries.status(meta.cid)
    assert.deepEqual(
      { ...shards, problems: shards?.problems.map(({ cid }) => cid.multihash.digest[0]) },
      { total: 4, pinned: 1, pinning: 1, error: 2, problems: [2, 3] },
    )
    assert.match(shards?.problems[1]?.error ?? '', /not in the pinset any more/)
    assert.equal((await queries.status(cidOf(0))).shards, undefined)
    world.unreadable = true
    assert.deepEqual((await queries.status(meta.cid)).shards, {
      total: 0,
      pinned: 0,
      pinning: 0,
      error: 0,
      problems: [{ cid: meta.reference, error: 'the list is lost' }],
    })
  })

  test('recovers them: all try again, what a dead peer kept moves if somebody has it, what is missing comes back', async () => {
    const { queries, meta, done, world } = setUp([
      [two(0), { a: says(pinned), b: says(pin_error) }],
      [two(1, 'dead'), { a: says(pinned), b: says(remote) }],
      [shardOf(2, ['dead'], 1), { a: says(remote), b: says(remote) }],
      [undefined, {}],
    ])
    assert.equal((await queries.recover(meta.cid)).shards?.total, 4)
    assert.deepEqual(done.sort(), [
      'pin x-shard-3 shard-pin 2 2',
      'reallocate 1 from dead',
      'recover 0',
      'recover 1',
      'recover 2',
      'recover 200',
      'recover 201',
    ])
    world.unreadable = true
    await assert.rejects(queries.recover(meta.cid), { code: 'SHARDS_UNKNOWN' })
  })
})
