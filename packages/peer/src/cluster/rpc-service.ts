/** The RPC methods that other peers may call, over the same use cases as HTTP (Go: `rpc_api.go`; reference wire.md 6). */
import { asError } from '@ipfs-cluster/base'
import {
  receivingHandler,
  streamingHandler,
  unaryHandler,
  type RpcClient,
  type RpcHandler,
} from '@ipfs-cluster/gorpc'
import type { PeerId } from '@ipfs-cluster/api'
import type { CID } from 'multiformats/cid'
import type { Consensus } from '../consensus/index.ts'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import type { PeerMonitor } from '../monitor/index.ts'
import { RPC } from '../net/index.ts'
import type { PinTracker } from '../pintracker/index.ts'
import { VERSION } from '../version.ts'
import { serveHold } from './block-holds.ts'
import { servePinnedDag } from './export.ts'
import type { Members } from './members.ts'
import { describePeer } from './peer-view.ts'
import type { Pinning } from './pinning.ts'
import { statusPages } from './status-sources.ts'
import type { StatusQueries } from './status.ts'

/** CIDs in one call of `StatusMany` or `StatusEach`. */
const MAX_STATUS_CIDS = 1_000

export interface RpcServiceComponents {
  readonly self: PeerId
  readonly peername: string
  readonly members: Members
  readonly pinning: Pinning
  readonly queries: StatusQueries
  readonly consensus: Consensus
  readonly monitor: PeerMonitor
  readonly tracker: PinTracker
  readonly ipfs: IpfsConnector
  readonly rpc: Pick<RpcClient, 'call'>
}

export function rpcService(components: RpcServiceComponents): readonly RpcHandler[] {
  return [
    ...clusterMethods(components),
    ...trackerMethods(components),
    ...ipfsMethods(components),
    ...consensusMethods(components),
  ]
}

function clusterMethods({ members, pinning, tracker, consensus }: RpcServiceComponents): RpcHandler[] {
  return [
    unaryHandler(RPC.Cluster.ID, (_arg, { signal }) => members.id({ signal })),
    streamingHandler(RPC.Cluster.IDStream, async function* (_args, { signal }) {
      yield await members.id({ signal })
    }),
    unaryHandler(RPC.Cluster.PeerAdd, (peer, { signal }) => members.peerAdd(peer, { signal })),
    unaryHandler(RPC.Cluster.Version, () => Promise.resolve({ version: VERSION })),
    unaryHandler(RPC.Cluster.PeerRemove, async (peer, { signal }) => {
      await consensus.removePeer(peer, { signal })
      return {}
    }),
    streamingHandler(RPC.Cluster.Peers, (_args, { signal }) => members.peers({ signal })),
    streamingHandler(RPC.Cluster.RecoverAllLocal, (_args, { signal }) => tracker.recoverAll({ signal })),
    unaryHandler(RPC.Cluster.RecoverLocal, async (cid, { signal }) => {
      await pinning.pinGet(cid)
      return await tracker.recover(cid, { signal })
    }),
    unaryHandler(RPC.Cluster.RepoGCLocal, (_arg, { signal }) => members.repoGCLocal({ signal })),
  ]
}

function trackerMethods({ self, tracker, monitor, peername }: RpcServiceComponents): RpcHandler[] {
  const speaker = () => ({ ...describePeer(monitor, self), peerName: peername })
  return [
    unaryHandler(RPC.PinTracker.Status, (cid, { signal }) => tracker.status(cid, { signal })),
    unaryHandler(RPC.PinTracker.Recover, (cid, { signal }) => tracker.recover(cid, { signal })),
    unaryHandler(RPC.PinTracker.StatusMany, cids => tracker.statusMany(limited(cids))),
    unaryHandler(RPC.PinTracker.StatusEach, (cids, { signal }) =>
      Promise.all(limited(cids).map(cid => tracker.status(cid, { signal }))),
    ),
    streamingHandler(RPC.PinTracker.StatusAll, async function* (args, { signal }) {
      // The filter is the first argument; none means everything.
      yield* tracker.statusAll((await first(args)) ?? 0, { signal })
    }),
    streamingHandler(RPC.PinTracker.StatusPages, async function* (args, { signal }) {
      const request = (await first(args)) ?? { filter: 0, after: null }
      yield* statusPages(tracker, speaker, request, { signal })
    }),
  ]
}

async function first<T>(args: AsyncIterable<T>): Promise<T | undefined> {
  for await (const arg of args) return arg
  return undefined
}

function limited(cids: readonly CID[]): readonly CID[] {
  if (cids.length > MAX_STATUS_CIDS) throw new RangeError(`more than ${MAX_STATUS_CIDS} CIDs in one call`)
  return cids
}

function ipfsMethods({ ipfs, rpc }: RpcServiceComponents): RpcHandler[] {
  return [
    receivingHandler(RPC.IPFSConnector.BlockStream, (blocks, { signal }) =>
      ipfs.blockStream(blocks, { signal }),
    ),
    streamingHandler(RPC.IPFSConnector.HoldBlocks, (roots, context) =>
      serveHold({ ipfs, rpc }, roots, context),
    ),
    streamingHandler(RPC.IPFSConnector.DagBlocks, (requests, { signal }) =>
      servePinnedDag(ipfs, requests, { signal }),
    ),
    unaryHandler(RPC.IPFSConnector.RepoStat, (_arg, { signal }) => ipfs.repoStat({ signal })),
    unaryHandler(RPC.IPFSConnector.SwarmPeers, (_arg, { signal }) => ipfs.swarmPeers({ signal })),
  ]
}

function consensusMethods({ consensus }: RpcServiceComponents): RpcHandler[] {
  return [
    unaryHandler(RPC.Consensus.AddPeer, () =>
      Promise.reject(asError('crdt consensus component cannot add peers')),
    ),
    unaryHandler(RPC.Consensus.RmPeer, async (peer, { signal }) => {
      await consensus.removePeer(peer, { signal })
      return {}
    }),
    unaryHandler(RPC.Consensus.LogPin, async (pin, { signal }) => {
      await consensus.logPin(pin, { signal })
      return {}
    }),
    unaryHandler(RPC.Consensus.LogUnpin, async (pin, { signal }) => {
      await consensus.logUnpin(pin.cid, { signal })
      return {}
    }),
    streamingHandler(RPC.Consensus.Blocks, (requests, { peer, signal }) =>
      consensus.blocks(peer, requests, { signal }),
    ),
  ]
}
