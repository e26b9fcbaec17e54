/** Who is in the cluster and how they see each other: ids, joining, links, garbage collection everywhere (Go: `cluster.go`). */
import type {
  ConnectGraph,
  GlobalRepoGC,
  ID,
  IPFSID,
  IPFSRepoGC,
  IPFSRepoStat,
  Multiaddr,
  PeerId,
  RepoGC,
} from '@ipfs-cluster/api'
import {
  anySignal,
  errorCode,
  errorMessage,
  mapConcurrent,
  type AbortOptions,
  type Clock,
  type Logger,
} from '@ipfs-cluster/base'
import type { Consensus } from '../consensus/index.ts'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import type { PeerMonitor } from '../monitor/index.ts'
import { RPC, type Network } from '../net/index.ts'
import { RPC_PROTOCOL_VERSION, VERSION } from '../version.ts'
import { ClusterError } from './errors.ts'
import { describePeer, pingMetric } from './peer-view.ts'
import type { ClusterConfig } from './types.ts'

const PEER_DEADLINE_MS = 15_000
/** The daemon's own answer, inside a peer's answer. */
const IPFS_ID_DEADLINE_MS = 5_000
/** Members asked for their id at once. */
const PEERS_CONCURRENCY = 32
const REPO_GC_DEADLINE_MS = 24 * 3_600_000

export interface MembersComponents {
  readonly network: Network
  readonly consensus: Consensus
  readonly monitor: PeerMonitor
  readonly ipfs: IpfsConnector
  readonly clock: Clock
  readonly logger: Logger
  /** Announces us at once, after a join. */
  readonly announce: (options: AbortOptions) => Promise<void>
}

export interface Members {
  id(options?: AbortOptions): Promise<ID>
  peers(options?: AbortOptions): AsyncGenerator<ID>
  peerAdd(peer: PeerId, options?: AbortOptions): Promise<ID>
  join(address: Multiaddr, options?: AbortOptions): Promise<void>
  /** Connects to known peers, then joins through each of these. Who cannot be reached now is found again later. */
  bootstrap(addresses: readonly Multiaddr[], options?: AbortOptions): Promise<void>
  /** Connects our IPFS daemon with those of these members. */
  connectSwarms(peers: readonly PeerId[], options?: AbortOptions): Promise<void>
  repoGC(options?: AbortOptions): Promise<GlobalRepoGC>
  /** @throws when the daemon does nothing; what fails later is told in `error`, with what was removed before. */
  repoGCLocal(options?: AbortOptions): Promise<RepoGC>
  /** Of the daemons of all members that answer, summed up. */
  repoStat(options?: AbortOptions): Promise<IPFSRepoStat>
  connectGraph(options?: AbortOptions): Promise<ConnectGraph>
}

export function createMembers(components: MembersComponents, config: ClusterConfig): Members {
  const { network, monitor, ipfs, clock, logger } = components
  const self = network.peerId
  const others = () => monitor.members().filter(peer => peer !== self)
  const deadline = ({ signal }: AbortOptions, ms = PEER_DEADLINE_MS) => ({
    signal: anySignal(signal, clock.timeout(ms)),
  })

  const id: Members['id'] = async (options = {}) => {
    const clusterPeers = monitor.members()
    const [ipfsId, addresses] = await Promise.all([
      ipfsIdOf(ipfs, deadline(options, IPFS_ID_DEADLINE_MS)),
      Promise.all(clusterPeers.filter(peer => peer !== self).map(peer => network.addressesOf(peer))),
    ])
    return {
      id: self,
      addresses: network.addresses(),
      clusterPeers,
      clusterPeersAddresses: addresses.flat(),
      version: VERSION,
      commit: '',
      rpcProtocolVersion: RPC_PROTOCOL_VERSION,
      error: '',
      ipfs: ipfsId,
      peername: config.peername,
    }
  }

  const idOf = async (peer: PeerId, options: AbortOptions): Promise<ID | undefined> => {
    if (peer === self) return await id(options)
    try {
      for await (const answer of network.rpc.stream(peer, RPC.Cluster.IDStream, [], deadline(options)))
        return answer
      throw new Error('the peer ended the call without an answer')
    } catch (error) {
      options.signal?.throwIfAborted()
      return errorCode(error) === 'RPC_UNAUTHORIZED' ? undefined : unreachable(peer, errorMessage(error))
    }
  }

  const repoGCLocal: Members['repoGCLocal'] = async (options = {}) => {
    const keys: IPFSRepoGC[] = []
    const answer = { peer: self, peername: config.peername, keys }
    try {
      for await (const entry of ipfs.repoGC(options)) keys.push(entry)
      return { ...answer, error: '' }
    } catch (error) {
      options.signal?.throwIfAborted()
      if (keys.length === 0) throw error
      return { ...answer, error: errorMessage(error) }
    }
  }

  /** Counts a peer that we have just reached as a member at once; its own ping replaces this. */
  const welcome = (peer: PeerId) => {
    if (monitor.latestOf('ping', peer) !== undefined) return
    monitor.record(pingMetric(peer, '', clock.nowNs(), config.monitorPingIntervalMs))
  }

  const join: Members['join'] = async (address, options = {}) => {
    const reached = await network.connect(address, deadline(options)).catch((error: unknown) => {
      throw new ClusterError(
        `cannot join at ${address}: ${errorMessage(error)}`,
        { code: 'JOIN_FAILED', address },
        { cause: error },
      )
    })
    if (reached === self) return
    await network.importPeers([address], { permanent: true, priority: 0 })
    const peer = await network.rpc.call(reached, RPC.Cluster.PeerAdd, self, deadline(options))
    welcome(reached)
    logger.info({ peer: reached, peername: peer.peername }, 'joined the cluster')
    await components.announce(options)
  }

  return {
    id,
    join,
    repoGCLocal,
    async bootstrap(addresses, options = {}) {
      for (const peer of await network.bootstrap(options)) welcome(peer)
      for (const address of addresses) {
        try {
          await join(address, options)
        } catch (error) {
          options.signal?.throwIfAborted()
          logger.error({ address, error: errorMessage(error) }, 'cannot join through this peer')
        }
      }
    },
    async *peers(options = {}) {
      const answers = mapConcurrent(monitor.members(), PEERS_CONCURRENCY, peer => idOf(peer, options))
      for await (const answer of answers) if (answer !== undefined) yield answer
    },
    async peerAdd(peer, options = {}) {
      // Membership is by metrics: contacting the peer both ways is all there is to do.
      const added = await network.rpc.call(peer, RPC.Cluster.ID, {}, deadline(options))
      return { ...added, clusterPeers: [...new Set([...monitor.members(), peer])] }
    },
    async connectSwarms(peers, options = {}) {
      await Promise.all(
        peers.map(async peer => {
          const answer = await idOf(peer, options)
          const addresses = answer?.ipfs.addresses ?? []
          if (addresses.length === 0) return
          await ipfs.swarmConnect(addresses, deadline(options)).catch((error: unknown) => {
            options.signal?.throwIfAborted()
            logger.debug({ peer, error: errorMessage(error) }, 'cannot connect the IPFS daemons')
          })
        }),
      )
    },
    async repoGC(options = {}) {
      const peerMap: Record<PeerId, RepoGC> = {}
      for (const peer of [self, ...others()]) {
        try {
          peerMap[peer] =
            peer === self
              ? await repoGCLocal(options)
              : await network.rpc.call(
                  peer,
                  RPC.Cluster.RepoGCLocal,
                  {},
                  deadline(options, REPO_GC_DEADLINE_MS),
                )
        } catch (error) {
          options.signal?.throwIfAborted()
          if (errorCode(error) === 'RPC_UNAUTHORIZED') continue
          const peername = peer === self ? config.peername : describePeer(monitor, peer).peerName
          peerMap[peer] = { peer, peername, keys: [], error: errorMessage(error) }
        }
      }
      return { peerMap }
    },
    repoStat: (options = {}) => repoStat(components, options),
    connectGraph: (options = {}) => connectGraph(components, deadline(options, 2 * PEER_DEADLINE_MS)),
  }
}

async function ipfsIdOf(ipfs: IpfsConnector, options: AbortOptions): Promise<IPFSID> {
  try {
    return await ipfs.id(options)
  } catch (error) {
    return { id: '', addresses: [], error: errorMessage(error) }
  }
}

function unreachable(peer: PeerId, error: string): ID {
  return {
    id: peer,
    addresses: [],
    clusterPeers: [],
    clusterPeersAddresses: [],
    version: '',
    commit: '',
    rpcProtocolVersion: '',
    error,
    ipfs: { id: '', addresses: [], error: '' },
    peername: '',
  }
}

async function repoStat(components: MembersComponents, options: AbortOptions): Promise<IPFSRepoStat> {
  const { network, monitor, ipfs, clock, logger } = components
  const ask = async (peer: PeerId): Promise<IPFSRepoStat | undefined> => {
    const bounded = { signal: anySignal(options.signal, clock.timeout(PEER_DEADLINE_MS)) }
    try {
      return peer === network.peerId
        ? await ipfs.repoStat(bounded)
        : await network.rpc.call(peer, RPC.IPFSConnector.RepoStat, {}, bounded)
    } catch (error) {
      options.signal?.throwIfAborted()
      const level = errorCode(error) === 'RPC_UNAUTHORIZED' ? 'debug' : 'warn'
      logger[level]({ peer, error: errorMessage(error) }, 'a peer does not tell the size of its repository')
      return undefined
    }
  }
  const members = new Set([network.peerId, ...monitor.members()])
  let [repoSize, storageMax] = [0n, 0n]
  for await (const stat of mapConcurrent(members, PEERS_CONCURRENCY, ask)) {
    repoSize += stat?.repoSize ?? 0n
    storageMax += stat?.storageMax ?? 0n
  }
  return { repoSize, storageMax }
}

/** Who is connected with whom: each member asked for its own view. */
async function connectGraph(components: MembersComponents, options: AbortOptions): Promise<ConnectGraph> {
  const { network, consensus, monitor, ipfs } = components
  const idToPeername: Record<PeerId, string> = {}
  const clusterLinks: Record<PeerId, PeerId[]> = {}
  const clusterTrustLinks: Record<PeerId, boolean> = {}
  const clusterToIpfs: Record<PeerId, PeerId> = {}
  const ipfsLinks: Record<PeerId, readonly PeerId[]> = {}
  const ask = async (peer: PeerId) => {
    clusterTrustLinks[peer] = consensus.isTrusted(peer)
    clusterLinks[peer] = []
    const isSelf = peer === network.peerId
    try {
      const seen = isSelf
        ? network.connectedPeers().filter(other => monitor.members().includes(other))
        : (await Array.fromAsync(network.rpc.stream(peer, RPC.Cluster.Peers, [], options)))
            .filter(answer => answer.error === '')
            .map(answer => answer.id)
      clusterLinks[peer] = seen.filter(other => other !== peer)
      const { peerName, ipfs: ipfsId } = describePeer(monitor, peer)
      idToPeername[peer] = peerName
      if (ipfsId === '') return
      const links = isSelf
        ? await ipfs.swarmPeers(options)
        : await network.rpc.call(peer, RPC.IPFSConnector.SwarmPeers, {}, options)
      // A peer whose daemon does not answer is named without it: its ping may have told of the daemon before that.
      clusterToIpfs[peer] = ipfsId
      ipfsLinks[ipfsId] = links
    } catch (error) {
      options.signal?.throwIfAborted()
      components.logger.debug({ peer, error: errorMessage(error) }, 'a peer gave no view of its links')
    }
  }
  await Promise.all(monitor.members().map(ask))
  // Clients rely on every peer that is named in a link being a key, too.
  for (const linked of new Set(Object.values(clusterLinks).flat())) clusterLinks[linked] ??= []
  return {
    clusterId: network.peerId,
    idToPeername,
    ipfsLinks,
    clusterLinks,
    clusterTrustLinks,
    clusterToIpfs,
  }
}
