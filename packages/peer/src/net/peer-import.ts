import type { Libp2p } from '@libp2p/interface'
import type { Multiaddr as Libp2pMultiaddr } from '@multiformats/multiaddr'
import { errorMessage, type Clock, type Logger } from '@ipfs-cluster/base'
import type { Multiaddr, PeerId } from '@ipfs-cluster/api'
import { isDnsaddr, parseAddress, peerOf, withoutPeer } from './addresses.ts'
import { NetworkError } from './errors.ts'
import type { PeerBook } from './peers.ts'
import { readPeerstore } from './peerstore-file.ts'
import { dnsaddrResolver } from 'libp2p'

/** For one `/dnsaddr` without a peer (Go: `pstoremgr.DNSTimeout`). */
const RESOLVE_TIMEOUT_MS = 5000

export interface PeerImporter {
  /** @throws NetworkError `NET_BAD_ADDRESS` before anything is imported. */
  importPeers(
    addresses: readonly Multiaddr[],
    options: { readonly permanent: boolean; readonly priority: number },
  ): Promise<void>
  /** Peers of a peerstore file, with priorities 1, 2, … in its order. A file that cannot be read is a warning: it is but a memory. */
  importFile(path: string): Promise<void>
}

export function createPeerImporter(components: {
  readonly libp2p: Libp2p
  readonly book: PeerBook
  readonly clock: Clock
  readonly logger: Logger
}): PeerImporter {
  const { libp2p, book, clock, logger } = components

  const log = libp2p.logger.forComponent('dnsaddr')

  /** The addresses behind a `/dnsaddr` that names no peer; none when it cannot be resolved. */
  const resolve = async (address: Libp2pMultiaddr): Promise<Libp2pMultiaddr[]> => {
    try {
      const signal = clock.timeout(RESOLVE_TIMEOUT_MS)
      const found = await dnsaddrResolver.resolve(address, { signal, log })
      return found.filter(one => peerOf(one) !== undefined)
    } catch (error) {
      logger.warn(
        { address: address.toString(), err: error },
        `cannot resolve this address: ${errorMessage(error)}`,
      )
      return []
    }
  }

  const importPeers: PeerImporter['importPeers'] = async (texts, { permanent, priority }) => {
    const parsed = texts.map(parsePeerAddress)
    const resolved = await Promise.all(
      parsed.map(address => (peerOf(address) === undefined ? resolve(address) : [address])),
    )
    for (const [peer, addresses] of groupByPeer(resolved.flat())) {
      await book.add({ peer, addresses, permanent, priority })
    }
  }

  return {
    importPeers,
    async importFile(path) {
      try {
        const file = await readPeerstore(path)
        if (file.invalid.length > 0) {
          logger.warn(
            { path, lines: file.invalid },
            'skipped lines of the peerstore file that are no peer addresses',
          )
        }
        let priority = 1
        for (const [peer, addresses] of groupByPeer(file.addresses.map(parseAddress))) {
          await book.add({ peer, addresses, permanent: false, priority: priority++ })
        }
      } catch (error) {
        logger.warn({ path, err: error }, errorMessage(error))
      }
    },
  }
}

function parsePeerAddress(text: Multiaddr): Libp2pMultiaddr {
  const address = parseAddress(text)
  if (peerOf(address) === undefined && !isDnsaddr(address)) {
    throw new NetworkError(`the peer address ${text} names no peer; add /p2p/<peer id> at its end`, {
      code: 'NET_BAD_ADDRESS',
      address: text,
    })
  }
  return address
}

function groupByPeer(addresses: readonly Libp2pMultiaddr[]): Map<PeerId, Libp2pMultiaddr[]> {
  const peers = new Map<PeerId, Libp2pMultiaddr[]>()
  for (const address of addresses) {
    const peer = peerOf(address)
    if (peer === undefined) continue
    const list = peers.get(peer) ?? []
    list.push(withoutPeer(address))
    peers.set(peer, list)
  }
  return peers
}
