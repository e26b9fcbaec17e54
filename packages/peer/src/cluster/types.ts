import type {
  AddedOutput,
  AddParams,
  Alert,
  Bandwidth,
  ConnectGraph,
  GlobalPinInfo,
  GlobalRepoGC,
  ID,
  IPFSRepoStat,
  Metric,
  Multiaddr,
  PeerId,
  Pin,
  PinInfo,
  PinListing,
  PinOptions,
  PinRequest,
  TrackerStatus,
  Version,
} from '@ipfs-cluster/api'
import type { AbortOptions } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { AddPart } from '../adder/index.ts'
import type { ExportedCar } from './export.ts'

export interface ClusterConfig {
  readonly peername: string
  readonly replicationFactorMin: number
  readonly replicationFactorMax: number
  readonly stateSyncIntervalMs: number
  readonly pinRecoverIntervalMs: number
  readonly monitorPingIntervalMs: number
  readonly peerWatchIntervalMs: number
  readonly pinOnlyOnTrustedPeers: boolean
  readonly pinOnlyOnUntrustedPeers: boolean
  readonly disableRepinning: boolean
  /** How long a peer has to be away before its pins are moved. Milliseconds. @default 2 min */
  readonly repinGracePeriodMs?: number
  readonly followerMode: boolean
  readonly allocateBy: readonly string[]
  /** After the daemon first answers, connect it to those of the other peers; 0 = never. */
  readonly connectSwarmsDelayMs: number
  /** Publish informer metrics after this many pins; 0 = never. */
  readonly informerTriggerInterval: number
}

/** What takes the place of a pin. */
export type PinReplacement = Pick<Pin, 'cid' | 'name' | 'metadata' | 'origins'>

/** One of many pins; an error in its place is its outcome. */
export type PinAsked = PinRequest | Error

/** One of many CIDs to unpin; an error in its place is its outcome. */
export type UnpinAsked = CID | Error

/** Of a group, in its order: why it was refused, or `undefined` when it is done. */
export type Outcomes = readonly (Error | undefined)[]

export interface StatusListing extends AbortOptions {
  /** Which pins, and how many; in the order of `statusOrder`. @default all */
  readonly listing?: PinListing
}

/**
 * @throws ClusterError; codes with their HTTP status in `http/common/status.ts`: `PIN_NOT_FOUND` (404, text `pin is not part of the
 * pinset`), `FOLLOWER_MODE`, `NOT_ENOUGH_PEERS`, `BAD_REPLICATION_FACTOR`, `BAD_EXPIRY`, `PIN_TYPE_MISMATCH`, `PIN_MODE_MISMATCH`, … with
 * the texts of reference api.md 1.4.
 */
export interface Cluster extends AsyncDisposable {
  /** Resolves once the IPFS daemon has answered and the background loops run. */
  readonly ready: Promise<void>
  id(options?: AbortOptions): Promise<ID>
  version(): Version
  /** Every member's ID; unreachable ones with `error` set, untrusting ones left out. */
  peers(options?: AbortOptions): AsyncIterable<ID>
  peerAdd(peer: PeerId, options?: AbortOptions): Promise<ID>
  peerRemove(peer: PeerId, options?: AbortOptions): Promise<void>
  /** Joins the cluster of the peer at this address. */
  join(address: Multiaddr, options?: AbortOptions): Promise<void>
  /** Connects to known peers, then joins through each of these. Who cannot be reached now is found again later. */
  bootstrap(addresses: readonly Multiaddr[], options?: AbortOptions): Promise<void>
  pin(cid: CID, pinOptions: PinOptions, options?: AbortOptions): Promise<Pin>
  /** For the adder and RPC: type, allocations and reference as given. */
  pinObject(pin: Pin, options?: AbortOptions): Promise<Pin>
  pinPath(path: string, pinOptions: PinOptions, options?: AbortOptions): Promise<Pin>
  /**
   * Pins `to` where `from` is, with its allocations and options but for name, metadata and origins, and for good; then unpins `from`. When it fails in
   * between, both are there, and it may be done again.
   */
  replace(from: CID, to: PinReplacement, options?: AbortOptions): Promise<Pin>
  unpin(cid: CID, options?: AbortOptions): Promise<Pin>
  unpinPath(path: string, options?: AbortOptions): Promise<Pin>
  /**
   * As `pin` for each, in order; a group shares one look at the state, one round of allocation and one commit. What each group came to is given
   * once all of its pins are durable, while the next ones are prepared. When the writing queue is full it waits.
   *
   * @throws FOLLOWER_MODE at once; StoreError, or CrdtError `CRDT_QUEUE_FULL` after half a minute of waiting: of the groups that have no outcomes then
   * nothing is certain.
   */
  pinMany(groups: AsyncIterable<readonly PinAsked[]>, options?: AbortOptions): AsyncIterable<Outcomes>
  /** As `unpin` for each; otherwise as `pinMany`. */
  unpinMany(groups: AsyncIterable<readonly UnpinAsked[]>, options?: AbortOptions): AsyncIterable<Outcomes>
  /** The pinset, or what of it matches, streamed; `typeBits` of PIN_TYPE_BITS. The order is `pinOrder(filter)`. */
  pins(typeBits: number, options?: AbortOptions & Partial<PinListing>): AsyncIterable<Pin>
  /** The same as lines of JSON, in chunks of whole lines. */
  pinLines(typeBits: number, options?: AbortOptions & Partial<PinListing>): AsyncIterable<Uint8Array>
  pinGet(cid: CID, options?: AbortOptions): Promise<Pin>
  status(cid: CID, options?: AbortOptions): Promise<GlobalPinInfo>
  statusLocal(cid: CID, options?: AbortOptions): Promise<GlobalPinInfo>
  /** Merged over all members in key order with bounded memory. Members that fail are `cluster_error` on each item. */
  statusAll(filter: TrackerStatus, options?: StatusListing): AsyncIterable<GlobalPinInfo>
  statusAllLocal(filter: TrackerStatus, options?: StatusListing): AsyncIterable<GlobalPinInfo>
  /** Of these pins, in their order; from the tables of all members, without their daemons. Peers that do not know a pin are not in its entry. */
  statusOf(pins: AsyncIterable<Pin>, options?: AbortOptions): AsyncIterable<GlobalPinInfo>
  recover(cid: CID, options?: AbortOptions): Promise<GlobalPinInfo>
  recoverLocal(cid: CID, options?: AbortOptions): Promise<PinInfo>
  /** Yields only what was queued again. */
  recoverAll(options?: AbortOptions): AsyncIterable<GlobalPinInfo>
  recoverAllLocal(options?: AbortOptions): AsyncIterable<PinInfo>
  add(parts: AsyncIterable<AddPart>, params: AddParams, options?: AbortOptions): AsyncGenerator<AddedOutput>
  /** What the pin keeps: here, on the peers that keep it, or wherever the IPFS daemon finds it. @throws also ExportError, while it is read */
  exportCar(cid: CID, options?: AbortOptions): Promise<ExportedCar>
  /** Peers that would keep this pin. */
  blockAllocate(pin: Pin, options?: AbortOptions): Promise<readonly PeerId[]>
  repoGC(options?: AbortOptions): Promise<GlobalRepoGC>
  /** Of the daemons of all members that answer, summed up. */
  repoStat(options?: AbortOptions): Promise<IPFSRepoStat>
  repoGCLocal(options?: AbortOptions): Promise<GlobalRepoGC>
  metrics(name: string): readonly Metric[]
  metricNames(): readonly string[]
  alerts(): readonly Alert[]
  connectGraph(options?: AbortOptions): Promise<ConnectGraph>
  bandwidthByProtocol(): Readonly<Record<string, Bandwidth>> | null
}
