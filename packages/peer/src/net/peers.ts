import { KEEP_ALIVE, type Libp2p, type Peer } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import type { Multiaddr as Libp2pMultiaddr } from '@multiformats/multiaddr'
import { shuffled, type Random } from '@ipfs-cluster/base'
import type { PeerId } from '@ipfs-cluster/api'
import { withoutPeer } from './addresses.ts'
import type { PeerAddresses } from './peerstore-file.ts'

/** Of peers nobody gave a priority: met on the way, found by mDNS or told by others. After all that were imported. */
export const LEARNED_PRIORITY = 1000

/** Of peers that could not be reached when they were wanted (Go: `pstoremgr`). */
const FAILED_PRIORITY = 9999

/** Of protected peers and those in `peer_addresses`. */
export const HIGHEST_PRIORITY = 0

/** libp2p reconnects to peers with a tag of this prefix, and closes connections with the lowest sum of values first. */
const PROTECT_TAG = `${KEEP_ALIVE}-cluster`
const PROTECT_VALUE = 100

interface Entry {
  priority: number
  protected: boolean
  /** Kept whatever the peer says of itself: an operator's DNS name, for one. By text. */
  readonly permanent: Map<string, Libp2pMultiaddr>
}

export interface AddPeer {
  readonly peer: PeerId
  /** Without `/p2p`. */
  readonly addresses: readonly Libp2pMultiaddr[]
  readonly permanent: boolean
  readonly priority: number
}

/** What libp2p's peer store does not know of peers: in which order to try them and what must not be forgotten. */
export interface PeerBook extends Disposable {
  add(peer: AddPeer): Promise<void>
  protect(peer: PeerId): Promise<void>
  /** Connecting failed, or worked. */
  report(peer: PeerId, reached: boolean): void
  priority(peer: PeerId): number
  isProtected(peer: PeerId): boolean
  /** Imported by name, protected, or connected to on purpose: never forgotten to make room for others. */
  isWanted(peer: PeerId): boolean
  /** Nobody knows an address of this peer any more. */
  forget(peer: PeerId): void
  /** All known peers with addresses, best priority first, ties in random order. Never ourselves. */
  candidates(): Promise<readonly PeerAddresses[]>
}

export function createPeerBook(libp2p: Libp2p, random: Random): PeerBook {
  const entries = new Map<PeerId, Entry>()
  const self = libp2p.peerId.toString()
  const listeners = new AbortController()
  const { signal } = listeners

  const entryOf = (peer: PeerId): Entry => {
    const found = entries.get(peer)
    if (found !== undefined) return found
    const entry: Entry = { priority: LEARNED_PRIORITY, protected: false, permanent: new Map() }
    entries.set(peer, entry)
    return entry
  }

  const priority = (peer: PeerId) => entries.get(peer)?.priority ?? LEARNED_PRIORITY

  /** Tells libp2p again what the peer's own words or a failed reconnect made it forget. */
  const restore = async (peer: PeerId, entry: Entry): Promise<void> => {
    await libp2p.peerStore.merge(peerIdFromString(peer), {
      multiaddrs: [...entry.permanent.values()],
      ...(entry.protected ? { tags: { [PROTECT_TAG]: { value: PROTECT_VALUE } } } : {}),
    })
  }

  libp2p.addEventListener(
    'peer:identify',
    ({ detail: { peerId } }) => {
      const peer = peerId.toString()
      const entry = entries.get(peer)
      // The store is in memory: writing to it cannot fail.
      if (entry !== undefined && (entry.protected || entry.permanent.size > 0)) void restore(peer, entry)
    },
    { signal },
  )

  return {
    async add({ peer, addresses, permanent, priority }) {
      if (peer === self) return
      const entry = entryOf(peer)
      entry.priority = entry.priority === FAILED_PRIORITY ? priority : Math.min(entry.priority, priority)
      if (permanent) for (const address of addresses) entry.permanent.set(address.toString(), address)
      await libp2p.peerStore.merge(peerIdFromString(peer), { multiaddrs: [...addresses] })
    },
    async protect(peer) {
      if (peer === self) return
      const entry = entryOf(peer)
      entry.priority = HIGHEST_PRIORITY
      entry.protected = true
      for (const address of addressesOf(await storedPeer(libp2p, peer))) {
        entry.permanent.set(address.toString(), address)
      }
      await restore(peer, entry)
    },
    report(peer, reached) {
      // Of strangers nothing is remembered but failures, and of those only as long as the store knows them.
      if (reached && !entries.has(peer)) return
      const entry = entryOf(peer)
      if (!reached) entry.priority = FAILED_PRIORITY
      else if (entry.priority === FAILED_PRIORITY) entry.priority = LEARNED_PRIORITY
    },
    priority,
    isProtected: peer => entries.get(peer)?.protected === true,
    isWanted: peer => priority(peer) < LEARNED_PRIORITY || (entries.get(peer)?.permanent.size ?? 0) > 0,
    forget: peer => void entries.delete(peer),
    async candidates() {
      const known = (await libp2p.peerStore.all())
        .map(peer => ({ peer: peer.id.toString(), addresses: addressesOf(peer) }))
        .filter(({ peer, addresses }) => peer !== self && addresses.length > 0)
      return shuffled(known, random).sort((a, b) => priority(a.peer) - priority(b.peer))
    },
    [Symbol.dispose]: () => listeners.abort(),
  }
}

async function storedPeer(libp2p: Libp2p, peer: PeerId): Promise<Peer | undefined> {
  const id = peerIdFromString(peer)
  return (await libp2p.peerStore.has(id)) ? await libp2p.peerStore.get(id) : undefined
}

function addressesOf(peer: Peer | undefined): Libp2pMultiaddr[] {
  return (peer?.addresses ?? []).map(({ multiaddr }) => withoutPeer(multiaddr))
}
