/**
 * Base58btc and base32 writers for listings of millions of CIDs and peer ids: three to five times as fast as those of
 * `multiformats`, and nothing is cached per CID. Of the readers only those of the usual CIDs are here.
 */
const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const BASE58_PAIRS = Array.from({ length: 58 * 58 }, (_, i) => BASE58.charAt(i / 58) + BASE58.charAt(i % 58))
/** Four base58 digits a limb: a limb times 2^16 stays exact in a double. */
const LIMB = 58 ** 4
/** A limb holds more than 23 bits, so this is enough for 1 kB; longer inputs take a larger buffer. */
const limbs = new Float64Array(400)

/** Base58btc without multibase prefix. */
export function base58Text(bytes: Uint8Array): string {
  let zeros = 0
  while (zeros < bytes.length && bytes[zeros] === 0) zeros++
  const number = bytes.length <= 1024 ? limbs : new Float64Array(bytes.length)
  const used = toLimbs(bytes, zeros, number)
  let out = ''
  for (let i = used - 1; i >= 0; i--) {
    const limb = number[i] as number
    const high = Math.floor(limb / 3364)
    out += (BASE58_PAIRS[high] as string) + (BASE58_PAIRS[limb - high * 3364] as string)
  }
  let padding = 0
  while (padding < out.length && out.charCodeAt(padding) === 0x31) padding++
  return zeros === 0 ? out.slice(padding) : '1'.repeat(zeros) + out.slice(padding)
}

/** Converts `bytes` from `start` on, two at a time, to little-endian limbs; returns how many. */
function toLimbs(bytes: Uint8Array, start: number, out: Float64Array): number {
  let used = 0
  let i = start
  while (i < bytes.length) {
    const single = i === start && (bytes.length - start) % 2 === 1
    const factor = single ? 256 : 65536
    let carry = single ? (bytes[i] as number) : (bytes[i] as number) * 256 + (bytes[i + 1] as number)
    i += single ? 1 : 2
    for (let k = 0; k < used; k++) {
      const value = (out[k] as number) * factor + carry
      carry = Math.floor(value / LIMB)
      out[k] = value - carry * LIMB
    }
    while (carry > 0) {
      const high = Math.floor(carry / LIMB)
      out[used++] = carry - high * LIMB
      carry = high
    }
  }
  return used
}

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'
const BASE32_PAIRS = Array.from({ length: 1024 }, (_, i) => BASE32.charAt(i >> 5) + BASE32.charAt(i & 31))

/** Lower-case base32 without padding and without multibase prefix. */
export function base32Text(bytes: Uint8Array): string {
  let out = ''
  let buffer = 0
  let bits = 0
  for (let i = 0; i < bytes.length; i++) {
    buffer = ((buffer << 8) | (bytes[i] as number)) & 0x3ffff
    bits += 8
    if (bits >= 10) {
      bits -= 10
      out += BASE32_PAIRS[(buffer >> bits) & 1023] as string
    }
  }
  if (bits >= 5) {
    bits -= 5
    out += BASE32.charAt((buffer >> bits) & 31)
  }
  return bits > 0 ? out + BASE32.charAt((buffer << (5 - bits)) & 31) : out
}

/** Values of the characters up to `z`; 255 where there is none. */
const BASE32_VALUES = Uint8Array.from({ length: 128 }, (_, code) => {
  const value = BASE32.indexOf(String.fromCharCode(code))
  return value < 0 ? 255 : value
})

/** Reads lower-case base32 from `start` on; `null` when it is not the canonical text of whole bytes. */
export function base32Bytes(text: string, start: number): Uint8Array | null {
  const bytes = new Uint8Array(((text.length - start) * 5) >> 3)
  let buffer = 0
  let bits = 0
  let length = 0
  for (let i = start; i < text.length; i++) {
    const value = BASE32_VALUES[text.charCodeAt(i)] ?? 255
    if (value === 255) return null
    buffer = ((buffer << 5) | value) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes[length++] = buffer >> bits
    }
  }
  return bits < 5 && (buffer & ((1 << bits) - 1)) === 0 ? bytes : null
}

/** Values of the base58 characters up to `z`; 255 where there is none. */
const BASE58_VALUES = Uint8Array.from({ length: 128 }, (_, code) => {
  const value = BASE58.indexOf(String.fromCharCode(code))
  return value < 0 ? 255 : value
})
/** Three bytes a limb: a limb times 58^4 stays exact in a double. */
const BYTES_LIMB = 2 ** 24
/** Bytes that `base58Bytes` gives at most. */
const MAX_SHORT_BYTES = 48
const byteLimbs = new Float64Array(MAX_SHORT_BYTES / 3)

/**
 * Reads base58btc that is the text of exactly `length` bytes, of which the first is not 0; `null` for any other text.
 *
 * @param length a multiple of three plus one, at most 46.
 */
export function base58Bytes(text: string, length: number): Uint8Array | null {
  const used = Math.ceil(length / 3)
  byteLimbs.fill(0, 0, used)
  for (let i = 0; i < text.length;) {
    let digits = 0
    let factor = 1
    const end = Math.min(text.length, i + 4)
    for (; i < end; i++) {
      const value = BASE58_VALUES[text.charCodeAt(i)] ?? 255
      if (value === 255) return null
      digits = digits * 58 + value
      factor *= 58
    }
    let carry = digits
    for (let k = 0; k < used; k++) {
      const value = (byteLimbs[k] as number) * factor + carry
      carry = Math.floor(value / BYTES_LIMB)
      byteLimbs[k] = value - carry * BYTES_LIMB
    }
    if (carry > 0) return null
  }
  const first = byteLimbs[used - 1] as number
  if (first < 1 || first > 255) return null
  const bytes = new Uint8Array(length)
  bytes[0] = first
  for (let at = 1, k = used - 2; k >= 0; at += 3, k--) {
    const limb = byteLimbs[k] as number
    bytes[at] = limb >> 16
    bytes[at + 1] = (limb >> 8) & 255
    bytes[at + 2] = limb & 255
  }
  return bytes
}

/** Arguments of one call; more would overflow the stack. */
const MAX_ARGUMENTS = 4096

/** One character a byte: bytes as a key of a Map, and ASCII text much faster than a TextDecoder gives it. */
export function latin1Text(bytes: Uint8Array): string {
  if (bytes.length <= MAX_ARGUMENTS) return Reflect.apply(String.fromCharCode, null, bytes)
  let out = ''
  for (let i = 0; i < bytes.length; i += MAX_ARGUMENTS)
    out += latin1Text(bytes.subarray(i, i + MAX_ARGUMENTS))
  return out
}

/** The inverse of `latin1Text`. */
export function latin1Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length)
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i)
  return bytes
}
