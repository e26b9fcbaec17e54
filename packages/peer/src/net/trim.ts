import type { Connection, Libp2p } from '@libp2p/interface'
import { type Clock, errorMessage, type Logger } from '@ipfs-cluster/base'
import type { PeerId } from '@ipfs-cluster/api'
import type { NetworkConfig } from './types.ts'

/** How often connections above the high water mark are looked for (Go: the silence period of its connection manager). */
const TRIM_INTERVAL_MS = 10_000

/** For the polite end of a connection. */
const CLOSE_TIMEOUT_MS = 1000

export interface TrimCandidate {
  readonly id: string
  readonly peer: PeerId
  readonly openedAt: number
  readonly inbound: boolean
  readonly streams: number
  /** What the peer is worth to us; higher stays longer. */
  readonly value: number
}

export interface TrimRules {
  readonly now: number
  readonly lowWater: number
  readonly highWater: number
  readonly gracePeriodMs: number
  readonly isProtected: (peer: PeerId) => boolean
}

/**
 * Which connections to close, as Go's connection manager does: nothing below `highWater`; above it, down to `lowWater` among those that
 * are neither protected nor of a peer that came within the grace period. All connections of a peer go, or none.
 * First peers of least value, then those with the fewest streams, then those that dialled us.
 */
export function connectionsToClose(
  connections: readonly TrimCandidate[],
  rules: TrimRules,
): readonly string[] {
  const { now, lowWater, highWater, gracePeriodMs, isProtected } = rules
  if (connections.length < highWater || connections.length <= lowWater) return []
  const peers = [...Map.groupBy(connections, ({ peer }) => peer)]
    .filter(
      ([peer, own]) =>
        !isProtected(peer) && Math.min(...own.map(({ openedAt }) => openedAt)) <= now - gracePeriodMs,
    )
    .map(([, own]) => ({
      own,
      value: own[0]?.value ?? 0,
      streams: own.reduce((sum, { streams }) => sum + streams, 0),
      inbound: own.every(({ inbound }) => inbound),
    }))
    .sort((a, b) => a.value - b.value || a.streams - b.streams || Number(b.inbound) - Number(a.inbound))
  let surplus = peers.reduce((sum, { own }) => sum + own.length, 0) - lowWater
  const chosen: string[] = []
  for (const { own } of peers) {
    if (surplus <= 0) break
    chosen.push(...own.map(({ id }) => id))
    surplus -= own.length
  }
  return chosen
}

export interface TrimComponents {
  readonly libp2p: Pick<Libp2p, 'getConnections'>
  readonly clock: Clock
  readonly logger: Logger
  readonly isProtected: (peer: PeerId) => boolean
  /** Of one peer. */
  readonly valueOf: (peer: PeerId) => number
}

/** Until the signal fires: closes connections above the high water mark. */
export async function keepTrimmed(
  components: TrimComponents,
  config: NetworkConfig['connectionManager'],
  signal: AbortSignal,
): Promise<void> {
  while (true) {
    await components.clock.sleep(TRIM_INTERVAL_MS, { signal })
    await trimConnections(components, config)
  }
}

/** Closes connections above the high water mark now; resolves with how many. */
export async function trimConnections(
  { libp2p, clock, logger, isProtected, valueOf }: TrimComponents,
  config: NetworkConfig['connectionManager'],
): Promise<number> {
  const open = libp2p.getConnections()
  const candidates = open.map(connection => candidateOf(connection, valueOf))
  const chosen = new Set(connectionsToClose(candidates, { ...config, now: clock.now(), isProtected }))
  if (chosen.size === 0) return 0
  logger.info(
    { open: open.length, closing: chosen.size, ...config },
    'closing connections: there are more than connection_manager.high_water',
  )
  await Promise.all(
    open
      .filter(({ id }) => chosen.has(id))
      .map(connection => closeConnection(connection, clock.timeout(CLOSE_TIMEOUT_MS), logger)),
  )
  return chosen.size
}

function candidateOf(connection: Connection, valueOf: (peer: PeerId) => number): TrimCandidate {
  const peer = connection.remotePeer.toString()
  return {
    id: connection.id,
    peer,
    openedAt: connection.timeline.open,
    inbound: connection.direction === 'inbound',
    streams: connection.streams.length,
    value: valueOf(peer),
  }
}

async function closeConnection(connection: Connection, signal: AbortSignal, logger: Logger): Promise<void> {
  try {
    await connection.close({ signal })
  } catch (error) {
    logger.debug({ err: error }, `a connection did not close politely: ${errorMessage(error)}`)
    connection.abort(error instanceof Error ? error : new Error('trimmed', { cause: error }))
  }
}
