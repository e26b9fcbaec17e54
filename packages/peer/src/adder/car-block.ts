/** What can be said of a block by itself: whether it is what its CID says, and where it leads to. */
import { equalBytes, piecesOf } from '@ipfs-cluster/base'
import { linksOf, type Block } from '@ipfs-cluster/ipfs/car'
import type { CID } from 'multiformats/cid'
import { hasherOfCode } from './hashing.ts'

/** Multihash code of a CID that holds its block itself. */
const IDENTITY = 0
/** Bytes that such a CID may hold; IPFS daemons refuse longer ones (Go: `verifcid`). */
const MAX_IDENTITY_BYTES = 128
const V0_BYTES = 34
/** Bytes of a CID, far above what a digest needs. */
const MAX_CID_BYTES = 2048

export function isIdentity(cid: CID): boolean {
  return cid.multihash.code === IDENTITY
}

/** `undefined`: nobody here knows the hash function. */
export function matchesCid(block: Block): boolean | undefined {
  const { code, digest } = block.cid.multihash
  if (code === IDENTITY) return equalBytes(block.data, digest)
  const hasher = hasherOfCode(code)
  return hasher === undefined ? undefined : equalBytes(hasher.digest(...piecesOf(block)), digest)
}

/**
 * The blocks that this one leads to.
 *
 * @throws IpfsNodeError `IPFS_UNKNOWN_CODEC`, or what a decoder throws; RangeError for a link that no IPFS daemon would follow.
 */
export function linksBeyond(cid: CID, data: Uint8Array): readonly CID[] {
  return withoutIdentities(linksOf(cid, data))
}

/** What these lead to beyond themselves. A CID inside a CID is shorter than it, so that this ends. @throws RangeError */
export function withoutIdentities(cids: readonly CID[]): readonly CID[] {
  for (const { version, bytes } of cids) {
    // The library takes a digest of any length, and writes it as text in the square of it.
    if (bytes.length > MAX_CID_BYTES || (version === 0 && bytes.length !== V0_BYTES)) {
      throw new RangeError(`a CIDv${version} of ${bytes.length} bytes`)
    }
  }
  if (!cids.some(isIdentity)) return cids
  const found: CID[] = []
  const open = cids.toReversed()
  for (let cid = open.pop(); cid !== undefined; cid = open.pop()) {
    if (!isIdentity(cid)) {
      found.push(cid)
      continue
    }
    const { digest } = cid.multihash
    if (digest.length > MAX_IDENTITY_BYTES) {
      throw new RangeError(
        `a CID that holds a block of ${digest.length} bytes; at most ${MAX_IDENTITY_BYTES} are allowed`,
      )
    }
    open.push(...linksOf(cid, digest).toReversed())
  }
  return found
}
