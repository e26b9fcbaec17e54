import type { Bandwidth, Multiaddr, PeerId } from '@ipfs-cluster/api'
import type { AbortOptions } from '@ipfs-cluster/base'
import type { Bitswap, BitswapBlocks } from '@ipfs-cluster/bitswap'
import type { RpcClient, RpcHandler } from '@ipfs-cluster/gorpc'

export interface ConnectionLimits {
  /** Open connections that others opened, and sockets of one listener. */
  readonly inbound: number
  /** Connections in the handshake, which tell nothing of who is behind them yet. */
  readonly pending: number
  /** Those from one address. */
  readonly pendingPerAddress: number
  /** Open connections from one address; not for loopback, as in Go. */
  readonly perAddress: number
  /** Open connections with one peer. */
  readonly perPeer: number
  /** For the handshake of an inbound connection, and for saying what an inbound stream is for. */
  readonly handshakeTimeoutMs: number
}

export interface NetworkConfig {
  /** Addresses that cannot be listened on (QUIC) are skipped; it is an error when none is left. */
  readonly listen: readonly Multiaddr[]
  /** When not empty, replaces the announced addresses. */
  readonly announce: readonly Multiaddr[]
  /** Exact multiaddrs or `/ip4/…/ipcidr/n` masks never to announce. */
  readonly noAnnounce: readonly Multiaddr[]
  /** 32 bytes, or `undefined`: no private network. */
  readonly secret: Uint8Array | undefined
  readonly enableRelayHop: boolean
  readonly connectionManager: {
    readonly highWater: number
    readonly lowWater: number
    readonly gracePeriodMs: number
  }
  /** Go's `resource_manager`; zero, as in Go, is by what the machine has. @default enabled */
  readonly resources?: {
    readonly enabled?: boolean
    readonly memoryLimitBytes?: number
    readonly fileDescriptorsLimit?: number
  }
  /** Limits other than those that follow from the rest, for machines that are small or under attack. */
  readonly limits?: Partial<ConnectionLimits>
  readonly pubsub: {
    readonly heartbeatIntervalMs: number
    readonly dFactor: number
    readonly historyGossip: number
    readonly historyLength: number
    readonly floodPublish: boolean
  }
  readonly dialPeerTimeoutMs: number
  readonly mdns: boolean
  readonly followerMode: boolean
  /** With /p2p; highest bootstrap priority. */
  readonly peerAddresses: readonly Multiaddr[]
  /** Text file of known peers. */
  readonly peerstorePath: string
  /** @default 30_000 */
  readonly rebootstrapIntervalMs: number
}

export interface PubsubMessage {
  readonly data: Uint8Array
  /** The author; its signature has been checked. */
  readonly from: PeerId
  /** The peer that handed it to us, when known. */
  readonly forwarder?: PeerId
  /** Said before we began to listen: good for what stays true, not for what was true then. */
  readonly late?: true
}

export interface Network extends AsyncDisposable {
  readonly peerId: PeerId
  /** Announced addresses, with /p2p. */
  addresses(): readonly Multiaddr[]
  /** Known addresses of another peer, with /p2p. */
  addressesOf(peer: PeerId): Promise<readonly Multiaddr[]>
  connectedPeers(): readonly PeerId[]
  /** Bytes on streams since the start, by protocol. */
  bandwidth(): Readonly<Record<string, Bandwidth>>
  /**
   * Dials a multiaddr with /p2p; resolves with the peer reached.
   *
   * @throws NetworkError `NET_UNREACHABLE`, `NET_WRONG_SECRET`, `NET_WRONG_PEER`, `NET_BAD_ADDRESS`, within `dialPeerTimeoutMs`.
   */
  connect(address: Multiaddr, options?: AbortOptions): Promise<PeerId>
  /**
   * Remembers addresses (with /p2p, or a /dnsaddr that leads to such) for the peerstore file and for dialling. Priority 0 is dialled
   * first. Permanent addresses stay whatever the peer says of itself later.
   *
   * @throws NetworkError `NET_BAD_ADDRESS`
   */
  importPeers(
    addresses: readonly Multiaddr[],
    options: { readonly permanent: boolean; readonly priority: number },
  ): Promise<void>
  /** Connects to up to three known peers by priority; resolves with those reached. */
  bootstrap(options?: AbortOptions): Promise<readonly PeerId[]>
  /** Keeps connections to this peer open and its addresses for good. */
  protect(peer: PeerId): Promise<void>
  /** Writes the peerstore file. @throws NetworkError `NET_PEERSTORE_FAILED` */
  savePeerstore(): Promise<void>
  /** @throws NetworkError `NET_MESSAGE_TOO_LARGE` above what Go peers take, about 1 MiB. */
  publish(topic: string, data: Uint8Array): Promise<void>
  /** Topics that we are subscribed to; none when pubsub does not run. */
  topics(): readonly string[]
  /**
   * Own messages are delivered too. `accept` decides by author whether a message is taken and forwarded.
   *
   * @throws NetworkError `NET_ALREADY_SUBSCRIBED`: one subscriber a topic.
   */
  subscribe(
    topic: string,
    handler: (message: PubsubMessage) => void,
    options?: {
      readonly accept?: (from: PeerId) => boolean
      /** Another peer listens, from now on or since before we did: it may have missed what came before. */
      readonly onPeer?: (peer: PeerId) => void
    },
  ): Disposable
  /** Calls to our own id never touch the wire and pass no authorisation. */
  readonly rpc: RpcClient
  /**
   * Starts answering these methods; `trusted` ones only for peers that `isTrusted` accepts. Once.
   *
   * @throws NetworkError `NET_ALREADY_SERVING`
   */
  serve(handlers: readonly RpcHandler[], isTrusted: (peer: PeerId) => boolean): void
  /** Bitswap of this network, serving `blocks`. */
  exchange(blocks: BitswapBlocks): Promise<Bitswap>
}
