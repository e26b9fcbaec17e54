/**
 * The data of a cluster, named as in Go's `api/types.go`. Conventions:
 * peer ids are their usual text (`12D3Koo…`, `Qm…`), multiaddrs their text, CIDs `CID` objects; a Go zero value that Go itself
 * tells apart (undefined CID, zero time, nil pointer) is `null`; empty lists are `[]`.
 */
import type { InPieces } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { PinType, TrackerStatus } from './status.ts'

/** Text of a libp2p peer id: base58btc of the multihash. */
export type PeerId = string

/** Text of a multiaddr. */
export type Multiaddr = string

/** Nanoseconds since the Unix epoch; `null` is Go's zero time. The pinset keeps whole seconds. */
export type Time = bigint | null

/** Recursive: the whole DAG below the CID; direct: its root block alone. */
export type PinMode = 'recursive' | 'direct'

export interface PinOptions {
  /** Least number of copies; −1 with −1 = every peer; 0 = the peer's configured default. */
  readonly replicationFactorMin: number
  /** Wanted number of copies. */
  readonly replicationFactorMax: number
  readonly name: string
  readonly mode: PinMode
  /** Bytes; only for sharded adds. */
  readonly shardSize: bigint
  /** Peers to prefer. Never stored. */
  readonly userAllocations: readonly PeerId[]
  readonly expireAt: Time
  readonly metadata: Readonly<Record<string, string>>
  /** Copy options and allocations of this pin, and update it in IPFS instead of pinning from nothing. */
  readonly pinUpdate: CID | null
  /** IPFS peers (with /p2p) that have the content: connected to before pinning. */
  readonly origins: readonly Multiaddr[]
  /** Bytes of all blocks, where somebody knows: who adds or who pins. Not of Go. */
  readonly size?: bigint
  /** Content of more bytes is not fetched; absent or 0: as each peer is configured. Its own limit holds, too. Not of Go. */
  readonly maxPinSize?: bigint
}

/** One entry of the pinset. */
export interface Pin extends PinOptions {
  readonly cid: CID
  readonly type: PinType
  /** Cluster peers that keep it; empty with factors −1/−1 means every peer. */
  readonly allocations: readonly PeerId[]
  /** −1 recursive, 0 direct, else levels of the DAG. */
  readonly maxDepth: number
  readonly reference: CID | null
  /** When it was submitted. */
  readonly timestamp: Time
}

/** How far a pin has come on one peer. */
export interface PinProgress {
  readonly blocks: number
  readonly bytes: bigint
  /** Absent where nobody knows. */
  readonly totalBytes?: bigint
  /** Of the last seconds. */
  readonly bytesPerSecond: number
}

/** Status of a pin on one peer, without saying which pin or peer. */
export interface PinInfoShort {
  readonly peerName: string
  readonly ipfs: PeerId
  readonly ipfsAddresses: readonly Multiaddr[]
  readonly status: TrackerStatus
  readonly ts: Time
  readonly error: string
  readonly attemptCount: number
  readonly priorityPin: boolean
  /** Bytes that the pin takes on this peer, once it is pinned and where the IPFS daemon has told. Not of Go. */
  readonly size?: bigint
  /** Only while it is being pinned. Not of Go. */
  readonly progress?: PinProgress
}

/** Status of a pin on one peer. */
export interface PinInfo extends PinInfoShort {
  readonly cid: CID
  readonly name: string
  readonly peer: PeerId
  readonly allocations: readonly PeerId[]
  readonly origins: readonly Multiaddr[]
  readonly created: Time
  readonly metadata: Readonly<Record<string, string>> | null
}

/** Status of a pin on every peer. */
export interface GlobalPinInfo {
  readonly cid: CID
  readonly name: string
  readonly allocations: readonly PeerId[] | null
  readonly origins: readonly Multiaddr[] | null
  readonly created: Time
  readonly metadata: Readonly<Record<string, string>> | null
  readonly peerMap: Readonly<Record<PeerId, PinInfoShort>>
  /** Of the root of sharded content, when it alone is asked for. Not of Go. */
  readonly shards?: ShardsInfo
}

/** How the shards of a root do. */
export interface ShardsInfo {
  readonly total: number
  /** Shards of which there are as many copies as there have to be at least. */
  readonly pinned: number
  /** Shards of which more copies are on their way. */
  readonly pinning: number
  /** The others. */
  readonly error: number
  /** What is wrong with these; of many, the first ones. */
  readonly problems: readonly ShardProblem[]
}

export interface ShardProblem {
  readonly cid: CID
  readonly error: string
}

/** An IPFS daemon, as its cluster peer sees it. */
export interface IPFSID {
  readonly id: PeerId
  readonly addresses: readonly Multiaddr[]
  readonly error: string
}

/** A cluster peer. */
export interface ID {
  readonly id: PeerId
  /** With /p2p/<id>. */
  readonly addresses: readonly Multiaddr[]
  readonly clusterPeers: readonly PeerId[]
  readonly clusterPeersAddresses: readonly Multiaddr[]
  readonly version: string
  readonly commit: string
  readonly rpcProtocolVersion: string
  readonly error: string
  readonly ipfs: IPFSID
  readonly peername: string
}

/** Something that a peer tells the others at intervals: `ping`, `freespace`, `tag:<name>`, `pinqueue`. */
export interface Metric {
  readonly name: string
  readonly peer: PeerId
  readonly value: string
  /** Unix nanoseconds on the sender's clock. */
  readonly expire: bigint
  readonly valid: boolean
  readonly weight: bigint
  /** Allocation may group peers by `value` (tags). */
  readonly partitionable: boolean
  /** Unix nanoseconds on the receiver's clock; 0 until received. */
  readonly receivedAt: bigint
}

export interface Alert extends Metric {
  readonly triggeredAt: Time
}

/** A block on its way to an IPFS daemon. */
export interface NodeWithMeta extends InPieces {
  readonly cid: CID
  readonly cumulativeSize: bigint
}

export interface IPFSRepoStat {
  /** Bytes in use. */
  readonly repoSize: bigint
  /** Bytes allowed. */
  readonly storageMax: bigint
}

export type IPFSPinStatus = 'bug' | 'error' | 'direct' | 'recursive' | 'indirect' | 'unpinned'

export interface IPFSPinInfo {
  readonly cid: CID
  readonly type: IPFSPinStatus
}

export interface IPFSRepoGC {
  /** The removed block, or `null` for an error entry. */
  readonly key: CID | null
  readonly error: string
}

export interface RepoGC {
  readonly peer: PeerId
  readonly peername: string
  readonly keys: readonly IPFSRepoGC[]
  readonly error: string
}

export interface GlobalRepoGC {
  readonly peerMap: Readonly<Record<PeerId, RepoGC>>
}

export interface ConnectGraph {
  readonly clusterId: PeerId
  readonly idToPeername: Readonly<Record<PeerId, string>>
  readonly ipfsLinks: Readonly<Record<PeerId, readonly PeerId[]>>
  readonly clusterLinks: Readonly<Record<PeerId, readonly PeerId[]>>
  readonly clusterTrustLinks: Readonly<Record<PeerId, boolean>>
  readonly clusterToIpfs: Readonly<Record<PeerId, PeerId>>
}

export interface Bandwidth {
  readonly totalIn: bigint
  readonly totalOut: bigint
  readonly rateIn: number
  readonly rateOut: number
}

/** What `POST /add` says of each file, folder and progress step. */
export interface AddedOutput {
  readonly name: string
  /** `null` for a progress step. */
  readonly cid: CID | null
  readonly bytes: bigint
  readonly size: bigint
  readonly allocations: readonly PeerId[]
  /** Blocks of the DAG that are not in the CAR; absent when there are none. Not of Go. */
  readonly missing?: number
  /** The first of them. */
  readonly missingCids?: readonly CID[]
  /** With the last output: what did not go well in an add that did. Not of Go. */
  readonly warnings?: readonly string[]
}

export interface Version {
  readonly version: string
}

/** Parameters of `POST /add` beside the pin options (reference: Go `api/add.go`). */
export interface AddParams {
  readonly pin: PinOptions
  readonly layout: 'balanced' | 'trickle'
  readonly chunker: string
  readonly hashFun: string
  readonly cidVersion: 0 | 1
  readonly rawLeaves: boolean
  readonly format: 'unixfs' | 'car'
  readonly wrap: boolean
  readonly local: boolean
  readonly recursive: boolean
  readonly hidden: boolean
  readonly shard: boolean
  readonly progress: boolean
  readonly streamChannels: boolean
  readonly noCopy: boolean
  readonly noPin: boolean
  /** A CAR whose DAG is not complete is an error; else the IPFS daemons look for the rest. Not of Go. @default false */
  readonly requireComplete?: boolean
}

export const DEFAULT_PIN_OPTIONS: PinOptions = {
  replicationFactorMin: 0,
  replicationFactorMax: 0,
  name: '',
  mode: 'recursive',
  shardSize: 0n,
  userAllocations: [],
  expireAt: null,
  metadata: {},
  pinUpdate: null,
  origins: [],
}

export const DEFAULT_ADD_PARAMS: AddParams = {
  pin: DEFAULT_PIN_OPTIONS,
  layout: 'balanced',
  chunker: 'size-262144',
  hashFun: 'sha2-256',
  cidVersion: 0,
  rawLeaves: false,
  format: 'unixfs',
  wrap: false,
  local: false,
  recursive: false,
  hidden: false,
  shard: false,
  progress: false,
  streamChannels: true,
  noCopy: false,
  noPin: false,
}

/** A pin of `cid` with default options, everywhere, submitted at `timestamp`. */
export function newPin(cid: CID, fields: Partial<Pin> = {}): Pin {
  const mode = fields.mode ?? DEFAULT_PIN_OPTIONS.mode
  return {
    ...DEFAULT_PIN_OPTIONS,
    type: 'pin',
    allocations: [],
    maxDepth: mode === 'direct' ? 0 : -1,
    reference: null,
    timestamp: null,
    ...fields,
    cid,
    mode,
  }
}

/** Both factors −1: every peer keeps it. */
export function isPinEverywhere(pin: Pick<Pin, 'replicationFactorMin' | 'replicationFactorMax'>): boolean {
  return pin.replicationFactorMin === -1 && pin.replicationFactorMax === -1
}

/** True when `peer` is not among those that keep the pin. */
export function isRemotePin(pin: Pin, peer: PeerId): boolean {
  return !isPinEverywhere(pin) && !pin.allocations.includes(peer)
}

/** True when the pin has an expiry before `now` (Unix nanoseconds). */
export function isExpired(pin: Pick<Pin, 'expireAt'>, now: bigint): boolean {
  return pin.expireAt !== null && pin.expireAt !== 0n && pin.expireAt < now
}
