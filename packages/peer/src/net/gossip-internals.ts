import type { GossipSub, Message } from '@libp2p/gossipsub'
import type { RPC } from '@libp2p/gossipsub/message'
import type { Connection, PeerId as Libp2pPeerId, Stream } from '@libp2p/interface'
import type { PeerId } from '@ipfs-cluster/api'
import type { SeenMessages } from './seen-messages.ts'

/** How js gossipsub judged a message: `valid`, `invalid` with a reason, or `duplicate`. */
export interface Judgement {
  readonly code: string
  readonly reason?: string
}

/** Its store of whole messages, for those that ask for them by id. */
export interface MessageCache {
  put(id: unknown, message: RPC.Message, validated?: boolean): boolean
  shift(): void
  readonly size: number
}

/**
 * Parts of js gossipsub 17 that its types keep to themselves. It has no other place where what peers send can be limited before it
 * is worked on, nor where what we send can be cut to the size that Go peers take. `hostile.test.ts` fails when one of them moves.
 */
export interface GossipInternals {
  seenCache: Pick<SeenMessages, 'has' | 'put' | 'prune' | 'clear' | 'size'>
  readonly mcache: MessageCache
  readonly subscriptions: ReadonlySet<string>
  readonly mesh: ReadonlyMap<string, ReadonlySet<PeerId>>
  readonly streamsOutbound: ReadonlyMap<PeerId, { readonly protocol: string }>
  /** IHAVE and GRAFT or PRUNE that wait for the next RPC to a peer. */
  readonly gossip: ReadonlyMap<PeerId, unknown>
  readonly control: ReadonlyMap<PeerId, unknown>
  isStarted(): boolean
  decodeRpc(bytes: Uint8Array): RPC
  handleReceivedRpc(from: Libp2pPeerId, rpc: RPC): Promise<void>
  handleReceivedSubscription(from: Libp2pPeerId, topic: string, subscribe: boolean): boolean
  validateReceivedMessage(from: Libp2pPeerId, message: RPC.Message): Promise<Judgement>
  createInboundStream(peer: Libp2pPeerId, stream: Stream): void
  onPeerConnected(peer: Libp2pPeerId, connection: Connection): void
  sendRpc(to: PeerId, rpc: RPC): boolean
  pxConnect(peers: RPC.PeerInfo[]): Promise<void>
}

export function internalsOf(gossip: GossipSub): GossipInternals {
  return gossip as unknown as GossipInternals
}

export type { Message, RPC }
