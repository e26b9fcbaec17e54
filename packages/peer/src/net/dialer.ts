import type { Connection, Libp2p, PeerId as Libp2pPeerId, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import type { Multiaddr as Libp2pMultiaddr } from '@multiformats/multiaddr'
import { anySignal, type AbortOptions, type Clock } from '@ipfs-cluster/base'
import type { Multiaddr, PeerId } from '@ipfs-cluster/api'
import { parseAddress, withPeer, withoutPeer } from './addresses.ts'
import { DialWatch } from './dial-error.ts'

/** Streams of one protocol to one peer at a time. */
export const MAX_PROTOCOL_STREAMS = 4096

/** Opens connections and streams; every attempt ends within `dialPeerTimeoutMs`. */
export interface Dialer {
  /** @throws NetworkError `NET_UNREACHABLE`, `NET_WRONG_SECRET`, `NET_WRONG_PEER`, `NET_BAD_ADDRESS` */
  dialAddress(address: Multiaddr, options?: AbortOptions): Promise<PeerId>
  /** At its known addresses. Errors as `dialAddress`. */
  dialKnown(peer: PeerId, options?: AbortOptions): Promise<Connection>
  /** At its known addresses, then at those the DHT knows. Errors as `dialAddress`. */
  dialPeer(peer: PeerId, options?: AbortOptions): Promise<Connection>
  openStream(peer: PeerId, protocol: string, options?: AbortOptions): Promise<Stream>
}

export function createDialer(libp2p: Libp2p, clock: Clock, timeoutMs: number): Dialer {
  const dial = async (
    target: Multiaddr | PeerId,
    what: Parameters<Libp2p['dial']>[0],
    { signal }: AbortOptions,
  ): Promise<Connection> => {
    signal?.throwIfAborted()
    const watch = new DialWatch(target)
    const deadline = anySignal(signal, clock.timeout(timeoutMs)) as AbortSignal
    try {
      return await libp2p.dial(what, { signal: deadline, onProgress: watch.onProgress })
    } catch (error) {
      // A deadline of the caller's says less than how far the dial had come by then.
      if (!isTimeout(signal?.reason)) signal?.throwIfAborted()
      throw watch.error(error)
    }
  }

  const dialKnown: Dialer['dialKnown'] = async (peer, options = {}) => {
    const id = peerIdFromString(peer)
    return openConnection(libp2p, id) ?? (await dial(peer, id, options))
  }

  /** Addresses from the DHT that were not tried yet. */
  const lookUp = async (peer: PeerId, { signal }: AbortOptions): Promise<Libp2pMultiaddr[]> => {
    const deadline = anySignal(signal, clock.timeout(timeoutMs)) as AbortSignal
    const id = peerIdFromString(peer)
    const tried = new Set((await storedAddresses(libp2p, peer)).map(address => address.toString()))
    const found = await libp2p.peerRouting.findPeer(id, { signal: deadline })
    return found.multiaddrs.filter(address => !tried.has(withoutPeer(address).toString()))
  }

  const dialPeer: Dialer['dialPeer'] = async (peer, options = {}) => {
    try {
      return await dialKnown(peer, options)
    } catch (error) {
      options.signal?.throwIfAborted()
      // The DHT is nothing but the peers we are connected to. A peer without addresses has been looked up by libp2p.
      if (libp2p.getConnections().length === 0) throw error
      let fresh: Libp2pMultiaddr[]
      try {
        fresh = await lookUp(peer, options)
      } catch {
        // Not in the DHT either: the first error says more.
        throw error
      }
      if (fresh.length === 0) throw error
      return await dial(
        peer,
        fresh.map(address => parseAddress(withPeer(address, peer))),
        options,
      )
    }
  }

  return {
    async dialAddress(address, options = {}) {
      const connection = await dial(address, parseAddress(address), options)
      return connection.remotePeer.toString()
    },
    dialKnown,
    dialPeer,
    async openStream(peer, protocol, options = {}) {
      const connection = await dialPeer(peer, options)
      return await connection.newStream(protocol, {
        maxOutboundStreams: MAX_PROTOCOL_STREAMS,
        runOnLimitedConnection: true,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      })
    },
  }
}

/** A direct one, or else one through a relay: it carries little and not for long, but it is there. */
export function openConnection(
  libp2p: Pick<Libp2p, 'getConnections'>,
  peer: Libp2pPeerId,
): Connection | undefined {
  const open = libp2p.getConnections(peer).filter(({ status }) => status === 'open')
  return open.find(({ limits }) => limits === undefined) ?? open[0]
}

/** Without `/p2p`. */
export async function storedAddresses(libp2p: Libp2p, peer: PeerId): Promise<Libp2pMultiaddr[]> {
  const id = peerIdFromString(peer)
  if (!(await libp2p.peerStore.has(id))) return []
  const { addresses } = await libp2p.peerStore.get(id)
  return addresses.map(({ multiaddr }) => withoutPeer(multiaddr))
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof Error && reason.name === 'TimeoutError'
}
