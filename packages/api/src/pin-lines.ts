/** Stored pins straight to lines of JSON, as bytes: the same bytes as by `decodePin` and `pinCodec`, in a fifth of the time. */
import { memoize, utf8 } from '@ipfs-cluster/base'
import { parseCid } from './cid.ts'
import { pinCodec } from './json/index.ts'
import {
  clearOptions,
  compareRuns,
  isRun,
  newDraft,
  placeText,
  readOptions,
  type Place,
} from './pin-draft.ts'
import { decodePin } from './pin-protobuf.ts'
import { OPTION_TAG, PinBytes, TAG } from './pin-scan.ts'
import { formatTime } from './time.ts'

const NS_PER_S = 1_000_000_000n
/** Bytes of the first buffer. */
const FIRST_SIZE = 64 * 1024
/** Bytes of a line beside those that come from the pin: all names of fields, punctuation and numbers. */
const LINE_FRAME = 1024
/** A byte of a stored pin becomes at most so many of its line (a peer id, a time). */
const GROWTH = 8

const UPPER_BASE32 = /^[A-Z2-7]*$/
/** The base32 digit in lower case of each character; 0 of those that are no upper-case digit. */
const LOWER = Uint8Array.from({ length: 128 }, (_, code) => {
  const character = String.fromCharCode(code)
  return UPPER_BASE32.test(character) ? character.toLowerCase().charCodeAt(0) : 0
})
/** `b`: what follows is base32. */
const BASE32_CODE = 0x62

/** Bytes that stand for themselves in a JSON string as Go writes it. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte < 0x7f && !'"\\<>&'.includes(String.fromCharCode(byte)) ? 1 : 0,
)

const factorsText = memoize(1024, (both: number) => {
  const min = Math.floor(both / FACTOR_RANGE) + FACTOR_MIN
  const max = (both % FACTOR_RANGE) + FACTOR_MIN
  return utf8(`{"replication_factor_min":${min},"replication_factor_max":${max},"name":"`)
})
/** Factors inside this range are remembered; others are rare enough for the long way. */
const FACTOR_MIN = -1
const FACTOR_RANGE = 1024

const timeText = memoize(4096, (seconds: number) =>
  utf8(formatTime(seconds === 0 ? null : BigInt(seconds) * NS_PER_S)),
)
/** Seconds beyond, such as those that Go reads as negative, take the long way. */
const MAX_SECONDS = 2 ** 40

/** From the end of the name to the CID, of a pin without expiry, metadata and shards. */
const usualMiddle = (mode: string) =>
  utf8(
    `","mode":"${mode}","shard_size":0,"user_allocations":null,"expire_at":"${formatTime(null)}","metadata":null` +
      ',"pin_update":null,"origins":[],"cid":"',
  )
const MIDDLE = { recursive: usualMiddle('recursive'), direct: usualMiddle('direct') }
const MODE = {
  recursive: utf8('","mode":"recursive","shard_size":'),
  direct: utf8('","mode":"direct","shard_size":'),
}
const EXPIRE_AT = utf8(',"user_allocations":null,"expire_at":"')
const METADATA = utf8('","metadata":')
const NULL = utf8('null')
const CID = utf8(',"pin_update":null,"origins":[],"cid":"')
const SIZE = utf8('","size":')
const END_OF_STRING = utf8('"')
const MAX_PIN_SIZE = utf8(',"max_pin_size":')
/** Tags of an entry of the metadata. */
const KEY_TAG = 0x0a
const VALUE_TAG = 0x12
const QUOTE = 0x22
const COLON = 0x3a
const COMMA = 0x2c
const OPEN = 0x7b
const CLOSE = 0x7d
const NEWLINE = 0x0a

/** Places remembered, and the bytes of the longest. */
const MAX_PLACES = 1024
const MAX_PLACE_BYTES = 1024

/**
 * Gathers lines.
 *
 * Not every pin has a quick way: those with origins, references, names beyond ASCII and whatever else is rare are decoded and written as
 * usual. No text of a line is kept.
 */
export class PinLines {
  #out = new Uint8Array(FIRST_SIZE)
  #length = 0
  readonly #in = new PinBytes()
  readonly #places = new Map<number, Place>()
  #lastPlace: Place | undefined
  readonly #draft = newDraft()

  /** Bytes gathered. */
  get length(): number {
    return this.#length
  }

  /** The lines, which are the caller's from now on. */
  take(): Uint8Array {
    const lines = this.#out.subarray(0, this.#length)
    this.#out = new Uint8Array(this.#out.length)
    this.#length = 0
    return lines
  }

  /**
   * @param cid text of the pin's CID, whatever the stored bytes say.
   * @throws ApiError `API_BAD_PIN`, with nothing added.
   */
  add(cid: string, stored: Uint8Array): void {
    if (!this.#addQuickly(cid, stored, false)) this.#addSlowly(cid, stored)
  }

  /**
   * As `add`, of a CID of version 1.
   *
   * @param base32 its bytes in upper-case base32, as in the keys of the pinset; that they are a CID is the caller's to know.
   * @returns false, with nothing added, when it is not upper-case base32.
   */
  addV1(base32: string, stored: Uint8Array): boolean {
    if (this.#addQuickly(base32, stored, true)) return true
    if (!UPPER_BASE32.test(base32)) return false
    this.#addSlowly(`b${base32.toLowerCase()}`, stored)
    return true
  }

  #addQuickly(cid: string, stored: Uint8Array, isKey: boolean): boolean {
    this.#reserve(LINE_FRAME + cid.length + stored.length * GROWTH)
    const start = this.#length
    if (this.#quick(cid, stored, isKey)) return true
    this.#length = start
    return false
  }

  #addSlowly(cid: string, stored: Uint8Array): void {
    const line = utf8(`${pinCodec.stringify(decodePin(stored, parseCid(cid)))}\n`)
    this.#reserve(line.length)
    this.#copy(line)
  }

  /** False, perhaps with half a line written, when it does not know how. */
  #quick(cid: string, stored: Uint8Array, isKey: boolean): boolean {
    const place = this.#read(stored)
    if (place === undefined) return false
    const { factorMin, factorMax, nameStart, nameEnd, timestamp, size, maxPinSize } = this.#draft
    const min = factorMin - FACTOR_MIN
    const max = factorMax - FACTOR_MIN
    if (min < 0 || min >= FACTOR_RANGE || max < 0 || max >= FACTOR_RANGE) return false
    this.#short(factorsText(min * FACTOR_RANGE + max))
    if (!this.#plain(nameStart, nameEnd)) return false
    if (!this.#middle(place.direct ? 'direct' : 'recursive')) return false
    if (!isKey) this.#ascii(cid)
    else if (!this.#lower(cid)) return false
    this.#copy(place.text)
    this.#short(timeText(timestamp))
    if (size >= 0) {
      this.#copy(SIZE)
      this.#number(size)
    } else this.#copy(END_OF_STRING)
    if (maxPinSize >= 0) {
      this.#copy(MAX_PIN_SIZE)
      this.#number(maxPinSize)
    }
    this.#out[this.#length++] = CLOSE
    this.#out[this.#length++] = NEWLINE
    return true
  }

  /** From the end of the name up to the CID. */
  #middle(mode: 'recursive' | 'direct'): boolean {
    const { shardSize, expireAt, metadataStart, metadataEnd } = this.#draft
    if (shardSize === 0 && expireAt === 0 && metadataStart === metadataEnd) {
      this.#copy(MIDDLE[mode])
      return true
    }
    this.#copy(MODE[mode])
    this.#number(shardSize)
    this.#copy(EXPIRE_AT)
    this.#copy(timeText(expireAt))
    this.#copy(METADATA)
    if (metadataStart === metadataEnd) this.#copy(NULL)
    else if (!this.#metadata(metadataStart, metadataEnd)) return false
    this.#copy(CID)
    return true
  }

  /** Entries in the order of their keys, each once, with a key and a value: what writers write, but for empty ones. */
  #metadata(start: number, end: number): boolean {
    const at = this.#in
    at.at = start
    at.end = end
    let lastStart = -1
    let lastEnd = -1
    this.#out[this.#length++] = OPEN
    while (at.at < end) {
      if (at.tag() !== OPTION_TAG.sortedMetadata) return false
      const entry = at.run()
      const next = at.at
      if (entry < 0) return false
      at.at = entry
      if (at.tag() !== KEY_TAG) return false
      const keyStart = at.run()
      const keyEnd = at.at
      if (at.tag() !== VALUE_TAG) return false
      const valueStart = at.run()
      if (keyStart < 0 || valueStart < 0 || at.at !== next) return false
      if (lastStart >= 0) {
        if (compareRuns(at.bytes, lastStart, lastEnd, keyStart, keyEnd) >= 0) return false
        this.#out[this.#length++] = COMMA
      }
      lastStart = keyStart
      lastEnd = keyEnd
      this.#out[this.#length++] = QUOTE
      if (!this.#plain(keyStart, keyEnd)) return false
      this.#out[this.#length++] = QUOTE
      this.#out[this.#length++] = COLON
      this.#out[this.#length++] = QUOTE
      if (!this.#plain(valueStart, next)) return false
      this.#out[this.#length++] = QUOTE
    }
    this.#out[this.#length++] = CLOSE
    return true
  }

  /** Reads the numbers and places of things into the draft. */
  #read(stored: Uint8Array): Place | undefined {
    const at = this.#in
    const draft = this.#draft
    at.reset(stored)
    if (at.tag() !== TAG.cid) return undefined
    at.run()
    const start = at.at
    if (start < 0) return undefined
    const tag = this.#pass()
    const place = this.#place(start, tag.start)
    if (place === undefined) return undefined
    let next = tag.tag
    draft.timestamp = 0
    clearOptions(draft)
    if (next === TAG.options) {
      const from = at.run()
      const end = at.at
      if (from < 0) return undefined
      at.at = from
      at.end = end
      if (!readOptions(at, draft)) return undefined
      at.at = end
      at.end = stored.length
      next = at.tag()
    }
    if (next === TAG.timestamp) {
      draft.timestamp = at.number()
      next = at.tag()
    }
    const isWhole = next === 0 && at.at >= 0
    return isWhole && draft.timestamp < MAX_SECONDS && draft.expireAt < MAX_SECONDS ? place : undefined
  }

  /** Moves over type, allocations and depth, in this order; returns the tag that follows and where it is. */
  #pass(): { readonly tag: number; readonly start: number } {
    const at = this.#in
    let last: number = TAG.cid
    while (true) {
      const start = at.at
      const tag = at.tag()
      const repeats = tag === last && tag === TAG.allocations
      if (
        (tag !== TAG.type && tag !== TAG.allocations && tag !== TAG.maxDepth) ||
        (tag <= last && !repeats)
      ) {
        return { tag, start }
      }
      last = tag
      if (tag === TAG.allocations) at.run()
      else at.number()
    }
  }

  #place(start: number, end: number): Place | undefined {
    const { bytes } = this.#in
    if (start < 0 || end < start || end - start > MAX_PLACE_BYTES) return undefined
    const last = this.#lastPlace
    if (last !== undefined && isRun(last.stored, bytes, start, end)) return last
    let hash = end - start
    for (let i = start; i < end; i++) hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0
    const known = this.#places.get(hash)
    if (known !== undefined && isRun(known.stored, bytes, start, end)) return (this.#lastPlace = known)
    const stored = bytes.slice(start, end)
    const text = placeText(stored)
    if (text === undefined) return undefined
    const place = { stored, ...text }
    if (this.#places.size >= MAX_PLACES) this.#places.clear()
    this.#places.set(hash, place)
    return (this.#lastPlace = place)
  }

  /** False when the bytes do not stand for themselves in JSON. */
  #plain(start: number, end: number): boolean {
    const { bytes } = this.#in
    const out = this.#out
    let length = this.#length
    for (let i = start; i < end; i++) {
      const byte = bytes[i] as number
      if (PLAIN[byte] === 0) return false
      out[length++] = byte
    }
    this.#length = length
    return true
  }

  #number(value: number): void {
    this.#ascii(String(value))
  }

  #ascii(text: string): void {
    const out = this.#out
    const start = this.#length
    for (let i = 0; i < text.length; i++) out[start + i] = text.charCodeAt(i)
    this.#length = start + text.length
  }

  /** The text of a CID of version 1; false when that is not upper-case base32. */
  #lower(base32: string): boolean {
    const out = this.#out
    const start = this.#length
    out[start] = BASE32_CODE
    for (let i = 0; i < base32.length; i++) {
      const lower = LOWER[base32.charCodeAt(i)] ?? 0
      if (lower === 0) return false
      out[start + 1 + i] = lower
    }
    this.#length = start + 1 + base32.length
    return true
  }

  /** As `#copy`, whose call costs more than a loop over some bytes. */
  #short(bytes: Uint8Array): void {
    const out = this.#out
    const start = this.#length
    for (let i = 0; i < bytes.length; i++) out[start + i] = bytes[i] as number
    this.#length = start + bytes.length
  }

  #copy(bytes: Uint8Array): void {
    this.#out.set(bytes, this.#length)
    this.#length += bytes.length
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#out.length) return
    const larger = new Uint8Array(Math.max(this.#out.length * 2, this.#length + bytes))
    larger.set(this.#out.subarray(0, this.#length))
    this.#out = larger
  }
}
