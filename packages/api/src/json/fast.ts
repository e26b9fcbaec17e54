/** Hand-made writers of what is listed by the million; they agree with the table-driven ones of `pin-codecs.ts`, which tests check. */
import { cidText } from '../cid.ts'
import { memoize } from '@ipfs-cluster/base'
import { trackerStatusText } from '../status.ts'
import { formatTime } from '../time.ts'
import type { GlobalPinInfo, Multiaddr, PeerId, Pin, PinInfoShort, PinProgress } from '../types.ts'
import { sortedKeys } from '../utf8-order.ts'
import { shardsInfo } from './shards.ts'
import { jsonString } from './text.ts'
import { writeCidOrNull } from './values.ts'

const statusText = memoize(256, trackerStatusText)

export function writePin(pin: Pin): string {
  const origins = pin.origins.length === 0 ? '[]' : writeTexts(pin.origins)
  return writePinWith(pin, writeMetadata(pin.metadata, 'null'), origins)
}

export function writeSubmittedPin(pin: Pin): string {
  const origins = pin.origins.length === 0 ? 'null' : writeTexts(pin.origins)
  return writePinWith(pin, writeMetadata(pin.metadata, '{}'), origins)
}

function writePinWith(pin: Pin, metadata: string, origins: string): string {
  const userAllocations = pin.userAllocations.length === 0 ? 'null' : writePeers(pin.userAllocations)
  return (
    `{"replication_factor_min":${pin.replicationFactorMin},"replication_factor_max":${pin.replicationFactorMax}` +
    `,"name":${jsonString(pin.name)},"mode":"${pin.mode}","shard_size":${pin.shardSize}` +
    `,"user_allocations":${userAllocations},"expire_at":"${formatTime(pin.expireAt)}","metadata":${metadata}` +
    `,"pin_update":${writeCidOrNull(pin.pinUpdate)},"origins":${origins},"cid":"${cidText(pin.cid)}"` +
    `,"type":"${pin.type}","allocations":${writePeers(pin.allocations)},"max_depth":${pin.maxDepth}` +
    `,"reference":${writeCidOrNull(pin.reference)},"timestamp":"${formatTime(pin.timestamp)}"` +
    `${writeOptional('size', pin.size)}${writeOptional('max_pin_size', pin.maxPinSize)}}`
  )
}

export function writeGlobalPinInfo(info: GlobalPinInfo): string {
  let peers = ''
  for (const peer of sortedKeys(info.peerMap)) {
    const entry = writeEntry(peer, info.peerMap[peer] as PinInfoShort)
    peers = peers === '' ? entry : `${peers},${entry}`
  }
  const allocations = info.allocations === null ? 'null' : writePeers(info.allocations)
  const origins = info.origins === null ? 'null' : writeTexts(info.origins)
  const metadata = info.metadata === null ? 'null' : writeMetadata(info.metadata, 'null')
  return (
    `{"cid":"${cidText(info.cid)}","name":${jsonString(info.name)},"allocations":${allocations}` +
    `,"origins":${origins},"created":"${formatTime(info.created)}","metadata":${metadata},"peer_map":{${peers}}` +
    `${info.shards === undefined ? '' : `,"shards":${shardsInfo.write(info.shards)}`}}`
  )
}

function writeEntry(peer: PeerId, info: PinInfoShort): string {
  const error = info.error === '' ? '""' : jsonString(info.error)
  return (
    `${peerHead(peer, info)},"status":"${statusText(info.status)}"` +
    `,"timestamp":"${formatTime(info.ts)}","error":${error}` +
    `,"attempt_count":${info.attemptCount},"priority_pin":${info.priorityPin}` +
    `${writeOptional('size', info.size)}${info.progress === undefined ? '' : writeProgress(info.progress)}}`
  )
}

interface PeerHead extends Pick<PinInfoShort, 'peerName' | 'ipfs' | 'ipfsAddresses'> {
  readonly text: string
}

/** What is said of a peer in each of its entries: in a listing always the same, by identity. */
const heads = new Map<PeerId, PeerHead>()
/** Peers of some clusters; at the limit all are forgotten. */
const MAX_HEADS = 256

/** Up to the status. */
function peerHead(peer: PeerId, { peerName, ipfs, ipfsAddresses }: PinInfoShort): string {
  const known = heads.get(peer)
  if (known?.peerName === peerName && known.ipfs === ipfs && known.ipfsAddresses === ipfsAddresses) {
    return known.text
  }
  const daemon = ipfs === '' ? '' : `,"ipfs_peer_id":"${ipfs}"`
  const addresses = ipfsAddresses.length === 0 ? '' : `,"ipfs_peer_addresses":${writeTexts(ipfsAddresses)}`
  const text = `${jsonString(peer)}:{"peername":${jsonString(peerName)}${daemon}${addresses}`
  if (heads.size >= MAX_HEADS) heads.clear()
  heads.set(peer, { peerName, ipfs, ipfsAddresses, text })
  return text
}

function writeProgress({ blocks, bytes, totalBytes, bytesPerSecond }: PinProgress): string {
  const total = writeOptional('total_bytes', totalBytes)
  return `,"progress":{"blocks":${blocks},"bytes":${bytes}${total},"bytes_per_second":${bytesPerSecond}}`
}

function writeOptional(name: string, value: bigint | undefined): string {
  return value === undefined ? '' : `,"${name}":${value}`
}

function writeMetadata(metadata: Readonly<Record<string, string>>, empty: string): string {
  const keys = sortedKeys(metadata)
  if (keys.length === 0) return empty
  return `{${keys.map(key => `${jsonString(key)}:${jsonString(metadata[key] as string)}`).join(',')}}`
}

/** Peer ids are base58: nothing to escape. */
function writePeers(peers: readonly PeerId[]): string {
  return peers.length === 0 ? '[]' : `["${peers.join('","')}"]`
}

function writeTexts(texts: readonly Multiaddr[]): string {
  return `[${texts.map(jsonString).join(',')}]`
}
