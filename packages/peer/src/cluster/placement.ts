/** Which peers keep a pin: the allocator, by what peers tell of themselves now and what they were given since. */
import { isPinEverywhere, type PeerId, type Pin } from '@ipfs-cluster/api'
import type { Clock } from '@ipfs-cluster/base'
import { createAllocator, createSpaceLedger, type Allocator } from '../allocator/index.ts'
import type { Consensus } from '../consensus/index.ts'
import type { PeerMonitor } from '../monitor/index.ts'
import type { ShardedContent } from './sharded-content.ts'
import type { ClusterConfig } from './types.ts'

export interface PlacementComponents {
  readonly consensus: Pick<Consensus, 'isTrusted'>
  readonly monitor: Pick<PeerMonitor, 'latest'>
  readonly clock: Clock
}

/** Of prepared pins. @throws AllocatorError */
export interface Placement {
  /** Of one moment: what peers measure changes. */
  createRound(): Allocator
  /** @param existing the pin that it replaces, whose peers stay as far as they can. */
  allocationsFor(
    pin: Pin,
    existing: Pin | undefined,
    exclude: readonly PeerId[],
    round?: Allocator,
  ): readonly PeerId[]
  /** For content that is about to be written: by the space that is left after what was handed out a moment ago. */
  forBlocks(pin: Pin, existing: Pin | undefined): readonly PeerId[]
  /** The same for a shard, which stays where it is when the same content is added again: there it needs no more room. */
  forShard(shard: Pin, addedBefore: ShardedContent['addedBefore']): Promise<readonly PeerId[]>
  /** What enters the pinset for a pin. */
  allocated(pin: Pin, existing: Pin | undefined, round?: Allocator): Pin
  /** The same where its peers have the blocks already. */
  stored(pin: Pin, existing: Pin | undefined): Pin
}

/** Which peers may be chosen. */
function allocationFilter(consensus: Pick<Consensus, 'isTrusted'>, config: ClusterConfig) {
  return (peer: PeerId): boolean => {
    if (config.pinOnlyOnTrustedPeers) return consensus.isTrusted(peer)
    if (config.pinOnlyOnUntrustedPeers) return !consensus.isTrusted(peer)
    return true
  }
}

export function createPlacement(
  { consensus, monitor, clock }: PlacementComponents,
  config: ClusterConfig,
): Placement {
  const mayAllocate = allocationFilter(consensus, config)
  const space = createSpaceLedger(monitor, clock)
  const metricsOf = (name: string) => monitor.latest(name).filter(metric => mayAllocate(metric.peer))

  const createRound = (): Allocator => {
    const metrics = Object.fromEntries(config.allocateBy.map(name => [name, metricsOf(name)]))
    return createAllocator(metrics, config.allocateBy)
  }

  const createRoundBySpace = (): Allocator => {
    const metrics = config.allocateBy.map(name => {
      const latest = metricsOf(name)
      return [name, name === 'freespace' ? space.lessHandedOut(latest) : latest] as const
    })
    return createAllocator(Object.fromEntries(metrics), config.allocateBy)
  }

  const allocationsFor: Placement['allocationsFor'] = (pin, existing, exclude, round = createRound()) => {
    if (isPinEverywhere(pin)) return []
    return round({
      cid: pin.cid,
      current: existing?.allocations ?? [],
      priority: pin.userAllocations,
      exclude,
      replicationFactorMin: pin.replicationFactorMin,
      replicationFactorMax: pin.replicationFactorMax,
      ...(pin.size && { room: { bytes: pin.size, without: space.withoutRoom(pin.size) } }),
    })
  }

  const forBlocks: Placement['forBlocks'] = (pin, existing) =>
    allocationsFor(pin, existing, [], createRoundBySpace())

  const handOut = (pin: Pin, existing: Pin | undefined, isStored: boolean, round?: Allocator): Pin => {
    // The root of sharded content is kept by nobody.
    if (pin.type === 'meta-pin') return pin
    const isPlaced = pin.allocations.length > 0 || isPinEverywhere(pin)
    const placed = isPlaced ? pin : { ...pin, allocations: allocationsFor(pin, existing, [], round) }
    return space.handOut(placed, existing, isStored)
  }

  return {
    createRound,
    allocationsFor,
    forBlocks,
    async forShard(shard, addedBefore) {
      const present = new Set(monitor.latest('ping').map(({ peer }) => peer))
      const full = space.withoutRoom(shard.size ?? 0n)
      const withPresent = (pin: Pin) => ({
        ...pin,
        allocations: pin.allocations.filter(peer => present.has(peer)),
      })
      const hasRoom = (pin: Pin) => withPresent(pin).allocations.every(peer => !full.has(peer))
      const same = await addedBefore(shard, hasRoom)
      return forBlocks(shard, same === undefined ? undefined : withPresent(same))
    },
    allocated: (pin, existing, round) => handOut(pin, existing, false, round),
    stored: (pin, existing) => handOut(pin, existing, true),
  }
}
