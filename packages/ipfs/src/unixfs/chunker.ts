import { IpfsNodeError } from '../errors.ts'

/** Kubo's default. */
const DEFAULT_CHUNK_BYTES = 256 * 1024
/** Bigger chunks make blocks that bitswap peers do not take. */
const MAX_CHUNK_BYTES = 2 * 1024 * 1024 - 256

/**
 * The chunk size in Kubo's notation: `size-262144`, `default`. Not `rabin` and `buzhash`: the importer has no buzhash, and its rabin cuts
 * differ from Kubo's, so that the same file would get another CID.
 *
 * @throws IpfsNodeError `IPFS_BAD_OPTION`
 */
export function parseChunker(text = 'default'): number {
  if (text === 'default' || text === '') return DEFAULT_CHUNK_BYTES
  const chunkSize = Number(/^size-(\d+)$/.exec(text)?.[1])
  if (chunkSize >= 1 && chunkSize <= MAX_CHUNK_BYTES) return chunkSize
  throw new IpfsNodeError(
    `chunker ${JSON.stringify(text)} is not supported by the built-in IPFS node: use size-<bytes>, up to ${MAX_CHUNK_BYTES}`,
    { code: 'IPFS_BAD_OPTION', option: 'chunker' },
  )
}
