import { CodedError } from '@ipfs-cluster/base'

export type ProxyFailure =
  | { readonly code: 'IPFS_UNREACHABLE'; readonly address: string }
  /** No address of a daemon. */
  | { readonly code: 'PROXY_BAD_ADDRESS'; readonly address: string }
  /** An answer that is not what was asked for. */
  | { readonly code: 'IPFS_BAD_ANSWER' }
  /** What the client asked for; `status` of the answer. */
  | { readonly code: 'PROXY_BAD_REQUEST'; readonly status: number }

export class ProxyError extends CodedError<ProxyFailure> {
  override readonly name = 'ProxyError'
}

/** @param status 500 for most, as Kubo and the Go peer say. */
export function badRequest(message: string, status = 500, cause?: unknown): ProxyError {
  return new ProxyError(message, { code: 'PROXY_BAD_REQUEST', status }, cause === undefined ? {} : { cause })
}
