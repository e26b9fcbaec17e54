/**
 * `node test/durability/run-shard.ts [--size 2GB] [--storage 1GB] [--shard 50MB]`: a folder that no peer has room for, sharded over three whose limit
 * is `--storage` each: pinned, read back whole through each, one peer lost and its shards recovered, unpinned without a trace. Once with one copy, where
 * what is lost comes back by adding the content again, and, with two fifths of the content, with two, where the other peers make it again.
 */
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { formatByteSize, parseByteSize } from '@ipfs-cluster/base'
import { waitFor } from '@ipfs-cluster/testkit'
import { startCluster, type TestPeer } from '../e2e/cluster.ts'
import {
  addSharded,
  allPinned,
  copies,
  folderOf,
  readThrough,
  shardsBecome,
  shardsOf,
  storedBytes,
  unpinWithoutTrace,
} from '../e2e/sharding.ts'

const FILES = 20

const { values } = parseArgs({
  options: {
    size: { type: 'string', default: '2GB' },
    storage: { type: 'string', default: '1GB' },
    shard: { type: 'string', default: '50MB' },
  },
})
const size = Number(parseByteSize(values.size))
const shardSize = parseByteSize(values.shard)
const storage = Number(parseByteSize(values.storage))

const bytes = (count: number) => formatByteSize(BigInt(Math.round(count)))

async function timed<T>(what: string, work: () => Promise<T>, moved = 0): Promise<T> {
  const start = performance.now()
  const result = await work()
  const seconds = (performance.now() - start) / 1000
  console.log(`${what}: ${seconds.toFixed(1)} s${moved === 0 ? '' : `, ${bytes(moved / seconds)}/s`}`)
  return result
}

/** Most memory that the process of a peer has had. */
async function peakOf(peer: TestPeer): Promise<string> {
  const status = await readFile(`/proc/${peer.process.pid}/status`, 'utf8')
  return `${peer.name} ${bytes(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024)}`
}

async function placesOf(peers: readonly TestPeer[]): Promise<string> {
  const shards = await shardsOf(peers[0] as TestPeer)
  const kept = peers.map(({ name, id }) => {
    const own = shards.filter(({ allocations }) => allocations.includes(id))
    return `${name} ${own.length} (${bytes(own.reduce((sum, pin) => sum + Number(pin.shardSize), 0))})`
  })
  return `${shards.length} shards: ${kept.join(', ')}`
}

await using cluster = await startCluster(3, config => {
  const { embedded } = config.ipfs_connector
  if (embedded === undefined) throw new Error('no built-in node')
  return {
    ...config,
    cluster: { ...config.cluster, repin_grace_period: 5_000 },
    ipfs_connector: { embedded: { ...embedded, storage_max: storage } },
  }
})
const { peers } = cluster
const [first, second, third] = peers as readonly [TestPeer, TestPeer, TestPeer]

console.log(`one copy of ${values.size} over three peers of ${values.storage}`)
const folder = folderOf(FILES, Math.floor(size / FILES))
const once = { shardSize, ...copies(1) }
const root = await timed('added', () => addSharded(first, folder, once), size)
await timed('all shards pinned', () => allPinned(second, root))
console.log(await placesOf(peers))
for (const peer of peers)
  await timed(`read whole through ${peer.name}`, () => readThrough(peer, root, folder), size)
console.log(`stored: ${(await storedBytes(peers, storage)).map(bytes).join(', ')}`)

await third.kill9()
await rm(join(third.folder, 'ipfs'), { recursive: true })
const lost = await timed('the loss is told', () =>
  shardsBecome(first, root, 'the loss is told', ({ error }) => error > 0),
)
console.log(`${lost.error} of ${lost.total}: ${lost.problems[0]?.error}`)
await third.start()
await cluster.whole()
await timed('the peer is back without its disk; added again', () => addSharded(second, folder, once), size)
await timed('all shards pinned', () => allPinned(first, root))
console.log(await placesOf(peers))
await timed(`read whole through ${third.name}`, () => readThrough(third, root, folder), size)
await timed('unpinned without a trace', () => unpinWithoutTrace(peers, root, storage))

const part = Math.floor((size * 2) / 5)
console.log(`two copies of ${bytes(part)}`)
const smaller = folderOf(FILES, Math.floor(part / FILES))
const other = await timed('added', () => addSharded(first, smaller, { shardSize, ...copies(2) }), part)
await timed('all shards pinned', () => allPinned(second, other))
console.log(await placesOf(peers))
await third.kill9()
await timed('the two others have all shards', async () => {
  const moved = async () =>
    (await shardsOf(first)).every(
      ({ allocations }) => allocations.length === 2 && !allocations.includes(third.id),
    )
  await waitFor(moved, { timeoutMs: 120_000, intervalMs: 200, what: 'no shard is left to the dead peer' })
  await waitFor(() => allPinned(first, other), { timeoutMs: 600_000, what: 'all shards are pinned' })
})
for (const peer of [first, second]) {
  await timed(`read whole through ${peer.name}`, () => readThrough(peer, other, smaller), part)
}
await third.start()
await cluster.whole()
await timed('unpinned without a trace', () => unpinWithoutTrace(peers, other, storage))
console.log(`peak memory: ${(await Promise.all(peers.map(peakOf))).join(', ')}`)
