import { CodedError } from '@ipfs-cluster/base'

export type ClusterFailure =
  | { readonly code: 'PIN_NOT_FOUND'; readonly cid: string }
  | { readonly code: 'FOLLOWER_MODE' }
  | { readonly code: 'BAD_REPLICATION_FACTOR'; readonly min: number; readonly max: number }
  | { readonly code: 'BAD_EXPIRY'; readonly expireAt: bigint }
  | { readonly code: 'BAD_PIN'; readonly cid: string }
  | { readonly code: 'PIN_TYPE_MISMATCH'; readonly cid: string }
  | { readonly code: 'PIN_MODE_MISMATCH'; readonly cid: string }
  | { readonly code: 'PIN_NOT_UPDATABLE'; readonly cid: string }
  | { readonly code: 'UNPIN_SHARD'; readonly cid: string }
  | { readonly code: 'SHARDS_UNKNOWN'; readonly cid: string }
  | { readonly code: 'JOIN_FAILED'; readonly address: string }

/** A use case refused or failed; messages are Go's where a client may match them. */
export class ClusterError extends CodedError<ClusterFailure> {
  override readonly name = 'ClusterError'
}

/** Go clients recognise this text, and map it to HTTP 404. */
export function pinNotFound(cid: { toString(): string }): ClusterError {
  return new ClusterError('pin is not part of the pinset', { code: 'PIN_NOT_FOUND', cid: cid.toString() })
}
