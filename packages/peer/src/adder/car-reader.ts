/** Reads CARv1 as a stream: a header, then blocks, each preceded by its length (CAR specification; limits as in go-car). */
import { cidOfBytes } from '@ipfs-cluster/api'
import { EMPTY_BYTES, equalBytes, errorMessage } from '@ipfs-cluster/base'
import { decode as decodeCbor } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { badCar } from './errors.ts'
import { hasherOfCode } from './hashing.ts'

/** Bytes of one block with its CID. */
const MAX_SECTION_BYTES = 32 * 1024 * 1024
/** Bytes of the header: it names one root. Decoded, CBOR takes up to thirty times its size. */
const MAX_HEADER_BYTES = 64 * 1024
const MAX_VARINT_BYTES = 9

export interface CarBlock {
  readonly cid: CID
  readonly data: Uint8Array
}

export interface Car {
  readonly root: CID
  /** Verified against their CIDs. */
  readonly blocks: AsyncGenerator<CarBlock>
}

/** @throws AdderError `ADD_BAD_CAR`, also from the blocks. */
export async function readCar(source: AsyncIterable<Uint8Array>): Promise<Car> {
  const bytes = createByteReader(source)
  const header = await bytes.section(MAX_HEADER_BYTES)
  if (header === undefined) throw badCar('the CAR is empty')
  return { root: rootOf(header), blocks: readBlocks(bytes) }
}

function rootOf(header: Uint8Array): CID {
  let value: unknown
  try {
    value = decodeCbor(header)
  } catch (cause) {
    throw badCar(`invalid header: ${errorMessage(cause)}`, cause)
  }
  const { version, roots } = (value ?? {}) as { readonly version?: unknown; readonly roots?: unknown }
  if (version !== 1) throw badCar(`invalid car version: ${String(version)}`)
  if (Array.isArray(roots) && roots.length === 0) throw badCar('empty car, no roots')
  if (!Array.isArray(roots) || roots.length !== 1) {
    throw badCar('only CAR files with a single root are supported')
  }
  const root = CID.asCID(roots[0])
  if (root === null) throw badCar('the root of the CAR is not a CID')
  try {
    return cidOfBytes(root.bytes)
  } catch (cause) {
    throw badCar(`the root of the CAR is not a CID: ${errorMessage(cause)}`, cause)
  }
}

async function* readBlocks(bytes: ByteReader): AsyncGenerator<CarBlock> {
  while (true) {
    const section = await bytes.section(MAX_SECTION_BYTES)
    if (section === undefined) return
    const block = splitSection(section)
    verify(block)
    yield block
  }
}

function splitSection(section: Uint8Array): CarBlock {
  try {
    const [{ bytes }, data] = CID.decodeFirst(section)
    // Stricter than the library, and with its own copy of the bytes.
    return { cid: cidOfBytes(bytes), data }
  } catch (cause) {
    throw badCar(`a block without a CID: ${errorMessage(cause)}`, cause)
  }
}

function verify({ cid, data }: CarBlock): void {
  const { code, digest } = cid.multihash
  const hasher = hasherOfCode(code)
  const IDENTITY = 0
  if (hasher === undefined && code !== IDENTITY)
    throw badCar(`cannot verify the block ${cid}: unknown hash function`)
  const actual = hasher === undefined ? data : hasher.digest(data)
  if (!equalBytes(actual, digest))
    throw badCar(`mismatch in content integrity: the data of block ${cid} is not what its CID says`)
}

interface ByteReader {
  /** The next length-prefixed section, a view; `undefined` at the end. */
  section(maxBytes: number): Promise<Uint8Array | undefined>
}

function createByteReader(source: AsyncIterable<Uint8Array>): ByteReader {
  const iterator = source[Symbol.asyncIterator]()
  // The unread bytes are those from `start` to `end`. One buffer that grows, as a piece may be a single byte; what was handed out is
  // never written again.
  let buffer: Uint8Array = EMPTY_BYTES
  let start = 0
  let end = 0

  const append = (piece: Uint8Array): void => {
    const unread = end - start
    if (unread === 0) {
      buffer = piece
      start = 0
      end = piece.length
      return
    }
    if (end + piece.length > buffer.length) {
      const grown = new Uint8Array(2 * (unread + piece.length))
      grown.set(buffer.subarray(start, end))
      buffer = grown
      start = 0
      end = unread
    }
    buffer.set(piece, end)
    end += piece.length
  }

  /** False when the source ended first. */
  const fill = async (length: number): Promise<boolean> => {
    while (true) {
      if (end - start >= length) return true
      const { done, value } = await iterator.next()
      if (done === true) return false
      append(value)
    }
  }

  const length = async (): Promise<number | undefined> => {
    let value = 0
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      if (!(await fill(1))) {
        if (i === 0) return undefined
        throw badCar('unexpected EOF')
      }
      const byte = buffer[start++] as number
      value += (byte & 0x7f) * 2 ** (7 * i)
      if (byte < 0x80) return value
    }
    throw badCar('a section with an invalid length')
  }

  return {
    async section(maxBytes) {
      const size = await length()
      if (size === undefined) return undefined
      if (size > maxBytes) throw badCar(`a section of ${size} bytes; at most ${maxBytes} are allowed`)
      if (!(await fill(size))) throw badCar('unexpected EOF')
      start += size
      return buffer.subarray(start - size, start)
    },
  }
}
