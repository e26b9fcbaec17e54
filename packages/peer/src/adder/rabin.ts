/**
 * Content-defined chunks by Rabin's fingerprint over the last 16 bytes, equal to Kubo's. (The chunker of ipfs-unixfs-importer cuts
 * elsewhere: it gave other roots than `ipfs add --chunker=rabin` for every size tried.)
 *
 * The fingerprint is a polynomial over GF(2) modulo one of degree 53; its 53 bits are kept as two 32-bit halves.
 */
import type { Chunk } from './chunker.ts'
import { cutByContent } from './cut-by-content.ts'

const POLYNOMIAL = 17437180132763653n
const DEGREE = 53n
const WINDOW = 16
/** The eight highest of the 53 bits, seen from the upper half. */
const INDEX_SHIFT = 13
/** Every chunk begins as if this byte had just been read. */
const FIRST_BYTE = 1

export interface RabinSizes {
  /** At least 16. */
  readonly min: number
  /** Aimed at; counts as the next lower power of two. */
  readonly avg: number
  readonly max: number
}

export function rabinChunks(
  source: AsyncIterable<Uint8Array>,
  { min, avg, max }: RabinSizes,
): AsyncGenerator<Chunk> {
  const mask = 2 ** Math.floor(Math.log2(avg)) - 1
  return cutByContent(source, max, bytes => cutPoint(bytes, min, mask))
}

interface Tables {
  /** What a byte leaving the window has become. */
  readonly outLow: Uint32Array
  readonly outHigh: Uint32Array
  /** Takes the eight bits above the degree away and adds what they are modulo the polynomial. */
  readonly modLow: Uint32Array
  readonly modHigh: Uint32Array
}

let tables: Tables | undefined

function cutPoint(bytes: Uint8Array, min: number, mask: number): number {
  const { outLow, outHigh, modLow, modHigh } = (tables ??= createTables())
  const start = min - WINDOW
  let low = FIRST_BYTE
  let high = 0
  for (let i = start; i < bytes.length; i++) {
    const age = i - start
    // The window is empty but for the first byte, which leaves it last.
    const out = age >= WINDOW ? (bytes[i - WINDOW] as number) : age === WINDOW - 1 ? FIRST_BYTE : 0
    low ^= outLow[out] as number
    high ^= outHigh[out] as number
    const index = high >>> INDEX_SHIFT
    high = ((high << 8) | (low >>> 24)) ^ (modHigh[index] as number)
    low = ((low << 8) | (bytes[i] as number)) ^ (modLow[index] as number)
    if (i + 1 >= min && (low & mask) === 0) return i + 1
  }
  return bytes.length
}

function createTables(): Tables {
  const out = Array.from({ length: 256 }, (_, byte) => remainder(BigInt(byte) << BigInt(8 * (WINDOW - 1))))
  const mod = Array.from({ length: 256 }, (_, bits) => {
    const above = BigInt(bits) << DEGREE
    return above | remainder(above)
  })
  return {
    outLow: lowHalves(out),
    outHigh: highHalves(out),
    modLow: lowHalves(mod),
    modHigh: highHalves(mod),
  }
}

function remainder(dividend: bigint): bigint {
  let rest = dividend
  for (let degree = degreeOf(rest); degree >= DEGREE; degree = degreeOf(rest))
    rest ^= POLYNOMIAL << (degree - DEGREE)
  return rest
}

function degreeOf(value: bigint): bigint {
  return BigInt(value.toString(2).length - 1)
}

function lowHalves(values: readonly bigint[]): Uint32Array {
  return Uint32Array.from(values, value => Number(value & 0xffffffffn))
}

function highHalves(values: readonly bigint[]): Uint32Array {
  return Uint32Array.from(values, value => Number(value >> 32n))
}
