import { CodedError } from '@ipfs-cluster/base'

export type BitswapFailure =
  /** `createBitswap`'s result has been disposed of. */
  | { readonly code: 'BITSWAP_STOPPED' }
  /** The session of this call has been disposed of. */
  | { readonly code: 'BITSWAP_SESSION_CLOSED' }
  /** Nothing here can verify a block of this CID. */
  | { readonly code: 'BITSWAP_UNKNOWN_HASH'; readonly cid: string; readonly hashCode: number }
  /** A peer sent bytes that are not bitswap. */
  | { readonly code: 'BITSWAP_BAD_MESSAGE' }
  /** A peer does not take what we send, or is gone. */
  | { readonly code: 'BITSWAP_PEER_UNREACHABLE'; readonly peer: string }
  | { readonly code: 'BITSWAP_BAD_CONFIG'; readonly option: string }

export class BitswapError extends CodedError<BitswapFailure> {
  override readonly name = 'BitswapError'
}

export function badMessage(what: string): BitswapError {
  return new BitswapError(`malformed bitswap message: ${what}`, { code: 'BITSWAP_BAD_MESSAGE' })
}
