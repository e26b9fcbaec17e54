import { CodedError, errorMessage } from '@ipfs-cluster/base'
import { IpfsNodeError } from '../errors.ts'

export type RpcFailure =
  /** The request cannot be understood: status 400, plain text. */
  | { readonly code: 'RPC_BAD_REQUEST' }
  /** There is no such command: status 404, plain text. */
  | { readonly code: 'RPC_NO_COMMAND' }
  /** The command cannot do what it was asked for: status 500, an object. */
  | { readonly code: 'RPC_REFUSED' }
  /** It took longer than the request's `timeout`. */
  | { readonly code: 'RPC_TIMEOUT' }

export class RpcError extends CodedError<RpcFailure> {
  override readonly name = 'RpcError'
}

export function badRequest(message: string): RpcError {
  return new RpcError(message, { code: 'RPC_BAD_REQUEST' })
}

export function refused(message: string, cause?: unknown): RpcError {
  return new RpcError(message, { code: 'RPC_REFUSED' }, cause === undefined ? undefined : { cause })
}

/** Kubo's words where clients look at them, else ours. */
export function messageOf(error: unknown): string {
  if (!(error instanceof IpfsNodeError)) return errorMessage(error)
  const { data } = error
  switch (data.code) {
    case 'IPFS_IS_DIRECTORY':
      return 'this dag node is a directory'
    case 'IPFS_NOT_PINNED':
      return 'not pinned or pinned indirectly'
    case 'IPFS_BLOCK_MISSING':
      return data.waitedMs === undefined
        ? `block was not found locally (offline): ipld: could not find ${data.cid}`
        : error.message
    default:
      return error.message
  }
}
