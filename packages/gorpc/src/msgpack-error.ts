import { CodedError } from '@ipfs-cluster/base'

export type MsgpackFailure =
  /** The bytes end inside an object. */
  | { readonly code: 'MSGPACK_TRUNCATED'; readonly offset: number }
  /** Another kind of object than the codec wants. */
  | { readonly code: 'MSGPACK_WRONG_TYPE'; readonly offset: number }
  /** The right kind, but a value that the type cannot have. */
  | { readonly code: 'MSGPACK_BAD_VALUE'; readonly offset?: number }
  /** An object beyond the caller's limit. */
  | { readonly code: 'MSGPACK_TOO_LARGE'; readonly limit: number }

/** What was read or was to be written is not what its codec describes. */
export class MsgpackError extends CodedError<MsgpackFailure> {
  override readonly name = 'MsgpackError'
}
