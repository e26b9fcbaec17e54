import { hash } from 'node:crypto'
import type { MultihashHasher } from 'multiformats/hashes/interface'
import { latin1, readVarint, type BlockKey } from './cid-bytes.ts'

export const IDENTITY = 0x00
const SHA2_256 = 0x12
const SHA2_512 = 0x13

/** Shortest digest taken as proof, as in Go's `verifcid`. Bytes. */
const MIN_DIGEST_BYTES = 20

/** Finds out which block some bytes are, by hashing them. */
export interface Verifier {
  /** Can blocks of this hash function be verified? */
  supports(hashCode: number): boolean
  /**
   * The key of `data` hashed as `prefix` (version, codec, hash function, digest length) says; `undefined` when that
   * prefix is malformed, its hash function unknown or its digest too short to prove anything.
   */
  keyOf(prefix: Uint8Array, data: Uint8Array): BlockKey | undefined | Promise<BlockKey | undefined>
  /** The key of a block of 1.0, which is SHA2-256 always. */
  keyOfBare(data: Uint8Array): BlockKey
}

/** SHA2-256 and SHA2-512 of the platform, and what `hashers` add. */
export function createVerifier(hashers: readonly MultihashHasher[]): Verifier {
  const others = new Map(hashers.map(hasher => [hasher.code, hasher]))
  return {
    supports: code => code === SHA2_256 || code === SHA2_512 || code === IDENTITY || others.has(code),
    keyOfBare: data => toKey(SHA2_256, hash('sha256', data, 'buffer')),
    keyOf(prefix, data) {
      const parsed = parsePrefix(prefix)
      if (parsed === undefined) return undefined
      const { code, length } = parsed
      const finish = (digest: Uint8Array) => {
        if (length > digest.length || length < Math.min(MIN_DIGEST_BYTES, digest.length)) return undefined
        return toKey(code, digest.subarray(0, length))
      }
      if (code === SHA2_256) return finish(hash('sha256', data, 'buffer'))
      if (code === SHA2_512) return finish(hash('sha512', data, 'buffer'))
      // An identity CID contains its block, so nobody has a reason to send one.
      const hasher = code === IDENTITY ? undefined : others.get(code)
      if (hasher === undefined) return undefined
      const result = hasher.digest(data)
      return result instanceof Promise ? result.then(({ digest }) => finish(digest)) : finish(result.digest)
    },
  }
}

function parsePrefix(prefix: Uint8Array): { readonly code: number; readonly length: number } | undefined {
  const version = readVarint(prefix, 0)
  const codec = version && readVarint(prefix, version[1])
  const code = codec && readVarint(prefix, codec[1])
  const length = code && readVarint(prefix, code[1])
  return length && { code: code[0], length: length[0] }
}

function toKey(code: number, digest: Uint8Array): BlockKey {
  return varintText(code) + varintText(digest.length) + latin1(digest)
}

function varintText(value: number): string {
  let out = ''
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) out += String.fromCharCode((rest & 0x7f) | 0x80)
  return out + String.fromCharCode(rest)
}
