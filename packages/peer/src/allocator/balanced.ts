import type { Metric, PeerId } from '@ipfs-cluster/api'
import { compareBytes, utf8 } from '@ipfs-cluster/base'

/** A peer with its metrics in the order of `allocateBy`. */
export interface Candidate {
  readonly peer: PeerId
  readonly metrics: readonly Metric[]
}

export type PeerComparison = (a: PeerId, b: PeerId) => number

interface Partition {
  readonly value: string
  readonly weight: bigint
  /** Own weight and that of everything below. */
  readonly aggregated: bigint
  readonly order: readonly PeerId[]
}

interface Group {
  readonly value: string
  weight: bigint
  readonly members: Candidate[]
}

/**
 * The order in which the balanced allocator hands out `candidates`: a tree with one level for each metric, whose branches are emptied in
 * turn, the heaviest first.
 *
 * @param compareTies order of peers (and branches) that no metric tells apart.
 */
export function balancedOrder(
  candidates: readonly Candidate[],
  compareTies: PeerComparison,
): readonly PeerId[] {
  return arrange(candidates, 0, compareTies).order
}

function arrange(
  candidates: readonly Candidate[],
  level: number,
  compareTies: PeerComparison,
): { readonly order: readonly PeerId[]; readonly aggregated: bigint } {
  if (candidates.every(({ metrics }) => level >= metrics.length)) {
    return { order: candidates.map(({ peer }) => peer).sort(compareTies), aggregated: 0n }
  }
  const partitions = groupBy(candidates, level).map(({ value, weight, members }): Partition => {
    const below = arrange(members, level + 1, compareTies)
    return { value, weight, aggregated: weight + below.aggregated, order: below.order }
  })
  partitions.sort((a, b) => comparePartitions(a, b, compareTies))
  return {
    order: takeTurns(partitions.map(({ order }) => order)),
    aggregated: partitions.reduce((sum, { aggregated }) => sum + aggregated, 0n),
  }
}

/** Peers with the same value of a partitionable metric share a group; with any other metric each peer has its own. */
function groupBy(candidates: readonly Candidate[], level: number): Group[] {
  const shared = new Map<string, Group>()
  const groups: Group[] = []
  for (const candidate of candidates) {
    const metric = candidate.metrics[level]
    if (metric === undefined) continue
    const { value, weight } = metric
    const known = metric.partitionable ? shared.get(value) : undefined
    if (known !== undefined) {
      known.weight += weight
      known.members.push(candidate)
      continue
    }
    const group: Group = { value, weight, members: [candidate] }
    groups.push(group)
    if (metric.partitionable) shared.set(value, group)
  }
  return groups
}

function comparePartitions(a: Partition, b: Partition, compareTies: PeerComparison): number {
  if (a.weight !== b.weight) return a.weight > b.weight ? -1 : 1
  if (a.aggregated !== b.aggregated) return a.aggregated > b.aggregated ? -1 : 1
  const byValue = compareBytes(utf8(a.value), utf8(b.value))
  if (byValue !== 0) return byValue
  return compareTies(a.order[0] ?? '', b.order[0] ?? '')
}

/** The first of each list, then the second of each that has one, and so on. */
function takeTurns(lists: readonly (readonly PeerId[])[]): PeerId[] {
  const out: PeerId[] = []
  const rounds = Math.max(0, ...lists.map(list => list.length))
  for (let round = 0; round < rounds; round++) {
    for (const list of lists) {
      const peer = list[round]
      if (peer !== undefined) out.push(peer)
    }
  }
  return out
}
