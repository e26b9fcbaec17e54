import { CodedError } from '@ipfs-cluster/base'

export interface RpcFailure {
  /** The meanings are those of `RpcClient.call`. */
  readonly code: 'RPC_UNAUTHORIZED' | 'RPC_REMOTE' | 'RPC_PROTOCOL' | 'RPC_UNREACHABLE'
  readonly peer: string
  /** `Service.Method`. */
  readonly method: string
}

/** A remote call that failed. */
export class RpcError extends CodedError<RpcFailure> {
  override readonly name = 'RpcError'
}
