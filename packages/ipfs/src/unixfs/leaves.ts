import { UnixFS } from 'ipfs-unixfs'
import type { BufferImporter, BufferImporterResult } from 'ipfs-unixfs-importer'
import { varint } from 'multiformats'
import { CID } from 'multiformats/cid'
import { sha256 } from '../blocks/hash.ts'

const RAW = 0x55
const DAG_PB = 0x70
/** Tags (field number and wire type): data of a dag-pb node; type, data and file size of a UnixFS message. */
const [PB_DATA, FS_TYPE, FS_DATA, FS_SIZE] = [0x0a, 0x08, 0x12, 0x18] as const
const FS_FILE = 2

export interface LeafOptions {
  readonly chunkSize: number
  readonly cidVersion: 0 | 1
  /** Leaves are the bytes themselves, not wrapped in UnixFS and dag-pb. */
  readonly raw: boolean
}

/**
 * Cuts content into chunks and makes the leaves of a file of them: the blocks that the importer's own chunker and buffer importer make, with
 * one copy of each byte instead of three, and none when pieces as long as a chunk become raw leaves.
 */
export function leafImporter({ chunkSize, cidVersion, raw }: LeafOptions): BufferImporter {
  return async function* (file, storage) {
    for await (const { parts, length } of chunks(file.content, chunkSize)) {
      yield async (): Promise<BufferImporterResult> => {
        const block = raw ? joined([], parts, []) : unixfsLeaf(parts, length)
        const cid = raw ? CID.createV1(RAW, sha256(block)) : CID.create(cidVersion, DAG_PB, sha256(block))
        await storage.put(cid, block)
        const size = BigInt(block.length)
        if (raw) return { cid, block, size }
        // The nodes above need its length only; with its data, it would stay in memory until they are made.
        return { cid, block, size, unixfs: new UnixFS({ type: 'file', blockSizes: [BigInt(length)] }) }
      }
    }
  }
}

/** Bytes of one chunk, in the pieces they came in. */
interface Chunk {
  readonly parts: readonly Uint8Array[]
  readonly length: number
}

/** At least one, so that an empty file has a block too. */
async function* chunks(content: AsyncIterable<Uint8Array>, chunkSize: number): AsyncGenerator<Chunk> {
  let parts: Uint8Array[] = []
  let length = 0
  let isEmpty = true
  for await (const piece of content) {
    let rest = piece
    while (length + rest.length >= chunkSize) {
      const part = rest.subarray(0, chunkSize - length)
      yield { parts: [...parts, part], length: chunkSize }
      rest = rest.subarray(part.length)
      parts = []
      length = 0
      isEmpty = false
    }
    if (rest.length === 0) continue
    parts.push(rest)
    length += rest.length
  }
  if (length > 0 || isEmpty) yield { parts, length }
}

/** A dag-pb node without links whose data is a UnixFS file of these bytes; no data field when there are none, as in Kubo. */
function unixfsLeaf(parts: readonly Uint8Array[], length: number): Uint8Array {
  const size = encodeVarint(length)
  const type = [FS_TYPE, FS_FILE]
  const before = length === 0 ? type : [...type, FS_DATA, ...size]
  const after = [FS_SIZE, ...size]
  const head = [PB_DATA, ...encodeVarint(before.length + length + after.length), ...before]
  return joined(head, parts, after)
}

function joined(head: readonly number[], parts: readonly Uint8Array[], tail: readonly number[]): Uint8Array {
  const [only] = parts
  if (only !== undefined && parts.length === 1 && head.length === 0 && tail.length === 0) return only
  const length = parts.reduce((sum, part) => sum + part.length, head.length + tail.length)
  const out = new Uint8Array(Buffer.allocUnsafeSlow(length).buffer)
  out.set(head)
  let offset = head.length
  for (const part of parts) {
    out.set(part, offset)
    offset += part.length
  }
  out.set(tail, offset)
  return out
}

function encodeVarint(value: number): Uint8Array {
  return varint.encodeTo(value, new Uint8Array(varint.encodingLength(value)))
}
