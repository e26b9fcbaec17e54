/**
 * Reads CARv1 and CARv2 as streams (https://ipld.io/specs/transport/car): of version 2 the sections that it holds; its padding and its index
 * are passed over. Memory: what a section takes, and a piece of the source.
 */
import {
  CodedError,
  createGatherer,
  EMPTY_BYTES,
  errorMessage,
  giveBack,
  joined,
  withPieces,
} from '@ipfs-cluster/base'
import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { checkedCid } from '../cid-text.ts'
import type { Block } from '../types.ts'

/** Bytes of one block with its CID, as in go-car. */
const MAX_SECTION_BYTES = 32 * 1024 * 1024
/** Bytes of a header that names its roots. Decoded, CBOR takes up to thirty times its size. */
const MAX_HEADER_BYTES = 64 * 1024
/** Bytes of a CID, far above what a digest needs. */
const MAX_CID_BYTES = 2048
/** What a length may take; a double is exact up to 7 of them, and a section beyond that is refused anyway. */
const MAX_VARINT_BYTES = 9
/** Bytes of the first section of a CARv2, a header that says no more than its version, with its length. */
const V2_PRAGMA_BYTES = 11
/** Characteristics (16), then offset and size of the sections, and the offset of the index: 64 bits each, little-endian. */
const V2_HEADER_BYTES = 40

/** The bytes are not those of a CAR, or end too early; the message says where. */
export class CarError extends CodedError<{ readonly code: 'BAD_CAR' }> {
  override readonly name = 'CarError'

  constructor(message: string, cause?: unknown) {
    super(message, { code: 'BAD_CAR' }, cause === undefined ? undefined : { cause })
  }
}

export interface Car {
  readonly version: 1 | 2
  /** As the header names them. */
  readonly roots: readonly CID[]
  /** To be read once, to its end; not verified. The data are views of what the source gave, in the pieces that it gave. */
  readonly blocks: AsyncGenerator<Block>
}

/** @throws CarError, also from the blocks; what the source throws. */
export async function readCar(source: AsyncIterable<Uint8Array>): Promise<Car> {
  const bytes = createByteReader(source)
  const first = await readHeader(bytes)
  if (first === undefined) throw new CarError('the CAR is empty')
  if (first.version === 1) return { version: 1, roots: rootsOf(first), blocks: readBlocks(bytes) }
  if (first.version !== 2) throw new CarError(`invalid car version: ${String(first.version)}`)
  if (bytes.position !== V2_PRAGMA_BYTES) throw new CarError('invalid header: not that of a CARv2')
  const end = await enterV2(bytes)
  const inner = await readHeader(bytes, end)
  if (inner?.version !== 1) throw new CarError('invalid header: a CARv2 has to hold a CARv1')
  return { version: 2, roots: rootsOf(inner), blocks: readBlocks(bytes, end) }
}

interface Header {
  readonly version?: unknown
  readonly roots?: unknown
}

async function readHeader(bytes: ByteReader, end?: number): Promise<Header | undefined> {
  const section = await readSection(bytes, MAX_HEADER_BYTES, 'header', end)
  if (section === undefined) return undefined
  try {
    const value = dagCbor.decode(joined(section))
    return typeof value === 'object' && value !== null ? value : {}
  } catch (cause) {
    throw new CarError(`invalid header: ${errorMessage(cause)}`, cause)
  }
}

function rootsOf({ roots }: Header): CID[] {
  if (!Array.isArray(roots)) throw new CarError('invalid header: it names no roots')
  return roots.map((root: unknown) => {
    const cid = CID.asCID(root)
    if (cid === null) throw new CarError('invalid header: a root that is not a CID')
    return checked(cid, 'invalid header')
  })
}

/** Moves on to the sections of a CARv2. Returns the position of their end. */
async function enterV2(bytes: ByteReader): Promise<number> {
  const header = joined(await bytes.take(V2_HEADER_BYTES))
  const view = new DataView(header.buffer, header.byteOffset, header.length)
  const [offset, size, index] = [16, 24, 32].map(at => view.getBigUint64(at, true)) as [
    bigint,
    bigint,
    bigint,
  ]
  const end = offset + size
  if (offset < BigInt(V2_PRAGMA_BYTES + V2_HEADER_BYTES) || end > BigInt(Number.MAX_SAFE_INTEGER)) {
    throw new CarError(`invalid header: the data are said to be ${size} bytes from ${offset} on`)
  }
  if (size === 0n) throw new CarError('invalid header: the CARv2 was not finished by whoever wrote it')
  if (index !== 0n && index < end) throw new CarError('invalid header: the index lies among the data')
  await bytes.skip(Number(offset) - bytes.position)
  return Number(end)
}

async function* readBlocks(bytes: ByteReader, end?: number): AsyncGenerator<Block> {
  while (true) {
    const at = bytes.position
    const section = await readSection(bytes, MAX_SECTION_BYTES, 'section', end)
    if (section === undefined) break
    yield blockOf(section, at)
  }
  // Read to its end, a source that breaks off shows it.
  await bytes.skip(Number.POSITIVE_INFINITY)
}

function blockOf(section: readonly Uint8Array[], at: number): Block {
  try {
    const used = piecesOfCid(section)
    const head = joined(section.slice(0, used))
    const rest = section.slice(used)
    const [{ bytes }, data] = CID.decodeFirst(head)
    if (bytes.length > MAX_CID_BYTES) throw new RangeError(`more than ${MAX_CID_BYTES} bytes`)
    // With its own copy of the bytes: it may outlive the data.
    const cid = checkedCid(CID.decode(bytes.slice()))
    // What has been copied nobody needs any more.
    if (used === 1) giveBack(head.subarray(0, head.length - data.length))
    else section.slice(0, used).forEach(giveBack)
    return withPieces({ cid }, data.length === 0 && rest.length > 0 ? rest : [data, ...rest])
  } catch (cause) {
    throw new CarError(`a block without a CID, at byte ${at}: ${errorMessage(cause)}`, cause)
  }
}

/** The first pieces, which together are no shorter than a CID may be, unless they are all. */
function piecesOfCid(pieces: readonly Uint8Array[]): number {
  let used = 0
  for (let length = 0; length <= MAX_CID_BYTES && used < pieces.length;) length += pieces[used++]?.length ?? 0
  return used
}

function checked(cid: CID, where: string): CID {
  try {
    return checkedCid(cid)
  } catch (cause) {
    throw new CarError(`${where}: ${errorMessage(cause)}`, cause)
  }
}

/** The next length-prefixed section; `undefined` at the end, which is that of the source when `end` is not given. */
async function readSection(
  bytes: ByteReader,
  maxBytes: number,
  what: string,
  end?: number,
): Promise<readonly Uint8Array[] | undefined> {
  const at = bytes.position
  if (at === end) return undefined
  const size = await readLength(bytes, at)
  if (size === undefined) {
    if (end === undefined) return undefined
    throw endsEarly(at)
  }
  if (size > maxBytes) {
    throw new CarError(`a ${what} of ${size} bytes, at byte ${at}; at most ${maxBytes} are allowed`)
  }
  if (size === 0) throw new CarError(`a ${what} of no bytes, at byte ${at}`)
  if (end !== undefined && bytes.position + size > end) {
    throw new CarError(`a ${what} that goes beyond the data of the CARv2, at byte ${at}`)
  }
  return await bytes.take(size)
}

async function readLength(bytes: ByteReader, at: number): Promise<number | undefined> {
  let value = 0
  for (let i = 0; i < MAX_VARINT_BYTES; i++) {
    const byte = bytes.tryByte() ?? (await bytes.byte())
    if (byte === undefined) {
      if (i === 0) return undefined
      throw endsEarly(bytes.position)
    }
    value += (byte & 0x7f) * 2 ** (7 * i)
    if (byte >= 0x80) continue
    // As go-varint: a number has one form.
    if (byte === 0 && i > 0) break
    return value
  }
  throw new CarError(`a section with an invalid length, at byte ${at}`)
}

function endsEarly(at: number): CarError {
  return new CarError(`unexpected EOF: the CAR ends early, after ${at} bytes`)
}

interface ByteReader {
  /** Bytes read so far. */
  readonly position: number
  /** The next byte if it is there already. */
  tryByte(): number | undefined
  /** The next byte; `undefined` at the end. */
  byte(): Promise<number | undefined>
  /** Views of the source's pieces, unless these are many. @throws CarError when the source ends before. */
  take(length: number): Promise<readonly Uint8Array[]>
  /** @throws CarError when the source ends before, unless that is at infinity. */
  skip(length: number): Promise<void>
}

function createByteReader(source: AsyncIterable<Uint8Array>): ByteReader {
  const iterator = source[Symbol.asyncIterator]()
  let piece: Uint8Array = EMPTY_BYTES
  let start = 0
  let position = 0
  let ended = false

  /** False at the end of the source. Only when the piece is used up. */
  const next = async (): Promise<boolean> => {
    while (!ended) {
      const { done, value } = await iterator.next()
      if (done === true) {
        ended = true
        return false
      }
      if (value.length === 0) continue
      piece = value
      start = 0
      return true
    }
    return false
  }
  /** At most so many, of one piece. */
  const some = (most: number): Uint8Array => {
    const part = piece.subarray(start, start + Math.min(most, piece.length - start))
    start += part.length
    position += part.length
    // Once all of it is given back there is nothing left that could be asked for its length.
    if (start === piece.length) {
      piece = EMPTY_BYTES
      start = 0
    }
    return part
  }
  const tryByte = () => {
    if (start === piece.length) return undefined
    const one = some(1)
    const byte = one[0]
    giveBack(one)
    return byte
  }

  return {
    get position() {
      return position
    },
    tryByte,
    byte: async () => ((await next()) ? tryByte() : undefined),
    async take(length) {
      const taken = createGatherer(length)
      while (taken.length < length) {
        if (start === piece.length && !(await next())) throw endsEarly(position)
        taken.add(some(length - taken.length))
      }
      return taken.take()
    },
    async skip(length) {
      for (let left = length; left > 0;) {
        if (start === piece.length && !(await next())) {
          if (length === Number.POSITIVE_INFINITY) return
          throw endsEarly(position)
        }
        left -= some(left).length
      }
    },
  }
}
