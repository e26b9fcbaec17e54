/** Sharded folders for tests: added through a peer, followed, read back through gateways, and unpinned without a trace. */
import assert from 'node:assert/strict'
import { createCipheriv, createHash } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  DEFAULT_PIN_OPTIONS,
  PIN_TYPE_BITS,
  type AddedOutput,
  type Pin,
  type PinOptions,
  type ShardsInfo,
} from '@ipfs-cluster/api'
import { waitFor } from '@ipfs-cluster/testkit'
import { CarReader } from '@ipld/car/reader'
import { exporter } from 'ipfs-unixfs-exporter'
import type { CID } from 'multiformats/cid'
import { pinset, type TestPeer } from './cluster.ts'

export const PIECE = 1_000_000
const SETTLE_MS = 60_000

export interface TestFile {
  readonly name: string
  readonly bytes: number
  /** Of its content, which looks random. */
  readonly seed: number
}

let seeds = 0

/** Files of content that no other folder has. */
export const folderOf = (files: number, bytes: number): readonly TestFile[] =>
  Array.from({ length: files }, (_, i) => ({ name: `file-${i}.bin`, bytes, seed: ++seeds }))

export const copies = (count: number): Partial<PinOptions> => ({
  replicationFactorMin: count,
  replicationFactorMax: count,
})

export async function* contentOf({
  bytes,
  seed,
}: Pick<TestFile, 'bytes' | 'seed'>): AsyncGenerator<Uint8Array> {
  const key = createHash('sha256').update(`seed ${seed}`).digest()
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
  for (let left = bytes; left > 0; left -= PIECE) yield cipher.update(Buffer.alloc(Math.min(left, PIECE)))
}

/** Resolves with the root. */
export async function addSharded(
  peer: TestPeer,
  folder: readonly TestFile[],
  options: Partial<PinOptions>,
): Promise<CID> {
  async function* parts() {
    for (const file of folder) {
      yield { path: `folder/${file.name}`, kind: 'file' as const, content: contentOf(file) }
    }
  }
  const pin = { ...DEFAULT_PIN_OPTIONS, name: 'content', ...options }
  let root: AddedOutput | undefined
  for await (const output of peer.client.add({ params: { pin, shard: true }, parts: parts() })) root = output
  assert.equal(root?.name, 'folder')
  return root?.cid ?? assert.fail('no root')
}

/** Reads every file through the gateway of the peer. @throws when a byte is different. */
export async function readThrough(peer: TestPeer, root: CID, folder: readonly TestFile[]): Promise<void> {
  for (const file of folder) {
    const answer = await fetch(`${peer.gatewayUrl}/ipfs/${root}/${file.name}`)
    assert.equal(answer.status, 200, `${peer.name} gives ${file.name}`)
    const read = await hashOf(answer.body ?? assert.fail('no body'))
    assert.equal(read, await hashOf(contentOf(file)), `${file.name} through ${peer.name}`)
  }
}

/** Exports the root through every peer. @throws unless all give the same archive, and that holds every file of the folder. */
export async function exportThrough(
  peers: readonly TestPeer[],
  root: CID,
  folder: readonly TestFile[],
): Promise<void> {
  const archives: Buffer[] = []
  for (const peer of peers) {
    const path = join(peer.folder, 'exported.car')
    const { code, stdout, stderr } = await peer.ctl(['export', '-o', path, String(root)])
    assert.equal(code, 0, stdout + stderr)
    archives.push(await readFile(path))
    await rm(path)
  }
  const [first = assert.fail('no peer')] = archives
  assert.ok(archives.every(archive => archive.equals(first)))
  const blocks = new Map<string, Uint8Array>()
  const reader = await CarReader.fromBytes(first)
  for await (const { cid, bytes } of reader.blocks()) blocks.set(String(cid), bytes)
  const store = {
    get: async function* (cid: CID) {
      yield blocks.get(String(cid)) ?? assert.fail(`no block ${cid}`)
    },
  }
  for (const file of folder) {
    const entry = await exporter(`${root}/${file.name}`, store)
    assert.ok(entry.type === 'file' || entry.type === 'raw')
    assert.equal(await hashOf(entry.content()), await hashOf(contentOf(file)), file.name)
  }
}

async function hashOf(content: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  for await (const piece of content) hash.update(piece)
  return hash.digest('hex')
}

export async function shardsOf(peer: TestPeer): Promise<Pin[]> {
  return await Array.fromAsync(peer.client.allocations({ typeBits: PIN_TYPE_BITS['shard-pin'] }))
}

export async function shardsBecome(
  peer: TestPeer,
  root: CID,
  what: string,
  is: (shards: ShardsInfo) => boolean,
): Promise<ShardsInfo> {
  let last: ShardsInfo | undefined
  const seen = async () => {
    last = (await peer.client.status({ cid: root })).shards
    return last !== undefined && is(last) && last
  }
  try {
    return await waitFor(seen, { timeoutMs: SETTLE_MS, intervalMs: 100, what })
  } catch (cause) {
    const text = JSON.stringify(last, (_, value: unknown) =>
      typeof value === 'bigint' ? Number(value) : value,
    )
    throw new Error(`${what}: ${text}`, { cause })
  }
}

export const allPinned = (peer: TestPeer, root: CID): Promise<ShardsInfo> =>
  shardsBecome(peer, root, 'all shards are pinned', ({ total, pinned }) => total > 0 && pinned === total)

/**
 * Bytes that each peer stores, once it has collected its garbage.
 *
 * @param storage bytes that each may store.
 */
export async function storedBytes(peers: readonly TestPeer[], storage: number): Promise<number[]> {
  const [first] = peers as [TestPeer]
  await first.client.repoGC()
  // What was measured before the collection is no answer.
  const since = BigInt(Date.now()) * 1_000_000n
  const metrics = await waitFor(
    async () => {
      const all = await first.client.metrics({ name: 'freespace' })
      return all.length === peers.length && all.every(({ receivedAt }) => receivedAt > since) && all
    },
    { timeoutMs: SETTLE_MS, intervalMs: 100, what: 'all tell of their space' },
  )
  return peers.map(({ id }) => {
    const metric = metrics.find(({ peer }) => peer === id)
    return storage - Number(metric?.weight ?? 0n)
  })
}

/** Unpins the root and waits until no peer has a pin left, and nothing but a few bytes of its own. */
export async function unpinWithoutTrace(
  peers: readonly TestPeer[],
  root: CID,
  storage: number,
): Promise<void> {
  const [first] = peers as [TestPeer]
  await first.client.unpin({ cid: root })
  for (const peer of peers) {
    const isEmpty = async () => {
      const pins = await pinset(peer)
      const statuses = await Array.fromAsync(peer.client.statusAll({ local: true }))
      return pins.length === 0 && statuses.length === 0
    }
    await waitFor(isEmpty, { timeoutMs: SETTLE_MS, intervalMs: 100, what: `${peer.name} has no pin left` })
  }
  const stored = await storedBytes(peers, storage)
  assert.ok(
    stored.every(bytes => bytes < PIECE),
    `nothing is stored: ${stored.join(', ')}`,
  )
}
