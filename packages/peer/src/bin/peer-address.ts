import { multiaddr } from '@multiformats/multiaddr'

/** An address of a peer, as somebody typed it. */
export interface PeerAddress {
  /** With /p2p, where it was written as /ipfs, too. */
  readonly address: string
  /** `undefined`: the address does not name its peer. */
  readonly id: string | undefined
  /** The address says more than the id. */
  readonly isReachable: boolean
}

/** @throws Error when it is no multiaddress. */
export function parsePeerAddress(text: string): PeerAddress {
  const address = multiaddr(text.trim())
  const parts = address.getComponents()
  const id = parts.findLast(part => part.name === 'p2p')?.value
  return { address: address.toString(), id, isReachable: parts.length > 1 }
}

/** Peers to join are trusted like those of the configuration. */
export function trustedWith(
  trusted: 'all' | readonly string[],
  bootstrap: readonly PeerAddress[],
): 'all' | readonly string[] {
  if (trusted === 'all') return trusted
  return [...new Set([...trusted, ...bootstrap.flatMap(({ id }) => id ?? [])])]
}
