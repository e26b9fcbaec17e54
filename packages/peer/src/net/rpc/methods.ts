import {
  bytes,
  emptyStruct,
  int64,
  list,
  map,
  string,
  type Codec,
  type RpcMethod,
  type RpcPolicy,
  type StreamingMethod,
  type UnaryMethod,
} from '@ipfs-cluster/gorpc'
import * as codecs from './codecs.ts'
import { statusPage, statusPagesRequest } from './status-page.ts'

/** One peer's status of one pin, for which it may ask its daemon: whoever takes longer is reported as failed. Milliseconds. */
const STATUS_TIMEOUT_MS = 5_000
/** A garbage collection takes as long as it takes; the daemon's own limit has the same default. Milliseconds. */
const REPO_GC_TIMEOUT_MS = 24 * 60 * 60 * 1000
/** A garbage collection names every removed block in one reply: enough for five millions of them. Bytes. */
const MAX_REPO_GC_BYTES = 256 * 1024 * 1024

type Limits = Pick<RpcMethod<unknown, unknown>, 'timeoutMs' | 'maxReplyBytes'>

/** Makes the methods of one service. */
function service(service: string) {
  return {
    unary: <Arg, Reply>(
      method: string,
      policy: RpcPolicy,
      arg: Codec<Arg>,
      reply: Codec<Reply>,
      limits: Limits = {},
    ): UnaryMethod<Arg, Reply> => ({ service, method, kind: 'unary', policy, arg, reply, ...limits }),
    streaming: <Arg, Reply>(
      method: string,
      policy: RpcPolicy,
      arg: Codec<Arg>,
      reply: Codec<Reply>,
    ): StreamingMethod<Arg, Reply> => ({ service, method, kind: 'streaming', policy, arg, reply }),
  }
}

const cluster = service('Cluster')
const tracker = service('PinTracker')
const connector = service('IPFSConnector')
const consensus = service('Consensus')
const monitor = service('PeerMonitor')

const none = emptyStruct
const { cid, peerId, peerIds, pin, pinInfo, globalPinInfo, trackerStatus } = codecs

/**
 * Every method of Go's RPC services with its default policy (wire.md 6; Go: `rpc_api.go`, `rpc_policy.go`), and those that are
 * ours alone, marked so: a Go peer answers to these that it cannot find them. Left out is only `IPFSConnector.ConfigKey`, whose reply
 * may be any JSON.
 */
export const RPC = {
  Cluster: {
    ID: cluster.unary('ID', 'open', none, codecs.id),
    IDStream: cluster.streaming('IDStream', 'open', none, codecs.id),
    PeerAdd: cluster.unary('PeerAdd', 'open', peerId, codecs.id),
    Version: cluster.unary('Version', 'open', none, codecs.version),
    PeerRemove: cluster.unary('PeerRemove', 'trusted', peerId, none),
    Peers: cluster.streaming('Peers', 'trusted', none, codecs.id),
    RecoverAllLocal: cluster.streaming('RecoverAllLocal', 'trusted', none, pinInfo),
    RecoverLocal: cluster.unary('RecoverLocal', 'trusted', cid, pinInfo),
    RepoGCLocal: cluster.unary('RepoGCLocal', 'trusted', none, codecs.repoGC, {
      timeoutMs: REPO_GC_TIMEOUT_MS,
      maxReplyBytes: MAX_REPO_GC_BYTES,
    }),
    Alerts: cluster.unary('Alerts', 'closed', none, list(codecs.alert)),
    BandwidthByProtocol: cluster.unary('BandwidthByProtocol', 'closed', none, map(codecs.bandwidth)),
    BlockAllocate: cluster.unary('BlockAllocate', 'closed', pin, peerIds),
    ConnectGraph: cluster.unary('ConnectGraph', 'closed', none, codecs.connectGraph),
    IPFSID: cluster.unary('IPFSID', 'closed', peerId, codecs.ipfsId),
    Join: cluster.unary('Join', 'closed', codecs.multiaddr, none),
    PeersWithFilter: cluster.streaming('PeersWithFilter', 'closed', peerIds, codecs.id),
    Pin: cluster.unary('Pin', 'closed', pin, pin),
    PinGet: cluster.unary('PinGet', 'closed', cid, pin),
    PinPath: cluster.unary('PinPath', 'closed', codecs.pinPath, pin),
    Pins: cluster.streaming('Pins', 'closed', none, pin),
    Recover: cluster.unary('Recover', 'closed', cid, globalPinInfo),
    RecoverAll: cluster.streaming('RecoverAll', 'closed', none, globalPinInfo),
    RepoGC: cluster.unary('RepoGC', 'closed', none, codecs.globalRepoGC),
    SendInformerMetrics: cluster.unary('SendInformerMetrics', 'closed', none, none),
    SendInformersMetrics: cluster.unary('SendInformersMetrics', 'closed', none, none),
    Status: cluster.unary('Status', 'closed', cid, globalPinInfo),
    StatusAll: cluster.streaming('StatusAll', 'closed', trackerStatus, globalPinInfo),
    StatusAllLocal: cluster.streaming('StatusAllLocal', 'closed', trackerStatus, pinInfo),
    StatusLocal: cluster.unary('StatusLocal', 'closed', cid, pinInfo),
    Unpin: cluster.unary('Unpin', 'closed', pin, pin),
    UnpinPath: cluster.unary('UnpinPath', 'closed', codecs.pinPath, pin),
  },
  PinTracker: {
    Status: tracker.unary('Status', 'trusted', cid, pinInfo, { timeoutMs: STATUS_TIMEOUT_MS }),
    StatusAll: tracker.streaming('StatusAll', 'trusted', trackerStatus, pinInfo),
    /** Ours alone: `StatusAll` in the order of CID bytes and packed, so that lists of many peers merge without being collected first. */
    StatusPages: tracker.streaming('StatusPages', 'trusted', statusPagesRequest, statusPage),
    /** Ours alone: `Status` of many in one call. */
    StatusEach: tracker.unary('StatusEach', 'trusted', list(cid), list(pinInfo), {
      timeoutMs: STATUS_TIMEOUT_MS,
    }),
    /** Ours alone: the statuses of these, from the table and in their order. */
    StatusMany: tracker.unary('StatusMany', 'trusted', list(cid), list(pinInfo)),
    Recover: tracker.unary('Recover', 'trusted', cid, pinInfo),
    PinQueueSize: tracker.unary('PinQueueSize', 'closed', none, int64),
    RecoverAll: tracker.streaming('RecoverAll', 'closed', none, pinInfo),
    Track: tracker.unary('Track', 'closed', pin, none),
    Untrack: tracker.unary('Untrack', 'closed', pin, none),
  },
  IPFSConnector: {
    BlockStream: connector.streaming('BlockStream', 'trusted', codecs.nodeWithMeta, none),
    /**
     * Ours alone: keeps what is put to the peer from its garbage collection, from the one reply until the arguments end, and then until the
     * last of them is pinned there.
     */
    HoldBlocks: connector.streaming('HoldBlocks', 'trusted', cid, none),
    /** Ours alone: the blocks of a pin that the peer's daemon keeps, as `IpfsConnector.dagBlocks` gives them. One argument a call. */
    DagBlocks: connector.streaming('DagBlocks', 'trusted', codecs.dagRequest, codecs.blocksReply),
    RepoStat: connector.unary('RepoStat', 'trusted', none, codecs.ipfsRepoStat),
    SwarmPeers: connector.unary('SwarmPeers', 'trusted', none, peerIds),
    BlockGet: connector.unary('BlockGet', 'closed', cid, bytes),
    Pin: connector.unary('Pin', 'closed', pin, none),
    PinLs: connector.streaming('PinLs', 'closed', list(string), codecs.ipfsPinInfo),
    PinLsCid: connector.unary('PinLsCid', 'closed', pin, codecs.ipfsPinStatus),
    Resolve: connector.unary('Resolve', 'closed', string, cid),
    Unpin: connector.unary('Unpin', 'closed', pin, none),
  },
  Consensus: {
    AddPeer: consensus.unary('AddPeer', 'trusted', peerId, none),
    RmPeer: consensus.unary('RmPeer', 'trusted', peerId, none),
    LogPin: consensus.unary('LogPin', 'trusted', pin, none),
    LogUnpin: consensus.unary('LogUnpin', 'trusted', pin, none),
    /** Ours alone: nodes of the pinset's DAG with what they link to, so that a walk needs no round trip a node. One argument a call. */
    Blocks: consensus.streaming('Blocks', 'trusted', codecs.blocksRequest, codecs.blocksReply),
    Peers: consensus.unary('Peers', 'closed', none, peerIds),
  },
  PeerMonitor: {
    LatestMetrics: monitor.unary('LatestMetrics', 'closed', string, list(codecs.metric)),
    MetricNames: monitor.unary('MetricNames', 'closed', none, list(string)),
  },
} as const

/** All methods of `RPC`. */
export const RPC_METHODS: readonly RpcMethod<unknown, unknown>[] = Object.values(RPC).flatMap(
  (methods): RpcMethod<unknown, unknown>[] => Object.values(methods),
)
