/** The msgpack forms of the cluster's types: keys and their order from Go's `api/types.go` (wire.md 5.3). */
import {
  cidOfBytes,
  multiaddrBytes,
  multiaddrText,
  peerIdBytes,
  peerIdText,
  PIN_TYPE_BITS,
  pinTypeOfBits,
  type AddedOutput,
  type Alert,
  type Bandwidth,
  type ConnectGraph,
  type GlobalPinInfo,
  type GlobalRepoGC,
  type ID,
  type IPFSID,
  type IPFSPinInfo,
  type IPFSPinStatus,
  type IPFSRepoGC,
  type IPFSRepoStat,
  type Metric,
  type Multiaddr,
  type NodeWithMeta,
  type PeerId,
  type Pin,
  type PinInfo,
  type PinInfoShort,
  type PinMode,
  type PinOptions,
  type PinProgress,
  type PinType,
  type RepoGC,
  type TrackerStatus,
  type Version,
} from '@ipfs-cluster/api'
import { EMPTY_BYTES, hasPrefix, utf8 } from '@ipfs-cluster/base'
import {
  binary,
  bool,
  bytes,
  bytesView,
  convert,
  encodeObject,
  field,
  float,
  int,
  int64,
  list,
  map,
  MsgpackReader,
  nullable,
  omitEmpty,
  optional,
  string,
  struct,
  time,
  uint,
  uint64,
  type Codec,
  type Fields,
} from '@ipfs-cluster/gorpc'
import type { CID } from 'multiformats/cid'

/** Longest peer id and address that are read. Bytes: real ones have less than 50 and 300; what is read is remembered. */
const MAX_PEER_ID_BYTES = 128
const MAX_ADDRESS_BYTES = 1024

function short<T>(maxBytes: number, read: (bytes: Uint8Array) => T): (bytes: Uint8Array) => T {
  return bytes => {
    if (bytes.length > maxBytes) throw new RangeError(`more than ${maxBytes} bytes`)
    return read(bytes)
  }
}

/** Raw multihash; the empty text is Go's empty id. */
export const peerId: Codec<PeerId> = binary({
  zero: '',
  read: short(MAX_PEER_ID_BYTES, peerIdText),
  write: peerIdBytes,
})

export const peerIds: Codec<readonly PeerId[]> = list(peerId)

/** A CID that must be there. */
export const cid: Codec<CID> = binary({ read: cidOfBytes, write: cid => cid.bytes })

/** A CID that may be undefined, or a pointer to one. */
export const optionalCid: Codec<CID | null> = binary<CID | null>({
  zero: null,
  read: cidOfBytes,
  write: cid => cid?.bytes ?? EMPTY_BYTES,
})

export const multiaddr: Codec<Multiaddr> = binary({
  read: short(MAX_ADDRESS_BYTES, multiaddrText),
  write: multiaddrBytes,
})

const multiaddrs = list(multiaddr)

/** An address list where one that we do not understand, as of a transport yet to come, is left out and spoils nothing. */
export const addresses: Codec<readonly Multiaddr[]> = convert(
  list(binary<Multiaddr>({ zero: '', read: readable(multiaddrText), write: multiaddrBytes })),
  { read: texts => texts.filter(text => text !== ''), write: texts => texts },
)

function readable(read: (bytes: Uint8Array) => Multiaddr): (bytes: Uint8Array) => Multiaddr {
  return bytes => {
    try {
      return bytes.length > MAX_ADDRESS_BYTES ? '' : read(bytes)
    } catch {
      // Not ours to judge: the list is information for people and for dialling, and the rest of it is good.
      return ''
    }
  }
}

export const trackerStatus: Codec<TrackerStatus> = int

const pinMode: Codec<PinMode> = convert(int, {
  read: (mode): PinMode => (mode === 1 ? 'direct' : 'recursive'),
  write: mode => (mode === 'direct' ? 1 : 0),
})

const pinType: Codec<PinType> = convert(uint, { read: pinTypeOfBits, write: type => PIN_TYPE_BITS[type] })

/** In the order of Go's constants. */
const IPFS_PIN_STATUSES: readonly IPFSPinStatus[] = [
  'bug',
  'error',
  'direct',
  'recursive',
  'indirect',
  'unpinned',
]

export const ipfsPinStatus: Codec<IPFSPinStatus> = convert(int, {
  read: status => IPFS_PIN_STATUSES[status] ?? 'bug',
  write: status => IPFS_PIN_STATUSES.indexOf(status),
})

/** As in Go, where these two are never nil, empty metadata and allocations of pins are written too. */
const pinOptionsFields: Fields<Omit<PinOptions, keyof typeof pinSizeFields>> = {
  replicationFactorMin: omitEmpty('rn', int),
  replicationFactorMax: omitEmpty('rx', int),
  name: omitEmpty('n', string),
  mode: omitEmpty('o', pinMode),
  shardSize: omitEmpty('s', uint64),
  userAllocations: omitEmpty('ua', peerIds),
  expireAt: omitEmpty('e', time),
  metadata: field('m', map(string)),
  pinUpdate: omitEmpty('pu', optionalCid),
  origins: omitEmpty('g', multiaddrs),
}

/** Not of Go, which passes over keys that it does not know; they come last, for those who write structs as lists. */
const pinSizeFields: Fields<Pick<PinOptions, 'size' | 'maxPinSize'>> = {
  size: optional('sz', uint64),
  maxPinSize: optional('mx', uint64),
}

export const pin: Codec<Pin> = struct<Pin>({
  ...pinOptionsFields,
  cid: field('c', cid),
  type: omitEmpty('t', pinType),
  allocations: field('a', peerIds),
  maxDepth: omitEmpty('d', int),
  reference: omitEmpty('r', optionalCid),
  timestamp: omitEmpty('i', time),
  ...pinSizeFields,
})

/** Options and the path that names what to pin. */
export interface PinPath extends PinOptions {
  readonly path: string
}

export const pinPath: Codec<PinPath> = struct<PinPath>({
  ...pinOptionsFields,
  path: field('path', string),
  ...pinSizeFields,
})

const pinProgress: Codec<PinProgress> = struct<PinProgress>({
  blocks: field('b', int),
  bytes: field('y', uint64),
  totalBytes: optional('t', uint64),
  bytesPerSecond: field('r', float),
})

const pinInfoShortFields: Fields<PinInfoShort> = {
  peerName: omitEmpty('pn', string),
  ipfs: omitEmpty('i', peerId),
  ipfsAddresses: omitEmpty('ia', addresses),
  status: omitEmpty('st', trackerStatus),
  ts: omitEmpty('ts', time),
  error: omitEmpty('e', string),
  attemptCount: omitEmpty('a', int),
  priorityPin: omitEmpty('y', bool),
  // Not of Go either.
  size: optional('sz', uint64),
  progress: optional('pg', pinProgress),
}

/** What one peer says of a pin, without saying which pin or peer. */
export const pinInfoShort: Codec<PinInfoShort> = struct<PinInfoShort>(pinInfoShortFields)

export const pinInfo: Codec<PinInfo> = struct<PinInfo>({
  cid: field('c', cid),
  name: omitEmpty('m', string),
  peer: omitEmpty('p', peerId),
  allocations: omitEmpty('o', peerIds),
  origins: omitEmpty('g', addresses),
  created: omitEmpty('t', time),
  metadata: omitEmpty('md', nullable(map(string))),
  ...pinInfoShortFields,
})

/** Only calls inside a peer carry it: how shards do is not in it. */
export const globalPinInfo: Codec<GlobalPinInfo> = struct<Omit<GlobalPinInfo, 'shards'>>({
  cid: field('c', cid),
  name: field('n', string),
  allocations: omitEmpty('a', nullable(peerIds)),
  origins: omitEmpty('g', nullable(addresses)),
  created: omitEmpty('t', time),
  metadata: omitEmpty('m', nullable(map(string))),
  peerMap: omitEmpty('pm', map(pinInfoShort)),
})

export const ipfsId: Codec<IPFSID> = struct<IPFSID>({
  id: omitEmpty('i', peerId),
  addresses: omitEmpty('a', addresses),
  error: omitEmpty('e', string),
})

export const id: Codec<ID> = struct<ID>({
  id: omitEmpty('i', peerId),
  addresses: omitEmpty('a', addresses),
  clusterPeers: omitEmpty('cp', peerIds),
  clusterPeersAddresses: omitEmpty('cpa', addresses),
  version: omitEmpty('v', string),
  commit: omitEmpty('c', string),
  rpcProtocolVersion: omitEmpty('rv', string),
  error: omitEmpty('e', string),
  ipfs: omitEmpty('ip', ipfsId),
  peername: omitEmpty('pn', string),
})

const metricFields: Fields<Metric> = {
  name: omitEmpty('n', string),
  peer: omitEmpty('p', peerId),
  value: omitEmpty('v', string),
  expire: omitEmpty('e', int64),
  valid: omitEmpty('d', bool),
  weight: omitEmpty('w', int64),
  partitionable: omitEmpty('o', bool),
  receivedAt: omitEmpty('t', int64),
}

export const metric: Codec<Metric> = struct<Metric>(metricFields)

export const alert: Codec<Alert> = struct<Alert>({ ...metricFields, triggeredAt: omitEmpty('r', time) })

export const nodeWithMeta: Codec<NodeWithMeta> = struct<Omit<NodeWithMeta, 'pieces' | 'giveBack'>>({
  data: omitEmpty('d', bytesView),
  cid: omitEmpty('c', cid),
  cumulativeSize: omitEmpty('s', uint64),
})

/** Asks for nodes of the pinset's DAG. */
export interface BlocksRequest {
  readonly wants: readonly CID[]
  /** How many nodes below them to send unasked, and how many bytes of such. */
  readonly ahead: number
  readonly aheadBytes: number
}

export const blocksRequest: Codec<BlocksRequest> = struct<BlocksRequest>({
  wants: field('w', list(cid)),
  ahead: omitEmpty('a', int),
  aheadBytes: omitEmpty('b', int),
})

/** A node; without data when the peer does not have it. */
export interface BlocksReply {
  readonly cid: CID
  readonly data: Uint8Array
}

export const blocksReply: Codec<BlocksReply> = struct<BlocksReply>({
  cid: field('c', cid),
  data: omitEmpty('d', bytes),
})

/** Asks for the blocks of a DAG. */
export interface DagRequest {
  readonly root: CID
  /** Links to follow from the root; −1: all. */
  readonly maxDepth: number
}

export const dagRequest: Codec<DagRequest> = struct<DagRequest>({
  root: field('c', cid),
  maxDepth: field('d', int),
})

/** Go's tag of `s` has a space in it, so that its omitempty never works. */
export const ipfsRepoStat: Codec<IPFSRepoStat> = struct<IPFSRepoStat>({
  repoSize: omitEmpty('r', uint64),
  storageMax: field('s', uint64),
})

export const ipfsPinInfo: Codec<IPFSPinInfo> = struct<IPFSPinInfo>({
  cid: field('c', cid),
  type: field('t', ipfsPinStatus),
})

const ipfsRepoGC: Codec<IPFSRepoGC> = struct<IPFSRepoGC>({
  key: omitEmpty('k', optionalCid),
  error: omitEmpty('e', string),
})

export const repoGC: Codec<RepoGC> = struct<RepoGC>({
  peer: omitEmpty('p', peerId),
  peername: omitEmpty('pn', string),
  keys: field('k', list(ipfsRepoGC)),
  error: omitEmpty('e', string),
})

export const globalRepoGC: Codec<GlobalRepoGC> = struct<GlobalRepoGC>({
  peerMap: omitEmpty('pm', map(repoGC)),
})

export const connectGraph: Codec<ConnectGraph> = struct<ConnectGraph>({
  clusterId: field('id', peerId),
  idToPeername: omitEmpty('ip', map(string)),
  ipfsLinks: omitEmpty('il', map(peerIds)),
  clusterLinks: omitEmpty('cl', map(peerIds)),
  clusterTrustLinks: omitEmpty('ctl', map(bool)),
  clusterToIpfs: omitEmpty('ci', map(peerId)),
})

export const bandwidth: Codec<Bandwidth> = struct<Bandwidth>({
  totalIn: omitEmpty('i', int64),
  totalOut: omitEmpty('o', int64),
  rateIn: omitEmpty('ri', float),
  rateOut: omitEmpty('ro', float),
})

type GoAddedOutput = Pick<AddedOutput, 'name' | 'cid' | 'bytes' | 'size' | 'allocations'>

export const addedOutput: Codec<GoAddedOutput> = struct<GoAddedOutput>({
  name: omitEmpty('n', string),
  cid: field('c', optionalCid),
  bytes: omitEmpty('b', uint64),
  size: omitEmpty('s', uint64),
  allocations: omitEmpty('a', peerIds),
})

export const version: Codec<Version> = struct<Version>({ version: field('v', string) })

/** Stood before metrics of older peers: the multicodec header of msgpack. */
const METRIC_PREFIX = utf8('\u0009/msgpack\n')

/** The payload of a message on the metrics topic. @throws MsgpackError when the peer id is none. */
export function encodeMetric(value: Metric): Uint8Array {
  return encodeObject(metric, value)
}

/** Reads the payload of a message on the metrics topic, with or without the prefix of older peers. @throws MsgpackError */
export function decodeMetric(payload: Uint8Array): Metric {
  const start = hasPrefix(payload, METRIC_PREFIX) ? METRIC_PREFIX.length : 0
  return metric.decode(new MsgpackReader(payload, start))
}
