import type { AddedOutput, AddParams, AddPart, NodeWithMeta, PeerId, Pin } from '@ipfs-cluster/api'
import type { AbortOptions } from '@ipfs-cluster/base'

export type { AddPart } from '@ipfs-cluster/api'

export interface AdderComponents {
  /** Peers to hold the content; called once, at the first block. */
  readonly allocate: (pin: Pin, options: AbortOptions) => Promise<readonly PeerId[]>
  /** Streams blocks to one peer (our own id: the local daemon). Resolves when all are stored there. */
  readonly putBlocks: (
    peer: PeerId,
    blocks: AsyncIterable<NodeWithMeta>,
    options: AbortOptions,
  ) => Promise<void>
  readonly pin: (pin: Pin, options: AbortOptions) => Promise<void>
  readonly self: PeerId
}

/** @throws AdderError; codes `ADD_NO_CONTENT`, `ADD_BAD_CONTENT`, `ADD_BAD_CAR`, `ADD_ALL_DESTINATIONS_FAILED`, `ADD_UNSUPPORTED`. */
export interface Adder {
  /** Yields outputs as they arise; ends when everything is stored and (unless `noPin`) the root is pinned. */
  add(parts: AsyncIterable<AddPart>, params: AddParams, options?: AbortOptions): AsyncGenerator<AddedOutput>
}
