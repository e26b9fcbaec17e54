import { totalmem } from 'node:os'
import type { ConnectionGater, MultiaddrConnection } from '@libp2p/interface'
import type { Multiaddr as Libp2pMultiaddr } from '@multiformats/multiaddr'
import type { Refusals } from '@ipfs-cluster/base'
import { ipOf, isLoopback, isRelayed } from './addresses.ts'
import type { ConnectionLimits, NetworkConfig } from './types.ts'

/** Floor of Go's limit of inbound connections (Go: `makeResourceMgr`). */
const MIN_INBOUND = 800

/** At least that many, whatever the memory limit says: a cluster has to hold together. */
const FEWEST_INBOUND = 64

/** Whatever memory there is: what happens once for each connection now and then must not take all of the time. */
const MAX_INBOUND = 4000

const BYTES_PER_CONNECTION = 1024 * 1024

/** Part of the inbound connections that may be in the handshake (Go: the transient scope). */
const PENDING_PART = 4

/** Many peers may sit behind one address, more than the eight that Go allows them. */
const MAX_PER_ADDRESS = 128

/** Simultaneous dials in both directions and over relays give a peer several connections for a while (Go: eight). */
const MAX_PER_PEER = 8

const HANDSHAKE_TIMEOUT_MS = 10_000

/**
 * How many connections others may open. As in Go twice `high_water` and at least 800, but never more than one for each MiB
 * of `memory_limit_bytes` (by default a quarter of this machine's memory) nor than `file_descriptors_limit`. With the
 * resource manager off, as many as there can be.
 */
export function connectionLimits({
  connectionManager,
  resources = {},
  limits = {},
}: NetworkConfig): ConnectionLimits {
  const { enabled = true, memoryLimitBytes = 0, fileDescriptorsLimit = 0 } = resources
  const wanted = Math.max(MIN_INBOUND, 2 * connectionManager.highWater)
  const memory = memoryLimitBytes > 0 ? memoryLimitBytes : totalmem() / 4
  const affordable = Math.max(FEWEST_INBOUND, Math.floor(memory / BYTES_PER_CONNECTION))
  const descriptors = fileDescriptorsLimit > 0 ? fileDescriptorsLimit : Number.POSITIVE_INFINITY
  const bounded = Math.min(wanted, affordable, descriptors, MAX_INBOUND)
  const pending = Math.max(1, Math.floor(bounded / PENDING_PART))
  return {
    inbound: enabled ? bounded : MAX_INBOUND,
    pending,
    pendingPerAddress: Math.ceil(pending / 2),
    perAddress: enabled ? MAX_PER_ADDRESS : Number.POSITIVE_INFINITY,
    perPeer: enabled ? MAX_PER_PEER : Number.POSITIVE_INFINITY,
    handshakeTimeoutMs: HANDSHAKE_TIMEOUT_MS,
    ...limits,
  }
}

export interface ConnectionGuard {
  readonly gater: ConnectionGater
  /** Connections in the handshake. */
  pending(): number
}

/**
 * Refuses inbound connections above the limits, as early as it can be known: by address before a byte is read, by peer once the
 * handshake has told who it is. A full table refuses newcomers; `trimConnections` is what makes room.
 */
export function createConnectionGuard(limits: ConnectionLimits, refusals: Refusals): ConnectionGuard {
  const pending = new Tally()
  const open = new Tally()
  const peers = new Tally()

  const tooManyPending = (address: string): string | undefined => {
    if (pending.size >= limits.pending) return 'too_many_handshakes'
    return pending.of(address) >= limits.pendingPerAddress ? 'too_many_handshakes_of_address' : undefined
  }

  const tooManyOpen = (address: string): string | undefined => {
    if (open.size >= limits.inbound) return 'too_many_connections'
    return open.of(address) >= limits.perAddress && !isLoopback(address)
      ? 'too_many_connections_of_address'
      : undefined
  }

  return {
    pending: () => pending.size,
    gater: {
      denyInboundConnection(connection) {
        const address = sourceOf(connection.remoteAddr)
        const reason = tooManyPending(address) ?? tooManyOpen(address)
        if (reason !== undefined) {
          refusals.count(reason)
          return true
        }
        pending.add(connection, address)
        connection.addEventListener('close', () => {
          // Another secret, silence or garbage.
          if (pending.delete(connection)) refusals.count('handshake_failed')
          open.delete(connection)
          peers.delete(connection)
        })
        return false
      },
      denyInboundEncryptedConnection(peer, connection) {
        const address = sourceOf(connection.remoteAddr)
        pending.delete(connection)
        const peerIsGreedy = peers.of(peer.toString()) >= limits.perPeer
        const reason = peerIsGreedy ? 'too_many_connections_of_peer' : tooManyOpen(address)
        if (reason !== undefined) {
          refusals.count(reason)
          return true
        }
        open.add(connection, address)
        peers.add(connection, peer.toString())
        return false
      },
    },
  }
}

/** Connections, and how many of them have the same label. */
class Tally {
  readonly #labels = new Map<MultiaddrConnection, string>()
  readonly #counts = new Map<string, number>()

  get size(): number {
    return this.#labels.size
  }

  of(label: string): number {
    return this.#counts.get(label) ?? 0
  }

  add(connection: MultiaddrConnection, label: string): void {
    this.#labels.set(connection, label)
    this.#counts.set(label, this.of(label) + 1)
  }

  /** True when it was there. */
  delete(connection: MultiaddrConnection): boolean {
    const label = this.#labels.get(connection)
    if (label === undefined) return false
    this.#labels.delete(connection)
    const left = this.of(label) - 1
    if (left > 0) this.#counts.set(label, left)
    else this.#counts.delete(label)
    return true
  }
}

/** Whom a connection is counted for: its IP address; a relayed one, whose address is the relay's, counts alone. */
function sourceOf(address: Libp2pMultiaddr): string {
  return (isRelayed(address) ? undefined : ipOf(address)) ?? address.toString()
}
