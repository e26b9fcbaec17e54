/**
 * Blocks to shards: each has its own peers, chosen at its first block, and is pinned when it is full; the root comes into the pinset with all of them,
 * at the end (Go: `adder/sharding`; decision 0020).
 */
import {
  newPin,
  type AddedOutput,
  type AddParams,
  type NodeWithMeta,
  type PeerId,
  type Pin,
} from '@ipfs-cluster/api'
import { lengthOf } from '@ipfs-cluster/base'
import { blockKey, FingerprintSet } from '@ipfs-cluster/ipfs/car'
import type { CID } from 'multiformats/cid'
import {
  createBlockSink,
  type BlockSink,
  type BlockSinkComponents,
  type DestinationFailure,
} from './block-sink.ts'
import { AdderError, unsupported } from './errors.ts'
import { listNode, MAX_SHARDS, shardNodes } from './shard-dag.ts'
import type { AdderComponents, ShardedPins } from './types.ts'

/** Bytes of the blocks of a shard, where the request says nothing (or 0, which Go then takes as it is, and no block fits). */
export const DEFAULT_SHARD_BYTES = 100n * 1024n * 1024n
/** Bytes of a link in the node that lists it, for knowing how much room a shard needs. */
const LINK_BYTES = 64n
/** Of the usual blocks; with smaller ones a shard has more links than were reckoned with. */
const USUAL_BLOCK_BYTES = 16n * 1024n

export type ShardedAddComponents = BlockSinkComponents & Pick<AdderComponents, 'allocate'>

/** Where the blocks of a sharded add go. Disposal ends what is under way. */
export interface ShardedSink
  extends Pick<BlockSink, 'put' | 'allocations' | 'finish' | 'failures'>, AsyncDisposable {
  /** What there is to tell of shards since it was last asked. */
  takeOutputs(): readonly AddedOutput[]
  /** After `finish`: pins the root with all shards. */
  commit(root: CID, size: bigint | undefined): Promise<void>
}

/** @throws AdderError `ADD_UNSUPPORTED` for parameters that contradict sharding. */
export function checkShardedParams({ noPin, local }: AddParams): void {
  if (noPin) {
    throw unsupported(
      'no-pin',
      'shard=true cannot be combined with no-pin=true: shards are nothing without their pins',
    )
  }
  if (local) {
    throw unsupported(
      'local',
      'shard=true cannot be combined with local=true: each shard goes to peers of its own',
    )
  }
}

interface OpenShard {
  readonly sink: BlockSink
  readonly links: CID[]
  bytes: bigint
}

export function createShardedSink(
  components: ShardedAddComponents,
  { pin: asked }: AddParams,
  pins: ShardedPins,
  { signal }: { readonly signal: AbortSignal },
): ShardedSink {
  const limit = asked.shardSize === 0n ? DEFAULT_SHARD_BYTES : asked.shardSize
  const options = { ...asked, mode: 'recursive' as const, pinUpdate: null }
  /** Whoever gets a shard needs room for a whole one: nobody knows yet which one is the last. */
  const room = limit + (limit / USUAL_BLOCK_BYTES + 1n) * LINK_BYTES
  /** The blocks of all shards; every block is in one of them. */
  const seen = new FingerprintSet()
  const shards: CID[] = []
  const failures: DestinationFailure[] = []
  let total = 0n
  let open: OpenShard | undefined
  let list: { readonly node: NodeWithMeta; readonly sink: BlockSink } | undefined
  let outputs: AddedOutput[] = []

  const tell = (name: string, cid: CID, size: bigint, allocations: readonly PeerId[]) => {
    outputs.push({ name, cid, bytes: 0n, size, allocations })
  }

  const openShard = (): OpenShard => {
    if (shards.length >= MAX_SHARDS) throw tooManyShards(limit)
    const sink = sinkOf(components, signal, first =>
      newPin(first, {
        ...options,
        type: 'shard-pin',
        name: `${options.name}-shard-${shards.length}`,
        reference: shards.at(-1) ?? null,
        size: room,
      }),
    )
    return { sink, links: [], bytes: 0n }
  }

  /** Sends the list of its blocks after them, and pins it. */
  const closeShard = async (shard: OpenShard) => {
    const nodes = shardNodes(shard.links)
    for (const node of nodes) await shard.sink.put(node)
    await shard.sink.finish()
    failures.push(...shard.sink.failures())
    const number = shards.length
    const [{ cid }] = nodes
    shard.sink.keepFor(cid)
    await pins.keep(
      partOf(cid, options, {
        type: 'shard-pin',
        name: `${options.name}-shard-${number}`,
        // As Go's, also where the list has two levels: peers see that for themselves, and Go's accept no other depth.
        maxDepth: 1,
        reference: shards.at(-1) ?? null,
        shardSize: shard.bytes,
        size: nodes.reduce((sum, { data }) => sum + BigInt(data.length), shard.bytes),
        allocations: shard.sink.allocations(),
      }),
      { signal },
    )
    open = undefined
    await shard.sink[Symbol.asyncDispose]()
    shards.push(cid)
    total += shard.bytes
    tell(`shard-${number}`, cid, shard.bytes, shard.sink.allocations())
  }

  return {
    allocations: () => open?.sink.allocations() ?? [],
    async put(block) {
      if (!seen.add(blockKey(block.cid))) return
      const size = BigInt(lengthOf(block))
      if (open !== undefined && open.bytes + size >= limit) {
        if (open.bytes === 0n) throw shardTooSmall(size, limit)
        await closeShard(open)
      }
      open ??= openShard()
      if (open.bytes + size >= limit) throw shardTooSmall(size, limit)
      open.links.push(block.cid)
      open.bytes += size
      await open.sink.put(block)
    },
    takeOutputs() {
      const told = outputs
      outputs = []
      return told
    },
    failures: () => failures,
    async finish() {
      if (open !== undefined) await closeShard(open)
      const node = listNode(shards)
      // To all peers that will keep it: whoever unpins the root asks his own.
      const sink = sinkOf(components, signal, first => newPin(first, everywhere))
      list = { node, sink }
      await sink.put(node)
      await sink.finish()
      tell(`${options.name}-clusterDAG`, node.cid, total, [])
    },
    async commit(root, size) {
      if (list === undefined) throw new Error('invariant broken: nothing was finished')
      const { node, sink } = list
      sink.keepFor(node.cid)
      const clusterDag = partOf(node.cid, options, {
        ...everywhere,
        name: `${options.name}-clusterDAG`,
        reference: root,
        size: BigInt(node.data.length),
      })
      const meta = newPin(root, {
        ...options,
        type: 'meta-pin',
        // It is pinned by nobody; as Go's.
        maxDepth: 0,
        mode: 'direct',
        reference: node.cid,
        ...(size === undefined ? {} : { size }),
      })
      await pins.commit(clusterDag, meta, { signal })
    },
    async [Symbol.asyncDispose]() {
      await open?.sink[Symbol.asyncDispose]()
      await list?.sink[Symbol.asyncDispose]()
    },
  }
}

/** How the list of the shards is pinned. */
const everywhere = {
  type: 'clusterdag-pin',
  replicationFactorMin: -1,
  replicationFactorMax: -1,
  mode: 'direct',
  maxDepth: 0,
} as const

/** A part of the content: it goes when the root goes, not by an expiry of its own. */
function partOf(cid: CID, options: Partial<Pin>, fields: Partial<Pin>): Pin {
  return newPin(cid, { ...options, expireAt: null, ...fields })
}

function sinkOf(
  components: ShardedAddComponents,
  signal: AbortSignal,
  pinOf: (first: CID) => Pin,
): BlockSink {
  return createBlockSink(components, {
    signal,
    async choose(first) {
      const allocations = await components.allocate(pinOf(first), { signal })
      return { allocations, destinations: allocations }
    },
  })
}

function shardTooSmall(block: bigint, limit: bigint): AdderError {
  return new AdderError(
    // Go's words, and then why.
    "block doesn't fit in empty shard: shard size too small? " +
      `The block has ${block} bytes and shard-size is ${limit}: a shard has to be larger than its largest block`,
    { code: 'ADD_BAD_SHARD_SIZE', shardSize: limit },
  )
}

function tooManyShards(limit: bigint): AdderError {
  return new AdderError(`more than ${MAX_SHARDS} shards of ${limit} bytes: add with a larger shard-size`, {
    code: 'ADD_BAD_SHARD_SIZE',
    shardSize: limit,
  })
}
