/**
 * Other members as this peer last heard of them: what their ping metric says (Go: `api.Metric` of name `ping`, value `PingValue`).
 */
import type { Metric, Multiaddr, PeerId, PinInfoShort } from '@ipfs-cluster/api'
import { memoize } from '@ipfs-cluster/base'

export type PeerDescription = Pick<PinInfoShort, 'peerName' | 'ipfs' | 'ipfsAddresses'>

const NOBODY: PeerDescription = { peerName: '', ipfs: '', ipfsAddresses: [] }

/** Pings remembered: each peer's stays the same for long, and is looked at with every status. */
const PINGS_REMEMBERED = 256

/** Reads the value of a ping; anything unexpected in it is taken as absent. */
export const parsePing = memoize(PINGS_REMEMBERED, readPing)

function readPing(value: string): PeerDescription {
  let parsed: unknown
  try {
    parsed = JSON.parse(value)
  } catch {
    // A ping without a value is valid: it is how a peer that we have just met is recorded.
    return NOBODY
  }
  if (typeof parsed !== 'object' || parsed === null) return NOBODY
  const fields: Readonly<Record<string, unknown>> = { ...parsed }
  const text = (key: string) => (typeof fields[key] === 'string' ? fields[key] : '')
  const addresses = Array.isArray(fields['ipfs_addresses']) ? fields['ipfs_addresses'] : []
  return {
    peerName: text('peer_name'),
    ipfs: text('ipfs_id'),
    ipfsAddresses: addresses.filter(address => typeof address === 'string'),
  }
}

/** The value of our own ping. Empty fields are left out, as in Go. */
export function formatPing({ peerName, ipfs, ipfsAddresses }: PeerDescription): string {
  const shared = ipfsAddresses.filter(isShared)
  return JSON.stringify({
    ...(peerName === '' ? {} : { peer_name: peerName }),
    ...(ipfs === '' ? {} : { ipfs_id: ipfs }),
    ...(shared.length === 0 ? {} : { ipfs_addresses: shared }),
  })
}

export function describePeer(
  monitor: { latestOf(name: string, peer: PeerId): Metric | undefined },
  peer: PeerId,
): PeerDescription {
  const ping = monitor.latestOf('ping', peer)
  return ping === undefined ? NOBODY : parsePing(ping.value)
}

/** DNS names and addresses that may be reached from elsewhere: no loopback, link-local or multicast ones. */
function isShared(address: Multiaddr): boolean {
  if (/^\/dns(addr|4|6)?\//.test(address)) return true
  const ip4 = /^\/ip4\/(\d+)\.(\d+)\./.exec(address)
  if (ip4 !== null) {
    const first = Number(ip4[1])
    return first !== 127 && first !== 0 && first < 224 && !(first === 169 && ip4[2] === '254')
  }
  const ip6 = /^\/ip6\/([^/]+)/.exec(address)
  return ip6 !== null && !/^(::1?$|fe[89ab]|ff)/i.test(ip6[1] as string)
}

/** A ping of `peer`, valid for two intervals from `now` (Unix nanoseconds). */
export function pingMetric(peer: PeerId, value: string, now: bigint, intervalMs: number): Metric {
  return {
    name: 'ping',
    peer,
    value,
    expire: now + BigInt(Math.round(intervalMs * 2 * 1e6)),
    valid: true,
    weight: 0n,
    partitionable: false,
    receivedAt: 0n,
  }
}
