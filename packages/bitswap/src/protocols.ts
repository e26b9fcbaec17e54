import type { Libp2p } from '@libp2p/interface'

/** Offered in this order. The last is that of the first Go nodes; it has the messages of 1.0. */
export const BITSWAP_PROTOCOLS: readonly string[] = [
  '/ipfs/bitswap/1.2.0',
  '/ipfs/bitswap/1.1.0',
  '/ipfs/bitswap/1.0.0',
  '/ipfs/bitswap',
]

/**
 * 1.0: blocks without a prefix, always of CIDv0; 1.1: with a prefix; 1.2: also want-have, HAVE and DONT_HAVE.
 */
export type BitswapVersion = '1.0' | '1.1' | '1.2'

export function bitswapVersion(protocol: string): BitswapVersion {
  if (protocol.endsWith('/1.2.0')) return '1.2'
  return protocol.endsWith('/1.1.0') ? '1.1' : '1.0'
}

/** What is used of a libp2p node. */
export type BitswapHost = Pick<
  Libp2p,
  'handle' | 'unhandle' | 'getConnections' | 'getPeers' | 'addEventListener' | 'removeEventListener'
>
