import type { Libp2p } from '@libp2p/interface'
import type { Multiaddr as Libp2pMultiaddr } from '@multiformats/multiaddr'
import type { PeerId } from '@ipfs-cluster/api'
import { withoutPeer } from './addresses.ts'

/** Addresses that others reach us by, as they say, kept besides our own. */
const MAX_OBSERVED_ADDRESSES = 10

/** Part of libp2p that its public interface does not show. */
export interface AddressManager {
  addObservedAddr(address: Libp2pMultiaddr): void
  confirmObservedAddr(
    address: Libp2pMultiaddr,
    options?: { type: 'transport' | 'observed'; ttl: number },
  ): void
  removeObservedAddr(address: Libp2pMultiaddr): void
}

/**
 * js-libp2p keeps a public address to itself until four peers have dialled it back, which a small cluster never has. As Go
 * does, announce every address we listen on, and the one that a peer which has dialled us says it used. The first
 * word of each peer, and of the latest ten peers, so that nobody who makes addresses up has the last word.
 */
export function announceWithoutProof(
  libp2p: Libp2p,
  addressManager: AddressManager,
  listening: readonly Libp2pMultiaddr[],
): void {
  for (const address of listening) {
    addressManager.confirmObservedAddr(address, { type: 'transport', ttl: Number.POSITIVE_INFINITY })
  }
  const observed = new Map<PeerId, Libp2pMultiaddr>()
  const forget = (peer: PeerId) => {
    const address = observed.get(peer)
    observed.delete(peer)
    if (address !== undefined && ![...observed.values()].some(other => other.equals(address))) {
      addressManager.removeObservedAddr(address)
    }
  }
  libp2p.addEventListener('peer:identify', ({ detail: { connection, observedAddr, peerId } }) => {
    if (connection.direction !== 'inbound' || observedAddr === undefined || connection.limits !== undefined)
      return
    const peer = peerId.toString()
    const address = withoutPeer(observedAddr)
    const told = [...observed.values()].some(other => other.equals(address))
    if (observed.has(peer) || (!told && libp2p.getMultiaddrs().some(own => withoutPeer(own).equals(address))))
      return
    observed.set(peer, address)
    if (!told)
      addressManager.confirmObservedAddr(address, { type: 'observed', ttl: Number.POSITIVE_INFINITY })
    const [oldest] = observed.keys()
    if (observed.size > MAX_OBSERVED_ADDRESSES && oldest !== undefined) forget(oldest)
  })
}
