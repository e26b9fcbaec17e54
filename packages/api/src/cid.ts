import { toHex } from '@ipfs-cluster/base'
import { base16, base16upper } from 'multiformats/bases/base16'
import { base32, base32upper } from 'multiformats/bases/base32'
import { base36, base36upper } from 'multiformats/bases/base36'
import { base58btc } from 'multiformats/bases/base58'
import { base64, base64url, base64urlpad } from 'multiformats/bases/base64'
import { CID } from 'multiformats/cid'
import { Digest } from 'multiformats/hashes/digest'
import { ApiError } from './api-error.ts'
import { base32Bytes, base32Text, base58Bytes, base58Text } from './base-text.ts'

const DAG_PB = 0x70
const SHA2_256 = 0x12
const SHA2_256_LENGTH = 32
/** Bytes of every CIDv0. */
const V0_LENGTH = 34
/** Characters of a CIDv1 with a one-byte codec and a SHA2-256 digest. */
const USUAL_V1_LENGTH = 59
/** Its bytes. */
const USUAL_V1_BYTES = 36
/** Longest CID, far above what a digest needs; one that holds its block is limited to 128 bytes of it by IPFS daemons. Bytes. */
const MAX_CID_BYTES = 2048
/** Longest text of one. */
const MAX_CID_TEXT = 4096
/** The same for base58 and base36, which take the square of the length to read. */
const MAX_SLOW_TEXT = 256
const SLOW_BASES = /^[zkK]/
/** What Go reads, but for the bases that nobody writes a CID in. */
const BASES = base58btc.decoder
  .or(base32.decoder)
  .or(base36.decoder)
  .or(base16.decoder)
  .or(base16upper.decoder)
  .or(base32upper.decoder)
  .or(base36upper.decoder)
  .or(base64.decoder)
  .or(base64url.decoder)
  .or(base64urlpad.decoder)
const BASE_LETTERS = 'zbkfFBKmuU'
/** Characters of every CIDv0. */
const V0_TEXT = 46

/** The usual text: base58btc for version 0, base32 for version 1. Same as `cid.toString()`, but nothing is cached per CID. */
export function cidText(cid: CID): string {
  return cid.version === 0 ? base58Text(cid.bytes) : `b${base32Text(cid.bytes)}`
}

/**
 * Reads a binary CID, quickly when it is one of the usual kinds. The result has its own copy of the bytes.
 *
 * @throws ApiError `API_BAD_CID`
 */
export function cidOfBytes(bytes: Uint8Array): CID {
  if (bytes.length === V0_LENGTH || bytes.length === USUAL_V1_BYTES) {
    const own = bytes.slice()
    const usual = usualV0(own) ?? usualV1(own)
    if (usual !== null) return usual
  }
  try {
    if (bytes.length > MAX_CID_BYTES) throw new RangeError(`more than ${MAX_CID_BYTES} bytes`)
    const cid = CID.decode(bytes.slice())
    // The usual ones have been read above; this one says its version.
    if (cid.version === 0) throw notV0()
    return cid
  } catch (cause) {
    throw badCid(`0x${toHex(bytes.subarray(0, MAX_CID_BYTES))}`, cause)
  }
}

/** The library takes a digest of any length for a CIDv0, whose text then is none; Go takes only sha2-256 in full. */
function checkVersion(cid: CID): CID {
  if (cid.version === 0 && (cid.bytes.length !== V0_LENGTH || cid.bytes[0] !== SHA2_256)) throw notV0()
  return cid
}

function notV0(): RangeError {
  return new RangeError('a CIDv0 is 34 bytes of sha2-256')
}

/**
 * Reads the text of a CIDv0, or of a CIDv1 as everybody writes it (base32, a codec of one byte, sha2-256). Half a microsecond, where the library
 * takes ten.
 *
 * @returns `null` for any other text, which may be a CID nevertheless.
 */
export function usualCid(text: string): CID | null {
  if (text.length === USUAL_V1_LENGTH && text.startsWith('b')) {
    const bytes = base32Bytes(text, 1)
    return bytes === null ? null : usualV1(bytes)
  }
  if (text.length !== V0_TEXT || !text.startsWith('Qm')) return null
  const bytes = base58Bytes(text, V0_LENGTH)
  return bytes === null ? null : usualV0(bytes)
}

/** Takes the bytes for its own. */
function usualV0(own: Uint8Array): CID | null {
  if (own.length !== V0_LENGTH || own[0] !== SHA2_256 || own[1] !== SHA2_256_LENGTH) return null
  return new CID(0, DAG_PB, new Digest(SHA2_256, SHA2_256_LENGTH, own.subarray(2), own), own)
}

/** Takes the bytes for its own. */
function usualV1(own: Uint8Array): CID | null {
  const codec = own[1] as number
  if (own.length !== USUAL_V1_BYTES || own[0] !== 1 || codec >= 0x80) return null
  if (own[2] !== SHA2_256 || own[3] !== SHA2_256_LENGTH) return null
  return new CID(1, codec, new Digest(SHA2_256, SHA2_256_LENGTH, own.subarray(4), own.subarray(2)), own)
}

/** Reads the text of a CID in any of the usual bases. @throws ApiError `API_BAD_CID` */
export function parseCid(text: string): CID {
  // Whatever is not quite usual is left to `multiformats`, which also says why.
  const usual = usualCid(text)
  if (usual !== null) return usual
  try {
    if (text.length < 2) throw new RangeError('cid too short')
    const v0 = text.length === V0_TEXT && text.startsWith('Qm')
    if (!v0 && !BASE_LETTERS.includes(text.charAt(0))) throw new RangeError('selected encoding not supported')
    const longest = SLOW_BASES.test(text) ? MAX_SLOW_TEXT : MAX_CID_TEXT
    if (text.length > longest) throw new RangeError(`more than ${longest} characters`)
    return checkVersion(v0 ? CID.parse(text) : CID.parse(text, BASES))
  } catch (cause) {
    throw badCid(text, cause)
  }
}

function badCid(text: string, cause: unknown): ApiError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new ApiError(`invalid cid: ${why}`, { code: 'API_BAD_CID', text }, { cause })
}
