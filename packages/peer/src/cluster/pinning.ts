/** Writing the pinset: pin, update, unpin, and the choice of allocations before it (Go: `cluster.go` `pin`, `allocate.go`). */
import { isPinEverywhere, newPin, type PeerId, type Pin, type PinOptions } from '@ipfs-cluster/api'
import type { AbortOptions, Clock } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { decode as decodeCbor } from '@ipld/dag-cbor'
import { allocate } from '../allocator/index.ts'
import type { Consensus } from '../consensus/index.ts'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import type { PeerMonitor } from '../monitor/index.ts'
import { ClusterError, pinNotFound } from './errors.ts'
import { preparePin, updatedPin } from './prepare.ts'
import type { ClusterConfig } from './types.ts'

export interface PinningComponents {
  readonly self: PeerId
  readonly consensus: Consensus
  readonly monitor: Pick<PeerMonitor, 'latest'>
  readonly ipfs: Pick<IpfsConnector, 'resolve' | 'blockGet'>
  readonly clock: Clock
  /** Called after each accepted pin. */
  readonly onPin: () => void
}

export interface Pinning {
  pin(cid: CID, pinOptions: PinOptions, options?: AbortOptions): Promise<Pin>
  pinObject(pin: Pin, options?: AbortOptions): Promise<Pin>
  pinPath(path: string, pinOptions: PinOptions, options?: AbortOptions): Promise<Pin>
  unpin(cid: CID, options?: AbortOptions): Promise<Pin>
  unpinPath(path: string, options?: AbortOptions): Promise<Pin>
  pinGet(cid: CID): Promise<Pin>
  blockAllocate(pin: Pin): Promise<readonly PeerId[]>
  /** New allocations for a pin that `gone` keeps, if it still does and others have to. Resolves with whether anything changed. */
  reallocate(cid: CID, gone: PeerId, options?: AbortOptions): Promise<boolean>
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

  const allocationsFor = (pin: Pin, existing: Pin | undefined, exclude: readonly PeerId[]) => {
    const metrics = Object.fromEntries(
      config.allocateBy.map(name => [name, monitor.latest(name).filter(metric => mayAllocate(metric.peer))]),
    )
    return allocate({
      cid: pin.cid,
      metrics,
      allocateBy: config.allocateBy,
      current: existing?.allocations ?? [],
      priority: pin.userAllocations,
      exclude,
      replicationFactorMin: pin.replicationFactorMin,
      replicationFactorMax: pin.replicationFactorMax,
    })
  }

  const mayAllocate = (peer: PeerId) => {
    if (config.pinOnlyOnTrustedPeers) return consensus.isTrusted(peer)
    if (config.pinOnlyOnUntrustedPeers) return !consensus.isTrusted(peer)
    return true
  }

  const pinObject: Pinning['pinObject'] = async (pin, options = {}) => {
    checkWritable()
    if (pin.pinUpdate !== null && !pin.pinUpdate.equals(pin.cid))
      return await update(pin.pinUpdate, pin, options)
    const existing = await state.get(pin.cid)
    const prepared = preparePin(pin, existing, config, clock.nowNs())
    const placed =
      prepared.type === 'meta-pin' || prepared.allocations.length > 0
        ? prepared
        : { ...prepared, allocations: allocationsFor(prepared, existing, []) }
    await consensus.logPin(placed, options)
    onPin()
    return placed
  }

  const update = async (fromCid: CID, to: Pin, options: AbortOptions) => {
    const from = await pinGet(fromCid)
    const updated = updatedPin(from, to, clock.nowNs())
    await consensus.logPin(updated, options)
    onPin()
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
    switch (pin.type) {
      case 'shard-pin':
        throw new ClusterError('cannot unpin a shard directly. Unpin content root CID instead', {
          code: 'UNPIN_SHARD',
          cid: cid.toString(),
        })
      case 'clusterdag-pin':
        throw new ClusterError('cannot unpin a Cluster DAG directly. Unpin content root CID instead', {
          code: 'UNPIN_SHARD',
          cid: cid.toString(),
        })
      case 'meta-pin':
        for (const part of await shardedParts(pin, options)) await consensus.logUnpin(part, options)
        break
      case 'pin':
      case 'bad-type':
        break
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

  return {
    pinObject,
    pinGet,
    unpin,
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
