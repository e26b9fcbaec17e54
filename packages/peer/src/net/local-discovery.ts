import type { PeerDiscovery, PeerInfo } from '@libp2p/interface'
import { mdns } from '@libp2p/mdns'
import { multiaddr } from '@multiformats/multiaddr'
import { ipOf } from './addresses.ts'

/** Peers that find each other on the local network (Go: `cluster.mdnsServiceTag`). */
const MDNS_SERVICE = '_ipfs-cluster-discovery._udp.local'

/** Said by Go peers; the port that counts is in the TXT records. */
const SERVICE_PORT = 4001

const TTL_SECONDS = 120

/** One record of an mDNS answer, as the package multicast-dns takes it. */
export interface DnsRecord {
  readonly name: string
  readonly type: string
  readonly class?: string
  readonly ttl?: number
  readonly data: unknown
}

/** What `@libp2p/mdns` keeps to itself, once it has started. */
interface MdnsState {
  readonly mdns?: { respond(answers: readonly DnsRecord[]): void }
}

/** Finds peers on the local network, and is found. */
export function localDiscovery(onPeerFound: (peer: PeerInfo) => void) {
  const create = mdns({ serviceTag: MDNS_SERVICE })
  return (components: Parameters<typeof create>[0]): PeerDiscovery => {
    const service = create(components) as PeerDiscovery & MdnsState & { start(): Promise<void> }
    service.addEventListener('peer', event => onPeerFound(event.detail))
    const start = service.start.bind(service)
    service.start = async () => {
      await start()
      const responder = service.mdns
      if (responder === undefined) return
      const respond = responder.respond.bind(responder)
      responder.respond = answers => respond(withHost(answers))
    }
    return service
  }
}

/**
 * The answers that `@libp2p/mdns` gives, which name a service and its multiaddrs, with the host behind it: Go peers pass over a
 * service without the address of a host (libp2p/zeroconf: `client.go`).
 */
export function withHost(answers: readonly DnsRecord[]): readonly DnsRecord[] {
  const pointer = answers.find(({ type }) => type === 'PTR')
  const ips = new Set(
    answers.flatMap(({ type, data }) => (type === 'TXT' ? [ipOf(multiaddr(dnsaddrOf(data)))] : [])),
  )
  if (pointer === undefined || ips.size === 0) return answers
  const name = String(pointer.data)
  const target = `${name.split('.')[0]}.local`
  const common = { class: 'IN', ttl: TTL_SECONDS }
  const hosts = [...ips]
    .filter(ip => ip !== undefined)
    .map(ip => ({ ...common, name: target, type: ip.includes(':') ? 'AAAA' : 'A', data: ip }))
  if (hosts.length === 0) return answers
  return [...answers, { ...common, name, type: 'SRV', data: { port: SERVICE_PORT, target } }, ...hosts]
}

function dnsaddrOf(data: unknown): string {
  return String(data).slice('dnsaddr='.length)
}
