import type { PeerId, PinInfo } from '@ipfs-cluster/api'
import { gather, raceSignal, type AbortOptions, type Clock } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { RPC, type Network } from '../net/index.ts'
import { isUnknownMethod } from './status-sources.ts'

/** CIDs in one call. */
const MAX_GROUP = 128
/** For how long a peer that knows no calls for many is not asked so again: it may be replaced by one of ours. Milliseconds. */
const SINGLES_MS = 60_000
/** Peers with a group of their own; at the limit all are forgotten, which costs nothing that is under way. */
const MAX_PEERS = 1024

/**
 * Asks other peers for the status of one pin: questions to the same peer in the same turn of the event loop share a call, where the peer knows
 * how.
 */
export function createStatusAsker({
  network,
  clock,
}: {
  readonly network: Pick<Network, 'rpc'>
  readonly clock: Clock
}): (peer: PeerId, cid: CID, options?: AbortOptions) => Promise<PinInfo> {
  const groups = new Map<PeerId, (cid: CID) => Promise<PinInfo>>()
  const singles = new Map<PeerId, number>()
  const one = (peer: PeerId, cid: CID, options: AbortOptions = {}) =>
    network.rpc.call(peer, RPC.PinTracker.Status, cid, options)

  const groupOf = (peer: PeerId) => {
    const known = groups.get(peer)
    if (known !== undefined) return known
    const ask = gather(MAX_GROUP, async (cids: readonly CID[]): Promise<readonly PinInfo[]> => {
      const [first] = cids
      if (first !== undefined && cids.length === 1) return [await one(peer, first)]
      try {
        return await network.rpc.call(peer, RPC.PinTracker.StatusEach, cids)
      } catch (error) {
        if (!isUnknownMethod(error)) throw error
        if (singles.size >= MAX_PEERS) singles.clear()
        singles.set(peer, clock.monotonic() + SINGLES_MS)
        return await Promise.all(cids.map(cid => one(peer, cid)))
      }
    })
    if (groups.size >= MAX_PEERS) groups.clear()
    groups.set(peer, ask)
    return ask
  }

  return async (peer, cid, options = {}) => {
    if ((singles.get(peer) ?? 0) > clock.monotonic()) return await one(peer, cid, options)
    return await raceSignal(groupOf(peer)(cid), options.signal)
  }
}
