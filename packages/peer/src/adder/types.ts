import type { AddedOutput, AddParams, NodeWithMeta, PeerId, Pin } from '@ipfs-cluster/api'
import type { AbortOptions } from '@ipfs-cluster/base'

/** One part of an upload, in order: directories before their children. */
export interface AddPart {
  /** Decoded, slash-separated, relative. */
  readonly path: string
  readonly kind: 'file' | 'directory' | 'symlink'
  /** File bytes, or a symlink's target. Must be read before the next part is taken. */
  readonly content: AsyncIterable<Uint8Array>
}

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
