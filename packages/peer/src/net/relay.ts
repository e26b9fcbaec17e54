import type { Connection, Libp2p } from '@libp2p/interface'
import type { Multiaddr as Libp2pMultiaddr } from '@multiformats/multiaddr'
import { errorMessage, type Clock, type Logger } from '@ipfs-cluster/base'
import { ipOf, isLoopback, isRelayed, parseAddress, relayOf, withoutPeer, withPeer } from './addresses.ts'

/** A connected peer that speaks this relays for others. */
const HOP_PROTOCOL = '/libp2p/circuit/relay/0.2.0/hop'

/** Relays to be reachable through (Go: `autorelay.desiredRelays`). */
const WANTED_RELAYS = 2

/** How often it is judged whether others reach us (Go: AutoRelay's minimum interval). */
const CHECK_INTERVAL_MS = 30_000

/** Peers whose word on where we come from is remembered. */
const MAX_OBSERVERS = 16

export interface RelayComponents {
  readonly libp2p: Libp2p
  readonly transports: {
    getAddrs(): Libp2pMultiaddr[]
    listen(addresses: Libp2pMultiaddr[]): Promise<void>
  }
  readonly clock: Clock
  readonly logger: Logger
}

/** What is known of our being reachable. */
export interface Reachability {
  /** Somebody has dialled us, and not over a relay. */
  readonly dialled: boolean
  /** Where we listen, relays not counted. */
  readonly listening: readonly Libp2pMultiaddr[]
  /** From where others see us come. */
  readonly observed: readonly Libp2pMultiaddr[]
}

/**
 * Whether only a relay makes us reachable: nobody has dialled us, and we either listen nowhere or are seen at an address
 * that is not ours, so behind a NAT. Go asks AutoNAT, which needs peers with public addresses that dial back; a small
 * cluster has none.
 */
export function needsRelay({ dialled, listening, observed }: Reachability): boolean {
  if (dialled) return false
  if (listening.length === 0) return true
  const own = new Set(listening.map(ipOf))
  return observed.map(ipOf).some(ip => ip !== undefined && !isLoopback(ip) && !own.has(ip))
}

/** Until the signal fires: while we are not reachable, listens through up to two connected relays. */
export async function keepReachable(components: RelayComponents, signal: AbortSignal): Promise<void> {
  const { libp2p, transports, clock, logger } = components
  const watch = watchReachability(libp2p, signal)
  while (true) {
    await clock.sleep(CHECK_INTERVAL_MS, { signal })
    const listening = transports.getAddrs()
    const relayed = listening.filter(isRelayed)
    const reachability = { ...watch(), listening: listening.filter(address => !isRelayed(address)) }
    if (!needsRelay(reachability)) continue
    const inUse = new Set(relayed.map(relayOf))
    for (const connection of await relaysAmong(libp2p, inUse)) {
      if (inUse.size >= WANTED_RELAYS) break
      const relay = connection.remotePeer.toString()
      inUse.add(relay)
      const address = parseAddress(`${withPeer(connection.remoteAddr, relay)}/p2p-circuit`)
      try {
        await transports.listen([address])
        logger.info({ relay }, 'others reach this peer through a relay now')
      } catch (error) {
        logger.debug({ relay, err: error }, `a relay has no place for us: ${errorMessage(error)}`)
      }
    }
  }
}

function watchReachability(
  libp2p: Libp2p,
  signal: AbortSignal,
): () => Pick<Reachability, 'dialled' | 'observed'> {
  let dialled = false
  const observed = new Map<string, Libp2pMultiaddr>()
  libp2p.addEventListener(
    'peer:identify',
    ({ detail: { connection, observedAddr } }) => {
      if (connection.limits !== undefined) return
      if (connection.direction === 'inbound') dialled = true
      else if (observedAddr !== undefined)
        observed.set(connection.remotePeer.toString(), withoutPeer(observedAddr))
      // A few are enough to know.
      const [oldest] = observed.keys()
      if (observed.size > MAX_OBSERVERS && oldest !== undefined) observed.delete(oldest)
    },
    { signal },
  )
  return () => ({ dialled, observed: [...observed.values()] })
}

/** One direct connection to each connected relay that is not in use. */
async function relaysAmong(
  libp2p: Libp2p,
  inUse: ReadonlySet<string | undefined>,
): Promise<readonly Connection[]> {
  const found: Connection[] = []
  for (const peer of libp2p.getPeers()) {
    if (inUse.has(peer.toString())) continue
    const direct = libp2p
      .getConnections(peer)
      .find(
        ({ limits, status, remoteAddr }) =>
          limits === undefined && status === 'open' && !isRelayed(remoteAddr),
      )
    if (direct === undefined || !(await libp2p.peerStore.has(peer))) continue
    const { protocols } = await libp2p.peerStore.get(peer)
    if (protocols.includes(HOP_PROTOCOL)) found.push(direct)
  }
  return found
}
