import { raceSignal } from '@ipfs-cluster/base'
import { importer, type ImportCandidate, type ImportResult, type WritableStorage } from 'ipfs-unixfs-importer'
import { balanced } from 'ipfs-unixfs-importer/layout'
import type { CID } from 'multiformats/cid'
import type { BlockStore } from '../blocks/block-store.ts'
import { badPath } from '../errors.ts'
import type { AddEntry, AddOptions, Block } from '../types.ts'
import { parseChunker } from './chunker.ts'
import { leafImporter } from './leaves.ts'
import { directoryBuilder } from './directories.ts'

/** Links of an inner file node, as in Kubo. */
const FILE_LINKS = 174
/** Files imported at a time: enough to fill a group of blocks when all of them are small. */
const FILES_AT_ONCE = 64
/** Chunks of one file hashed ahead of the disk. */
const CHUNKS_AT_ONCE = 32
/** Bytes handed to the block store and not yet durable; the import pauses while there are more. */
const UNWRITTEN_BYTES = 32 * 1024 * 1024
/** Results held back so that they become durable together. */
const RESULTS_AT_ONCE = 256

export interface AddedEntry {
  readonly path: string
  readonly cid: CID
  /** Of the whole DAG, in bytes, with the wrapping. */
  readonly size: bigint
}

/**
 * Imports files with Kubo's defaults, so that the CIDs are those of `ipfs add` (and with `cidVersion: 1` those of
 * `ipfs add --cid-version 1`). Every entry yielded is durable. The chunks of a file's content must not be changed after they
 * were handed over.
 *
 * @throws IpfsNodeError `IPFS_BAD_PATH`, `IPFS_BAD_OPTION`, `IPFS_REPO_FULL`
 */
export async function* addFiles(
  blocks: BlockStore,
  entries: AsyncIterable<AddEntry> | Iterable<AddEntry>,
  options: AddOptions = {},
): AsyncGenerator<AddedEntry> {
  const { cidVersion = 0, signal, wrap = false } = options
  const queue = new WriteQueue(blocks)
  const results = importer(candidates(entries, signal), queue, {
    cidVersion,
    // The buffer importer cuts the chunks itself.
    chunker: source => source,
    chunkValidator: source => source,
    bufferImporter: leafImporter({
      chunkSize: parseChunker(options.chunker),
      cidVersion,
      raw: options.rawLeaves ?? cidVersion === 1,
    }),
    layout: balanced({ maxChildrenPerNode: FILE_LINKS }),
    fileImportConcurrency: FILES_AT_ONCE,
    blockWriteConcurrency: CHUNKS_AT_ONCE,
    treeBuilder: directoryBuilder({ wrap, cidVersion }),
  })
  using _held = blocks.protection.hold()
  try {
    let ready: ImportResult[] = []
    for await (const result of results) {
      ready.push(result)
      if (ready.length < RESULTS_AT_ONCE) continue
      await queue.flush(signal)
      yield* ready.map(toEntry)
      ready = []
    }
    await queue.flush(signal)
    yield* ready.map(toEntry)
  } finally {
    await queue.settle()
  }
}

function toEntry({ path, cid, size }: ImportResult): AddedEntry {
  return { path: path ?? '', cid, size }
}

async function* candidates(
  entries: AsyncIterable<AddEntry> | Iterable<AddEntry>,
  signal: AbortSignal | undefined,
): AsyncGenerator<ImportCandidate> {
  for await (const { path, content } of entries) {
    signal?.throwIfAborted()
    const clean = cleanPath(path)
    yield content === undefined ? { path: clean } : { path: clean, content: abortable(content, signal) }
  }
}

async function* abortable(
  content: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of content) {
    signal?.throwIfAborted()
    yield chunk
  }
}

function cleanPath(path: string): string {
  const names = path.split('/').filter(name => name !== '' && name !== '.')
  if (names.includes('..')) throw badPath(path, 'an added path must not contain ".."')
  return names.join('/')
}

/** Hands blocks to the store without waiting for each to be durable. */
class WriteQueue implements WritableStorage {
  readonly #blocks: BlockStore
  readonly #writing = new Set<Promise<void>>()
  #bytes = 0
  #failed = false
  #error: unknown

  constructor(blocks: BlockStore) {
    this.#blocks = blocks
  }

  async put(cid: CID, data: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>): Promise<CID> {
    if (!(data instanceof Uint8Array)) throw new Error('invariant broken: the importer writes whole blocks')
    this.#start({ cid, data })
    while (this.#bytes > UNWRITTEN_BYTES && !this.#failed) await Promise.race(this.#writing)
    if (this.#failed) throw this.#error
    return cid
  }

  /** Resolves when everything put so far is durable. */
  async flush(signal: AbortSignal | undefined): Promise<void> {
    await raceSignal(this.settle(), signal)
    if (this.#failed) throw this.#error
  }

  async settle(): Promise<void> {
    await Promise.all(this.#writing)
  }

  #start(block: Block): void {
    this.#bytes += block.data.length
    const writing = this.#blocks
      .put([block], { verified: true })
      .catch((error: unknown) => {
        this.#error = this.#failed ? this.#error : error
        this.#failed = true
      })
      .finally(() => {
        this.#bytes -= block.data.length
        this.#writing.delete(writing)
      })
    this.#writing.add(writing)
  }
}
