import type { AbortOptions } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'

/**
 * What the server may hand out; looked up by multihash, whatever the codec and version of the CID.
 * The bytes are sent as they are: they must not change afterwards.
 */
export interface BitswapBlocks {
  get(cid: CID): Promise<Uint8Array | undefined>
  /** Bytes, without reading the block. */
  size(cid: CID): Promise<number | undefined>
}

export interface WantOptions extends AbortOptions {
  /** Peers (text ids) thought to have it: asked first, with want-block at once. */
  readonly providers?: readonly string[]
}

export interface BitswapSession extends Disposable {
  /** One block, verified. Waits until somebody delivers it or the signal fires: a DONT_HAVE is not final. */
  get(cid: CID, options?: WantOptions): Promise<Uint8Array>
  /** Peers that may have the blocks of this session, learned later. */
  addProviders(peers: readonly string[]): void
}

export interface BitswapStats {
  readonly blocksReceived: number
  readonly bytesReceived: number
  readonly blocksSent: number
  readonly bytesSent: number
  readonly duplicateBlocks: number
  /** Blocks that nobody here had asked for: wrong data of a peer, dropped. */
  readonly invalidBlocks?: number
  /** Our unanswered wants, and those of others that we remember. */
  readonly wantsPending: number
  readonly peerWants: number
}

export interface Bitswap extends AsyncDisposable {
  /** Asks related blocks of the peers that delivered before; dispose of it to cancel its wants. */
  session(options?: WantOptions): BitswapSession
  /** A session of one block. */
  get(cid: CID, options?: WantOptions): Promise<Uint8Array>
  /** These blocks are in `BitswapBlocks` now: answer peers that wait for them, and our own wants. */
  notify(blocks: readonly { readonly cid: CID; readonly data: Uint8Array }[]): void
  stats(): BitswapStats
}
