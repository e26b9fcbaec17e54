/**
 * Looking into the bytes of a stored pin without making a `Pin` of it, for what is done with every pin of millions. The layout is that of
 * `pin-protobuf.ts`. Only the form that `encodePin` and Go write is understood: fields in order, each once; of anything else the functions here
 * say that they do not know, and the caller takes the long way.
 */

/** Tags of the fields: number · 8 + wire type. */
export const TAG = {
  cid: 0x0a,
  type: 0x10,
  allocations: 0x1a,
  maxDepth: 0x20,
  reference: 0x2a,
  options: 0x32,
  timestamp: 0x38,
} as const

/** Those inside the options. */
export const OPTION_TAG = {
  replicationFactorMin: 0x08,
  replicationFactorMax: 0x10,
  name: 0x1a,
  shardSize: 0x20,
  metadata: 0x32,
  pinUpdate: 0x3a,
  expireAt: 0x40,
  origins: 0x4a,
  sortedMetadata: 0x52,
  size: 1001 * 8,
  maxPinSize: 1002 * 8,
} as const

/** What decides which index rows a pin has, and whether a listing of some types shows it. */
export interface PinFacts {
  /** Number in the enum. */
  readonly type: number
  /** A view of the name's bytes. */
  readonly name: Uint8Array
  /** Unix seconds; 0: none. */
  readonly timestamp: number
  readonly expireAt: number
  /** Bytes of the content; 0 where nobody knew. */
  readonly size: number
}

/** A position in bytes: reading moves it. Beyond the end, or in a number of more than 2^53, `at` is −1 from then on. */
export class PinBytes {
  bytes: Uint8Array = new Uint8Array(0)
  at = 0
  end = 0

  reset(bytes: Uint8Array): void {
    this.bytes = bytes
    this.at = 0
    this.end = bytes.length
  }

  /** The tag that follows; 0 at the end. There is no field 0: a tag of 0 ends it, too, as what cannot be read. */
  tag(): number {
    if (this.at >= this.end) return 0
    const tag = this.number()
    if (tag === 0) this.#fail()
    return tag
  }

  number(): number {
    let value = 0
    let factor = 1
    for (let i = 0; i < MAX_VARINT; i++) {
      if (this.at >= this.end) break
      const byte = this.bytes[this.at++] as number
      value += (byte & 0x7f) * factor
      if (byte < 0x80) return value
      factor *= 128
    }
    this.#fail()
    return 0
  }

  /** Moves over as many bytes as the number says that follows; returns where they begin, −1 when they are not all there. */
  run(): number {
    const length = this.number()
    const start = this.at
    if (start < 0 || length > this.end - start) {
      this.#fail()
      return -1
    }
    this.at = start + length
    return start
  }

  #fail(): void {
    this.at = -1
    this.end = -1
  }
}

/** Bytes of a number below 2^49, which is exact in a double. */
const MAX_VARINT = 7

const scanner = new PinBytes()
const NO_BYTES = new Uint8Array(0)

/** @returns `undefined` when the bytes have not the usual form; they may be a pin nevertheless. */
export function pinFacts(bytes: Uint8Array): PinFacts | undefined {
  scanner.reset(bytes)
  let type = 0
  let timestamp = 0
  let options: OptionFacts = NO_OPTIONS
  let last = 0
  for (let tag = scanner.tag(); tag !== 0; tag = scanner.tag()) {
    if (tag < last || (tag === last && tag !== TAG.allocations)) return undefined
    last = tag
    if (tag === TAG.cid || tag === TAG.allocations || tag === TAG.reference) scanner.run()
    else if (tag === TAG.type) type = scanner.number()
    else if (tag === TAG.maxDepth) scanner.number()
    else if (tag === TAG.timestamp) timestamp = scanner.number()
    else if (tag === TAG.options) {
      const start = scanner.run()
      const after = scanner.at
      if (start < 0) return undefined
      scanner.at = start
      scanner.end = after
      const read = optionFacts(scanner)
      if (read === undefined) return undefined
      options = read
      scanner.at = after
      scanner.end = bytes.length
    } else return undefined
  }
  const { name, expireAt, size } = options
  return scanner.at < 0 ? undefined : { type, timestamp, name, expireAt, size }
}

type OptionFacts = Pick<PinFacts, 'name' | 'expireAt' | 'size'>

const NO_OPTIONS: OptionFacts = { name: NO_BYTES, expireAt: 0, size: 0 }

/** Of the message that `at` stands in, up to its end. */
function optionFacts(at: PinBytes): OptionFacts | undefined {
  let name: Uint8Array = NO_BYTES
  let expireAt = 0
  let size = 0
  let last = 0
  for (let tag = at.tag(); tag !== 0; tag = at.tag()) {
    if (tag < last) return undefined
    if (tag === last && tag !== OPTION_TAG.origins && tag !== OPTION_TAG.sortedMetadata) return undefined
    last = tag
    switch (tag) {
      case OPTION_TAG.name: {
        const start = at.run()
        if (start < 0) return undefined
        name = at.bytes.subarray(start, at.at)
        break
      }
      case OPTION_TAG.expireAt:
        expireAt = at.number()
        break
      case OPTION_TAG.size:
        size = at.number()
        break
      case OPTION_TAG.replicationFactorMin:
      case OPTION_TAG.replicationFactorMax:
      case OPTION_TAG.shardSize:
      case OPTION_TAG.maxPinSize:
        at.number()
        break
      case OPTION_TAG.pinUpdate:
      case OPTION_TAG.origins:
      case OPTION_TAG.sortedMetadata:
        at.run()
        break
      default:
        return undefined
    }
  }
  return at.at < 0 ? undefined : { name, expireAt, size }
}
