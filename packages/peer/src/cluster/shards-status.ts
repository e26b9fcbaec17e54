/** How the shards of a root do, and what is done about those that are not as they should be. */
import {
  isPinEverywhere,
  newPin,
  TRACKER_STATUS,
  type GlobalPinInfo,
  type PeerId,
  type Pin,
  type PinInfoShort,
  type ShardProblem,
  type ShardsInfo,
} from '@ipfs-cluster/api'
import { errorMessage, mapConcurrent, type AbortOptions, type Batched } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { PeerMonitor } from '../monitor/index.ts'
import type { PinState } from '../state/index.ts'
import type { Pinning } from './pinning.ts'
import type { StatusLists } from './status-lists.ts'
import type { ClusterConfig } from './types.ts'

/** Problems that are told one by one. */
const MAX_PROBLEMS = 20
/** Shards recovered at a time. */
const RECOVER_CONCURRENCY = 16
/** Shards looked up in the pinset at a time. */
const LOOKUP_BATCH = 250

/** What is asked of one pin. */
interface OnePin {
  status(cid: CID, options?: AbortOptions): Promise<GlobalPinInfo>
  recover(cid: CID, options?: AbortOptions): Promise<GlobalPinInfo>
}

/** The same, and for the root of sharded content with all of its shards. A follower asks nobody else, so it does not know how shards do. */
export function withShards(
  queries: OnePin & Pick<StatusLists, 'statusOf'>,
  { consensus: { state }, pinning, monitor }: WithShardsComponents,
  { followerMode }: Pick<ClusterConfig, 'followerMode'>,
): OnePin {
  if (followerMode) return { status: queries.status, recover: queries.recover }
  const shards = createShards({
    state,
    pinning,
    members: () => monitor.members(),
    statusOf: queries.statusOf,
    recoverOne: queries.recover,
  })
  const tell = async (info: GlobalPinInfo, options: AbortOptions): Promise<GlobalPinInfo> => {
    if (!Object.values(info.peerMap).some(({ status }) => status === TRACKER_STATUS.sharded)) return info
    const meta = await state.get(info.cid)
    return meta?.type === 'meta-pin' ? { ...info, shards: await shards.status(meta, options) } : info
  }
  return {
    status: async (cid, options = {}) => await tell(await queries.status(cid, options), options),
    async recover(cid, options = {}) {
      const meta = await state.get(cid)
      if (meta?.type === 'meta-pin') await shards.recover(meta, options)
      return await tell(await queries.recover(cid, options), options)
    },
  }
}

export interface WithShardsComponents {
  readonly consensus: { readonly state: ShardsComponents['state'] }
  readonly pinning: ShardsComponents['pinning']
  readonly monitor: Pick<PeerMonitor, 'members'>
}

export interface ShardsComponents {
  readonly state: Pick<PinState, 'get' | 'getMany'>
  readonly pinning: Pick<Pinning, 'pinObject' | 'reallocate'> & {
    readonly sharded: Pick<Pinning['sharded'], 'shardsOf'>
  }
  readonly members: () => readonly PeerId[]
  /** What the members say of these pins, in their order. */
  readonly statusOf: (pins: AsyncIterable<Pin>, options: AbortOptions) => Batched<GlobalPinInfo>
  readonly recoverOne: (cid: CID, options: AbortOptions) => Promise<GlobalPinInfo>
}

export interface Shards {
  status(meta: Pin, options: AbortOptions): Promise<ShardsInfo>
  /**
   * Has everybody try again; what a peer kept that is no member any more goes to others, as long as somebody has it; what has left the pinset without
   * its root comes back.
   *
   * @throws ClusterError `SHARDS_UNKNOWN`
   */
  recover(meta: Pin, options: AbortOptions): Promise<void>
}

export function createShards(components: ShardsComponents): Shards {
  const { state, pinning, members, statusOf, recoverOne } = components
  const { shardsOf } = pinning.sharded

  const recoverPart = async (cid: CID, restored: Pin, options: AbortOptions) => {
    const pin = await state.get(cid)
    if (pin === undefined) {
      await pinning.pinObject(restored, options)
      return
    }
    const { peerMap } = await recoverOne(cid, options)
    const present = new Set(members())
    const gone = pin.allocations.filter(peer => !present.has(peer))
    // Where nobody has it, the peer that had it is the only one to get it from: it must find its pin when it comes back.
    if (gone.length === 0 || !Object.values(peerMap).some(isPinned)) return
    for (const peer of gone) await pinning.reallocate(cid, peer, options)
  }

  return {
    async status(meta, options) {
      let cids: readonly CID[]
      try {
        cids = await shardsOf(meta, options)
      } catch (error) {
        options.signal?.throwIfAborted()
        const cid = meta.reference ?? meta.cid
        return { total: 0, pinned: 0, pinning: 0, error: 0, problems: [{ cid, error: errorMessage(error) }] }
      }
      const counts = { pinned: 0, pinning: 0, error: 0 }
      const problems: ShardProblem[] = []
      const missing: CID[] = []
      const all = members()
      for await (const { pin, info } of statuses(state, cids, missing, pins => statusOf(pins, options))) {
        const { state, error } = shardState(pin, info, all)
        counts[state]++
        if (error !== '' && problems.length < MAX_PROBLEMS) problems.push({ cid: pin.cid, error })
      }
      counts.error += missing.length
      for (const cid of missing.slice(0, MAX_PROBLEMS - problems.length)) {
        problems.push({ cid, error: 'it is not in the pinset any more: recover the root to pin it again' })
      }
      return { total: cids.length, ...counts, problems }
    },
    async recover(meta, options) {
      const cids = await shardsOf(meta, options)
      const recovering = mapConcurrent(cids.entries(), RECOVER_CONCURRENCY, ([i, cid]) =>
        recoverPart(cid, shardAgain(meta, cids, i), options),
      )
      for await (const _done of recovering);
      if (meta.reference !== null) await recoverOne(meta.reference, options)
    },
  }
}

/** @param missing gets those that are not in the pinset. */
async function* statuses(
  state: ShardsComponents['state'],
  cids: readonly CID[],
  missing: CID[],
  statusOf: (pins: AsyncIterable<Pin>) => AsyncIterable<GlobalPinInfo>,
): AsyncGenerator<{ readonly pin: Pin; readonly info: GlobalPinInfo }> {
  const asked: Pin[] = []
  const pins = async function* () {
    for (let from = 0; from < cids.length; from += LOOKUP_BATCH) {
      const some = cids.slice(from, from + LOOKUP_BATCH)
      const found = await state.getMany(some)
      for (const [i, pin] of found.entries()) {
        if (pin === undefined) missing.push(some[i] as CID)
        else {
          asked.push(pin)
          yield pin
        }
      }
    }
  }
  // In the order of the pins.
  for await (const info of statusOf(pins())) yield { pin: asked.shift() as Pin, info }
}

/** A shard of this root as it is pinned when it is added; nobody knows any more how large it is. */
function shardAgain(meta: Pin, cids: readonly CID[], i: number): Pin {
  const { replicationFactorMin, replicationFactorMax, metadata, name } = meta
  return newPin(cids[i] as CID, {
    replicationFactorMin,
    replicationFactorMax,
    metadata,
    type: 'shard-pin',
    name: `${name}-shard-${i}`,
    maxDepth: 1,
    reference: cids[i - 1] ?? null,
  })
}

const UNDER_WAY = TRACKER_STATUS.pinning | TRACKER_STATUS.pin_queued
const FAILED = TRACKER_STATUS.error | TRACKER_STATUS.unexpectedly_unpinned

const isPinned = ({ status }: PinInfoShort) => status === TRACKER_STATUS.pinned

/** How a shard does, by what its peers say; pure. */
export function shardState(
  pin: Pin,
  { peerMap }: Pick<GlobalPinInfo, 'peerMap'>,
  members: readonly PeerId[],
): { readonly state: 'pinned' | 'pinning' | 'error'; readonly error: string } {
  const keepers = isPinEverywhere(pin) ? members : pin.allocations
  const wanted = isPinEverywhere(pin) ? members.length : pin.replicationFactorMin
  const infos = keepers.map(peer => peerMap[peer])
  const copies = infos.filter(info => info !== undefined && isPinned(info)).length
  if (copies >= wanted) return { state: 'pinned', error: '' }
  if (infos.some(info => info !== undefined && (info.status & UNDER_WAY) !== 0))
    return { state: 'pinning', error: '' }
  const silent = keepers.filter(peer => isSilent(peerMap[peer]))
  const [failed] = infos.filter(info => info !== undefined && (info.status & FAILED) !== 0 && !isSilent(info))
  const why = failed === undefined ? '' : `${failed.peerName}: ${failed.error}`
  if (copies > 0) {
    const away =
      silent.length === 0 ? '' : `${named(silent)} not answer; recover the root to have others keep it`
    return { state: 'error', error: `${copies} of ${wanted} copies: ${away || why || 'it waits'}` }
  }
  if (silent.length === keepers.length) {
    return {
      state: 'error',
      error: `nobody has it: ${named(silent)} not answer. Bring back a peer that kept it, or add the content again`,
    }
  }
  return { state: 'error', error: why || 'nobody has it' }
}

function named(peers: readonly PeerId[]): string {
  return peers.length === 0 ? 'its peers do' : `${peers.join(', ')} ${peers.length === 1 ? 'does' : 'do'}`
}

function isSilent(info: PinInfoShort | undefined): boolean {
  return info === undefined || info.status === TRACKER_STATUS.cluster_error
}
