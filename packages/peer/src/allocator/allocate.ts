import type { Metric, PeerId } from '@ipfs-cluster/api'
import { utf8 } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { balancedOrder, type Candidate, type PeerComparison } from './balanced.ts'
import { AllocatorError, type AllocationRequest } from './types.ts'

/**
 * The peers that keep a pin, as Go's `allocate` decides:
 *
 * - both factors negative: `[]`, every peer;
 * - more valid copies than the maximum: the best of them, preferred peers first;
 * - at least the minimum: `current` as it is, including peers without metrics;
 * - otherwise the valid current ones, then preferred peers, then the others up to the maximum, each in balanced order.
 *
 * A peer is valid, or can be chosen, only with a metric for every name of `allocateBy`.
 *
 * @throws AllocatorError `NOT_ENOUGH_PEERS` when the minimum cannot be reached.
 */
export function allocate(request: AllocationRequest): readonly PeerId[] {
  const { replicationFactorMin: min, replicationFactorMax: max, cid } = request
  if (min < 0 && max < 0) return []
  const compareTies = tieComparison(cid)
  const { current, priority, others } = bucketsOf(request)
  const needed = min - current.length
  const wanted = max - current.length
  if (wanted < 0) return preferredFirst(current, request.priority, compareTies).slice(0, max)
  if (needed <= 0) return request.current
  const available = priority.length + others.length
  if (available < needed) {
    throw new AllocatorError(
      `not enough peers to allocate CID. Needed at least: ${needed}. Wanted at most: ${wanted}. ` +
        `Available candidates: ${available}. See logs for more info.`,
      { code: 'NOT_ENOUGH_PEERS', needed, wanted, available },
    )
  }
  const order = [...balancedOrder(priority, compareTies), ...balancedOrder(others, compareTies)]
  return [...current.map(({ peer }) => peer), ...order.slice(0, wanted)]
}

interface Buckets {
  /** In the order of `request.current`. */
  readonly current: readonly Candidate[]
  readonly priority: readonly Candidate[]
  readonly others: readonly Candidate[]
}

function bucketsOf(request: AllocationRequest): Buckets {
  const candidates = candidatesOf(request)
  const current = pick(candidates, request.current)
  const priority = pick(candidates, request.priority)
  return { current, priority, others: [...candidates.values()] }
}

/** Takes the named candidates out of the map. */
function pick(candidates: Map<PeerId, Candidate>, peers: readonly PeerId[]): Candidate[] {
  const picked: Candidate[] = []
  for (const peer of peers) {
    const candidate = candidates.get(peer)
    if (candidate === undefined) continue
    picked.push(candidate)
    candidates.delete(peer)
  }
  return picked
}

/** Every peer that is not excluded and has a valid metric for each name. */
function candidatesOf({ metrics, allocateBy, exclude }: AllocationRequest): Map<PeerId, Candidate> {
  const columns = allocateBy.map(
    name => new Map((metrics[name] ?? []).filter(({ valid }) => valid).map(metric => [metric.peer, metric])),
  )
  const excluded = new Set(exclude)
  const candidates = new Map<PeerId, Candidate>()
  for (const peer of columns[0]?.keys() ?? []) {
    if (excluded.has(peer)) continue
    const row = columns
      .map(column => column.get(peer))
      .filter((metric): metric is Metric => metric !== undefined)
    if (row.length === columns.length) candidates.set(peer, { peer, metrics: row })
  }
  return candidates
}

function preferredFirst(
  candidates: readonly Candidate[],
  preferred: readonly PeerId[],
  compareTies: PeerComparison,
): PeerId[] {
  const rest = new Map(candidates.map(candidate => [candidate.peer, candidate]))
  const first = pick(rest, preferred)
  return [...balancedOrder(first, compareTies), ...balancedOrder([...rest.values()], compareTies)]
}

/**
 * Peers that measure the same (an empty pin queue, a shared disk) would all yield to the lowest id and one peer would get every pin;
 * a hash of CID and peer makes the choice different for each pin and yet the same wherever it is made.
 */
function tieComparison(cid: CID | undefined): PeerComparison {
  if (cid === undefined) return compareText
  const ranks = new Map<PeerId, number>()
  const rank = (peer: PeerId) => {
    let value = ranks.get(peer)
    if (value === undefined) {
      value = hash32(utf8(peer), hash32(cid.bytes, FNV_OFFSET))
      ranks.set(peer, value)
    }
    return value
  }
  return (a, b) => rank(a) - rank(b) || compareText(a, b)
}

function compareText(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

/** FNV-1a with a final mix, so that inputs that differ in their last byte spread over all bits. */
function hash32(bytes: Uint8Array, seed: number): number {
  let hash = seed
  for (const byte of bytes) hash = Math.imul(hash ^ byte, FNV_PRIME)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
