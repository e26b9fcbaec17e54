import { concatBytes } from '@ipfs-cluster/base'
import * as dagCbor from '@ipld/dag-cbor'
import { varint } from 'multiformats'
import type { CID } from 'multiformats/cid'
import { FingerprintSet } from '../blocks/fingerprint-set.ts'
import { IDENTITY } from '../blocks/hash.ts'
import { linksOf } from '../links.ts'
import type { Block } from '../types.ts'
import type { ReadBlock } from './read-file.ts'

/** Blocks read ahead of the consumer. */
const LOOK_AHEAD_BLOCKS = 16
/** Small sections are gathered up to this many bytes, as whoever takes them pays by the piece. */
const GATHERED_BYTES = 64 * 1024
/** A block of more is not copied. */
const COPIED_BYTES = 16 * 1024

const KEY_BYTES = 16

/** What a block is known by in a `FingerprintSet`: the end of its digest and its codec, as the same bytes have other links in another. */
export function blockKey({ code, multihash: { digest } }: CID): Uint8Array {
  const key = new Uint8Array(KEY_BYTES)
  key.set(digest.subarray(Math.max(0, digest.length - KEY_BYTES)))
  for (let i = 0; i < 4; i++) key[i] = (key[i] as number) ^ ((code >>> (8 * i)) & 0xff)
  return key
}

export interface DagOptions {
  /** Left out, with what is below it; what is read is added. */
  readonly seen?: FingerprintSet
  /** Links to follow from the root; 0 is the root alone. @default without end */
  readonly maxDepth?: number | undefined
}

interface Step {
  readonly cid: CID
  readonly key: Uint8Array
  readonly depth: number
  loading?: Promise<Uint8Array>
}

/**
 * The blocks of a DAG, each once, depth first in the order of links; the order in which Kubo exports them. Blocks that are their own CID
 * (identity) are only given when they are the root. Memory: the links still to follow, and up to 46 bytes for each block.
 */
export async function* dagBlocks(
  root: CID,
  read: ReadBlock,
  { seen = new FingerprintSet(), maxDepth }: DagOptions = {},
): AsyncGenerator<Block> {
  const controller = new AbortController()
  const nearer = maxDepth === undefined ? undefined : nearestFirst()
  const stack: Step[] = [stepOf(root, 0)]
  const load = ({ cid }: Step): Promise<Uint8Array> =>
    cid.multihash.code === IDENTITY ? Promise.resolve(cid.multihash.digest) : read(cid, controller.signal)
  try {
    while (true) {
      for (const next of stack.slice(-LOOK_AHEAD_BLOCKS)) {
        if (next.loading !== undefined || seen.has(next.key)) continue
        next.loading = load(next)
        // It may never be awaited, when the consumer leaves before.
        next.loading.catch(() => undefined)
      }
      const next = stack.pop()
      if (next === undefined) return
      const { cid, key, depth } = next
      const first = seen.add(key)
      if (nearer === undefined ? !first : !nearer(key, depth)) continue
      const data = await (next.loading ?? load(next))
      if (first && (depth === 0 || cid.multihash.code !== IDENTITY)) yield { cid, data }
      if (depth === maxDepth) continue
      for (const link of linksOf(cid, data).toReversed()) stack.push(stepOf(link, depth + 1))
    }
  } finally {
    controller.abort(new DOMException('the reader left', 'AbortError'))
  }
}

function stepOf(cid: CID, depth: number): Step {
  return { cid, key: blockKey(cid), depth }
}

/** With a limit of depth, a block that is found again nearer to the root leads further than it did before. */
function nearestFirst(): (key: Uint8Array, depth: number) => boolean {
  const depths = new Map<string, number>()
  return (key, depth) => {
    const text = key.toHex()
    const before = depths.get(text)
    if (before !== undefined && before <= depth) return false
    depths.set(text, depth)
    return true
  }
}

/**
 * A CARv1 of `blocks` (https://ipld.io/specs/transport/car/carv1): each section is a varint of its length, then CID and bytes. What it yields
 * is its reader's to keep, but the bytes of large blocks are those of the block.
 */
export async function* writeCar(root: CID, blocks: AsyncIterable<Block>): AsyncGenerator<Uint8Array> {
  const header = carHeader(root)
  let gathered = [header]
  let length = header.length
  for await (const { cid, data } of blocks) {
    gathered.push(carSectionHead(cid, data.length))
    const copied = data.length <= COPIED_BYTES
    if (copied) gathered.push(data)
    length += cid.bytes.length + (copied ? data.length : 0)
    if (copied && length < GATHERED_BYTES) continue
    yield concatBytes(gathered)
    gathered = []
    length = 0
    if (!copied) yield data
  }
  if (gathered.length > 0) yield concatBytes(gathered)
}

/** What a CARv1 begins with. */
export function carHeader(root: CID): Uint8Array {
  const header = dagCbor.encode({ version: 1, roots: [root] })
  return concatBytes([lengthPrefix(header.length), header])
}

/** What stands before the `length` bytes of a block. */
export function carSectionHead(cid: CID, length: number): Uint8Array {
  return concatBytes([lengthPrefix(cid.bytes.length + length), cid.bytes])
}

function lengthPrefix(length: number): Uint8Array {
  return varint.encodeTo(length, new Uint8Array(varint.encodingLength(length)))
}
