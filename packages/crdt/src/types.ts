import type { AbortOptions, StoreOp, StoreRange, StoreReader } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'

/** Fetches DAG nodes that others announced. Returned bytes are verified against the CID. */
export interface CrdtBlocks {
  get(cid: CID, options: AbortOptions & { readonly providers?: readonly string[] }): Promise<Uint8Array>
  /** These nodes are stored here now; peers may be waiting for them. */
  notify(blocks: readonly { readonly cid: CID; readonly data: Uint8Array }[]): void
}

export interface CrdtMessage {
  readonly data: Uint8Array
  /** Author and forwarder (text ids): the peers to ask for the announced nodes. Our own messages have no forwarder. */
  readonly from: string
  readonly forwarder?: string
}

export interface CrdtBroadcast {
  publish(data: Uint8Array, options?: AbortOptions): Promise<void>
  /** Messages of trusted authors, our own included. */
  subscribe(
    handler: (message: CrdtMessage) => void,
    /** To be called when a peer has just begun to listen: it may have missed announcements. */
    onPeer: () => void,
  ): Disposable
}

/** A key's value after a batch; `undefined` when it is gone. Keys start with `/`. */
export interface CrdtChange {
  readonly key: string
  readonly value: Uint8Array | undefined
  /** Its value before the batch. */
  readonly previous: Uint8Array | undefined
}

export type CrdtOp =
  | { readonly type: 'put'; readonly key: string; readonly value: Uint8Array }
  | { readonly type: 'delete'; readonly key: string }

export interface CrdtConfig {
  /** @default 60_000, jittered ±30 % */
  readonly rebroadcastIntervalMs: number
  /** Milliseconds after an announcement in which new heads gather for the next one. @default 0 */
  readonly announcementGapMs?: number
  /** Deadline of one node fetch before it is retried. @default 120_000 */
  readonly fetchTimeoutMs: number
  /** DAG nodes fetched at once. @default 64 */
  readonly fetchConcurrency: number
  /** Bytes of one delta; a commit above it is split into several nodes. @default 1 MiB */
  readonly maxDeltaBytes: number
  /** Commits that arrive meanwhile share the next node; at most this many operations in one node. @default 10_000 */
  readonly maxCommitOps: number
  /** Operations that may wait for a commit; more are refused with `CRDT_QUEUE_FULL`. @default 200_000 */
  readonly maxQueuedOps?: number
  /**
   * Milliseconds after a node of this peer in which single operations gather for the next one, as with `batching`. Not used with it.
   *
   * @default 0
   */
  readonly nodeGapMs?: number
  /**
   * Collects operations into fewer nodes. `commit` then resolves when the operations are durable in a write-ahead journal, and reading
   * sees them from then on; they become a node after `maxAgeMs`, or as soon as there are `maxOps` of them or `maxDeltaBytes`.
   */
  readonly batching?: { readonly maxOps: number; readonly maxAgeMs: number }
}

export interface CrdtStats {
  readonly heads: readonly { readonly cid: CID; readonly height: number }[]
  /** Nodes known to be missing or not merged yet. */
  readonly frontier: number
  readonly nodesMerged: number
  readonly broadcastsSent: number
  readonly broadcastsReceived: number
  readonly broadcastsRefused: number
  /** Operations acknowledged but in no node yet (batching). */
  readonly opsQueued?: number
  /** Fetched nodes that were invalid or beyond a limit. */
  readonly nodesRefused?: number
}

export interface CrdtSnapshot extends Disposable {
  /** The root store. */
  readonly rows: StoreReader
  /** Values in the order of `keys`, without what is queued. */
  getMany(keys: readonly string[]): Promise<(Uint8Array | undefined)[]>
  /** The last operation on each key of those that are acknowledged and in no node yet, which the projection has not seen, in key order. */
  readonly queued: readonly CrdtOp[]
}

export interface ReadOptions {
  /** The keys are about to be written: `commit` need not read them again. @default false */
  readonly toChange?: boolean
}

export interface Crdt extends AsyncDisposable {
  /**
   * Applies `ops` in order as one or more deltas. Resolves when they are durable here; broadcasting follows.
   * Concurrent calls share a node (group commit). A delete of a missing key alone publishes nothing.
   */
  commit(ops: readonly CrdtOp[], options?: AbortOptions): Promise<void>
  get(key: string): Promise<Uint8Array | undefined>
  /** Values in the order of `keys`. */
  getMany(keys: readonly string[], options?: ReadOptions): Promise<(Uint8Array | undefined)[]>
  /** Live entries in key order, of one consistent state. `range` bounds are the UTF-8 of keys. */
  entries(
    range?: StoreRange,
    options?: AbortOptions,
  ): AsyncIterable<readonly [key: string, value: Uint8Array]>
  /** As `entries`, in chunks, for listings of millions. `range.limit` is not applied. */
  chunks(
    range?: StoreRange,
    options?: AbortOptions,
  ): AsyncIterable<readonly (readonly [key: string, value: Uint8Array])[]>
  /** One state of the values and of what the projection made of them. Hold it as short as possible and dispose of it. */
  snapshot(): CrdtSnapshot
  /** A stored DAG node by multihash, for serving it to others. */
  block(cid: CID): Promise<Uint8Array | undefined>
  /** Its size in bytes, without reading it. */
  blockSize(cid: CID): Promise<number | undefined>
  stats(): CrdtStats
}

/**
 * Called inside the commit, before the batch is written: extra rows that must stand or fall with it (indexes, outboxes).
 * Must not touch the network. The rows live in the root store given to `createCrdt`, outside the CRDT's own prefix.
 */
export type CrdtProjection = (
  changes: readonly CrdtChange[],
) => Promise<readonly StoreOp[]> | readonly StoreOp[]
