import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { decodePin, encodePin, newPin, PIN_TYPE_BITS, type Pin } from '@ipfs-cluster/api'
import { silentLogger, type Random } from '@ipfs-cluster/base'
import { createManualClock } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { create } from 'multiformats/hashes/digest'
import { listNode } from '../adder/shard-dag.ts'
import type { PinListOptions } from '../state/index.ts'
import { preparePin } from './prepare.ts'
import { ADDING_KEY, createShardedContent } from './sharded-content.ts'

const cidOf = (n: number) => CID.createV1(raw.code, create(0x12, new Uint8Array(32).fill(n)))
const DAY_S = 24 * 3_600
const A = 'QmXZrtE5jQwXNqCJMfHUTQkvhQ4ZAnqMnmzFMJfLewuabc'
const B = 'QmUZ13osndQ5uL4tPWHXe3iBgBgq9gfewcBMSCAuMBsDJ6'

function setUp() {
  const clock = createManualClock()
  const pinset = new Map<string, Pin>()
  const blocks = new Map<string, Uint8Array>()
  let adds = 0
  const world = {
    clock,
    pinset,
    blocks,
    commits: [] as string[],
    failNext: false,
    types: () => [...pinset.values()].map(({ type, name }) => `${type} ${name}`).sort(),
    get: (cid: CID) => pinset.get(cid.toString()),
  }
  const put = (pin: Pin) => void pinset.set(pin.cid.toString(), decodePin(encodePin(pin), pin.cid))
  const commit = async (what: string, change: () => void) => {
    if (world.failNext) {
      world.failNext = false
      throw new Error('the disk is full')
    }
    world.commits.push(what)
    change()
  }
  const consensus = {
    state: {
      get: async (cid: CID) => pinset.get(cid.toString()),
      getMany: async (cids: readonly CID[]) => cids.map(cid => pinset.get(cid.toString())),
      async *list({ types = 0 }: PinListOptions) {
        yield* [...pinset.values()].filter(pin => (PIN_TYPE_BITS[pin.type] & types) !== 0)
      },
    },
    logPin: (pin: Pin) => commit('pin', () => put(pin)),
    logPins: (pins: readonly Pin[]) => commit(`pin ${pins.length}`, () => pins.forEach(put)),
    logUnpins: (cids: readonly CID[]) =>
      commit(`unpin ${cids.length}`, () => cids.forEach(cid => pinset.delete(cid.toString()))),
  }
  const content = createShardedContent({
    consensus: consensus as never,
    ipfs: {
      async blockGet(cid) {
        return blocks.get(cid.toString()) ?? assert.fail(`${cid} is nowhere`)
      },
    },
    prepare: (pin, existing, now) =>
      preparePin(pin, existing, { replicationFactorMin: 1, replicationFactorMax: 1 }, now),
    allocated: prepared => prepared,
    checkWritable: () => undefined,
    onPin: () => undefined,
    clock,
    logger: silentLogger,
    random: { bytes: (length: number) => new Uint8Array(length).fill(++adds) } as unknown as Random,
  })

  /** What an add of a root with these shards does. */
  const parts = (root: number, shards: readonly number[], fields: Partial<Pin> = {}) => {
    const list = listNode(shards.map(cidOf))
    blocks.set(list.cid.toString(), list.data)
    return {
      shards: shards.map((n, i) =>
        newPin(cidOf(n), {
          type: 'shard-pin',
          name: `${root}-shard-${i}`,
          maxDepth: 1,
          allocations: [A],
          shardSize: 100n,
          reference: i === 0 ? null : cidOf(shards[i - 1] as number),
        }),
      ),
      dag: newPin(list.cid, {
        type: 'clusterdag-pin',
        name: `${root}-clusterDAG`,
        mode: 'direct',
        maxDepth: 0,
        replicationFactorMin: -1,
        replicationFactorMax: -1,
        reference: cidOf(root),
      }),
      meta: newPin(cidOf(root), {
        type: 'meta-pin',
        name: `${root}`,
        mode: 'direct',
        maxDepth: 0,
        reference: list.cid,
        ...fields,
      }),
    }
  }
  const add = async (root: number, shards: readonly number[]) => {
    await using adding = content.begin()
    const { shards: pins, dag, meta } = parts(root, shards)
    for (const pin of pins) await adding.keep(pin)
    await adding.commit(dag, meta)
    return meta
  }
  return { world, content, add, parts }
}

describe('sharded content', () => {
  test('its shards are pinned for a while as they come, and to stay with the root, in one commit', async () => {
    const { world, content, parts } = setUp()
    const { shards, dag, meta } = parts(200, [1, 2])
    await using adding = content.begin()
    for (const pin of shards) await adding.keep(pin)
    for (const { cid } of shards) {
      const pin = world.get(cid)
      assert.equal(pin?.metadata[ADDING_KEY], '0101010101010101')
      assert.equal(
        Number((pin?.expireAt ?? 0n) / 1_000_000_000n),
        Math.floor(world.clock.now() / 1000) + DAY_S,
      )
    }
    await adding.commit(dag, meta)
    assert.deepEqual(world.commits, ['pin', 'pin', 'pin 4'])
    assert.deepEqual(world.types(), [
      'clusterdag-pin 200-clusterDAG',
      'meta-pin 200',
      'shard-pin 200-shard-0',
      'shard-pin 200-shard-1',
    ])
    const pins = [...world.pinset.values()]
    assert.ok(pins.every(pin => pin.expireAt === null && Object.keys(pin.metadata).length === 0))
    assert.deepEqual(world.get(cidOf(2))?.reference, cidOf(1))
    assert.deepEqual(world.get(cidOf(2))?.allocations, [A])
    assert.deepEqual(await content.shardsOf(meta), [cidOf(1), cidOf(2)])
    await adding[Symbol.asyncDispose]()
    assert.equal(world.pinset.size, 4, 'what is committed stays')
  })

  test('an add that fails takes its shards back, and those of nobody else', async () => {
    const { world, content, add, parts } = setUp()
    await add(200, [1, 2])
    const before = new Map(world.pinset)
    const [, again] = parts(201, [1, 3]).shards
    {
      await using adding = content.begin()
      for (const pin of parts(201, [1, 3]).shards) await adding.keep(pin)
      assert.equal(world.pinset.size, 5)
    }
    assert.deepEqual(new Map(world.pinset), before)

    const first = content.begin()
    const second = content.begin()
    await first.keep(again as Pin)
    await second.keep(again as Pin)
    await first[Symbol.asyncDispose]()
    assert.ok(world.get(cidOf(3)), 'another add has it by now')
    await second[Symbol.asyncDispose]()
    assert.deepEqual(new Map(world.pinset), before)
  })

  test('an add that fails while nothing can be written leaves its shards to their expiry', async () => {
    const { world, content, parts } = setUp()
    const adding = content.begin()
    await adding.keep(parts(200, [1]).shards[0] as Pin)
    world.failNext = true
    await adding[Symbol.asyncDispose]()
    assert.notEqual(world.get(cidOf(1))?.expireAt, null)
  })

  test('an add may take longer than shards are pinned for', async () => {
    const { world, content, parts } = setUp()
    await using adding = content.begin()
    const { shards, dag, meta } = parts(200, [1, 2, 3])
    for (const pin of shards) {
      await adding.keep(pin)
      await world.clock.advance((DAY_S * 1000 * 2) / 3)
    }
    const expiry = (n: number) => Number((world.get(cidOf(n))?.expireAt ?? 0n) / 1_000_000_000n)
    assert.ok(expiry(1) > Math.floor(world.clock.now() / 1000))
    await adding.commit(dag, meta)
    assert.equal(world.pinset.size, 5)
  })

  test('a root goes without a trace, but for what others share with it', async () => {
    const { world, content, add } = setUp()
    await add(200, [1, 2, 3])
    await add(201, [1, 2, 4])
    assert.equal(world.pinset.size, 8)
    world.commits.length = 0
    assert.equal((await content.unpin(cidOf(200))).name, '200')
    assert.deepEqual(world.commits, ['unpin 3'], 'in one commit')
    assert.deepEqual(world.types(), [
      'clusterdag-pin 201-clusterDAG',
      'meta-pin 201',
      'shard-pin 201-shard-0',
      'shard-pin 201-shard-1',
      'shard-pin 201-shard-2',
    ])
    await content.unpin(cidOf(201))
    assert.equal(world.pinset.size, 0)
    await assert.rejects(content.unpin(cidOf(201)), { code: 'PIN_NOT_FOUND' })
  })

  test('two roots that share shards may be unpinned at once', async () => {
    const { world, content, add } = setUp()
    await add(200, [1, 2, 3])
    await add(201, [1, 2, 4])
    await Promise.all([content.unpin(cidOf(200)), content.unpin(cidOf(201))])
    assert.equal(world.pinset.size, 0)
  })

  test('two roots may have the same list', async () => {
    const { world, content, add } = setUp()
    await add(200, [1, 2])
    await add(201, [1, 2])
    await content.unpin(cidOf(200))
    assert.deepEqual(world.types().length, 4)
    await content.unpin(cidOf(201))
    assert.equal(world.pinset.size, 0)
  })

  test('nothing is unpinned when nobody can tell what is shared', async () => {
    const { world, content, add } = setUp()
    await add(200, [1, 2])
    const other = await add(201, [2, 3])
    world.blocks.delete(String(other.reference))
    for (const root of [200, 201]) {
      await assert.rejects(content.unpin(cidOf(root)), {
        code: 'SHARDS_UNKNOWN',
        message: new RegExp(
          `^the shards of ${cidOf(201)} are not known: .* add the content again\\); nothing was`.replace(
            '\\);',
            ';',
          ),
        ),
      })
    }
    assert.equal(world.pinset.size, 7)
  })

  test('the same content in other shards replaces the former ones', async () => {
    const { world, add } = setUp()
    await add(200, [1, 2])
    await add(201, [2, 3])
    await add(200, [4, 5])
    assert.deepEqual(
      [...world.pinset.keys()].sort(),
      [...[2, 3, 4, 5, 200, 201].map(cidOf), listNode([2, 3].map(cidOf)).cid, listNode([4, 5].map(cidOf)).cid]
        .map(String)
        .sort(),
    )
  })

  test('content added again goes to the peers that it is sent to now', async () => {
    const { world, content, add, parts } = setUp()
    await add(200, [1])
    await using adding = content.begin()
    const { shards, dag, meta } = parts(200, [1])
    await adding.keep({ ...(shards[0] as Pin), allocations: [B] })
    await adding.commit(dag, meta)
    assert.deepEqual(world.get(cidOf(1))?.allocations, [B])
  })

  test('what is pinned as something else stays what it is', async () => {
    const { world, content, parts } = setUp()
    world.pinset.set(cidOf(1).toString(), newPin(cidOf(1)))
    await using adding = content.begin()
    await assert.rejects(adding.keep(parts(200, [1]).shards[0] as Pin), { code: 'PIN_TYPE_MISMATCH' })
    assert.equal(world.get(cidOf(1))?.type, 'pin')
  })
})
