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

/** Blocks and bytes of a pin so far, where the daemon tells: those that were here already count, too. */
export interface IpfsPinProgress {
  readonly blocks: number
  /** The built-in node and Kubo 0.40 or later. */
  readonly bytes?: number
  /** Of the whole DAG by the links of its root, blocks that occur more than once counted each time. */
  readonly totalBytes?: number
}

/**
 * @throws IpfsError; codes: `IPFS_UNREACHABLE` (daemon down), `IPFS_REQUEST_FAILED` (it answered with an error), `IPFS_TIMEOUT`,
 * `IPFS_UNPIN_DISABLED`, `IPFS_BAD_PATH`.
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
   */
  readonly arePinned?:
    ((pins: readonly Pin[], options?: AbortOptions) => Promise<readonly (boolean | undefined)[]>) | undefined
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
  /** Stores blocks as they come, with back-pressure. Resolves when all are stored. */
  blockStream(blocks: AsyncIterable<NodeWithMeta>, options?: AbortOptions): Promise<void>
  blockGet(cid: CID, options?: AbortOptions): Promise<Uint8Array>
}
