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
   * The peers of `pin` keep it from now on; those of `existing`, the pin that it replaces, do already. Said before it is written, since pins
   * that are decided together must not be given the same space. Returns `pin`.
   */
  handOut<P extends Placed>(pin: P, existing: Placed | undefined): P
}

type Placed = Pick<Pin, 'size' | 'allocations' | 'replicationFactorMin' | 'replicationFactorMax'>

/** What was handed out around one moment. */
interface Entry {
  /** Unix nanoseconds. */
  readonly at: bigint
  bytes: bigint
}

/** Closer to each other than this, two become one entry: a few dozen a peer between two of its metrics. */
const ENTRY_NS = 1_000_000_000n
/** How long a pin may take until the peer that got it counts it in its metric; what was handed out later is not in it. */
const SETTLE_NS = 5_000_000_000n
/** Entries of a peer at most, should its metrics live for hours; beyond it the last one grows. */
const MAX_ENTRIES = 100

/** By the metric `freespace`, whose weight is in bytes. */
export function createSpaceLedger(
  monitor: { latest(name: string): readonly Metric[] },
  clock: Pick<Clock, 'nowNs'>,
): SpaceLedger {
  const freespace = () => monitor.latest('freespace')
  const handedOut = new Map<PeerId, Entry[]>()

  /** Of a peer since its metric. */
  const since = ({ peer, receivedAt }: Metric): bigint => {
    const entries = handedOut.get(peer)
    if (entries === undefined) return 0n
    while (entries[0] !== undefined && entries[0].at + SETTLE_NS < receivedAt) entries.shift()
    if (entries.length === 0) handedOut.delete(peer)
    return entries.reduce((sum, { bytes }) => sum + bytes, 0n)
  }

  return {
    withoutRoom(bytes) {
      const full = freespace().filter(metric => metric.weight - since(metric) < bytes)
      return new Set(full.map(({ peer }) => peer))
    },
    handOut(pin, existing) {
      const bytes = pin.size ?? 0n
      if (bytes === 0n) return pin
      const at = clock.nowNs()
      for (const metric of freespace()) {
        if (!keeps(pin, metric.peer) || (existing !== undefined && keeps(existing, metric.peer))) continue
        since(metric)
        const entries = handedOut.get(metric.peer) ?? []
        const last = entries.at(-1)
        if (last !== undefined && (at - last.at < ENTRY_NS || entries.length >= MAX_ENTRIES))
          last.bytes += bytes
        else entries.push({ at, bytes })
        handedOut.set(metric.peer, entries)
      }
      return pin
    },
  }
}

function keeps(pin: Placed, peer: PeerId): boolean {
  return isPinEverywhere(pin) || pin.allocations.includes(peer)
}
