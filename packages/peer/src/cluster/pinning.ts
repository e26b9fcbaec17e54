/** Writing the pinset: pin, update, unpin, and the choice of allocations before it (Go: `cluster.go` `pin`, `allocate.go`). */
import { isPinEverywhere, newPin, type PeerId, type Pin, type PinOptions } from '@ipfs-cluster/api'
import type { AbortOptions, Clock } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { decode as decodeCbor } from '@ipld/dag-cbor'
import { createAllocator, createSpaceLedger, type Allocator } from '../allocator/index.ts'
import type { Consensus } from '../consensus/index.ts'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import type { PeerMonitor } from '../monitor/index.ts'
import { ClusterError, pinNotFound } from './errors.ts'
import { createManyPinning } from './pinning-many.ts'
import { checkUnpin, preparePin, updatedPin } from './prepare.ts'
import type { ClusterConfig, Outcomes, PinAsked, UnpinAsked } from './types.ts'

export interface PinningComponents {
  readonly self: PeerId
  readonly consensus: Consensus
  readonly monitor: Pick<PeerMonitor, 'latest'>
  readonly ipfs: Pick<IpfsConnector, 'resolve' | 'blockGet'>
  readonly clock: Clock
  /** Called after accepted pins with their number. */
  readonly onPin: (count: number) => void
}

export interface Pinning {
  pin(cid: CID, pinOptions: PinOptions, options?: AbortOptions): Promise<Pin>
  pinObject(pin: Pin, options?: AbortOptions): Promise<Pin>
  pinPath(path: string, pinOptions: PinOptions, options?: AbortOptions): Promise<Pin>
  unpin(cid: CID, options?: AbortOptions): Promise<Pin>
  unpinPath(path: string, options?: AbortOptions): Promise<Pin>
  pinMany(groups: AsyncIterable<readonly PinAsked[]>, options?: AbortOptions): AsyncIterable<Outcomes>
  unpinMany(groups: AsyncIterable<readonly UnpinAsked[]>, options?: AbortOptions): AsyncIterable<Outcomes>
  pinGet(cid: CID): Promise<Pin>
  blockAllocate(pin: Pin): Promise<readonly PeerId[]>
  /** New allocations for a pin that `gone` keeps, if it still does and others have to. Resolves with whether anything changed. */
  reallocate(cid: CID, gone: PeerId, options?: AbortOptions): Promise<boolean>
}

/** Which peers may be chosen. */
function allocationFilter(consensus: Pick<Consensus, 'isTrusted'>, config: ClusterConfig) {
  return (peer: PeerId): boolean => {
    if (config.pinOnlyOnTrustedPeers) return consensus.isTrusted(peer)
    if (config.pinOnlyOnUntrustedPeers) return !consensus.isTrusted(peer)
    return true
  }
}

export function createPinning(components: PinningComponents, config: ClusterConfig): Pinning {
  const { self, consensus, monitor, ipfs, clock, onPin } = components
  const { state } = consensus

  const checkWritable = () => {
    if (!config.followerMode) return
    throw new ClusterError('this peer is configured to be in follower mode. Write operations are disabled', {
      code: 'FOLLOWER_MODE',
    })
  }

  const mayAllocate = allocationFilter(consensus, config)
  const space = createSpaceLedger(monitor, clock)

  /** Of one moment: what peers measure changes. */
  const createRound = (): Allocator => {
    const metrics = Object.fromEntries(
      config.allocateBy.map(name => [name, monitor.latest(name).filter(metric => mayAllocate(metric.peer))]),
    )
    return createAllocator(metrics, config.allocateBy)
  }

  const allocationsFor = (
    pin: Pin,
    existing: Pin | undefined,
    exclude: readonly PeerId[],
    round?: Allocator,
  ) => {
    if (isPinEverywhere(pin)) return []
    return (round ?? createRound())({
      cid: pin.cid,
      current: existing?.allocations ?? [],
      priority: pin.userAllocations,
      exclude,
      replicationFactorMin: pin.replicationFactorMin,
      replicationFactorMax: pin.replicationFactorMax,
      ...(pin.size && { room: { bytes: pin.size, without: space.withoutRoom(pin.size) } }),
    })
  }

  const prepare = (pin: Pin, existing: Pin | undefined, now: bigint) => preparePin(pin, existing, config, now)

  /** What enters the pinset for a prepared pin. */
  const allocated = (prepared: Pin, existing: Pin | undefined, round?: Allocator): Pin =>
    space.handOut(
      prepared.type === 'meta-pin' || prepared.allocations.length > 0 || isPinEverywhere(prepared)
        ? prepared
        : { ...prepared, allocations: allocationsFor(prepared, existing, [], round) },
      existing,
    )

  const pinObject: Pinning['pinObject'] = async (pin, options = {}) => {
    checkWritable()
    if (pin.pinUpdate !== null && !pin.pinUpdate.equals(pin.cid))
      return await update(pin.pinUpdate, pin, options)
    const existing = await state.get(pin.cid)
    const placed = allocated(prepare(pin, existing, clock.nowNs()), existing)
    await consensus.logPin(placed, options)
    onPin(1)
    return placed
  }

  const update = async (fromCid: CID, to: Pin, options: AbortOptions) => {
    const from = await pinGet(fromCid)
    const updated = updatedPin(from, to, clock.nowNs())
    await consensus.logPin(updated, options)
    onPin(1)
    return updated
  }

  const pinGet = async (cid: CID) => {
    const pin = await state.get(cid)
    if (pin === undefined) throw pinNotFound(cid)
    return pin
  }

  const unpin: Pinning['unpin'] = async (cid, options = {}) => {
    checkWritable()
    const pin = await pinGet(cid)
    checkUnpin(pin)
    if (pin.type === 'meta-pin') {
      for (const part of await shardedParts(pin, options)) await consensus.logUnpin(part, options)
    }
    await consensus.logUnpin(cid, options)
    return pin
  }

  /** The shards and the clusterDAG behind a sharded pin. */
  const shardedParts = async (meta: Pin, options: AbortOptions): Promise<CID[]> => {
    if (meta.reference === null) return []
    const links: unknown = decodeCbor(await ipfs.blockGet(meta.reference, options))
    const shards = Object.values(links as Readonly<Record<string, unknown>>).map(link => CID.asCID(link))
    return [...shards.filter(shard => shard !== null), meta.reference]
  }

  const many = createManyPinning({
    consensus,
    clock,
    onPin,
    createRound,
    prepare,
    allocated,
    shardedParts,
  })

  return {
    pinObject,
    pinGet,
    unpin,
    pinMany(groups, options) {
      checkWritable()
      return many.pinMany(groups, options)
    },
    unpinMany(groups, options) {
      checkWritable()
      return many.unpinMany(groups, options)
    },
    pin: (cid, pinOptions, options) => pinObject(newPin(cid, pinOptions), options),
    async pinPath(path, pinOptions, options) {
      checkWritable()
      return await pinObject(newPin(await ipfs.resolve(path, options), pinOptions), options)
    },
    async unpinPath(path, options) {
      checkWritable()
      return await unpin(await ipfs.resolve(path, options), options)
    },
    async blockAllocate(pin) {
      checkWritable()
      const existing = await state.get(pin.cid)
      const prepared = preparePin(pin, undefined, config, clock.nowNs())
      if (isPinEverywhere(prepared)) {
        // Our own ping may be still to come, just after the start.
        return [...new Set([...monitor.latest('ping').map(metric => metric.peer), self])]
      }
      return allocationsFor(prepared, existing, [])
    },
    async reallocate(cid, gone, options) {
      // Read now: whoever lists the pinset sees it as it was when the listing began, and must not bring back what has left it since.
      const pin = await state.get(cid)
      if (pin === undefined || !pin.allocations.includes(gone)) return false
      const allocations = allocationsFor(pin, pin, [gone])
      const before = new Set(pin.allocations)
      if (allocations.length === before.size && allocations.every(peer => before.has(peer))) return false
      await pinObject({ ...pin, pinUpdate: null, allocations }, options)
      return true
    },
  }
}
