import type { AddedOutput, AddParams, AddPart, NodeWithMeta, PeerId, Pin } from '@ipfs-cluster/api'
import type { AbortOptions } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'

import type { OpenScratch } from './car-ledger.ts'

export type { AddPart } from '@ipfs-cluster/api'

export interface AdderComponents {
  /** Peers to hold the content; called once, at the first block. */
  readonly allocate: (pin: Pin, options: AbortOptions) => Promise<readonly PeerId[]>
  /**
   * Streams blocks to one peer (our own id: the local daemon). Resolves when all are stored there.
   * @param options.owned nobody else looks at the blocks.
   */
  readonly putBlocks: (
    peer: PeerId,
    blocks: AsyncIterable<NodeWithMeta>,
    options: AbortOptions & { readonly owned?: boolean },
  ) => Promise<void>
  /** Keeps what has been put to a peer from its garbage collection. @throws when that peer cannot. @default nothing is kept */
  readonly hold?: (peer: PeerId, options: AbortOptions) => Promise<DestinationHold>
  readonly pin: (pin: Pin, options: AbortOptions) => Promise<void>
  /** The pins of a sharded add. @default such adds are refused */
  readonly pinSharded?: () => ShardedPins
  readonly self: PeerId
  /** Room on the disk for what is remembered of a large CAR. @default in memory */
  readonly openScratch?: OpenScratch
}

/** Ends with its disposal, unless it is kept for a root: then when that is pinned there. */
export interface DestinationHold extends AsyncDisposable {
  /** Once, when the root is about to be pinned: nothing can be told to it afterwards. */
  keepFor(root: CID): void
}

/** The pins of one sharded add. Disposal takes back the shards, unless all was committed. */
export interface ShardedPins extends AsyncDisposable {
  /** Pins a shard that is complete, for as long as the add goes on. Each follows the one before. */
  keep(shard: Pin, options?: AbortOptions): Promise<void>
  /** Pins all shards to stay, the list of them and the root, in one commit. */
  commit(clusterDag: Pin, meta: Pin, options?: AbortOptions): Promise<void>
}

/** @throws AdderError; codes `ADD_NO_CONTENT`, `ADD_BAD_CONTENT`, `ADD_BAD_CAR`, `ADD_ALL_DESTINATIONS_FAILED`, `ADD_UNSUPPORTED`, `ADD_BAD_SHARD_SIZE`. */
export interface Adder {
  /** Yields outputs as they arise; ends when everything is stored and (unless `noPin`) the root is pinned. */
  add(parts: AsyncIterable<AddPart>, params: AddParams, options?: AbortOptions): AsyncGenerator<AddedOutput>
}
