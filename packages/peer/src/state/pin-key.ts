/** A pin's key in the CRDT: `/` + upper-case base32 of the full CID, so versions 0 and 1 of the same content differ (wire.md 3.2). */
import { cidOfBytes, cidText } from '@ipfs-cluster/api'
import { base32upper } from 'multiformats/bases/base32'
import type { CID } from 'multiformats/cid'

/** Bytes; longer ones are rare. */
const MAX_SHORT_CID = 64
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
/** Value of each ASCII character; 255 for those that are no digit. */
const DIGITS = Uint8Array.from({ length: 128 }, (_, code) => {
  const digit = ALPHABET.indexOf(String.fromCharCode(code))
  return digit < 0 ? 255 : digit
})

const CODES = Uint8Array.from(ALPHABET, character => character.charCodeAt(0))
/** Of the keys of all usual CIDs. */
const scratch = Buffer.alloc(1 + Math.ceil((MAX_SHORT_CID * 8) / 5))
scratch.write('/')

/** By hand: every pin that comes in needs it several times. */
export function pinKey({ bytes }: { readonly bytes: Uint8Array }): string {
  if (bytes.length > MAX_SHORT_CID) return `/${base32upper.encoder.baseEncode(bytes)}`
  let buffer = 0
  let bits = 0
  let length = 1
  for (let i = 0; i < bytes.length; i++) {
    buffer = ((buffer << 8) | (bytes[i] as number)) & 0x1fff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      scratch[length++] = CODES[(buffer >> bits) & 31] as number
    }
  }
  if (bits > 0) scratch[length++] = CODES[(buffer << (5 - bits)) & 31] as number
  return scratch.toString('latin1', 0, length)
}

/** The CID in a key; `undefined` when the key is not that of a pin. */
export function cidOfPinKey(key: string): CID | undefined {
  const bytes = decodeKey(key)
  if (bytes === undefined) return undefined
  try {
    return cidOfBytes(bytes)
  } catch {
    // Some other base32 text: not a pin.
    return undefined
  }
}

/** The bytes of the CID in a key, without making a CID of the usual ones. */
export function cidBytesOfPinKey(key: string): Uint8Array | undefined {
  const bytes = decodeKey(key)
  if (bytes === undefined || isUsualCid(bytes)) return bytes
  return cidOfPinKey(key)?.bytes
}

/** Version 0, or version 1 with a codec of one byte; sha2-256. */
function isUsualCid(bytes: Uint8Array): boolean {
  const digest = bytes.length === 34 ? 0 : 2
  return (
    bytes.length === digest + 34 &&
    bytes[digest] === 0x12 &&
    bytes[digest + 1] === 0x20 &&
    (digest === 0 || (bytes[0] === 1 && (bytes[1] as number) < 0x80))
  )
}

/** Characters of the key of a version 1 with a codec of one byte and sha2-256. */
const USUAL_V1_KEY = 59
/** What the four bytes before its digest make the key begin with. */
const USUAL_V1_START = /^\/A[EF][A-Z2-7][BR]EI[A-H]/
/** The last digit has two bits left over. */
const USUAL_V1_LAST = 'AEIMQUY4'

/** The base32 in a key that is that of a usual CID of version 1, if it is base32 at all; `undefined` of other keys. */
export function usualV1Base32(key: string): string | undefined {
  return key.length === USUAL_V1_KEY &&
    USUAL_V1_LAST.includes(key.charAt(USUAL_V1_KEY - 1)) &&
    USUAL_V1_START.test(key)
    ? key.slice(1)
    : undefined
}

/** The usual text of the CID in a key. */
export function cidTextOfPinKey(key: string): string | undefined {
  const cid = cidOfPinKey(key)
  return cid === undefined ? undefined : cidText(cid)
}

/** By hand: the decoder of `multiformats` would take most of the time of a listing. */
function decodeKey(key: string): Uint8Array | undefined {
  if (!key.startsWith('/') || key.length < 2) return undefined
  const bytes = new Uint8Array(Math.floor(((key.length - 1) * 5) / 8))
  let buffer = 0
  let bits = 0
  let length = 0
  for (let i = 1; i < key.length; i++) {
    const digit = DIGITS[key.charCodeAt(i)] ?? 255
    if (digit === 255) return undefined
    buffer = ((buffer << 5) | digit) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes[length++] = (buffer >> bits) & 0xff
    }
  }
  // Only the canonical spelling: no digit too many, and nothing in the bits left over.
  return bits >= 5 || (buffer & ((1 << bits) - 1)) !== 0 ? undefined : bytes
}
