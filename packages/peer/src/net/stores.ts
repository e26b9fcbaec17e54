import type { PeerData, PeerId as Libp2pPeerId, PeerStore } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import type { Refusals } from '@ipfs-cluster/base'
import type { PeerId } from '@ipfs-cluster/api'

/** Addresses of one peer; Go announces at most what fits in 4 KiB. */
export const MAX_ADDRESSES = 128

/** Protocols of one peer, and the length of a name. */
const MAX_PROTOCOLS = 256
const MAX_PROTOCOL_LENGTH = 256

/** Peers remembered besides those connected and those wanted; one takes a few KiB. */
export const MAX_STORED_PEERS = 4000

/** Provider and value records that DHT peers have us keep; cluster peers store none. */
export const MAX_DHT_RECORDS = 10_000

const DHT_PREFIX = '/dht/'

export interface PeerStoreLimits {
  /** Never to be forgotten. */
  readonly isKept: (peer: PeerId) => boolean
  readonly onForgotten: (peer: PeerId) => void
  readonly maxPeers?: number
  readonly maxAddresses?: number
}

/**
 * Puts limits on libp2p's peer store, which takes all that peers say of themselves and of others and forgets nobody.
 * Addresses above the limit are left out; above the limit of peers, the one that was longest without news goes.
 */
export function limitPeerStore(
  store: PeerStore,
  { isKept, onForgotten, maxPeers = MAX_STORED_PEERS, maxAddresses = MAX_ADDRESSES }: PeerStoreLimits,
  refusals: Refusals,
): void {
  /** Longest without news first. */
  const recent = new Set<PeerId>()

  const touch = async (peer: PeerId): Promise<void> => {
    recent.delete(peer)
    recent.add(peer)
    if (recent.size <= maxPeers) return
    const victim = recent.values().find(one => one !== peer && !isKept(one))
    if (victim === undefined) return
    recent.delete(victim)
    refusals.count('peer_forgotten')
    onForgotten(victim)
    await store.delete(peerIdFromString(victim))
  }

  const save = store.save.bind(store)
  const patch = store.patch.bind(store)
  const merge = store.merge.bind(store)
  const remove = store.delete.bind(store)
  const known = async (peer: Libp2pPeerId) => ((await store.has(peer)) ? await store.get(peer) : undefined)

  store.save = async (peer, data, options) => {
    const saved = await save(peer, limited(data, maxAddresses, refusals), options)
    await touch(peer.toString())
    return saved
  }
  store.patch = async (peer, data, options) => {
    const saved = await patch(peer, limited(data, maxAddresses, refusals), options)
    await touch(peer.toString())
    return saved
  }
  store.merge = async (peer, data, options) => {
    const adds = (data.multiaddrs?.length ?? 0) + (data.addresses?.length ?? 0) > 0
    const room = adds ? maxAddresses - ((await known(peer))?.addresses.length ?? 0) : 0
    const saved = await merge(peer, limited(data, Math.max(0, room), refusals), options)
    await touch(peer.toString())
    return saved
  }
  store.delete = async (peer, options) => {
    recent.delete(peer.toString())
    await remove(peer, options)
  }
}

function limited(data: PeerData, room: number, refusals: Refusals): PeerData {
  const addresses = (data.addresses?.length ?? 0) + (data.multiaddrs?.length ?? 0)
  const protocols = data.protocols
    ?.filter(({ length }) => length <= MAX_PROTOCOL_LENGTH)
    .slice(0, MAX_PROTOCOLS)
  if (addresses > room) refusals.count('too_many_addresses')
  if ((data.protocols?.length ?? 0) > (protocols?.length ?? 0)) refusals.count('too_many_protocols')
  return {
    ...data,
    ...(protocols && { protocols }),
    ...(data.addresses && { addresses: data.addresses.slice(0, room) }),
    ...(data.multiaddrs && {
      multiaddrs: data.multiaddrs.slice(0, Math.max(0, room - (data.addresses?.length ?? 0))),
    }),
  }
}

/** What is needed of libp2p's datastore, which its types show nowhere. */
export interface Datastore {
  put(key: { toString(): string }, value: Uint8Array, options?: unknown): unknown
  delete(key: { toString(): string }, options?: unknown): unknown
}

/** Keeps at most `maxRecords` records of the DHT in memory: the oldest goes. */
export function limitDatastore(store: Datastore, refusals: Refusals, maxRecords = MAX_DHT_RECORDS): void {
  const records = new Map<string, Parameters<Datastore['put']>[0]>()
  const put = store.put.bind(store)
  const remove = store.delete.bind(store)
  store.put = (key, value, options) => {
    const text = key.toString()
    if (text.startsWith(DHT_PREFIX)) {
      records.delete(text)
      records.set(text, key)
      const [oldest] = records
      if (records.size > maxRecords && oldest !== undefined) {
        records.delete(oldest[0])
        refusals.count('dht_record_forgotten')
        // The store is in memory: this is done when it returns.
        remove(oldest[1])
      }
    }
    return put(key, value, options)
  }
  store.delete = (key, options) => {
    records.delete(key.toString())
    return remove(key, options)
  }
}
