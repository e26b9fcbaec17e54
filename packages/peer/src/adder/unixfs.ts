/**
 * UnixFS nodes as bytes. The protobufs are written by hand: they are a few fields, their exact form decides the CIDs, and a leaf is
 * framed without a copy of its data (formats: UnixFS specification, dag-pb specification).
 */
import { concatBytes, EMPTY_BYTES, totalLength } from '@ipfs-cluster/base'
import { encode, prepare } from '@ipld/dag-pb'
import type { CID } from 'multiformats/cid'

/** A node of a DAG that has been stored. */
export interface DagNode {
  readonly cid: CID
  /** Bytes of the block and of all blocks below it, counting every link. */
  readonly cumulativeSize: number
  /** Bytes of the file below it; 0 for a directory. */
  readonly fileSize: number
}

export interface Link {
  readonly name: string
  readonly node: DagNode
}

const TYPE = { raw: 0, directory: 1, file: 2, symlink: 4, hamtShard: 5 } as const
/** murmur3-x64-64, the hash of sharded directories. */
const MURMUR3 = 0x22
export const SHARD_WIDTH = 256

/** A leaf with these data, as kind `file` (balanced layout) or `raw` (trickle layout), in pieces. */
export function encodeLeaf(kind: 'file' | 'raw', data: readonly Uint8Array[]): readonly Uint8Array[] {
  const length = totalLength(data)
  const head = [0x08, TYPE[kind]]
  if (length > 0) head.push(0x12, ...varint(length))
  const tail = [0x18, ...varint(length)]
  const unixfsLength = head.length + length + tail.length
  const start = Uint8Array.of(0x0a, ...varint(unixfsLength), ...head)
  return [start, ...data, Uint8Array.from(tail)]
}

/** An inner node of a file. */
export function encodeFileNode(children: readonly DagNode[]): Uint8Array {
  const fileSize = children.reduce((sum, child) => sum + child.fileSize, 0)
  const unixfs = [0x08, TYPE.file, 0x18, ...varint(fileSize)]
  for (const child of children) unixfs.push(0x20, ...varint(child.fileSize))
  return encodeNode(
    Uint8Array.from(unixfs),
    children.map(node => ({ name: '', node })),
  )
}

export function encodeDirectory(links: readonly Link[]): Uint8Array {
  return encodeNode(Uint8Array.of(0x08, TYPE.directory), links)
}

export function encodeSymlink(target: Uint8Array): Uint8Array {
  const unixfs = [Uint8Array.of(0x08, TYPE.symlink, 0x12, ...varint(target.length)), target]
  return encodeNode(concatBytes(unixfs), [])
}

/** One node of a sharded directory; a bit of `slots` for each link. */
export function encodeShard(slots: readonly number[], links: readonly Link[]): Uint8Array {
  let bits = 0n
  for (const slot of slots) bits |= 1n << BigInt(slot)
  // Big-endian without leading zeros.
  const field = bits === 0n ? EMPTY_BYTES : Uint8Array.fromHex(evenHex(bits))
  const head = Uint8Array.of(0x08, TYPE.hamtShard, 0x12, ...varint(field.length))
  const tail = Uint8Array.of(0x28, MURMUR3, 0x30, ...varint(SHARD_WIDTH))
  return encodeNode(concatBytes([head, field, tail]), links)
}

/** What the links of a directory weigh when it is decided whether to shard it (boxo `SizeEstimationLinks`). */
export function linkWeight(name: string, cidBytes: number): number {
  return Buffer.byteLength(name) + cidBytes
}

function encodeNode(unixfs: Uint8Array, links: readonly Link[]): Uint8Array {
  const Links = links.map(({ name, node }) => ({ Name: name, Hash: node.cid, Tsize: node.cumulativeSize }))
  return encode(prepare({ Data: unixfs, Links }))
}

function evenHex(value: bigint): string {
  const hex = value.toString(16)
  return hex.length % 2 === 0 ? hex : `0${hex}`
}

function varint(value: number): number[] {
  const out: number[] = []
  let rest = value
  while (rest >= 0x80) {
    out.push((rest % 0x80) | 0x80)
    rest = Math.floor(rest / 0x80)
  }
  out.push(rest)
  return out
}
