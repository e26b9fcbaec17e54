import type {
  IPFSID,
  IPFSPinInfo,
  IPFSPinStatus,
  IPFSRepoGC,
  IPFSRepoStat,
  Multiaddr,
  NodeWithMeta,
  PeerId,
  Pin,
  PinMode,
} from '@ipfs-cluster/api'
import type { AbortOptions } from '@ipfs-cluster/base'
import type { Block } from '@ipfs-cluster/ipfs'
import type { CID } from 'multiformats/cid'

export interface IpfsHttpConfig {
  /** `/ip4/127.0.0.1/tcp/5001`, `/dns4/…` or `/unix/…`. */
  readonly nodeMultiaddress: Multiaddr
  readonly ipfsRequestTimeoutMs: number
  /** Without progress. */
  readonly pinTimeoutMs: number
  readonly unpinTimeoutMs: number
  readonly repogcTimeoutMs: number
  readonly unpinDisable: boolean
}

export interface DagOptions extends AbortOptions {
  /** Links to follow from the root; 0 is the root alone. @default without end */
  readonly maxDepth?: number | undefined
}

/** Blocks and bytes of a pin so far, where the daemon tells: those that were here already count, too. */
export interface IpfsPinProgress {
  readonly blocks: number
  /** The built-in node and Kubo 0.40 or later. */
  readonly bytes?: number
  /** Of the whole DAG by the links of its root, blocks that occur more than once counted each time. */
  readonly totalBytes?: number
}

/** Whether what was to be pinned is still, or again, in the pinset. Asked once the pin has been logged, or has failed. @throws when that is not known. */
export type IsWanted = (options: AbortOptions) => Promise<boolean>

/** Blocks that are not pinned yet and must not be collected. It goes over from one hold to the next: the later one has to stand first. */
export interface BlockHold {
  /** After its release it stands until this is pinned here, or nobody wants that any more, but not for ever. */
  keepFor(root: CID, isWanted: IsWanted): void
  /** Idempotent. */
  release(): void
}

export interface BlockStreamOptions extends AbortOptions {
  readonly verified?: boolean | undefined
  readonly owned?: boolean | undefined
}

/**
 * @throws IpfsError; codes: `IPFS_UNREACHABLE` (daemon down), `IPFS_REQUEST_FAILED` (it answered with an error), `IPFS_TIMEOUT`,
 * `IPFS_UNPIN_DISABLED`, `IPFS_BAD_PATH`, `IPFS_COLLECTING`, `IPFS_HELD`.
 */
export interface IpfsConnector extends AsyncDisposable {
  id(options?: AbortOptions): Promise<IPFSID>
  /**
   * Pins as the pin says (mode, depth, origins, update). Returns at once when it already is; `isAbsent` says that this has been
   * asked a moment ago (`arePinned`).
   */
  pin(
    pin: Pin,
    options?: AbortOptions & {
      readonly onProgress?: (progress: IpfsPinProgress) => void
      readonly isAbsent?: boolean
    },
  ): Promise<void>
  /**
   * Whether each is pinned already, as `pin` would find; `undefined` where the daemon did not say. For connectors to which one question
   * for many is cheaper than many; without it `pin` asks by itself.
   *
   * @param options.areLikely most of them are thought to be: they are asked for together, and each by itself only when that fails.
   */
  readonly arePinned?:
    | ((
        pins: readonly Pin[],
        options?: AbortOptions & { readonly areLikely?: boolean },
      ) => Promise<readonly (boolean | undefined)[]>)
    | undefined
  /** Not being pinned is success. */
  unpin(cid: CID, options?: AbortOptions): Promise<void>
  /** Recursive and direct pins, streamed. */
  pinLs(options?: AbortOptions): AsyncIterable<IPFSPinInfo>
  pinLsCid(cid: CID, mode: PinMode, options?: AbortOptions): Promise<IPFSPinStatus>
  repoStat(options?: AbortOptions): Promise<IPFSRepoStat>
  repoGC(options?: AbortOptions): AsyncIterable<IPFSRepoGC>
  /** The CID at the end of `/ipfs/…`, `/ipns/…`, `/ipld/…` or of a bare CID. */
  resolve(path: string, options?: AbortOptions): Promise<CID>
  swarmPeers(options?: AbortOptions): Promise<readonly PeerId[]>
  swarmConnect(addresses: readonly Multiaddr[], options?: AbortOptions): Promise<void>
  /**
   * Stores blocks as they come, with back-pressure. Resolves when all are stored. No collection takes any of them before that.
   * @param options.verified the caller has computed the hashes itself.
   * @param options.owned nobody else looks at the blocks: what was lent of them is given back as soon as they are stored or sent.
   */
  blockStream(blocks: AsyncIterable<NodeWithMeta>, options?: BlockStreamOptions): Promise<void>
  blockGet(cid: CID, options?: AbortOptions): Promise<Uint8Array>
  /**
   * The blocks of a DAG, each once, depth first in the order of links; none is verified, and those that are their own CID (identity) only come
   * as the root. What is not here the daemon fetches; it may take `ipfs_request_timeout` for each block, the built-in node a minute.
   */
  dagBlocks(root: CID, options?: DagOptions): AsyncIterable<Block>
  /** Keeps `repoGC` from whatever is put while the hold stands. Absent where nothing collects. */
  readonly hold?: ((options?: AbortOptions) => Promise<BlockHold>) | undefined
}
