/** Shards in real daemons: the blocks they list are kept, and nothing of what is below these. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { newPin, type NodeWithMeta, type Pin } from '@ipfs-cluster/api'
import { errorCode, silentLogger, systemClock, systemRandom, utf8 } from '@ipfs-cluster/base'
import { createIpfsNode, defaultIpfsNodeConfig } from '@ipfs-cluster/ipfs'
import { kuboBinary, startRealKubo } from '@ipfs-cluster/testkit'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagPb from '@ipld/dag-pb'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import {
  createEmbeddedConnector,
  createKuboConnector,
  listedLinks,
  readShard,
  type IpfsConnector,
} from './index.ts'
import { keeperOf } from './kubo-shards.ts'
import { LIST_LINKS } from './shard-list.ts'

const RAW = 0x55

function block(codec: number, data: Uint8Array): NodeWithMeta {
  const digest = createDigest(0x12, createHash('sha256').update(data).digest())
  return { cid: CID.createV1(codec, digest), data, cumulativeSize: BigInt(data.length) }
}

const leaf = (n: number) => block(RAW, utf8(`leaf ${n}`))
const parentOf = (...children: NodeWithMeta[]) =>
  block(
    dagPb.code,
    dagPb.encode(dagPb.prepare({ Links: children.map(({ cid }, i) => ({ Name: `${i}`, Hash: cid })) })),
  )
const listOf = (blocks: readonly NodeWithMeta[]) =>
  block(dagCbor.code, dagCbor.encode(Object.fromEntries(blocks.map(({ cid }, i) => [`${i}`, cid]))))

/** As Go makes it. */
function shardOf(blocks: readonly NodeWithMeta[]): readonly [NodeWithMeta, ...NodeWithMeta[]] {
  if (blocks.length <= LIST_LINKS) return [listOf(blocks)]
  const lists: NodeWithMeta[] = []
  for (let from = 0; from <= blocks.length; from += LIST_LINKS)
    lists.push(listOf(blocks.slice(from, from + LIST_LINKS)))
  return [listOf(lists), ...lists]
}

const pinOf = ({ cid }: NodeWithMeta): Pin =>
  newPin(cid, { type: 'shard-pin', maxDepth: 1, name: 'x-shard-0' })

interface World extends AsyncDisposable {
  readonly connector: IpfsConnector
}

const components = { clock: systemClock, logger: silentLogger }

async function kuboWorld(): Promise<World> {
  const kubo = await startRealKubo(kuboBinary as string)
  const connector = createKuboConnector(components, {
    nodeMultiaddress: kubo.api,
    ipfsRequestTimeoutMs: 1_000,
    pinTimeoutMs: 1_000,
    unpinTimeoutMs: 30_000,
    repogcTimeoutMs: 30_000,
    unpinDisable: false,
  })
  return {
    connector,
    async [Symbol.asyncDispose]() {
      await connector[Symbol.asyncDispose]()
      await kubo[Symbol.asyncDispose]()
    },
  }
}

async function embeddedWorld(): Promise<World> {
  const path = await mkdtemp(join(tmpdir(), 'shards-'))
  const node = await createIpfsNode(
    { ...components, random: systemRandom },
    { ...defaultIpfsNodeConfig, path, listen: ['/ip4/127.0.0.1/tcp/0'] },
  )
  const connector = createEmbeddedConnector(
    { ...components, node },
    { pinTimeoutMs: 1_000, unpinDisable: false },
  )
  return {
    connector,
    async [Symbol.asyncDispose]() {
      await connector[Symbol.asyncDispose]()
      await node[Symbol.asyncDispose]()
      await rm(path, { recursive: true })
    },
  }
}

const store = async ({ connector }: World, blocks: readonly NodeWithMeta[]) =>
  await connector.blockStream(
    (async function* () {
      yield* blocks
    })(),
  )

/** Of these, what is left when all has been collected that is not pinned. */
async function left({ connector }: World, blocks: readonly NodeWithMeta[]): Promise<number> {
  const collected = new Set<string>()
  for await (const { key } of connector.repoGC()) if (key !== null) collected.add(key.multihash.bytes.toHex())
  return blocks.filter(({ cid }) => !collected.has(cid.multihash.bytes.toHex())).length
}

const isTimeout = (error: unknown) => errorCode(error) === 'IPFS_TIMEOUT'

function run(name: string, open: () => Promise<World>, skip: string | false): void {
  describe(`shards in ${name}`, { skip }, () => {
    it('keep their blocks and nothing below them, until they are unpinned', async () => {
      await using world = await open()
      const { connector } = world
      const below = [leaf(1), leaf(2)]
      const listed = [leaf(3), parentOf(...below), leaf(4)]
      const [shard] = shardOf(listed)
      await store(world, [...below, ...listed, shard])
      const pin = pinOf(shard)
      assert.equal(await connector.pinLsCid(shard.cid, 'recursive'), 'unpinned')
      await connector.pin(pin)
      await connector.pin(pin)
      assert.equal(await connector.pinLsCid(shard.cid, 'recursive'), 'recursive')
      assert.deepEqual((await connector.arePinned?.([pin])) ?? [true], [true])
      const kinds = new Map<string, string>()
      for await (const { cid, type } of connector.pinLs()) kinds.set(String(cid), type)
      assert.equal(kinds.get(String(shard.cid)), 'recursive')
      assert.equal(await left(world, [...listed, shard]), 4)
      assert.equal(await left(world, below), 2, 'collected before')
      for (const { cid } of below)
        await assert.rejects(connector.blockGet(cid, { signal: AbortSignal.timeout(500) }))
      for (const { cid, data } of listed)
        assert.deepEqual(Buffer.from(await connector.blockGet(cid)), Buffer.from(data))

      await connector.unpin(shard.cid)
      await connector.unpin(shard.cid)
      assert.equal(await connector.pinLsCid(shard.cid, 'recursive'), 'unpinned')
      assert.equal(await left(world, [...listed, shard]), 0)
    })

    it('of so many blocks that their list has two levels are kept as a whole', async () => {
      await using world = await open()
      const blocks = Array.from({ length: LIST_LINKS + 3 }, (_, n) => leaf(n))
      const shard = shardOf(blocks)
      assert.equal(shard.length, 3)
      await store(world, [...blocks, ...shard])
      await world.connector.pin(pinOf(shard[0]))
      assert.equal(await left(world, [...blocks, ...shard]), blocks.length + 3)
      await world.connector.unpin(shard[0].cid)
      assert.equal(await left(world, [...blocks, ...shard]), 0)
    })

    it('share blocks: what one lets go the other keeps', async () => {
      await using world = await open()
      const [one] = shardOf([leaf(1), leaf(2)])
      const [two] = shardOf([leaf(2), leaf(3)])
      await store(world, [leaf(1), leaf(2), leaf(3), one, two])
      await world.connector.pin(pinOf(one))
      await world.connector.pin(pinOf(two))
      await world.connector.unpin(one.cid)
      assert.equal(await left(world, [leaf(1), one, leaf(2), leaf(3), two]), 3)
    })

    it('that nobody has are told as pins without progress', async () => {
      await using world = await open()
      const [shard] = shardOf([leaf(1), leaf(2)])
      await assert.rejects(world.connector.pin(pinOf(shard)), isTimeout)
      await store(world, [leaf(1), shard])
      await assert.rejects(world.connector.pin(pinOf(shard)), isTimeout)
      assert.equal(await world.connector.pinLsCid(shard.cid, 'recursive'), 'unpinned')
    })
  })
}

run('Kubo', kuboWorld, kuboBinary === undefined && 'set KUBO_BIN to the path of an ipfs binary')
run('the built-in node', embeddedWorld, false)

describe('the list of a shard', () => {
  it('is a map from whole numbers to links, and nothing else', () => {
    const link = leaf(1).cid
    assert.deepEqual(listedLinks(dagCbor.encode({ 0: link, 1: link }))?.map(String), [link, link].map(String))
    assert.deepEqual(listedLinks(dagCbor.encode({})), [])
    for (const other of [{ 0: link, 2: link }, { a: link }, { 0: 'link' }, [link], 'text', null, 1]) {
      assert.equal(listedLinks(dagCbor.encode(other)), undefined)
    }
    assert.equal(listedLinks(utf8('no CBOR')), undefined)
  })

  it('has one level also when all that it lists is CBOR', async () => {
    const data = [
      block(dagCbor.code, dagCbor.encode({ 0: leaf(1).cid })),
      block(dagCbor.code, dagCbor.encode('x')),
    ]
    const [shard] = shardOf(data)
    const all = new Map([shard, ...data].map(({ cid, data }) => [String(cid), data]))
    const read = async (cid: CID) => all.get(String(cid)) as Uint8Array
    assert.equal((await readShard(shard.cid, read))?.blocks.length, 2)
    assert.equal(await readShard(data[1]?.cid as CID, read), undefined)
  })

  it('has a keeper that follows from it alone', () => {
    const [shard] = shardOf([leaf(1)])
    const [keeper] = keeperOf({ lists: [shard.cid], blocks: [leaf(1).cid] })
    assert.deepEqual(
      (dagCbor.decode(keeper.data) as CID[]).map(String),
      [CID.createV1(RAW, shard.cid.multihash), leaf(1).cid].map(String),
    )
  })
})
