import type { Metric, PeerId } from '@ipfs-cluster/api'
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
 * A peer is valid, or can be chosen, only with a metric for every name of `allocateBy`; chosen, only with room for the content.
 *
 * @throws AllocatorError `NOT_ENOUGH_PEERS` when the minimum cannot be reached.
 */
export function allocate({ metrics, allocateBy, ...request }: AllocationRequest): readonly PeerId[] {
  return createAllocator(metrics, allocateBy)(request)
}

/** `allocate` for many pins by the same metrics, which are looked at once. */
export function createAllocator(
  metrics: AllocationRequest['metrics'],
  allocateBy: readonly string[],
): Allocator {
  const all = candidatesOf(metrics, allocateBy)
  let order: ReturnType<typeof balancedOrder> | undefined
  return request => {
    const {
      current,
      priority,
      exclude,
      room,
      replicationFactorMin: min,
      replicationFactorMax: max,
      cid,
    } = request
    if (min < 0 && max < 0) return []
    // A pin that nobody has yet, anywhere: the order of all is the same but for ties.
    const isFresh = min > 0 && current.length === 0 && priority.length === 0 && exclude.length === 0
    const hasRoom = room === undefined || room.without.size === 0
    if (!isFresh || !hasRoom) return choose(all, request)
    checkEnough(all.size, min, max)
    order ??= balancedOrder([...all.values()])
    return order(tieComparison(cid)).slice(0, max)
  }
}

export type Allocator = (request: Omit<AllocationRequest, 'metrics' | 'allocateBy'>) => readonly PeerId[]

function choose(all: ReadonlyMap<PeerId, Candidate>, request: Parameters<Allocator>[0]): readonly PeerId[] {
  const { replicationFactorMin: min, replicationFactorMax: max, cid } = request
  const compareTies = tieComparison(cid)
  const { current, priority, others, full } = bucketsOf(all, request)
  const needed = min - current.length
  const wanted = max - current.length
  if (wanted < 0) return preferredFirst(current, request.priority, compareTies).slice(0, max)
  if (needed <= 0) return request.current
  checkEnough(priority.length + others.length, needed, wanted, roomOf(request, full))
  const order = [...balancedOrder(priority)(compareTies), ...balancedOrder(others)(compareTies)]
  return [...current.map(({ peer }) => peer), ...order.slice(0, wanted)]
}

function checkEnough(available: number, needed: number, wanted: number, room = { text: '', full: 0 }): void {
  if (available < needed) {
    throw new AllocatorError(
      `not enough peers to allocate CID. Needed at least: ${needed}. Wanted at most: ${wanted}. ` +
        `Available candidates: ${available}. See logs for more info.${room.text}`,
      { code: 'NOT_ENOUGH_PEERS', needed, wanted, available, ...(room.full > 0 && { full: room.full }) },
    )
  }
}

interface Buckets {
  /** In the order of `request.current`. */
  readonly current: readonly Candidate[]
  readonly priority: readonly Candidate[]
  readonly others: readonly Candidate[]
  /** How many are none of these because they have too little room. */
  readonly full: number
}

function roomOf(
  { room }: Parameters<Allocator>[0],
  full: number,
): { readonly text: string; readonly full: number } {
  if (room === undefined || full === 0) return { text: '', full }
  const peers = full === 1 ? '1 more peer has' : `${full} more peers have`
  return { text: ` ${peers} less free space than the content needs (${room.bytes} bytes)`, full }
}

function bucketsOf(all: ReadonlyMap<PeerId, Candidate>, request: Parameters<Allocator>[0]): Buckets {
  const candidates = new Map(all)
  for (const peer of request.exclude) candidates.delete(peer)
  const current = pick(candidates, request.current)
  const before = candidates.size
  for (const peer of request.room?.without ?? []) candidates.delete(peer)
  const full = before - candidates.size
  const priority = pick(candidates, request.priority)
  return { current, priority, others: [...candidates.values()], full }
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

/** Every peer that has a valid metric for each name. */
function candidatesOf(
  metrics: AllocationRequest['metrics'],
  allocateBy: readonly string[],
): Map<PeerId, Candidate> {
  const columns = allocateBy.map(
    name => new Map((metrics[name] ?? []).filter(({ valid }) => valid).map(metric => [metric.peer, metric])),
  )
  const candidates = new Map<PeerId, Candidate>()
  for (const peer of columns[0]?.keys() ?? []) {
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
  return [...balancedOrder(first)(compareTies), ...balancedOrder([...rest.values()])(compareTies)]
}

/**
 * Peers that measure the same (an empty pin queue, a shared disk) would all yield to the lowest id and one peer would get every pin;
 * a hash of CID and peer makes the choice different for each pin and yet the same wherever it is made.
 */
function tieComparison(cid: CID | undefined): PeerComparison {
  if (cid === undefined) return compareText
  let seed: number | undefined
  const ranks = new Map<PeerId, number>()
  const rank = (peer: PeerId) => {
    let value = ranks.get(peer)
    if (value === undefined) {
      seed ??= hash32(cid.bytes, FNV_OFFSET)
      value = hashText(peer, seed)
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
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ (bytes[i] as number), FNV_PRIME)
  return mixed(hash)
}

/** The same of the text of a peer id, which is ASCII. */
function hashText(text: string, seed: number): number {
  let hash = seed
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), FNV_PRIME)
  return mixed(hash)
}

function mixed(value: number): number {
  let hash = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
