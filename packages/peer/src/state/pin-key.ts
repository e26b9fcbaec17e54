/** A pin's key in the CRDT: `/` + upper-case base32 of the full CID, so versions 0 and 1 of the same content differ (wire.md 3.2). */
import { cidOfBytes } from '@ipfs-cluster/api'
import { base32upper } from 'multiformats/bases/base32'
import type { CID } from 'multiformats/cid'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
/** Value of each ASCII character; 255 for those that are no digit. */
const DIGITS = Uint8Array.from({ length: 128 }, (_, code) => {
  const digit = ALPHABET.indexOf(String.fromCharCode(code))
  return digit < 0 ? 255 : digit
})

export function pinKey(cid: CID): string {
  return `/${base32upper.encoder.baseEncode(cid.bytes)}`
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
