import { errorMessage, type AbortOptions } from '@ipfs-cluster/base'
import {
  exporter,
  walkPath,
  type ReadableStorage,
  type UnixFSDirectory,
  type UnixFSFile,
  type RawNode,
  type IdentityNode,
} from 'ipfs-unixfs-exporter'
import type { CID } from 'multiformats/cid'
import { checkedCid } from '../cid-text.ts'
import { IpfsNodeError } from '../errors.ts'
import type { DirectoryEntry } from '../types.ts'
import { parseContentPath } from './path.ts'
import { readFile, type ReadBlock } from './read-file.ts'

export type Entry =
  | { readonly kind: 'file'; readonly cid: CID; readonly size: number }
  | { readonly kind: 'directory'; readonly cid: CID; readonly list: () => AsyncIterable<DirectoryEntry> }

/**
 * The CID at the end of `path`; `names` walked through directories, HAMTs and dag-cbor links.
 *
 * @throws IpfsNodeError `IPFS_BAD_PATH`, `IPFS_PATH_MISSING`, `IPFS_NOT_UNIXFS`; what `read` throws
 */
export async function resolvePath(path: string, read: ReadBlock, signal: AbortSignal): Promise<CID> {
  const { root, names } = parseContentPath(path)
  if (names.length === 0) return root
  let cid = root
  let remainder = names
  try {
    for await (const step of walkPath([root, ...names].join('/'), storage(read, signal), { signal })) {
      cid = step.cid
      remainder = step.remainder
    }
  } catch (error) {
    throw toNodeError(error, path, signal)
  }
  // The walk ends at a file, or inside a block, without complaint.
  if (remainder.length > 0) throw pathMissing(path)
  return cid
}

/** What `cid` is as UnixFS. @throws IpfsNodeError `IPFS_NOT_UNIXFS`; what `read` throws */
export async function describe(cid: CID, path: string, read: ReadBlock, signal: AbortSignal): Promise<Entry> {
  const entry = await exportEntry(cid, path, read, signal)
  if (entry.type !== 'directory') return { kind: 'file', cid, size: Number(entry.size) }
  return {
    kind: 'directory',
    cid,
    async *list() {
      try {
        for await (const { name, cid, size } of entry.entries({ signal })) yield { name, cid, size }
      } catch (error) {
        throw toNodeError(error, path, signal)
      }
    },
  }
}

/**
 * Bytes of the file at `path`.
 *
 * @throws IpfsNodeError as `resolvePath`, and `IPFS_IS_DIRECTORY`
 */
export async function* cat(
  path: string,
  read: ReadBlock,
  options: AbortOptions & { readonly offset?: number; readonly length?: number } = {},
): AsyncGenerator<Uint8Array> {
  const controller = new AbortController()
  const signal =
    options.signal === undefined ? controller.signal : AbortSignal.any([options.signal, controller.signal])
  const { offset = 0, length } = options
  for (const [option, value] of Object.entries({ offset, length: length ?? 0 })) {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new IpfsNodeError(`${option} must be a whole number of bytes, 0 or more, not ${value}`, {
        code: 'IPFS_BAD_OPTION',
        option,
      })
    }
  }
  try {
    const entry = await describe(await resolvePath(path, read, signal), path, read, signal)
    if (entry.kind === 'directory') {
      throw new IpfsNodeError(`${path} is a directory`, { code: 'IPFS_IS_DIRECTORY', path })
    }
    const end = length === undefined ? entry.size : Math.min(entry.size, offset + length)
    yield* readFile(entry, offset, end, (cid, stop) => read(cid, AbortSignal.any([signal, stop])))
  } finally {
    controller.abort(new DOMException('the reader left', 'AbortError'))
  }
}

export async function* ls(
  path: string,
  read: ReadBlock,
  signal: AbortSignal,
): AsyncGenerator<DirectoryEntry> {
  const entry = await describe(await resolvePath(path, read, signal), path, read, signal)
  if (entry.kind === 'file') {
    throw new IpfsNodeError(`${path} is a file, not a directory`, { code: 'IPFS_NOT_UNIXFS', path })
  }
  yield* entry.list()
}

async function exportEntry(
  cid: CID,
  path: string,
  read: ReadBlock,
  signal: AbortSignal,
): Promise<UnixFSFile | UnixFSDirectory | RawNode | IdentityNode> {
  try {
    const entry = await exporter(cid, storage(read, signal), { signal })
    if (entry.type !== 'object') return entry
  } catch (error) {
    throw toNodeError(error, path, signal)
  }
  throw new IpfsNodeError(`${path} is not UnixFS`, { code: 'IPFS_NOT_UNIXFS', path })
}

/** What `read` threw, on its way through the exporter: everything else that comes out of it is about the bytes. */
class ReadFailure extends Error {}

function storage(read: ReadBlock, signal: AbortSignal): ReadableStorage {
  return {
    async *get(cid) {
      yield await read(checkedCid(cid), signal).catch((cause: unknown) => {
        throw new ReadFailure('a block could not be read', { cause })
      })
    },
  }
}

/** The exporter's errors in our words; those of `read` and of the signal as they are. */
function toNodeError(error: unknown, path: string, signal: AbortSignal): unknown {
  if (error instanceof ReadFailure) return error.cause
  if (signal.aborted || !(error instanceof Error)) return error
  if (error.name === 'NotFoundError' || error.name === 'BadPathError') return pathMissing(path, error)
  // Not only its own errors: its decoders have theirs for malformed blocks, which anybody can make.
  return new IpfsNodeError(
    `${path} is not UnixFS: ${errorMessage(error)}`,
    { code: 'IPFS_NOT_UNIXFS', path },
    { cause: error },
  )
}

function pathMissing(path: string, cause?: unknown): IpfsNodeError {
  return new IpfsNodeError(
    `nothing is at ${path}: a name in it does not exist`,
    { code: 'IPFS_PATH_MISSING', path },
    cause === undefined ? undefined : { cause },
  )
}
