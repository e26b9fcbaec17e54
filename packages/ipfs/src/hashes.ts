/**
 * The hash functions of blocks, by multihash code: those that Kubo makes and takes (go-multihash `register/all`, boxo `verifcid`), so that
 * whatever a daemon holds can be verified here, and whatever is made here can be held there.
 */
import { createHash, hash as nodeHash } from 'node:crypto'
import { joined } from '@ipfs-cluster/base'
import { blake2b, blake2s } from '@noble/hashes/blake2.js'
import { blake3 } from '@noble/hashes/blake3.js'
import { keccak_256, keccak_512, shake256 } from '@noble/hashes/sha3.js'

/** Synchronous: a block is hashed faster than a worker could be handed it. */
export interface HashFunction {
  readonly code: number
  /** Go's name; lower case. */
  readonly name: string
  /** Of the bytes of all pieces, one behind the other. */
  digest(...pieces: readonly Uint8Array[]): Uint8Array
}

/** Shortest digest that proves anything. */
const MIN_DIGEST_BYTES = 20
/** blake2b has a code for each length: this and the bytes of the digest. */
const BLAKE2B = 0xb200
const BLAKE2B_MAX_BYTES = 64
const SHAKE_256_BYTES = 64

const native = (name: string, code: number, algorithm: string): HashFunction => ({
  name,
  code,
  digest: (...pieces) => nativeDigest(algorithm, pieces),
})

function nativeDigest(algorithm: string, pieces: readonly Uint8Array[]): Uint8Array {
  if (pieces.length === 1) return nodeHash(algorithm, pieces[0] as Uint8Array, 'buffer')
  const hash = createHash(algorithm)
  for (const piece of pieces) hash.update(piece)
  return hash.digest()
}

const inScript = (name: string, code: number, digest: (data: Uint8Array) => Uint8Array): HashFunction => ({
  name,
  code,
  digest: (...pieces) => digest(joined(pieces)),
})

export const HASH_FUNCTIONS: readonly HashFunction[] = [
  native('sha1', 0x11, 'sha1'),
  native('sha2-256', 0x12, 'sha256'),
  native('sha2-512', 0x13, 'sha512'),
  native('sha3-512', 0x14, 'sha3-512'),
  native('sha3-384', 0x15, 'sha3-384'),
  native('sha3-256', 0x16, 'sha3-256'),
  native('sha3-224', 0x17, 'sha3-224'),
  inScript('shake-256', 0x19, data => shake256(data, { dkLen: SHAKE_256_BYTES })),
  inScript('keccak-256', 0x1b, data => keccak_256(data)),
  inScript('keccak-512', 0x1d, data => keccak_512(data)),
  inScript('blake3', 0x1e, data => blake3(data)),
  {
    name: 'dbl-sha2-256',
    code: 0x56,
    digest: (...pieces) => nodeHash('sha256', nativeDigest('sha256', pieces), 'buffer'),
  },
  ...Array.from({ length: BLAKE2B_MAX_BYTES - MIN_DIGEST_BYTES }, (_, index) =>
    blake2bOf(MIN_DIGEST_BYTES + index),
  ),
  native('blake2b-512', BLAKE2B + BLAKE2B_MAX_BYTES, 'blake2b512'),
  inScript('blake2s-256', 0xb260, data => blake2s(data)),
]

const BY_CODE: ReadonlyMap<number, HashFunction> = new Map(HASH_FUNCTIONS.map(each => [each.code, each]))
const BY_NAME: ReadonlyMap<string, HashFunction> = new Map([
  ...HASH_FUNCTIONS.map(each => [each.name, each] as const),
  // Go's other name for it.
  ...HASH_FUNCTIONS.filter(({ name }) => name === 'sha3-512').map(each => ['sha3', each] as const),
])

export function hashFunctionOfCode(code: number): HashFunction | undefined {
  return BY_CODE.get(code)
}

/** @param name in any case. */
export function hashFunctionNamed(name: string): HashFunction | undefined {
  return BY_NAME.get(name.toLowerCase())
}

function blake2bOf(bytes: number): HashFunction {
  return inScript(`blake2b-${bytes * 8}`, BLAKE2B + bytes, data => blake2b(data, { dkLen: bytes }))
}
