import { CodedError } from '@ipfs-cluster/base'
import type { Multiaddr, PeerId } from '@ipfs-cluster/api'

export type NetworkFailure =
  | { readonly code: 'NET_BAD_ADDRESS'; readonly address: string }
  | { readonly code: 'NET_BAD_SECRET'; readonly length: number }
  /** No listen address works. */
  | { readonly code: 'NET_LISTEN_FAILED'; readonly addresses: readonly Multiaddr[] }
  /** The connection opened, but no secure channel came up on it: most likely another cluster secret. */
  | { readonly code: 'NET_WRONG_SECRET'; readonly target: Multiaddr | PeerId }
  /** Somebody else answers at that address. */
  | { readonly code: 'NET_WRONG_PEER'; readonly target: Multiaddr | PeerId }
  | { readonly code: 'NET_UNREACHABLE'; readonly target: Multiaddr | PeerId }
  /** The peer has no endpoint of HTTP over libp2p. */
  | { readonly code: 'NET_NO_HTTP'; readonly target: Multiaddr }
  | {
      readonly code: 'NET_MESSAGE_TOO_LARGE'
      readonly topic: string
      readonly size: number
      readonly limit: number
    }
  | { readonly code: 'NET_ALREADY_SUBSCRIBED'; readonly topic: string }
  | { readonly code: 'NET_ALREADY_SERVING' }
  | { readonly code: 'NET_PEERSTORE_FAILED'; readonly path: string }

export class NetworkError extends CodedError<NetworkFailure> {
  override readonly name = 'NetworkError'
}
