/**
 * Bytes that came in pieces. Whoever only hashes, counts and writes a block need not join them: joining costs a copy, and memory that
 * the collector has to give back.
 */
import { concatBytes } from './bytes.ts'

export interface InPieces {
  /** In one: joined at the first look, if need be. Taking it apart (`{ data }`) or copying the object (`...`) is a look. */
  readonly data: Uint8Array
  /** The same bytes, in order; absent where they are in one. Not to be kept by whoever is only shown the bytes (see `giveBack`). */
  readonly pieces?: readonly Uint8Array[]
  /** For whoever was given the bytes for his own, when he is done with `pieces`: what was lent of them (`lend`) goes back. Not for `data`. */
  giveBack?(): void
}

/** Fewer bytes than this are cheaper whole. */
const JOINED_BYTES = 32 * 1024
/** Pieces kept apart by a gatherer; more are copied together, since a client may send its bytes one by one. */
const MAX_PIECES = 32

export function piecesOf(bytes: InPieces): readonly Uint8Array[] {
  return bytes.pieces ?? [bytes.data]
}

export function lengthOf(bytes: InPieces): number {
  return bytes.pieces === undefined ? bytes.data.length : totalLength(bytes.pieces)
}

export function totalLength(pieces: readonly Uint8Array[]): number {
  let length = 0
  for (const piece of pieces) length += piece.length
  return length
}

/** The same bytes, in one piece if they are few. */
export function fewPieces(pieces: readonly Uint8Array[]): readonly Uint8Array[] {
  return totalLength(pieces) < JOINED_BYTES ? [joined(pieces)] : pieces
}

/** A copy of `about` that holds these bytes, too. */
export function withPieces<T extends object>(about: T, pieces: readonly Uint8Array[]): T & InPieces {
  let held = fewPieces(pieces)
  if (held.length === 1) return { ...about, data: joined(held) }
  let isGivenBack = false
  return {
    ...about,
    get data() {
      const data = joined(held)
      held = [data]
      return data
    },
    get pieces() {
      return held
    },
    giveBack() {
      if (!isGivenBack) for (const piece of held) giveBack(piece)
      isGivenBack = true
    },
  }
}

/** Bytes of lent buffers that have not come back. */
const lent = new WeakMap<ArrayBufferLike, number>()

/**
 * Says that nobody else holds the buffer of these bytes: when all of them have come back (`giveBack`), its memory is free at once, where the
 * collector lets a hundred megabytes gather. Bytes that never come back are left to the collector, and so is a part of a larger buffer.
 */
export function lend(bytes: Uint8Array): void {
  if (bytes.length === bytes.buffer.byteLength) lent.set(bytes.buffer, bytes.length)
}

/** Of lent bytes, those that nobody looks at any more: each once, as they were cut and not copied. Any other bytes may be given, to no effect. */
export function giveBack({ buffer, length }: Uint8Array): void {
  const left = lent.get(buffer)
  if (left === undefined) return
  if (left > length) {
    lent.set(buffer, left - length)
    return
  }
  lent.delete(buffer)
  if (buffer instanceof ArrayBuffer) buffer.transfer(0)
}

/** Without a copy where it is one already. */
export function joined(pieces: readonly Uint8Array[]): Uint8Array {
  const [only] = pieces
  return pieces.length === 1 && only !== undefined ? only : concatBytes(pieces)
}

/** Gathers bytes, without a copy as long as they come in few pieces; memory follows what has come, and not what is to come. */
export interface Gatherer {
  readonly length: number
  add(piece: Uint8Array): void
  /** All of them; it is empty then. */
  take(): readonly Uint8Array[]
}

/** @param most bytes that it will hold. */
export function createGatherer(most: number): Gatherer {
  let pieces: Uint8Array[] = []
  let copied: Uint8Array | undefined
  let length = 0
  const copy = (piece: Uint8Array) => {
    if (copied === undefined || length + piece.length > copied.length) {
      const grown = new Uint8Array(Math.min(most, 2 * (length + piece.length)))
      if (copied === undefined) grown.set(concatBytes(pieces))
      else grown.set(copied.subarray(0, length))
      copied = grown
      pieces = []
    }
    copied.set(piece, length)
  }
  return {
    get length() {
      return length
    },
    add(piece) {
      if (copied === undefined && pieces.length < MAX_PIECES) pieces.push(piece)
      else copy(piece)
      length += piece.length
    },
    take() {
      const all = copied === undefined ? pieces : [copied.subarray(0, length)]
      pieces = []
      copied = undefined
      length = 0
      return all
    },
  }
}
