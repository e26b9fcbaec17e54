import type { AbortOptions, InPieces } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'

export interface Block extends InPieces {
  readonly cid: CID
}

export type PinKind = 'recursive' | 'direct'

/** How far a pin has come. */
export interface PinProgress {
  /** Blocks of the DAG known to be here, and their bytes. */
  readonly blocks: number
  readonly bytes: number
  /** Of these, fetched from others by this call. */
  readonly fetchedBlocks: number
  /** Total bytes, where the DAG's root says so (UnixFS/dag-pb sizes). */
  readonly totalBytes?: number
}

export interface IpfsNodeConfig {
  /** Folder of blocks, pins and identity; created when missing. */
  readonly path: string
  /** Swarm listen addresses. @default ["/ip4/0.0.0.0/tcp/4001"] */
  readonly listen: readonly string[]
  /** Peers to connect to at start (multiaddrs with /p2p). */
  readonly bootstrap: readonly string[]
  /**
   * Bytes of blocks allowed (with 46 bytes of header each); writes beyond it are refused. The files may take up to a third more until a
   * garbage collection has compacted them. Independent of it, 256 MiB of the disk are left to others.
   */
  readonly storageMax: number
  /** `none`, or `dhtclient`: find providers through the public DHT (needs `bootstrap`). */
  readonly routing: 'none' | 'dhtclient'
  /** Delegated routing endpoints (`https://…`), asked for providers with `GET /routing/v1/providers/{cid}`. */
  readonly delegatedRouting: readonly string[]
  /** `host:port` form as a multiaddr (`/ip4/127.0.0.1/tcp/8080`); none = no gateway. */
  readonly gateway?: string
  /** May the gateway fetch blocks it does not have? @default true */
  readonly gatewayFetch: boolean
}

export interface AddEntry {
  /** Slash-separated, relative; a directory's own entry is optional. */
  readonly path: string
  /** Absent for a directory. */
  readonly content?: AsyncIterable<Uint8Array>
}

export interface AddOptions extends AbortOptions {
  readonly cidVersion?: 0 | 1
  readonly rawLeaves?: boolean
  /** Put everything into one unnamed directory. */
  readonly wrap?: boolean
  /** `size-<bytes>`. @default "size-262144" */
  readonly chunker?: string
}

export interface DirectoryEntry {
  readonly name: string
  readonly cid: CID
  readonly size: bigint
}

/**
 * @throws IpfsNodeError; codes: `IPFS_BLOCK_MISSING`, `IPFS_BLOCK_CORRUPT`, `IPFS_REPO_FULL`, `IPFS_REPO_LOCKED`, `IPFS_NOT_PINNED`,
 * `IPFS_NOT_UNIXFS`, `IPFS_PATH_MISSING`, `IPFS_BAD_PATH`, `IPFS_PINNED_RECURSIVELY`, and rarer ones (`IpfsNodeFailure`).
 */
export interface IpfsNode extends AsyncDisposable {
  readonly peerId: string
  /** With /p2p. */
  addresses(): readonly string[]
  readonly blocks: {
    /** From here, else (unless `fetch` is false) from others, for a minute. `providers`: peer ids, or multiaddrs with /p2p. */
    get(
      cid: CID,
      options?: AbortOptions & { readonly fetch?: boolean; readonly providers?: readonly string[] },
    ): Promise<Uint8Array>
    has(cid: CID): Promise<boolean>
    /**
     * Stores verified blocks durably, in groups; protects them from a running GC until `hold` is disposed.
     * @param options.verified the caller has computed the hashes itself.
     */
    put(blocks: readonly Block[], options?: AbortOptions & { readonly verified?: boolean }): Promise<void>
  }
  /** While it stands, garbage collection removes nothing that was written since. For adds. */
  hold(): Disposable
  readonly pins: {
    /** Fetches what is missing, then pins. Progress after every block. Safe to repeat. */
    add(
      cid: CID,
      options?: AbortOptions & {
        readonly kind?: PinKind
        readonly maxDepth?: number
        /** @default the name that the pin has, else none */
        readonly name?: string
        readonly providers?: readonly string[]
        readonly onProgress?: (progress: PinProgress) => void
      },
    ): Promise<void>
    /** @throws `IPFS_NOT_PINNED`. */
    rm(cid: CID, options?: AbortOptions): Promise<void>
    /** Moves the pin of `from` to `to`, fetching only what differs. */
    update(
      from: CID,
      to: CID,
      options?: AbortOptions & {
        readonly unpin?: boolean
        readonly onProgress?: (progress: PinProgress) => void
      },
    ): Promise<void>
    kind(cid: CID): Promise<PinKind | undefined>
    ls(
      options?: AbortOptions,
    ): AsyncIterable<{ readonly cid: CID; readonly kind: PinKind; readonly name?: string }>
  }
  readonly unixfs: {
    /**
     * Adds files with Kubo's defaults and so its CIDs; yields each file and directory, children first, the root last, when it is durable.
     * Does not pin. Chunks of content must not be changed after they were handed over.
     */
    add(
      entries: AsyncIterable<AddEntry> | Iterable<AddEntry>,
      options?: AddOptions,
    ): AsyncIterable<{ path: string; cid: CID; size: bigint }>
    /** Bytes of a file (`/ipfs/CID/a/b` or `CID/a/b`), from `offset`, at most `length`. */
    cat(
      path: string,
      options?: AbortOptions & { readonly offset?: number; readonly length?: number },
    ): AsyncIterable<Uint8Array>
    ls(path: string, options?: AbortOptions): AsyncIterable<DirectoryEntry>
  }
  /** The CID a path ends at. */
  resolve(path: string, options?: AbortOptions): Promise<CID>
  readonly repo: {
    stat(): Promise<{ readonly repoSize: bigint; readonly storageMax: bigint; readonly numObjects: number }>
    /** Removes unpinned blocks, yielding each (as raw CIDv1: only its hash is known), then compacts the files. */
    gc(options?: AbortOptions): AsyncIterable<CID>
  }
  readonly swarm: {
    /** @param address multiaddr with /p2p. */
    connect(address: string, options?: AbortOptions): Promise<void>
    peers(): readonly string[]
  }
  /** `http://127.0.0.1:port`, when a gateway is configured. */
  readonly gatewayUrl: string | undefined
}
