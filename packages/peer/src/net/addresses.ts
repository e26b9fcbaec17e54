import { BlockList } from 'node:net'
import { peerIdFromString } from '@libp2p/peer-id'
import { CODE_P2P, multiaddr, type Multiaddr as Libp2pMultiaddr } from '@multiformats/multiaddr'
import { errorMessage } from '@ipfs-cluster/base'
import type { Multiaddr, PeerId } from '@ipfs-cluster/api'
import { NetworkError } from './errors.ts'

/** @throws NetworkError `NET_BAD_ADDRESS` */
export function parseAddress(address: Multiaddr): Libp2pMultiaddr {
  try {
    return multiaddr(address)
  } catch (error) {
    throw new NetworkError(
      `${JSON.stringify(address)} is not a multiaddr (${errorMessage(error)}); ` +
        'write it like /ip4/192.0.2.1/tcp/9096/p2p/<peer id>',
      { code: 'NET_BAD_ADDRESS', address },
      { cause: error },
    )
  }
}

/** The peer an address leads to: its last `/p2p`, so that of a relayed address the target and not the relay. */
export function peerOf(address: Libp2pMultiaddr): PeerId | undefined {
  const last = address.getComponents().at(-1)
  return last?.code === CODE_P2P && last.value !== undefined
    ? peerIdFromString(last.value).toString()
    : undefined
}

/** The text of `address` with `/p2p/<peer>` at its end. */
export function withPeer(address: Libp2pMultiaddr, peer: PeerId): Multiaddr {
  return peerOf(address) === undefined ? address.encapsulate(`/p2p/${peer}`).toString() : address.toString()
}

export function withoutPeer(address: Libp2pMultiaddr): Libp2pMultiaddr {
  return peerOf(address) === undefined ? address : address.decapsulateCode(CODE_P2P)
}

const DNS_NAMES: ReadonlySet<string> = new Set(['dns', 'dns4', 'dns6', 'dnsaddr'])

export function isDnsAddress(address: Libp2pMultiaddr): boolean {
  return DNS_NAMES.has(address.getComponents()[0]?.name ?? '')
}

export function isDnsaddr(address: Libp2pMultiaddr): boolean {
  return address.getComponents()[0]?.name === 'dnsaddr'
}

/** Leads through a relay. */
export function isRelayed(address: Libp2pMultiaddr): boolean {
  return address.getComponents().some(({ name }) => name === 'p2p-circuit')
}

/** The relay of a relayed address: its first peer. */
export function relayOf(address: Libp2pMultiaddr): PeerId | undefined {
  return address.getComponents().find(({ code }) => code === CODE_P2P)?.value
}

/** The first IP address in it. */
export function ipOf(address: Libp2pMultiaddr): string | undefined {
  return address.getComponents().find(({ name }) => name === 'ip4' || name === 'ip6')?.value
}

export function isLoopback(ip: string): boolean {
  return ip === '::1' || /^(::ffff:)?127\./.test(ip)
}

/**
 * Tells which addresses `no_announce_multiaddress` lets through: not those equal to an entry, nor those inside an
 * `/ip4/…/ipcidr/n` or `/ip6/…/ipcidr/n` mask.
 */
export function announceFilter(noAnnounce: readonly Multiaddr[]): (address: Libp2pMultiaddr) => boolean {
  const exact = new Set<string>()
  const masks = new BlockList()
  for (const text of noAnnounce) {
    const address = parseAddress(text)
    const [ip, mask] = address.getComponents()
    if (ip?.value !== undefined && mask?.name === 'ipcidr') {
      masks.addSubnet(ip.value, Number(mask.value), family(ip.name))
    } else {
      exact.add(withoutPeer(address).toString())
    }
  }
  return address => {
    const ip = address.getComponents().find(({ name }) => name === 'ip4' || name === 'ip6')
    return (
      !exact.has(withoutPeer(address).toString()) &&
      (ip?.value === undefined || !masks.check(ip.value, family(ip.name)))
    )
  }
}

function family(name: string): 'ipv4' | 'ipv6' {
  return name === 'ip6' ? 'ipv6' : 'ipv4'
}
