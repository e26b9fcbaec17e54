import { open, readFile, rename } from 'node:fs/promises'
import { multiaddr, type Multiaddr as Libp2pMultiaddr } from '@multiformats/multiaddr'
import { errorCode, errorMessage } from '@ipfs-cluster/base'
import { parseMultiaddr, type Multiaddr, type PeerId } from '@ipfs-cluster/api'
import { isDnsAddress, isDnsaddr, peerOf, withPeer } from './addresses.ts'
import { NetworkError } from './errors.ts'

/** A peer with its addresses, without `/p2p`. */
export interface PeerAddresses {
  readonly peer: PeerId
  readonly addresses: readonly Libp2pMultiaddr[]
}

export interface PeerstoreFile {
  /** In the order of the file, each with `/p2p` or a `/dnsaddr` that leads to such. */
  readonly addresses: readonly Multiaddr[]
  /** Lines that look like addresses and are none, or lack a peer. */
  readonly invalid: readonly string[]
}

/** One multiaddr with `/p2p`, or one `/dnsaddr`, a line; lines that do not start with `/` are comments (Go: `pstoremgr.LoadPeerstore`). */
export function parsePeerstore(text: string): PeerstoreFile {
  const addresses: Multiaddr[] = []
  const invalid: string[] = []
  for (const raw of text.split('\n')) {
    const line = raw.trimEnd()
    if (!line.startsWith('/')) continue
    ;(isPeerAddress(line) ? addresses : invalid).push(line)
  }
  return { addresses, invalid }
}

/**
 * Peers in the order given, their addresses sorted. DNS addresses outlive changes of IP addresses: of a peer that has any,
 * only those are written.
 */
export function formatPeerstore(peers: readonly PeerAddresses[]): string {
  let text = ''
  for (const { peer, addresses } of peers) {
    const dns = addresses.filter(isDnsAddress)
    const chosen = dns.length > 0 ? dns : addresses
    for (const line of new Set(chosen.map(address => withPeer(address, peer)).sort())) text += `${line}\n`
  }
  return text
}

/** @returns an empty file when there is none. @throws NetworkError `NET_PEERSTORE_FAILED` */
export async function readPeerstore(path: string): Promise<PeerstoreFile> {
  try {
    return parsePeerstore(await readFile(path, 'utf8'))
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return { addresses: [], invalid: [] }
    throw new NetworkError(
      `cannot read the peerstore file ${path} (${errorMessage(error)}); make it readable, or remove it`,
      { code: 'NET_PEERSTORE_FAILED', path },
      { cause: error },
    )
  }
}

/** Replaces the file in one step. @throws NetworkError `NET_PEERSTORE_FAILED` */
export async function writePeerstore(path: string, peers: readonly PeerAddresses[]): Promise<void> {
  const temporary = `${path}.new`
  try {
    const file = await open(temporary, 'w', 0o644)
    try {
      await file.writeFile(formatPeerstore(peers))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    throw new NetworkError(
      `cannot write the peerstore file ${path} (${errorMessage(error)}); make its folder writable`,
      { code: 'NET_PEERSTORE_FAILED', path },
      { cause: error },
    )
  }
}

function isPeerAddress(line: string): boolean {
  try {
    // First without the library, which takes the square of a long id to read it: the file holds what other peers said of themselves.
    const address = multiaddr(parseMultiaddr(line))
    return peerOf(address) !== undefined || isDnsaddr(address)
  } catch {
    // Reported by the caller as an invalid line.
    return false
  }
}
