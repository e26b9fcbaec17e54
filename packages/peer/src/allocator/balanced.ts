import type { Metric, PeerId } from '@ipfs-cluster/api'
import { compareBytes, utf8 } from '@ipfs-cluster/base'

/** A peer with its metrics in the order of `allocateBy`. */
export interface Candidate {
  readonly peer: PeerId
  readonly metrics: readonly Metric[]
}

export type PeerComparison = (a: PeerId, b: PeerId) => number

/** Peers, or branches below a metric. */
interface Branch {
  readonly value: string
  readonly weight: bigint
  /** Own weight and that of everything below. */
  readonly aggregated: bigint
  readonly order: Order
}

/** Hands out the peers of a branch; the comparison decides where the metrics do not. */
type Order = (compareTies: PeerComparison) => readonly PeerId[]

interface Group {
  readonly value: string
  weight: bigint
  readonly members: Candidate[]
}

/**
 * The order in which the balanced allocator hands out `candidates`: a tree with one level for each metric, whose branches are emptied in
 * turn, the heaviest first. What does not depend on ties is done once, before the function that is returned gets the order of peers (and
 * branches) that no metric tells apart.
 */
export function balancedOrder(candidates: readonly Candidate[]): Order {
  return arrange(candidates, 0).order
}

function arrange(
  candidates: readonly Candidate[],
  level: number,
): { readonly order: Order; readonly aggregated: bigint } {
  if (candidates.every(({ metrics }) => level >= metrics.length)) {
    const peers = candidates.map(({ peer }) => peer)
    return { order: peers.length < 2 ? () => peers : ties => peers.toSorted(ties), aggregated: 0n }
  }
  const branches = groupBy(candidates, level).map(({ value, weight, members }): Branch => {
    const below = arrange(members, level + 1)
    return { value, weight, aggregated: weight + below.aggregated, order: below.order }
  })
  branches.sort(compareBranches)
  return {
    order: orderOf(tiesAmong(branches)),
    aggregated: branches.reduce((sum, { aggregated }) => sum + aggregated, 0n),
  }
}

/** Neighbours that compare as equal together. */
function tiesAmong(branches: readonly Branch[]): Order[][] {
  const runs: Order[][] = []
  let last: Branch | undefined
  for (const branch of branches) {
    if (last !== undefined && compareBranches(last, branch) === 0) runs.at(-1)?.push(branch.order)
    else runs.push([branch.order])
    last = branch
  }
  return runs
}

function orderOf(runs: readonly (readonly Order[])[]): Order {
  return compareTies => {
    const lists: (readonly PeerId[])[] = []
    for (const run of runs) {
      const orders = run.map(order => order(compareTies))
      if (orders.length > 1) orders.sort(([a = ''], [b = '']) => compareTies(a, b))
      for (const order of orders) lists.push(order)
    }
    return takeTurns(lists)
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

function compareBranches(a: Branch, b: Branch): number {
  if (a.weight !== b.weight) return a.weight > b.weight ? -1 : 1
  if (a.aggregated !== b.aggregated) return a.aggregated > b.aggregated ? -1 : 1
  return a.value === b.value ? 0 : compareBytes(utf8(a.value), utf8(b.value))
}

/** The first of each list, then the second of each that has one, and so on. */
function takeTurns(lists: readonly (readonly PeerId[])[]): PeerId[] {
  if (lists.length === 1) return [...(lists[0] ?? [])]
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
