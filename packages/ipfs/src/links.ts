import { EMPTY_BYTES, lengthOf, piecesOf } from '@ipfs-cluster/base'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagPb from '@ipld/dag-pb'
import { CID } from 'multiformats/cid'
import { checkedCid, parseCid } from './cid-text.ts'
import { blockCorrupt, IpfsNodeError } from './errors.ts'
import type { Block } from './types.ts'

const RAW = 0x55
const DAG_JSON = 0x0129
/** Codecs that have no links by definition: raw, cbor, json, libp2p-key. */
const LEAF_CODECS: ReadonlySet<number> = new Set([RAW, 0x51, 0x0200, 0x72])

export function isLeafCodec(cid: CID): boolean {
  return LEAF_CODECS.has(cid.code)
}

/** Does a walk need not read this block? `leaf`: what the block store knows of it. */
export function isKnownLeaf(cid: CID, { leaf }: { readonly leaf: boolean }): boolean {
  return isLeafCodec(cid) || (leaf && cid.code === dagPb.code)
}

/**
 * The blocks this one links to, in its own order, repetitions included.
 *
 * @throws IpfsNodeError `IPFS_UNKNOWN_CODEC` when the links of this format are not known, `IPFS_BLOCK_CORRUPT` when the bytes are not
 * of the format the CID names.
 */
export function linksOf(cid: CID, data: Uint8Array): readonly CID[] {
  if (isLeafCodec(cid)) return []
  switch (cid.code) {
    case dagPb.code:
      return decoding(cid, () => dagPb.decode(data).Links.map(({ Hash }) => checkedCid(Hash)))
    case dagCbor.code:
      return decoding(cid, () => cidsIn(dagCbor.decode(data)))
    case DAG_JSON:
      return decoding(cid, () => cidsInJson(JSON.parse(new TextDecoder().decode(data))))
  }
  throw new IpfsNodeError(
    `the links of block ${cid} are not known: codec ${codecName(cid.code)} is not supported; pin it with type direct`,
    { code: 'IPFS_UNKNOWN_CODEC', cid: cid.toString(), codec: cid.code },
  )
}

/**
 * Bytes below a dag-pb node and of itself, as its links state them; `undefined` where they do not.
 *
 * @throws IpfsNodeError `IPFS_BLOCK_CORRUPT`
 */
export function statedSize(cid: CID, data: Uint8Array): number | undefined {
  if (isLeafCodec(cid)) return data.length
  if (cid.code !== dagPb.code) return undefined
  let total = data.length
  for (const { Tsize } of decoding(cid, () => dagPb.decode(data)).Links) {
    if (Tsize === undefined) return undefined
    total += Tsize
  }
  return total
}

/** Is this a dag-pb block without links, and sound? Cheap: it is either empty or nothing but its field 1 (Data). False when unsure. */
export function hasNoLinks(block: Block): boolean {
  if (block.cid.code !== dagPb.code) return false
  const [head = EMPTY_BYTES] = piecesOf(block)
  const size = lengthOf(block)
  if (size === 0) return true
  if (head[0] !== 0x0a) return false
  let length = 0
  let scale = 1
  for (let at = 1; scale <= 2 ** 28; at++) {
    const byte = head[at]
    if (byte === undefined) return false
    length += (byte & 0x7f) * scale
    if (byte < 0x80) return at + 1 + length === size
    scale *= 128
  }
  return false
}

function decoding<T>(cid: CID, decode: () => T): T {
  try {
    return decode()
  } catch (cause) {
    throw blockCorrupt(cid, `it has its hash but is not ${codecName(cid.code)}`, cause)
  }
}

function cidsIn(value: unknown): CID[] {
  const found: CID[] = []
  const open: unknown[] = [value]
  while (open.length > 0) {
    const next = open.pop()
    const cid = CID.asCID(next)
    if (cid !== null) found.push(checkedCid(cid))
    else if (isContainer(next)) openAll(next, open)
  }
  return found
}

/** One by one: as arguments of one call, more than some ten thousand would overflow the stack. */
function openAll(container: object, open: unknown[]): void {
  for (const value of Object.values(container).toReversed()) open.push(value)
}

/** A link is `{"/": "<cid>"}`; bytes are `{"/": {"bytes": …}}` and have none. */
function cidsInJson(value: unknown): CID[] {
  const found: CID[] = []
  const open: unknown[] = [value]
  while (open.length > 0) {
    const next = open.pop()
    if (!isContainer(next)) continue
    const slash = '/' in next ? next['/'] : undefined
    if (typeof slash === 'string' && Object.keys(next).length === 1) found.push(parseCid(slash))
    else openAll(next, open)
  }
  return found
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !(value instanceof Uint8Array)
}

function codecName(code: number): string {
  const names: Readonly<Record<number, string>> = {
    [dagPb.code]: 'dag-pb',
    [dagCbor.code]: 'dag-cbor',
    [DAG_JSON]: 'dag-json',
  }
  return names[code] ?? `0x${code.toString(16)}`
}
