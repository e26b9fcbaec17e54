/** Folders that no single peer has room for: sharded over three, read back, a peer lost, and gone without a trace. `run-shard.ts` does it at full size. */
import assert from 'node:assert/strict'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { DEFAULT_PIN_OPTIONS, type PinOptions } from '@ipfs-cluster/api'
import { waitFor } from '@ipfs-cluster/testkit'
import { pinset, startCluster, statusByPeer, type TestCluster, type TestPeer } from './cluster.ts'
import {
  addSharded,
  allPinned,
  contentOf,
  copies,
  exportThrough,
  folderOf,
  PIECE,
  readThrough,
  shardsBecome,
  shardsOf,
  storedBytes,
  unpinWithoutTrace,
} from './sharding.ts'

const MB = 1_000_000
const STORAGE = 30 * MB

const inShards = (count: number): Partial<PinOptions> => ({ shardSize: BigInt(3 * MB), ...copies(count) })

describe('sharded content', () => {
  let cluster: TestCluster
  let peers: readonly TestPeer[]

  before(async () => {
    cluster = await startCluster(3, config => {
      const { embedded } = config.ipfs_connector
      assert.ok(embedded)
      return {
        ...config,
        cluster: { ...config.cluster, repin_grace_period: 500 },
        ipfs_connector: { embedded: { ...embedded, storage_max: STORAGE } },
      }
    })
    peers = cluster.peers
  })

  after(async () => {
    await cluster?.[Symbol.asyncDispose]()
  })

  test('larger than any peer: pinned, read back whole through each, unpinned without a trace', async () => {
    const [first, second] = peers as [TestPeer, TestPeer]
    const folder = folderOf(6, 10 * MB)
    const root = await addSharded(first, folder, inShards(1))
    const { total } = await allPinned(second, root)
    assert.ok(total >= 20, `${total} shards`)
    const shards = await shardsOf(second)
    assert.equal(shards.length, total)
    for (const peer of peers) {
      const bytes = shards
        .filter(({ allocations }) => allocations[0] === peer.id)
        .map(({ shardSize }) => Number(shardSize))
      const sum = bytes.reduce((a, b) => a + b, 0)
      assert.ok(sum > 10 * MB && sum < STORAGE, `${peer.name} keeps ${sum} bytes`)
    }
    assert.deepEqual(new Set(Object.values(await statusByPeer(second, root))), new Set(['sharded']))
    assert.match(
      (await second.ctl(['status', String(root)])).stdout,
      new RegExp(`\\n    > Shards: ${total} \\| ${total} pinned, 0 pinning, 0 error\\n$`),
    )
    for (const peer of peers) await readThrough(peer, root, folder)
    await exportThrough(peers, root, folder)
    await unpinWithoutTrace(peers, root, STORAGE)
  })

  test('two roots share shards: the one goes, the other stays whole', async () => {
    const [first, second, third] = peers as [TestPeer, TestPeer, TestPeer]
    const folder = folderOf(3, 4 * MB)
    const grown = [...folder, ...folderOf(1, 4 * MB).map(file => ({ ...file, name: 'one-more.bin' }))]
    const root = await addSharded(first, folder, inShards(1))
    const before = (await shardsOf(first)).length
    const other = await addSharded(second, grown, inShards(1))
    const both = (await shardsOf(second)).length
    assert.ok(both < 2 * before, `${before} shards, and ${both} with those of the other`)
    await allPinned(third, root)
    await third.client.unpin({ cid: root })
    await waitFor(async () => (await pinset(first)).length === (await pinset(third)).length, {
      timeoutMs: 20_000,
      intervalMs: 100,
      what: 'the peers agree',
    })
    await storedBytes(peers, STORAGE)
    await allPinned(first, other)
    for (const peer of peers) await readThrough(peer, other, grown)
    await unpinWithoutTrace(peers, other, STORAGE)
  })

  test('an upload that ends early leaves nothing pinned', async () => {
    const [first] = peers as [TestPeer]
    async function* parts() {
      yield { path: 'folder/a', kind: 'file' as const, content: contentOf({ bytes: 10 * MB, seed: 0 }) }
      await waitFor(async () => (await shardsOf(first)).length >= 2, {
        timeoutMs: 20_000,
        intervalMs: 20,
        what: 'shards are pinned',
      })
      const [shard] = await shardsOf(first)
      assert.notEqual(shard?.expireAt, null, 'for as long as the add goes on')
      throw new Error('the client is gone')
    }
    const pin = { ...DEFAULT_PIN_OPTIONS, ...inShards(1) }
    await assert.rejects(Array.fromAsync(first.client.add({ params: { pin, shard: true }, parts: parts() })))
    await waitFor(async () => (await pinset(first)).length === 0, {
      timeoutMs: 20_000,
      intervalMs: 50,
      what: 'nothing is pinned',
    })
    await waitFor(async () => (await storedBytes(peers, STORAGE)).every(bytes => bytes < PIECE), {
      timeoutMs: 30_000,
      intervalMs: 500,
      what: 'nothing is stored',
    })
  })

  test('of two copies one is lost with its peer: the others make it again', async () => {
    const [first, second, third] = peers as [TestPeer, TestPeer, TestPeer]
    const folder = folderOf(4, 5 * MB)
    const root = await addSharded(first, folder, inShards(2))
    await allPinned(second, root)
    await third.kill9()
    await waitFor(
      async () =>
        (await shardsOf(first)).every(
          ({ allocations }) => allocations.length === 2 && !allocations.includes(third.id),
        ),
      { timeoutMs: 60_000, intervalMs: 200, what: 'all shards are with the two that are left' },
    )
    await allPinned(first, root)
    for (const peer of [first, second]) await readThrough(peer, root, folder)
    await third.start()
    await cluster.whole()
    await unpinWithoutTrace(peers, root, STORAGE)
  })

  test('the only copy is lost with its peer: that is told, and adding the content again makes it whole', async () => {
    const [first, second, third] = peers as [TestPeer, TestPeer, TestPeer]
    const folder = folderOf(4, 6 * MB)
    const root = await addSharded(first, folder, inShards(1))
    await allPinned(second, root)
    const kept = (await shardsOf(first)).filter(({ allocations }) => allocations[0] === third.id)
    assert.ok(kept.length > 0)
    await third.kill9()
    await rm(join(third.folder, 'ipfs'), { recursive: true })
    const lost = await shardsBecome(first, root, 'the loss is seen', ({ error }) => error > 0)
    assert.match(lost.problems[0]?.error ?? '', /^nobody has it: |no peer that IPFS can reach|no progress/)

    await third.start()
    await cluster.whole()
    assert.equal(String(await addSharded(second, folder, inShards(1))), String(root))
    await allPinned(first, root)
    for (const peer of peers) await readThrough(peer, root, folder)
    await unpinWithoutTrace(peers, root, STORAGE)
  })

  test('of an add that ends with its peer nothing stays for ever', async () => {
    const [first, second] = peers as [TestPeer, TestPeer]
    async function* parts() {
      yield { path: 'folder/a', kind: 'file' as const, content: contentOf({ bytes: 10 * MB, seed: 0 }) }
      await waitFor(async () => (await shardsOf(second)).length >= 2, {
        timeoutMs: 20_000,
        intervalMs: 20,
        what: 'shards are pinned',
      })
      await first.kill9()
      yield { path: 'folder/b', kind: 'file' as const, content: contentOf({ bytes: MB, seed: 0 }) }
    }
    const pin = { ...DEFAULT_PIN_OPTIONS, ...inShards(1) }
    await assert.rejects(Array.fromAsync(first.client.add({ params: { pin, shard: true }, parts: parts() })))
    await first.start()
    await cluster.whole()
    const left = await Array.fromAsync(first.client.allocations())
    assert.ok(left.length >= 2)
    const tomorrow = BigInt(Date.now() + 24 * 3_600_000) * 1_000_000n
    for (const { type, expireAt } of left) {
      assert.equal(type, 'shard-pin')
      assert.ok(expireAt !== null && expireAt <= tomorrow, 'it expires')
    }
  })
})
