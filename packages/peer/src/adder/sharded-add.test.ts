import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DEFAULT_PIN_OPTIONS, type AddParams, type NodeWithMeta, type Pin } from '@ipfs-cluster/api'
import { decode } from '@ipld/dag-cbor'
import { writeCar } from '@ipfs-cluster/ipfs/car'
import { CID } from 'multiformats/cid'
import type { AddPart, ShardedPins } from './index.ts'
import { listNode, MAX_LINKS, shardNodes } from './shard-dag.ts'
import { setUp, type PutBlocks } from './test-adder.ts'
import { file, sampleFolder, testBytes } from './test-content.ts'

const PEERS = ['a', 'b', 'c']

interface Stream {
  readonly peer: string
  readonly blocks: NodeWithMeta[]
}

/** Each shard has two peers of three, the first one another each time. */
function setUpSharded({ failing = {} }: { readonly failing?: Readonly<Record<string, PutBlocks>> } = {}) {
  const streams: Stream[] = []
  const kept: Pin[] = []
  const committed: Pin[] = []
  const asked: Pin[] = []
  const events: string[] = []
  const pinSharded = (): ShardedPins => ({
    async keep(shard) {
      events.push(`keep ${shard.name}`)
      kept.push(shard)
    },
    async commit(dag, meta) {
      events.push('commit')
      committed.push(dag, meta)
    },
    async [Symbol.asyncDispose]() {
      events.push('over')
    },
  })
  const { add, pins } = setUp({
    pinSharded,
    async allocate(pin) {
      asked.push(pin)
      if (pin.replicationFactorMin < 0) return PEERS
      const first = asked.length % PEERS.length
      return [PEERS[first] as string, PEERS[(first + 1) % PEERS.length] as string]
    },
    async putBlocks(peer, blocks, options) {
      const own = failing[peer]
      if (own !== undefined) return await own(peer, blocks, options)
      const stream: Stream = { peer, blocks: [] }
      streams.push(stream)
      for await (const block of blocks) stream.blocks.push(block)
    },
  })
  return { add, pins, streams, kept, committed, asked, events }
}

const sharded = (shardSize: bigint, pin: Partial<AddParams['pin']> = {}): Partial<AddParams> => ({
  shard: true,
  pin: {
    ...DEFAULT_PIN_OPTIONS,
    name: 'x',
    replicationFactorMin: 1,
    replicationFactorMax: 2,
    shardSize,
    ...pin,
  },
})

function linksOf(block: NodeWithMeta): CID[] {
  return Object.values(decode(block.data) as Record<string, unknown>).map(link => CID.asCID(link) as CID)
}

const textsOf = (cids: readonly CID[]) => cids.map(String)

describe('a sharded add', () => {
  it('sends every block once to the peers of its shard, and a list of them after them', async () => {
    const { add, pins, streams, kept, committed, asked } = setUpSharded()
    const plain = setUp()
    const folder = sampleFolder()
    const [plainRoot] = (await plain.add(folder)).slice(-1)
    const outputs = await add(folder, sharded(400_000n))

    const plainBlocks = new Set([...(plain.blocks.get('a') ?? [])].map(({ cid }) => `${cid}`))
    const listed = kept.flatMap(({ cid }) => {
      const stored = streams.filter(({ blocks }) => blocks.some(block => block.cid.equals(cid)))
      assert.equal(stored.length, 2)
      const [first, second] = stored as [Stream, Stream]
      assert.deepEqual(first.blocks, second.blocks)
      const list = first.blocks.at(-1) as NodeWithMeta
      assert.ok(list.cid.equals(cid))
      assert.deepEqual(textsOf(linksOf(list)), textsOf(first.blocks.slice(0, -1).map(block => block.cid)))
      return textsOf(linksOf(list))
    })
    assert.deepEqual(new Set(listed), plainBlocks)
    assert.equal(listed.length, plainBlocks.size, 'no block is in two shards')

    assert.equal(kept.length, 4)
    for (const [i, pin] of kept.entries()) {
      assert.equal(pin.name, `x-shard-${i}`)
      assert.equal(pin.type, 'shard-pin')
      assert.equal(pin.maxDepth, 1)
      assert.equal(pin.allocations.length, 2)
      assert.ok(pin.shardSize > 0n && pin.shardSize < 400_000n, `${pin.shardSize}`)
      assert.deepEqual(pin.reference, i === 0 ? null : kept[i - 1]?.cid)
      assert.ok((asked[i]?.size ?? 0n) > 400_000n, 'a peer needs room for a whole shard')
    }
    const [dag, meta] = committed as [Pin, Pin]
    const root = plainRoot?.cid as CID
    assert.deepEqual(
      [dag.type, dag.name, dag.maxDepth, `${dag.reference}`],
      ['clusterdag-pin', 'x-clusterDAG', 0, `${root}`],
    )
    assert.deepEqual([dag.replicationFactorMin, dag.replicationFactorMax], [-1, -1])
    assert.deepEqual(
      [meta.type, meta.name, `${meta.cid}`, `${meta.reference}`],
      ['meta-pin', 'x', `${root}`, `${dag.cid}`],
    )
    assert.ok(dag.cid.equals(listNode(kept.map(({ cid }) => cid)).cid))
    const lists = streams.filter(({ blocks }) => blocks[0]?.cid.equals(dag.cid))
    assert.deepEqual(lists.map(({ peer }) => peer).sort(), PEERS)
    assert.equal(pins.length, 0)

    const names = outputs.map(({ name }) => name)
    assert.deepEqual(names.slice(-3), ['shard-3', 'x-clusterDAG', 'sample'])
    assert.ok(names.indexOf('shard-0') < names.indexOf('sample/three-chunks'))
    assert.equal(
      outputs.at(-2)?.size,
      kept.reduce((sum, { shardSize }) => sum + shardSize, 0n),
    )
  })

  it('cuts at 100 MiB when nobody says where, and not the expiry of the root for its parts', async () => {
    const { add, kept, committed, asked } = setUpSharded()
    await add([file('f', testBytes(1000))], sharded(0n, { expireAt: 5_000_000_000_000_000_000n }))
    assert.equal(kept.length, 1)
    assert.ok((asked[0]?.size ?? 0n) > 100n * 1024n * 1024n)
    assert.deepEqual(
      [...kept, ...committed].map(({ expireAt }) => expireAt),
      [null, null, 5_000_000_000_000_000_000n],
    )
  })

  it('takes a CAR, too', async () => {
    const { add, kept, committed } = setUpSharded()
    const plain = setUp()
    const [added] = await plain.add([file('f', testBytes(1_000_000))])
    const root = added?.cid as CID
    async function* car(): AsyncGenerator<AddPart> {
      const blocks = plain.blocks.get('a') ?? []
      yield { path: 'f.car', kind: 'file', content: writeCar(root, blocksOf(blocks)) }
    }
    await add(car(), { ...sharded(300_000n), format: 'car' })
    assert.equal(kept.length, 4)
    assert.ok(committed[1]?.cid.equals(root))
  })

  it('refuses blocks that are larger than a shard, and what contradicts it', async () => {
    const { add, kept, events } = setUpSharded()
    await assert.rejects(add([file('f', testBytes(1000))], sharded(1000n)), {
      code: 'ADD_BAD_SHARD_SIZE',
      message:
        /^block doesn't fit in empty shard: shard size too small\? The block has 10\d\d bytes and shard-size is 1000/,
    })
    await assert.rejects(
      add([file('f', testBytes(1000)), file('g', testBytes(300_000))], { ...sharded(100_000n), wrap: true }),
      {
        code: 'ADD_BAD_SHARD_SIZE',
      },
    )
    assert.equal(events.filter(event => event === 'over').length, 2, 'what was kept is taken back')
    kept.length = 0
    for (const wrong of [{ noPin: true }, { local: true }]) {
      await assert.rejects(add([file('f', 'x')], { ...sharded(1000n), ...wrong }), {
        code: 'ADD_UNSUPPORTED',
      })
    }
    await assert.rejects(setUp().add([file('f', 'x')], sharded(1000n)), { code: 'ADD_UNSUPPORTED' })
    assert.equal(kept.length, 0)
  })

  it('goes on without a destination that fails, and is over when a shard has none left', async () => {
    const failing: PutBlocks = async (_peer, blocks) => {
      for await (const _block of blocks) throw new Error('the disk is full')
    }
    const one = setUpSharded({ failing: { b: failing } })
    const outputs = await one.add([file('f', testBytes(1_000_000))], sharded(300_000n))
    assert.deepEqual(one.events.slice(-2), ['commit', 'over'])
    assert.match(
      outputs.flatMap(({ warnings = [] }) => warnings).join(),
      /b has not taken all blocks.*the disk is full/,
    )

    const two = setUpSharded({ failing: { b: failing, c: failing } })
    await assert.rejects(two.add([file('f', testBytes(1_000_000))], sharded(300_000n)), {
      code: 'ADD_ALL_DESTINATIONS_FAILED',
    })
    assert.ok(!two.events.includes('commit'))
    assert.equal(two.events.at(-1), 'over')
  })

  it('takes back what it has pinned when the client goes', async () => {
    const { add, events } = setUpSharded()
    const gone = new AbortController()
    async function* parts(): AsyncGenerator<AddPart> {
      yield* [{ path: 'd/f', kind: 'file' as const, content: bytes(testBytes(1_000_000)) }]
      gone.abort(new Error('the client is gone'))
      yield* [{ path: 'd/g', kind: 'file' as const, content: bytes(testBytes(1_000_000, 'other')) }]
    }
    await assert.rejects(add(parts(), sharded(300_000n), gone.signal), /the client is gone/)
    assert.ok(events.includes('keep x-shard-0'))
    assert.equal(events.at(-1), 'over')
    assert.ok(!events.includes('commit'))
  })
})

describe('the nodes of a shard', () => {
  const cidOf = (n: number) => {
    const cid = listNode([]).cid
    const bytes = Uint8Array.from(cid.bytes)
    new DataView(bytes.buffer).setUint32(bytes.length - 4, n)
    return CID.decode(bytes)
  }
  const cids = (count: number) => Array.from({ length: count }, (_, n) => cidOf(n))

  it('are as those of a Go peer', async () => {
    const { add, kept } = setUpSharded()
    await add([file('l2.bin', 'shards '.repeat(150_000))], sharded(400_000n))
    // Of Go 1.1.6; its last shard has a folder in it, too.
    assert.deepEqual(textsOf(kept.map(({ cid }) => cid)).slice(0, -1), [
      'bafyreibhjutwnmtikenkuhzf3bwjc5nmivdmelivrp5oyeek4zp3sdexnm',
      'bafyreiakosdq3cl7afy6ylmvozyh5nrgahqqognszyj6rf4dfl4oyftkdi',
      'bafyreihpdfelwe4a2ymqdaol5wagiftzni2va544a7ceykruzfm5d3l7dy',
    ])
    const [{ data }] = shardNodes(cids(11))
    const keys = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10']
    assert.deepEqual(Object.keys(decode(data) as object), keys)
  })

  it('have two levels when the links do not fit in one', () => {
    assert.equal(shardNodes(cids(MAX_LINKS)).length, 1)
    const more = shardNodes(cids(MAX_LINKS + 1))
    assert.equal(more.length, 3)
    assert.deepEqual(textsOf(linksOf(more[0])), textsOf(more.slice(1).map(({ cid }) => cid)))
    assert.deepEqual(textsOf(more.slice(1).flatMap(linksOf)), textsOf(cids(MAX_LINKS + 1)))
    const full = shardNodes(cids(2 * MAX_LINKS))
    assert.deepEqual(
      full.slice(1).map(node => linksOf(node).length),
      [MAX_LINKS, MAX_LINKS, 0],
    )
  })
})

async function* bytes(data: Uint8Array): AsyncGenerator<Uint8Array> {
  yield data
}

async function* blocksOf(blocks: readonly NodeWithMeta[]) {
  for (const { cid, data } of blocks) yield { cid, data }
}
