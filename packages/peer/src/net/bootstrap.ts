import type { Libp2p, PeerInfo } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import {
  anySignal,
  errorMessage,
  shuffled,
  type AbortOptions,
  type Clock,
  type Logger,
  type Random,
} from '@ipfs-cluster/base'
import type { PeerId } from '@ipfs-cluster/api'
import type { Dialer } from './dialer.ts'
import { HIGHEST_PRIORITY, LEARNED_PRIORITY, type PeerBook } from './peers.ts'

/** Connections that `bootstrap` aims for (Go: `cluster.bootstrapCount`). */
const BOOTSTRAP_PEERS = 3

/** For one peer of a bootstrap round (Go: `pstoremgr.ConnectTimeout`). */
const CONNECT_TIMEOUT_MS = 5000

/** How often a connection to one of `peer_addresses` is made sure of (Go: `cluster.priorityPeerInterval`). */
const PRIORITY_PEER_INTERVAL_MS = 5 * 60 * 1000

export interface BootstrapComponents {
  readonly libp2p: Pick<Libp2p, 'getConnections'>
  readonly book: Pick<PeerBook, 'add' | 'candidates' | 'priority' | 'report'>
  readonly dialer: Pick<Dialer, 'dialKnown'>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export interface Bootstrapper {
  /** Connects to up to three known peers, one after another, best priority first; resolves with those connected. */
  bootstrap(options?: AbortOptions): Promise<readonly PeerId[]>
  /** Until the signal fires: every `intervalMs`, connects to random known peers while there are fewer than `lowWater` connections. */
  keepConnected(intervalMs: number, lowWater: number, signal: AbortSignal): Promise<void>
  /** Remembers a peer found on the local network and connects to it. */
  greet(peer: PeerInfo, signal: AbortSignal): Promise<void>
  /** Until the signal fires: every five minutes, makes sure of one peer of the highest priority. */
  keepPriorityPeer(signal: AbortSignal): Promise<void>
}

export function createBootstrapper(components: BootstrapComponents): Bootstrapper {
  const { libp2p, book, dialer, clock, random, logger } = components
  const isConnected = (peer: PeerId) => libp2p.getConnections(peerIdFromString(peer)).length > 0

  /** `undefined` when connected, else why not; rejects only with the reason of `signal`. */
  const reach = async (peer: PeerId, signal: AbortSignal | undefined): Promise<unknown> => {
    if (isConnected(peer)) return undefined
    try {
      await dialer.dialKnown(peer, { signal: anySignal(signal, clock.timeout(CONNECT_TIMEOUT_MS)) })
      book.report(peer, true)
      return undefined
    } catch (error) {
      signal?.throwIfAborted()
      book.report(peer, false)
      logger.debug({ peer, err: error }, `a known peer cannot be reached: ${errorMessage(error)}`)
      return error
    }
  }

  const connectUpTo = async (peers: readonly PeerId[], wanted: number, signal: AbortSignal | undefined) => {
    const reached: PeerId[] = []
    const failures: unknown[] = []
    for (const peer of peers) {
      if (reached.length >= wanted) break
      const failure = await reach(peer, signal)
      if (failure === undefined) reached.push(peer)
      else failures.push(failure)
    }
    return { reached, failures }
  }

  return {
    async bootstrap({ signal } = {}) {
      const peers = (await book.candidates()).map(({ peer }) => peer)
      const { reached, failures } = await connectUpTo(peers, BOOTSTRAP_PEERS, signal)
      if (reached.length > 0) logger.info({ peers: reached }, 'connected to known peers')
      else if (peers.length > 0) {
        const reasons = failures.map(errorMessage)
        logger.warn({ reasons }, 'none of the known peers can be reached; will go on trying')
      }
      return reached
    },
    async greet({ id, multiaddrs }, signal) {
      const peer = id.toString()
      await book.add({ peer, addresses: multiaddrs, permanent: false, priority: LEARNED_PRIORITY })
      await reach(peer, signal)
    },
    async keepConnected(intervalMs, lowWater, signal) {
      while (true) {
        await clock.sleep(intervalMs, { signal })
        const missing = lowWater - libp2p.getConnections().length
        if (missing <= 0) continue
        const strangers = (await book.candidates()).map(({ peer }) => peer).filter(peer => !isConnected(peer))
        await connectUpTo(shuffled(strangers, random), missing, signal)
      }
    },
    async keepPriorityPeer(signal) {
      while (true) {
        await clock.sleep(PRIORITY_PEER_INTERVAL_MS, { signal })
        const peers = (await book.candidates()).map(({ peer }) => peer)
        await connectUpTo(
          peers.filter(peer => book.priority(peer) === HIGHEST_PRIORITY),
          1,
          signal,
        )
      }
    },
  }
}
