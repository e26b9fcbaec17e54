import { CodedError } from '@ipfs-cluster/base'

export type CrdtFailure =
  | { readonly code: 'CRDT_BAD_KEY'; readonly key: string }
  | { readonly code: 'CRDT_OP_TOO_LARGE'; readonly bytes: number; readonly limit: number }
  | { readonly code: 'CRDT_QUEUE_FULL'; readonly queued: number; readonly limit: number }
  | { readonly code: 'CRDT_CLOSED' }
  | { readonly code: 'CRDT_STORE_CORRUPT'; readonly row: string }

export class CrdtError extends CodedError<CrdtFailure> {
  override readonly name = 'CrdtError'
}

/** Why bytes from the network were not taken; counted under these names (`refusalsOf`). */
export type InvalidReason =
  'malformed' | 'too_large' | 'too_many_links' | 'too_many_elements' | 'too_many_heads'

/** Bytes from the network that are not what they should be, or are beyond a limit. Never retried. */
export class InvalidNodeError extends CodedError<InvalidNode> {
  override readonly name = 'InvalidNodeError'

  constructor(message: string, reason: InvalidReason = 'malformed', options?: ErrorOptions) {
    super(message, { code: 'CRDT_INVALID_NODE', reason }, options)
  }
}

export interface InvalidNode {
  readonly code: 'CRDT_INVALID_NODE'
  readonly reason: InvalidReason
}
