import { errorCode, lengthOf, Limiter, type AbortOptions, type Logger, type Store } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { blockCorrupt, IpfsNodeError } from '../errors.ts'
import type { Block } from '../types.ts'
import { openBlockIndex, type BlockIndex } from './block-index.ts'
import { createGroupCommit, type GroupCommit } from './group-commit.ts'
import { compact } from './compaction.ts'
import { IDENTITY, matches, verify } from './hash.ts'
import { createProtection, type Protection } from './protection.ts'
import { rebuildIndex } from './rebuild.ts'
import { keyOf, MAX_MULTIHASH_BYTES, type Location } from './record.ts'
import { createSegmentFiles, type SegmentFiles } from './segment-files.ts'
import { createSegmentWriter, type SegmentWriter } from './segment-writer.ts'

/** Bigger blocks are refused: nobody would take them from us over bitswap (2 MiB is what everybody accepts). */
export const MAX_BLOCK_BYTES = 4 * 1024 * 1024
/** Space left to others on the disk. */
export const DISK_RESERVE_BYTES = 256 * 1024 * 1024

export interface BlockStoreComponents {
  readonly store: Store
  readonly logger: Logger
  /** Bytes free on the disk of the segments. */
  readonly diskFree: () => Promise<number>
  /** Told of every block that was not here before, once it is durable. Bytes that are wanted have to be taken (`data`) before it returns. */
  readonly onStored?: (blocks: readonly Block[]) => void
}

export interface BlockStoreConfig {
  /** Folder of the segment files; must exist. */
  readonly folder: string
  /** Bytes of blocks, with 46 bytes of header each (sha2-256). */
  readonly storageMax: number
  /** A segment at least this long is not written to any more. @default 256 MiB */
  readonly segmentBytes?: number
}

export interface BlockInfo {
  readonly size: number
  /** Known to link to nothing when read as dag-pb, so that walks need not read it. */
  readonly leaf: boolean
}

/**
 * Blocks by multihash: appended to segment files, found through an index in the ordered store. A group of blocks is acknowledged when
 * the segment is synced and the index rows, written after it in one synced batch, are too; what a crash leaves behind
 * the last indexed byte is cut off at the next start. Every read is checked against the hash.
 */
export interface BlockStore extends AsyncDisposable {
  readonly protection: Protection
  /**
   * `undefined` when it is not here.
   * @throws IpfsNodeError `IPFS_BLOCK_CORRUPT`; after that the block counts as missing, so that it can be stored anew.
   */
  get(cid: CID): Promise<Uint8Array | undefined>
  info(cid: CID): Promise<BlockInfo | undefined>
  /**
   * Durable when it resolves. A signal ends the waiting, not the writing.
   * @param options.verified the caller has computed the hashes itself.
   * @throws IpfsNodeError `IPFS_BLOCK_CORRUPT`, `IPFS_BLOCK_TOO_BIG`, `IPFS_UNKNOWN_HASH`, `IPFS_REPO_FULL`, `IPFS_REPO_CLOSED`
   */
  put(blocks: readonly Block[], options?: AbortOptions & { readonly verified?: boolean }): Promise<void>
  entries(options?: AbortOptions): AsyncIterable<readonly [multihash: Uint8Array, info: BlockInfo]>
  /** Removes those that `allowed` still lets go at the moment of removal; returns them. */
  remove(
    multihashes: readonly Uint8Array[],
    allowed: (multihash: Uint8Array) => boolean,
  ): Promise<Uint8Array[]>
  /** Gives the space of removed blocks back to the disk. */
  compact(options?: AbortOptions): Promise<void>
  /** Bytes and number of blocks. */
  totals(): { readonly bytes: number; readonly count: number }
}

export async function openBlockStore(
  components: BlockStoreComponents,
  config: BlockStoreConfig,
): Promise<BlockStore> {
  const files = createSegmentFiles(config.folder)
  const index = await openBlockIndex(components.store)
  await recover(index, files, components.logger)
  return new SegmentBlockStore(components, config, files, index)
}

/** Cuts off what was written but never acknowledged; rebuilds the index when it is gone. */
async function recover(index: BlockIndex, files: SegmentFiles, logger: Logger): Promise<void> {
  const present = await files.list()
  if (index.segments.size === 0 && present.length > 0) await rebuildIndex(index, files, logger)
  for (const segment of present) {
    const committed = index.segments.get(segment)?.size
    if (committed === undefined) {
      await files.remove(segment)
      continue
    }
    const size = await files.size(segment)
    if (size > committed) await files.truncate(segment, committed)
    if (size < committed) {
      logger.error(
        { segment, size, committed },
        'a segment file is shorter than its index says: blocks were lost',
      )
    }
  }
}

interface Removal {
  readonly keys: ReadonlySet<string>
  readonly finished: Promise<void>
}

class SegmentBlockStore implements BlockStore {
  readonly protection = createProtection()
  readonly #components: BlockStoreComponents
  readonly #files: SegmentFiles
  readonly #index: BlockIndex
  readonly #writer: SegmentWriter
  /** One group is written at a time, and one is synced and indexed; the two may overlap. */
  readonly #writing = new Limiter(1)
  readonly #committing = new Limiter(1)
  readonly #commits: GroupCommit
  #removal: Removal | undefined

  constructor(
    components: BlockStoreComponents,
    config: BlockStoreConfig,
    files: SegmentFiles,
    index: BlockIndex,
  ) {
    this.#components = components
    this.#files = files
    this.#index = index
    this.#writer = createSegmentWriter(index, files, config.segmentBytes)
    this.#commits = createGroupCommit({
      folder: config.folder,
      index,
      writer: this.#writer,
      writing: this.#writing,
      committing: this.#committing,
      quota: () => config.storageMax - index.totals().bytes,
      diskFree: async () => (await components.diskFree()) - DISK_RESERVE_BYTES,
      onStored: components.onStored ?? (() => undefined),
    })
  }

  totals(): { readonly bytes: number; readonly count: number } {
    return this.#index.totals()
  }

  async info(cid: CID): Promise<BlockInfo | undefined> {
    const { code, bytes, digest } = cid.multihash
    if (code === IDENTITY) return { size: digest.length, leaf: false }
    const location = await this.#locate(bytes)
    return location === undefined ? undefined : { size: location.length, leaf: location.leaf }
  }

  async get(cid: CID): Promise<Uint8Array | undefined> {
    const { code, bytes, digest } = cid.multihash
    if (code === IDENTITY) return digest
    let location = await this.#locate(bytes)
    while (location !== undefined) {
      const data = await this.#read(location)
      if (data !== undefined && matches(cid, data)) return data
      // Compaction may have moved it and removed the file in between.
      const now = await this.#locate(bytes)
      if (now?.segment === location.segment && now.offset === location.offset) {
        throw await this.#discard(cid, location)
      }
      location = now
    }
    return undefined
  }

  async put(
    blocks: readonly Block[],
    { signal, verified = false }: AbortOptions & { readonly verified?: boolean } = {},
  ): Promise<void> {
    const kept = blocks.filter(({ cid }) => cid.multihash.code !== IDENTITY)
    for (const block of kept) {
      const { cid } = block
      checkSize(cid, lengthOf(block))
      if (!verified) verify(cid, block.data)
      this.protection.touch(cid.multihash.bytes)
    }
    await this.#commits.put(kept, { signal })
  }

  async *entries(options?: AbortOptions): AsyncGenerator<readonly [Uint8Array, BlockInfo]> {
    for await (const [multihash, { length, leaf }] of this.#index.entries(options)) {
      yield [multihash, { size: length, leaf }]
    }
  }

  async remove(
    multihashes: readonly Uint8Array[],
    allowed: (multihash: Uint8Array) => boolean,
  ): Promise<Uint8Array[]> {
    return await this.#alone(async () => {
      const locations = await this.#index.locateMany(multihashes)
      const finished = Promise.withResolvers<void>()
      // From the look at `allowed` to the setting of `#removal` nothing else can run: whoever touches a block later
      // waits for this removal before it looks.
      const changes = multihashes.flatMap((multihash, i) => {
        const from = locations[i]
        return from !== undefined && allowed(multihash) ? [{ multihash, from }] : []
      })
      this.#removal = {
        keys: new Set(changes.map(({ multihash }) => keyOf(multihash))),
        finished: finished.promise,
      }
      try {
        await this.#index.apply(changes)
      } finally {
        this.#removal = undefined
        finished.resolve()
      }
      return changes.map(({ multihash }) => multihash)
    })
  }

  async compact(options?: AbortOptions): Promise<void> {
    const { diskFree, logger } = this.#components
    await compact(
      {
        index: this.#index,
        files: this.#files,
        writer: this.#writer,
        alone: (step, abort) => this.#alone(step, abort),
        logger,
        diskFree: async () => (await diskFree()) - DISK_RESERVE_BYTES,
      },
      options,
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#commits.close()
    // Waits for a removal or a compaction step under way.
    await this.#alone(async () => await this.#files[Symbol.asyncDispose]())
  }

  async #locate(multihash: Uint8Array): Promise<Location | undefined> {
    while (this.#removal?.keys.has(keyOf(multihash)) === true) await this.#removal.finished
    return await this.#index.locate(multihash)
  }

  /** `undefined` when the segment has not that many bytes, or is gone. */
  async #read({ segment, offset, length }: Location): Promise<Uint8Array | undefined> {
    const data = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
    try {
      return (await this.#files.read(segment, data, offset)) === length ? data : undefined
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    }
  }

  /** Takes a damaged block out of the index. */
  async #discard(cid: CID, { segment, offset }: Location): Promise<Error> {
    this.#components.logger.error(
      { cid: cid.toString(), segment, offset },
      'a stored block does not have its hash: it is dropped and will be fetched anew when needed',
    )
    await this.#committing.run(async () => {
      const from = await this.#index.locate(cid.multihash.bytes)
      if (from?.segment !== segment || from.offset !== offset) return
      await this.#index.apply([{ multihash: cid.multihash.bytes, from }])
    })
    return blockCorrupt(cid, 'the bytes read from the disk do not have this hash')
  }

  /** Changes segments or index with no put in the middle. */
  #alone<T>(step: () => Promise<T>, options?: AbortOptions): Promise<T> {
    return this.#writing.run(() => this.#committing.run(step, options), options)
  }
}

function checkSize(cid: CID, size: number): void {
  if (size > MAX_BLOCK_BYTES) {
    throw new IpfsNodeError(
      `block ${cid} is too big: ${size} bytes, at most ${MAX_BLOCK_BYTES} are stored; use a smaller chunk size`,
      { code: 'IPFS_BLOCK_TOO_BIG', cid: cid.toString(), size, limit: MAX_BLOCK_BYTES },
    )
  }
  if (cid.multihash.bytes.length > MAX_MULTIHASH_BYTES) {
    throw new IpfsNodeError(`block ${cid} has a hash of more than ${MAX_MULTIHASH_BYTES} bytes`, {
      code: 'IPFS_UNKNOWN_HASH',
      cid: cid.toString(),
      hash: cid.multihash.code,
    })
  }
}
