import { CodedError } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'

export type IpfsNodeFailure =
  /** `waitedMs`: how long others were asked for it; absent when nobody was. */
  | { readonly code: 'IPFS_BLOCK_MISSING'; readonly cid: string; readonly waitedMs?: number }
  | { readonly code: 'IPFS_BLOCK_CORRUPT'; readonly cid: string }
  /** Bytes. */
  | {
      readonly code: 'IPFS_BLOCK_TOO_BIG'
      readonly cid: string
      readonly size: number
      readonly limit: number
    }
  | { readonly code: 'IPFS_UNKNOWN_HASH'; readonly cid: string; readonly hash: number }
  | { readonly code: 'IPFS_UNKNOWN_CODEC'; readonly cid: string; readonly codec: number }
  /** Bytes. `limit` tells which bound was met: the configured one, or the space on the disk. */
  | {
      readonly code: 'IPFS_REPO_FULL'
      readonly needed: number
      readonly available: number
      readonly limit: 'storageMax' | 'disk'
    }
  | { readonly code: 'IPFS_REPO_LOCKED'; readonly path: string }
  | { readonly code: 'IPFS_REPO_VERSION'; readonly path: string; readonly version: number }
  | { readonly code: 'IPFS_REPO_CLOSED'; readonly path: string }
  | { readonly code: 'IPFS_NOT_PINNED'; readonly cid: string }
  | { readonly code: 'IPFS_PINNED_RECURSIVELY'; readonly cid: string }
  | { readonly code: 'IPFS_NOT_UNIXFS'; readonly path: string }
  | { readonly code: 'IPFS_IS_DIRECTORY'; readonly path: string }
  | { readonly code: 'IPFS_PATH_MISSING'; readonly path: string }
  | { readonly code: 'IPFS_BAD_PATH'; readonly path: string }
  | { readonly code: 'IPFS_BAD_OPTION'; readonly option: string }
  | { readonly code: 'IPFS_DIAL_FAILED'; readonly address: string }

export class IpfsNodeError extends CodedError<IpfsNodeFailure> {
  override readonly name = 'IpfsNodeError'
}

export function isFailure(error: unknown, ...codes: IpfsNodeFailure['code'][]): error is IpfsNodeError {
  return error instanceof IpfsNodeError && codes.includes(error.code)
}

export function blockMissing(cid: CID, waitedMs?: number): IpfsNodeError {
  const asked =
    waitedMs === undefined
      ? 'it is not in the repository'
      : `nobody delivered it within ${waitedMs / 1000} s; connect to a peer that has it, or name a provider`
  return new IpfsNodeError(`block ${cid} not found: ${asked}`, {
    code: 'IPFS_BLOCK_MISSING',
    cid: cid.toString(),
    ...(waitedMs === undefined ? {} : { waitedMs }),
  })
}

export function blockCorrupt(cid: CID, what: string, cause?: unknown): IpfsNodeError {
  return new IpfsNodeError(
    `block ${cid} is corrupt: ${what}`,
    { code: 'IPFS_BLOCK_CORRUPT', cid: cid.toString() },
    cause === undefined ? undefined : { cause },
  )
}

/** @param folder where the blocks are. */
export function repoFull(
  folder: string,
  needed: number,
  available: number,
  limit: 'storageMax' | 'disk',
  cause?: unknown,
): IpfsNodeError {
  const why =
    limit === 'disk'
      ? `the disk of ${folder} has ${available} to spare; free some space, and adding goes on by itself`
      : `storage_max leaves ${available} in ${folder}; unpin and collect garbage, or raise the limit`
  return new IpfsNodeError(
    `repository full: ${needed} bytes needed, ${why}`,
    { code: 'IPFS_REPO_FULL', needed, available, limit },
    cause === undefined ? undefined : { cause },
  )
}

export function badPath(path: string, why: string, cause?: unknown): IpfsNodeError {
  return new IpfsNodeError(
    `invalid path ${JSON.stringify(path)}: ${why}`,
    { code: 'IPFS_BAD_PATH', path },
    cause === undefined ? undefined : { cause },
  )
}
