/** Hash functions by multihash name and code, synchronous: a chunk is hashed faster than a worker could be handed it. */
import { hash as nodeHash } from 'node:crypto'
import { blake2b, blake2s } from '@noble/hashes/blake2.js'
import { blake3 } from '@noble/hashes/blake3.js'
import { keccak_224, keccak_256, keccak_384, keccak_512 } from '@noble/hashes/sha3.js'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { unsupported } from './errors.ts'

export const RAW = 0x55
export const DAG_PB = 0x70
export const DAG_CBOR = 0x71
const SHA2_256 = 0x12

export interface Hasher {
  /** Multihash code. */
  readonly code: number
  digest(data: Uint8Array): Uint8Array
}

const node = (code: number, algorithm: string): Hasher => ({
  code,
  digest: data => nodeHash(algorithm, data, 'buffer'),
})

const HASHERS: Readonly<Record<string, Hasher>> = {
  sha1: node(0x11, 'sha1'),
  'sha2-256': node(SHA2_256, 'sha256'),
  'sha2-512': node(0x13, 'sha512'),
  'sha3-512': node(0x14, 'sha3-512'),
  'sha3-384': node(0x15, 'sha3-384'),
  'sha3-256': node(0x16, 'sha3-256'),
  'sha3-224': node(0x17, 'sha3-224'),
  'keccak-224': { code: 0x1a, digest: keccak_224 },
  'keccak-256': { code: 0x1b, digest: keccak_256 },
  'keccak-384': { code: 0x1c, digest: keccak_384 },
  'keccak-512': { code: 0x1d, digest: keccak_512 },
  blake3: { code: 0x1e, digest: blake3 },
  'blake2b-256': { code: 0xb220, digest: data => blake2b(data, { dkLen: 32 }) },
  'blake2b-512': node(0xb240, 'blake2b512'),
  'blake2s-256': { code: 0xb260, digest: data => blake2s(data, { dkLen: 32 }) },
}

const BY_CODE = new Map(Object.values(HASHERS).map(hasher => [hasher.code, hasher]))

/** @throws AdderError `ADD_UNSUPPORTED`; the first words are Go's. */
export function hasherNamed(name: string): Hasher {
  const key = name.toLowerCase()
  if (Object.hasOwn(HASHERS, key)) return HASHERS[key] as Hasher
  const known = Object.keys(HASHERS).join(', ')
  throw unsupported('hash', `hash function name not known: ${JSON.stringify(name)}; use one of ${known}`)
}

export function hasherOfCode(code: number): Hasher | undefined {
  return BY_CODE.get(code)
}

/** Names blocks: the hash, and the CID version of everything but raw leaves, which are always version 1. */
export interface CidBuilder {
  cid(codec: typeof RAW | typeof DAG_PB, data: Uint8Array): CID
}

/** @throws AdderError `ADD_UNSUPPORTED` for CIDv0 with another hash than sha2-256: there is no such CID. */
export function createCidBuilder(hashFun: string, cidVersion: 0 | 1): CidBuilder {
  const hasher = hasherNamed(hashFun)
  if (cidVersion === 0 && hasher.code !== SHA2_256) {
    throw unsupported('cid-version', `the hash ${hashFun} needs CID version 1: add cid-version=1`)
  }
  return {
    cid(codec, data) {
      const digest = createDigest(hasher.code, hasher.digest(data))
      return CID.create(codec === DAG_PB ? cidVersion : 1, codec, digest)
    },
  }
}
