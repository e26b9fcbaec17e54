import type { CID } from 'multiformats/cid'

/** What all blocks of one `block/put` request have in common, in Kubo's words. */
export interface BlockPrefix {
  readonly codec: string
  readonly hash: string
  /** Bytes of the digest. */
  readonly length: number
}

const CODEC_NAMES: Readonly<Record<number, string>> = {
  0x55: 'raw',
  0x70: 'dag-pb',
  0x71: 'dag-cbor',
  0x0129: 'dag-json',
}

const HASH_NAMES: Readonly<Record<number, string>> = {
  0x11: 'sha1',
  0x12: 'sha2-256',
  0x13: 'sha2-512',
  0x14: 'sha3-512',
  0x15: 'sha3-384',
  0x16: 'sha3-256',
  0x17: 'sha3-224',
  0x19: 'shake-256',
  0x1a: 'keccak-224',
  0x1b: 'keccak-256',
  0x1c: 'keccak-384',
  0x1d: 'keccak-512',
  0x1e: 'blake3',
  0x56: 'dbl-sha2-256',
}

/** `undefined` when Kubo has no name for the hash. A CIDv0 is `dag-pb` like any other: the block is the same. */
export function blockPrefix(cid: CID): BlockPrefix | undefined {
  const hash = hashName(cid.multihash.code)
  // Kubo reads names and numbers; the numbers spare us its table of codecs.
  const codec = CODEC_NAMES[cid.code] ?? String(cid.code)
  return hash === undefined ? undefined : { codec, hash, length: cid.multihash.digest.length }
}

function hashName(code: number): string | undefined {
  // blake2b-8 … blake2b-512 and blake2s-8 … blake2s-256 are ranges: one code per byte of length.
  if (code > 0xb200 && code <= 0xb240) return `blake2b-${(code - 0xb200) * 8}`
  if (code > 0xb240 && code <= 0xb260) return `blake2s-${(code - 0xb240) * 8}`
  return HASH_NAMES[code]
}
