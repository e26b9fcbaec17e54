import type { PeerId } from '@ipfs-cluster/api'

export interface Identity {
  readonly id: PeerId
  /** libp2p protobuf form of the private key. A secret: never logged. */
  readonly privateKey: Uint8Array
}
