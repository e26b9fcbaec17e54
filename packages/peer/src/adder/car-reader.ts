/** Reads CARv1 as a stream: a header, then blocks, each preceded by its length (CAR specification; limits as in go-car). */
import { concatBytes, equalBytes, errorMessage } from '@ipfs-cluster/base'
import { decode as decodeCbor } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { badCar } from './errors.ts'
import { hasherOfCode } from './hashing.ts'

/** Bytes of the header, or of one block with its CID. */
const MAX_SECTION_BYTES = 32 * 1024 * 1024
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
  const header = await bytes.section()
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
  if (!Array.isArray(roots) || roots.length !== 1) {
    throw badCar('only CAR files with a single root are supported')
  }
  const root = CID.asCID(roots[0])
  if (root === null) throw badCar('the root of the CAR is not a CID')
  return root
}

async function* readBlocks(bytes: ByteReader): AsyncGenerator<CarBlock> {
  while (true) {
    const section = await bytes.section()
    if (section === undefined) return
    const block = splitSection(section)
    verify(block)
    yield block
  }
}

function splitSection(section: Uint8Array): CarBlock {
  try {
    const [cid, data] = CID.decodeFirst(section)
    return { cid, data }
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
  /** The next length-prefixed section; `undefined` at the end. */
  section(): Promise<Uint8Array | undefined>
}

function createByteReader(source: AsyncIterable<Uint8Array>): ByteReader {
  const iterator = source[Symbol.asyncIterator]()
  let buffer: Uint8Array = new Uint8Array(0)

  /** False when the source ended first. */
  const fill = async (length: number): Promise<boolean> => {
    if (buffer.length >= length) return true
    const pieces = [buffer]
    let have = buffer.length
    while (have < length) {
      const { done, value } = await iterator.next()
      if (done === true) break
      pieces.push(value)
      have += value.length
    }
    buffer = concatBytes(pieces)
    return have >= length
  }

  const length = async (): Promise<number | undefined> => {
    let value = 0
    for (let i = 0; i < MAX_VARINT_BYTES; i++) {
      if (!(await fill(i + 1))) {
        if (i === 0) return undefined
        throw badCar('unexpected EOF')
      }
      const byte = buffer[i] as number
      value += (byte & 0x7f) * 2 ** (7 * i)
      if (byte < 0x80) {
        buffer = buffer.subarray(i + 1)
        return value
      }
    }
    throw badCar('a section with an invalid length')
  }

  return {
    async section() {
      const size = await length()
      if (size === undefined) return undefined
      if (size > MAX_SECTION_BYTES)
        throw badCar(`a section of ${size} bytes; at most ${MAX_SECTION_BYTES} are allowed`)
      if (!(await fill(size))) throw badCar('unexpected EOF')
      const section = buffer.subarray(0, size)
      buffer = buffer.subarray(size)
      return section
    },
  }
}
