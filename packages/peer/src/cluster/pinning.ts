/** Writing the pinset: pin, update, unpin, and the choice of allocations before it (Go: `cluster.go` `pin`, `allocate.go`). */
import { isPinEverywhere, newPin, type PeerId, type Pin, type PinOptions } from '@ipfs-cluster/api'
import { silentLogger, type AbortOptions, type Clock, type Logger } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { Consensus } from '../consensus/index.ts'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import type { PeerMonitor } from '../monitor/index.ts'
import { ClusterError, pinNotFound } from './errors.ts'
import { createManyPinning } from './pinning-many.ts'
import { createPlacement } from './placement.ts'
import { replacePin } from './replace.ts'
import { checkUnpin, preparePin, updatedPin } from './prepare.ts'
import { createShardedContent, isBeingAdded, type ShardedContent } from './sharded-content.ts'
import { createTurns, type Turns } from './turns.ts'
import type { ClusterConfig, Outcomes, PinAsked, PinReplacement, UnpinAsked } from './types.ts'

export interface PinningComponents {
  readonly self: PeerId
  readonly consensus: Consensus
  readonly monitor: Pick<PeerMonitor, 'latest'>
  readonly ipfs: Pick<IpfsConnector, 'resolve' | 'blockGet'>
  readonly clock: Clock
  /** Called after accepted pins with their number. */
  readonly onPin: (count: number) => void
  /** @default turns of its own */
  readonly turns?: Turns
  /** @default silentLogger */
  readonly logger?: Logger
}

export interface Pinning {
  readonly sharded: ShardedContent
  pin(cid: CID, pinOptions: PinOptions, options?: AbortOptions): Promise<Pin>
  pinObject(pin: Pin, options?: AbortOptions): Promise<Pin>
  pinPath(path: string, pinOptions: PinOptions, options?: AbortOptions): Promise<Pin>
  replace(from: CID, to: PinReplacement, options?: AbortOptions): Promise<Pin>
  unpin(cid: CID, options?: AbortOptions): Promise<Pin>
  unpinPath(path: string, options?: AbortOptions): Promise<Pin>
  /** As `unpin`, of a pin that has expired: a shard alone, too, when its add has come to nothing. */
  unpinExpired(cid: CID, options?: AbortOptions): Promise<Pin>
  pinMany(groups: AsyncIterable<readonly PinAsked[]>, options?: AbortOptions): AsyncIterable<Outcomes>
  unpinMany(groups: AsyncIterable<readonly UnpinAsked[]>, options?: AbortOptions): AsyncIterable<Outcomes>
  pinGet(cid: CID): Promise<Pin>
  blockAllocate(pin: Pin): Promise<readonly PeerId[]>
  /** New allocations for a pin that `gone` keeps, if it still does and others have to. Resolves with whether anything changed. */
  reallocate(cid: CID, gone: PeerId, options?: AbortOptions): Promise<boolean>
}

export function createPinning(components: PinningComponents, config: ClusterConfig): Pinning {
  const { self, consensus, monitor, ipfs, clock, onPin } = components
  const { turns = createTurns(clock), logger = silentLogger } = components
  const { state } = consensus

  const checkWritable = () => {
    if (!config.followerMode) return
    throw new ClusterError('this peer is configured to be in follower mode. Write operations are disabled', {
      code: 'FOLLOWER_MODE',
    })
  }

  const placement = createPlacement({ consensus, monitor, clock }, config)
  const { allocationsFor, allocated } = placement
  const prepare = (pin: Pin, existing: Pin | undefined, now: bigint) => preparePin(pin, existing, config, now)

  const pinObject: Pinning['pinObject'] = async (pin, options = {}) => {
    checkWritable()
    const { pinUpdate, cid } = pin
    const isUpdate = pinUpdate !== null && !pinUpdate.equals(cid)
    return await turns.change(
      () => (isUpdate ? update(pinUpdate, pin, options) : place(pin, options)),
      options,
    )
  }

  const place = async (pin: Pin, options: AbortOptions) => {
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
    const pin = await turns.change(async () => {
      const found = await pinGet(cid)
      checkUnpin(found)
      if (found.type !== 'meta-pin') await consensus.logUnpin(cid, options)
      return found
    }, options)
    return pin.type === 'meta-pin' ? await sharded.unpin(cid, options) : pin
  }

  const unpinExpired: Pinning['unpinExpired'] = async (cid, options = {}) => {
    checkWritable()
    const pin = await pinGet(cid)
    return await (isBeingAdded(pin) ? sharded.unpinStray(cid, options) : unpin(cid, options))
  }

  const sharded = createShardedContent({
    consensus,
    ipfs,
    prepare,
    allocated: placement.stored,
    checkWritable,
    onPin,
    clock,
    logger,
  })

  const many = createManyPinning({
    consensus,
    clock,
    onPin,
    createRound: placement.createRound,
    prepare,
    allocated,
    unpinSharded: sharded.unpin,
  })

  return {
    sharded,
    pinObject,
    pinGet,
    async replace(from, to, options = {}) {
      checkWritable()
      const replaced = await replacePin(
        { consensus, clock, turns, pinGet, prepare, unpin },
        from,
        to,
        options,
      )
      onPin(1)
      return replaced
    },
    unpin,
    unpinExpired,
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
      const prepared = preparePin(pin, undefined, config, clock.nowNs())
      if (isPinEverywhere(prepared)) {
        // Our own ping may be still to come, just after the start.
        return [...new Set([...monitor.latest('ping').map(metric => metric.peer), self])]
      }
      if (pin.type === 'shard-pin') return await placement.forShard(prepared, sharded.addedBefore)
      return placement.forBlocks(prepared, await state.get(pin.cid))
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
