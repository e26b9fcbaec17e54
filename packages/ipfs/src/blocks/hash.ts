import { hash } from 'node:crypto'
import { equalBytes, hasPrefix } from '@ipfs-cluster/base'
import { create as createDigest } from 'multiformats/hashes/digest'
import { from as hasher } from 'multiformats/hashes/hasher'
import type { MultihashHasher } from 'multiformats/hashes/interface'
import type { CID } from 'multiformats/cid'
import { blockCorrupt, IpfsNodeError } from '../errors.ts'
import { HASH_FUNCTIONS, hashFunctionOfCode } from '../hashes.ts'

/** Multihash code of data kept inside the CID itself. */
export const IDENTITY = 0x00
export const SHA2_256 = 0x12

/** Shortest truncated digest taken as proof (Go: `verifcid`). */
const MIN_DIGEST_BYTES = 20

/** Hash functions of the multicodec table that Node has; a block with one that is neither here nor in `hashes.ts` is refused. */
const ALGORITHMS: Readonly<Record<number, string>> = {
  0x11: 'sha1',
  [SHA2_256]: 'sha256',
  0x13: 'sha512',
  0x14: 'sha3-512',
  0x15: 'sha3-384',
  0x16: 'sha3-256',
  0x17: 'sha3-224',
  0x20: 'sha384',
  0xb240: 'blake2b512',
  0xb260: 'blake2s256',
}

/** The digest of `data`, computed at once: a block is small enough not to hold up the event loop. */
export function sha256(data: Uint8Array): ReturnType<typeof createDigest<typeof SHA2_256>> {
  return createDigest(SHA2_256, hash('sha256', data, 'buffer'))
}

/** Is `data` what `cid` names? @throws IpfsNodeError `IPFS_UNKNOWN_HASH` */
export function matches(cid: CID, data: Uint8Array): boolean {
  const { code, digest } = cid.multihash
  if (code === IDENTITY) return equalBytes(digest, data)
  const full = digestOf(code, data)
  if (full === undefined) {
    throw new IpfsNodeError(
      `block ${cid} cannot be verified: hash function 0x${code.toString(16)} is not supported`,
      { code: 'IPFS_UNKNOWN_HASH', cid: cid.toString(), hash: code },
    )
  }
  return digest.length >= Math.min(MIN_DIGEST_BYTES, full.length) && hasPrefix(full, digest)
}

function digestOf(code: number, data: Uint8Array): Uint8Array | undefined {
  const algorithm = ALGORITHMS[code]
  return algorithm === undefined ? hashFunctionOfCode(code)?.digest(data) : hash(algorithm, data, 'buffer')
}

/** @throws IpfsNodeError `IPFS_BLOCK_CORRUPT`, `IPFS_UNKNOWN_HASH` */
export function verify(cid: CID, data: Uint8Array): void {
  if (!matches(cid, data)) throw blockCorrupt(cid, 'its bytes do not have this hash')
}

/** For whoever verifies blocks by himself. */
export const HASHERS: readonly MultihashHasher[] = [
  ...Object.entries(ALGORITHMS).map(([code, name]) => ({ code: Number(code), name })),
  ...HASH_FUNCTIONS.filter(({ code }) => !Object.hasOwn(ALGORITHMS, code)),
].map(({ code, name }) =>
  hasher({ name, code, encode: data => Uint8Array.from(digestOf(code, data) as Uint8Array) }),
)
