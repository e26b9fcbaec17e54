/** The names of blocks. */
import { hashFunctionNamed, hashFunctionOfCode, type HashFunction } from '@ipfs-cluster/ipfs/hashes'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { unsupported } from './errors.ts'

export const RAW = 0x55
export const DAG_PB = 0x70
export const DAG_CBOR = 0x71
const SHA2_256 = 0x12

export type Hasher = Pick<HashFunction, 'code' | 'digest'>

/** @throws AdderError `ADD_UNSUPPORTED`; the first words are Go's. */
export function hasherNamed(name: string): Hasher {
  const known = hashFunctionNamed(name)
  if (known !== undefined) return known
  throw unsupported(
    'hash',
    `hash function name not known: ${JSON.stringify(name)}; use sha2-256, or another one that Kubo has ("ipfs cid hashes")`,
  )
}

export const hasherOfCode: (code: number) => Hasher | undefined = hashFunctionOfCode

/** Names blocks: the hash, and the CID version of everything but raw leaves, which are always version 1. */
export interface CidBuilder {
  /** @param pieces bytes of the block, in order. */
  cid(codec: typeof RAW | typeof DAG_PB, pieces: readonly Uint8Array[]): CID
}

/** @throws AdderError `ADD_UNSUPPORTED` for CIDv0 with another hash than sha2-256: there is no such CID. */
export function createCidBuilder(hashFun: string, cidVersion: 0 | 1): CidBuilder {
  const hasher = hasherNamed(hashFun)
  if (cidVersion === 0 && hasher.code !== SHA2_256) {
    throw unsupported('cid-version', `the hash ${hashFun} needs CID version 1: add cid-version=1`)
  }
  return {
    cid(codec, pieces) {
      const digest = createDigest(hasher.code, hasher.digest(...pieces))
      return CID.create(codec === DAG_PB ? cidVersion : 1, codec, digest)
    },
  }
}
