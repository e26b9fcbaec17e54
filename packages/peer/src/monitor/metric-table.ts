import { comparePeerIds, type Metric, type PeerId } from '@ipfs-cluster/api'
import { isForgotten, isLive, nextSample, shouldAlert, type Sample } from './expiry.ts'

/** Peers whose metrics are kept; those of more are refused until some are forgotten. */
export const MAX_PEERS = 5_000
/** Names kept of one peer. */
export const MAX_NAMES_PER_PEER = 64
/** UTF-16 units of a name. */
export const MAX_NAME_LENGTH = 256
/** UTF-16 units of a value; the longest is a ping with the daemon's addresses. */
export const MAX_VALUE_LENGTH = 16_384

interface PeerSamples {
  readonly peer: PeerId
  readonly samples: Map<string, Sample>
}

/** Latest metrics by peer and name; bounded by the limits above. */
export interface MetricTable {
  /** False when a limit refuses it. */
  put(metric: Metric): boolean
  /** The latest of that peer, if it is live. */
  get(name: string, peer: PeerId, now: bigint): Metric | undefined
  /** Live metrics of that name, sorted by the bytes of the peer id. */
  live(name: string, now: bigint): Metric[]
  names(): string[]
  /** Metrics that have expired since the last call; drops those of peers that are gone for `retentionNs`. */
  sweep(now: bigint, retentionNs: bigint): Metric[]
}

export function createMetricTable(): MetricTable {
  const peers = new Map<PeerId, PeerSamples>()
  // Kept sorted: it is read for every allocation and changes when a peer comes or goes.
  let ordered: PeerSamples[] = []

  const admit = (peer: PeerId): PeerSamples | undefined => {
    const known = peers.get(peer)
    if (known !== undefined) return known
    if (peers.size >= MAX_PEERS) return undefined
    const added: PeerSamples = { peer, samples: new Map() }
    peers.set(peer, added)
    ordered.splice(positionOf(peer, ordered), 0, added)
    return added
  }

  return {
    put(metric) {
      if (metric.name.length > MAX_NAME_LENGTH || metric.value.length > MAX_VALUE_LENGTH) return false
      const samples = admit(metric.peer)?.samples
      if (samples === undefined) return false
      const previous = samples.get(metric.name)
      if (previous === undefined && samples.size >= MAX_NAMES_PER_PEER) return false
      samples.set(metric.name, nextSample(previous, metric))
      return true
    },
    get(name, peer, now) {
      const sample = peers.get(peer)?.samples.get(name)
      return sample !== undefined && isLive(sample, now) ? sample.metric : undefined
    },
    live(name, now) {
      const out: Metric[] = []
      for (const { samples } of ordered) {
        const sample = samples.get(name)
        if (sample !== undefined && isLive(sample, now)) out.push(sample.metric)
      }
      return out
    },
    names: () => [...new Set(ordered.flatMap(({ samples }) => [...samples.keys()]))].sort(),
    sweep(now, retentionNs) {
      const expired: Metric[] = []
      for (const { peer, samples } of ordered) {
        for (const [name, sample] of samples) {
          if (isForgotten(sample, now, retentionNs)) samples.delete(name)
          if (!shouldAlert(sample, now)) continue
          expired.push(sample.metric)
          if (samples.has(name)) samples.set(name, { ...sample, alerted: true })
        }
        if (samples.size === 0) peers.delete(peer)
      }
      ordered = ordered.filter(({ peer }) => peers.has(peer))
      return expired
    },
  }
}

/** Where `peer` belongs in the sorted list. */
function positionOf(peer: PeerId, ordered: readonly PeerSamples[]): number {
  let low = 0
  let high = ordered.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (comparePeerIds((ordered[middle] as PeerSamples).peer, peer) < 0) low = middle + 1
    else high = middle
  }
  return low
}
