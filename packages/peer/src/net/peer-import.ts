import type { Libp2p } from '@libp2p/interface'
import type { Multiaddr as Libp2pMultiaddr } from '@multiformats/multiaddr'
import { anySignal, errorMessage, type Clock, type Logger, type TaskScope } from '@ipfs-cluster/base'
import type { Multiaddr, PeerId } from '@ipfs-cluster/api'
import { isDnsaddr, parseAddress, peerOf, withoutPeer } from './addresses.ts'
import { NetworkError } from './errors.ts'
import type { PeerBook } from './peers.ts'
import { readPeerstore } from './peerstore-file.ts'
import { dnsaddrResolver } from 'libp2p'

/** For one `/dnsaddr` without a peer (Go: `pstoremgr.DNSTimeout`). */
const RESOLVE_TIMEOUT_MS = 5000

/** Between attempts to resolve a `/dnsaddr` that did not: doubled each time, up to the latter. Go tries once. */
const FIRST_RETRY_MS = 5000
const LAST_RETRY_MS = 10 * 60 * 1000

/** After a day nobody expects it any more. */
const MAX_RETRIES = 150

/** Addresses taken from one `/dnsaddr`. */
const MAX_RESOLVED = 256

export interface ImportOptions {
  readonly permanent: boolean
  readonly priority: number
}

type DnsaddrResolver = Pick<typeof dnsaddrResolver, 'resolve'>

export interface PeerImporter {
  /** @throws NetworkError `NET_BAD_ADDRESS` before anything is imported. */
  importPeers(addresses: readonly Multiaddr[], options: ImportOptions): Promise<void>
  /** Peers of a peerstore file, with priorities 1, 2, … in its order. A file that cannot be read is a warning: it is but a memory. */
  importFile(path: string): Promise<void>
}

export function createPeerImporter(components: {
  readonly libp2p: Libp2p
  readonly book: PeerBook
  readonly clock: Clock
  readonly logger: Logger
  readonly scope: Pick<TaskScope, 'run'>
  /** The addresses behind a `/dnsaddr`. @default by DNS */
  readonly resolver?: DnsaddrResolver
}): PeerImporter {
  const { libp2p, book, clock, logger, scope, resolver = dnsaddrResolver } = components

  const log = libp2p.logger.forComponent('dnsaddr')

  /** The addresses behind a `/dnsaddr` that names no peer; `undefined` when it cannot be resolved. */
  const resolve = async (address: Libp2pMultiaddr, stopped?: AbortSignal) => {
    try {
      const signal = anySignal(clock.timeout(RESOLVE_TIMEOUT_MS), stopped) as AbortSignal
      const found = (await resolver.resolve(address, { signal, log })).filter(
        one => peerOf(one) !== undefined,
      )
      if (found.length > 0) return found.slice(0, MAX_RESOLVED)
      logger.warn({ address: address.toString() }, 'this address leads to no peer; will go on trying')
    } catch (error) {
      stopped?.throwIfAborted()
      logger.warn(
        { address: address.toString(), err: error },
        `cannot resolve this address, will go on trying: ${errorMessage(error)}`,
      )
    }
    return undefined
  }

  const add = async (addresses: readonly Libp2pMultiaddr[], how: ImportOptions): Promise<void> => {
    for (const [peer, own] of groupByPeer(addresses)) await book.add({ peer, addresses: own, ...how })
  }

  const retry = async (address: Libp2pMultiaddr, how: ImportOptions, signal: AbortSignal): Promise<void> => {
    let delayMs = FIRST_RETRY_MS
    for (let retries = 0; retries < MAX_RETRIES; retries++) {
      await clock.sleep(delayMs, { signal })
      const found = await resolve(address, signal)
      if (found !== undefined) return await add(found, how)
      delayMs = Math.min(2 * delayMs, LAST_RETRY_MS)
    }
    logger.error(
      { address: address.toString() },
      'gave up resolving this address; check the name in peer_addresses',
    )
  }

  /** At once where the address names its peer, else as soon as it can be resolved. */
  const importAddress = async (address: Libp2pMultiaddr, how: ImportOptions): Promise<void> => {
    if (peerOf(address) !== undefined) return await add([address], how)
    const found = await resolve(address)
    if (found !== undefined) return await add(found, how)
    scope.run('resolve a dnsaddr', signal => retry(address, how, signal))
  }

  const importPeers: PeerImporter['importPeers'] = async (texts, how) => {
    const parsed = texts.map(parsePeerAddress)
    await Promise.all(parsed.map(address => importAddress(address, how)))
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
        const parsed = file.addresses.map(parseAddress)
        const named = parsed.filter(address => peerOf(address) !== undefined)
        let priority = 1
        for (const [peer, addresses] of groupByPeer(named)) {
          await book.add({ peer, addresses, permanent: false, priority: priority++ })
        }
        const unnamed = parsed.filter(address => peerOf(address) === undefined)
        await Promise.all(unnamed.map(one => importAddress(one, { permanent: false, priority: priority++ })))
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
