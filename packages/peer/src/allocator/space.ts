import { isPinEverywhere, type Metric, type PeerId, type Pin } from '@ipfs-cluster/api'
import type { Clock } from '@ipfs-cluster/base'

/**
 * Who has room for content of known size: what peers last told of their free space, less what has been handed out to them since. What
 * has no known size, and who does not tell, is not looked at: as in Go.
 */
export interface SpaceLedger {
  /** Peers that are known to have less free than that. */
  withoutRoom(bytes: bigint): ReadonlySet<PeerId>
  /**
   * Metrics of `freespace`, less what was handed out since: for whoever places one large thing after the other within the time between two of them,
   * and would otherwise place all on the same peer.
   */
  lessHandedOut(metrics: readonly Metric[]): readonly Metric[]
  /**
   * The peers of `pin` keep it from now on; those of `existing`, the pin that it replaces, do already. Said before it is written, since pins
   * that are decided together must not be given the same space. `stored`: its blocks are there already, so that the next metric counts them. Returns
   * `pin`.
   */
  handOut<P extends Placed>(pin: P, existing: Placed | undefined, stored?: boolean): P
}

type Placed = Pick<Pin, 'size' | 'allocations' | 'replicationFactorMin' | 'replicationFactorMax'>

/** What was handed out around one moment. */
interface Entry {
  /** Unix nanoseconds. */
  readonly at: bigint
  bytes: bigint
}

interface Pace {
  /** Closer to each other than this, two become one entry: a few dozen a peer between two of its metrics. */
  readonly entryNs: bigint
  /** How long it may take until the peer that got it counts it in its metric; what was handed out later is not in it. */
  readonly settleNs: bigint
}

/** What the peer has to hear of, and fetch. */
const TO_FETCH: Pace = { entryNs: 1_000_000_000n, settleNs: 5_000_000_000n }
/** What it has when it is handed out: only the metric may have been on its way. */
const STORED: Pace = { entryNs: 50_000_000n, settleNs: 200_000_000n }
/** Entries of a peer at most, should its metrics live for hours; beyond it the last one grows. */
const MAX_ENTRIES = 100

/** By the metric `freespace`, whose weight is in bytes. */
export function createSpaceLedger(
  monitor: { latest(name: string): readonly Metric[] },
  clock: Pick<Clock, 'nowNs'>,
): SpaceLedger {
  const freespace = () => monitor.latest('freespace')
  const toFetch = createEntries(TO_FETCH)
  const stored = createEntries(STORED)
  /** Of a peer since its metric. */
  const since = (metric: Metric): bigint => toFetch.since(metric) + stored.since(metric)

  return {
    withoutRoom(bytes) {
      const full = freespace().filter(metric => metric.weight - since(metric) < bytes)
      return new Set(full.map(({ peer }) => peer))
    },
    lessHandedOut: metrics =>
      metrics.map(metric => {
        const bytes = since(metric)
        return bytes === 0n ? metric : { ...metric, weight: metric.weight - bytes }
      }),
    handOut(pin, existing, isStored = false) {
      const bytes = pin.size ?? 0n
      if (bytes === 0n) return pin
      const at = clock.nowNs()
      for (const metric of freespace()) {
        if (!keeps(pin, metric.peer) || (existing !== undefined && keeps(existing, metric.peer))) continue
        ;(isStored ? stored : toFetch).add(metric, at, bytes)
      }
      return pin
    },
  }
}

/** What was handed out to each peer since its metric. */
function createEntries({ entryNs, settleNs }: Pace) {
  const handedOut = new Map<PeerId, Entry[]>()
  const since = ({ peer, receivedAt }: Metric): bigint => {
    const entries = handedOut.get(peer)
    if (entries === undefined) return 0n
    while (entries[0] !== undefined && entries[0].at + settleNs < receivedAt) entries.shift()
    if (entries.length === 0) handedOut.delete(peer)
    return entries.reduce((sum, { bytes }) => sum + bytes, 0n)
  }
  return {
    since,
    add(metric: Metric, at: bigint, bytes: bigint) {
      since(metric)
      const entries = handedOut.get(metric.peer) ?? []
      const last = entries.at(-1)
      if (last !== undefined && (at - last.at < entryNs || entries.length >= MAX_ENTRIES)) last.bytes += bytes
      else entries.push({ at, bytes })
      handedOut.set(metric.peer, entries)
    },
  }
}

function keeps(pin: Placed, peer: PeerId): boolean {
  return isPinEverywhere(pin) || pin.allocations.includes(peer)
}
