/**
 * Shards in Kubo, which has no pins of limited depth: it takes no notice of `max-depth` and would keep everything below the blocks of a shard, for the
 * shard with the root of the content that is all of it.
 *
 * So a shard is kept by another list of the same blocks, its keeper, which names them as raw: of these nobody follows links. The keeper is pinned
 * recursively, and the shard itself directly, which says that it is done. The keeper follows from the shard, so nobody has to remember it.
 */
import type { NodeWithMeta, Pin } from '@ipfs-cluster/api'
import { anySignal, createStallGuard, type AbortOptions, type Clock, type Random } from '@ipfs-cluster/base'
import { code as DAG_CBOR, encode } from '@ipld/dag-cbor'
import { sha256 } from '@noble/hashes/sha2.js'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { badAnswer, isRequestFailure, timedOut } from './errors.ts'
import { createBlockPuts } from './kubo-blocks.ts'
import type { KuboClient } from './kubo-client.ts'
import { LIST_LINKS, readShard, type ShardBlocks } from './shard-list.ts'

const RAW = 0x55
const SHA2_256 = 0x12

export interface KuboShardComponents {
  readonly client: KuboClient
  readonly clock: Clock
  readonly random: Random
}

export interface KuboShardTimeouts {
  readonly pinTimeoutMs: number
  readonly ipfsRequestTimeoutMs: number
}

/** May the pin be that of a shard? */
export function isShard({ type, cid }: Pin): boolean {
  return type === 'shard-pin' && cid.code === DAG_CBOR
}

/** The list of what a shard is made of, and the lists that it is made of, its root first. */
export function keeperOf({ lists, blocks }: ShardBlocks): readonly [NodeWithMeta, ...NodeWithMeta[]] {
  const raw = [...lists, ...blocks].map(({ multihash }) => CID.createV1(RAW, multihash))
  if (raw.length <= LIST_LINKS) return [node(raw)]
  const parts: NodeWithMeta[] = []
  for (let from = 0; from < raw.length; from += LIST_LINKS)
    parts.push(node(raw.slice(from, from + LIST_LINKS)))
  return [node(parts.map(({ cid }) => cid)), ...parts]
}

function node(links: readonly CID[]): NodeWithMeta {
  const data = encode(links)
  const cid = CID.createV1(DAG_CBOR, createDigest(SHA2_256, sha256(data)))
  return { cid, data, cumulativeSize: BigInt(data.length) }
}

/**
 * Pins a shard. What is missing of it the daemon fetches.
 *
 * @param add pins a CID with its progress, recursively or directly.
 */
export async function pinShard(
  { client, clock, random }: KuboShardComponents,
  { pinTimeoutMs, ipfsRequestTimeoutMs }: KuboShardTimeouts,
  pin: Pin,
  add: (pin: Pin) => Promise<void>,
  { signal }: AbortOptions,
): Promise<void> {
  const shard = await readAsked({ client, clock }, pinTimeoutMs, pin.cid, { signal })
  if (shard === undefined) throw badAnswer(`block/get?arg=${pin.cid}`, 'a block that is no list of a shard')
  const keeper = keeperOf(shard)
  await createBlockPuts({ client, clock, random }, ipfsRequestTimeoutMs).put(listed(keeper), { signal })
  await add({ ...pin, cid: keeper[0].cid, maxDepth: -1 })
  await add({ ...pin, maxDepth: 0 })
}

async function* listed<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items
}

async function readAsked(
  { client, clock }: Pick<KuboShardComponents, 'client' | 'clock'>,
  pinTimeoutMs: number,
  shard: CID,
  { signal }: AbortOptions,
): Promise<ShardBlocks | undefined> {
  using guard = createStallGuard(clock, pinTimeoutMs)
  const read = async (cid: CID) => {
    const data = await client.bytes(`block/get?arg=${cid}`, { signal: anySignal(guard.signal, signal) })
    guard.progress()
    return data
  }
  try {
    return await readShard(shard, read)
  } catch (error) {
    const stalled = guard.signal.aborted && signal?.aborted !== true
    throw stalled ? timedOut(`pin/add?arg=${shard}`, pinTimeoutMs, 'no progress') : error
  }
}

/** The keeper of a shard whose lists are here; `undefined` for what is no shard, or not here. */
export async function keeperHere(
  { client }: Pick<KuboShardComponents, 'client'>,
  shard: CID,
  options: AbortOptions & { readonly timeoutMs: number },
): Promise<CID | undefined> {
  if (shard.code !== DAG_CBOR) return undefined
  try {
    const read = (cid: CID) => client.bytes(`block/get?arg=${cid}&offline=true`, options)
    const blocks = await readShard(shard, read)
    return blocks === undefined ? undefined : keeperOf(blocks)[0].cid
  } catch (error) {
    options.signal?.throwIfAborted()
    // It does not have the block.
    if (isRequestFailure(error)) return undefined
    throw error
  }
}
