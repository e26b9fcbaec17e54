/** Directories: the tree that an upload describes, and its nodes, sharded (HAMT) where a plain one would be too large. */
import { compareUtf8 } from '@ipfs-cluster/api'
import { utf8 } from '@ipfs-cluster/base'
import { murmur364 } from '@multiformats/murmur3'
import { CID } from 'multiformats/cid'
import { badContent } from './errors.ts'
import { encodeDirectory, encodeShard, linkWeight, type DagNode, type Link } from './unixfs.ts'

/** A plain directory whose names and CIDs weigh more bytes than this is sharded (Kubo's default). */
const SHARD_THRESHOLD_BYTES = 256 * 1024
/** Nested folders of one path. */
const MAX_DEPTH = 1024

/** Stores an encoded dag-pb node whose links add up to `linkedSize` bytes. */
export type StoreNode = (data: Uint8Array, linkedSize: number) => Promise<DagNode>

export interface Directory {
  readonly entries: Map<string, PackedNode | Directory>
}

/** A node that has been stored, in little space: a folder may have a million of them. */
interface PackedNode {
  /** Its bytes, a character each. */
  readonly cid: string
  readonly cumulativeSize: number
}

export function createDirectory(): Directory {
  return { entries: new Map() }
}

/**
 * The directory at these names below `root`, made when missing.
 *
 * @throws AdderError `ADD_BAD_CONTENT` when one of them is a file.
 */
export function makeDirectories(root: Directory, names: readonly string[]): Directory {
  if (names.length > MAX_DEPTH) throw badContent(names.join('/'), `more than ${MAX_DEPTH} nested folders`)
  let directory = root
  for (const name of names) {
    const existing = directory.entries.get(name)
    if (existing === undefined) {
      const made = createDirectory()
      directory.entries.set(name, made)
      directory = made
    } else if (isDirectory(existing)) {
      directory = existing
    } else {
      const path = names.join('/')
      throw badContent(path, `${name} in ${path} is both a file and a folder`)
    }
  }
  return directory
}

/**
 * The same content may come twice. Kubo refuses other content, as we do; Go keeps the last without a word, so that the first is lost.
 *
 * @throws AdderError `ADD_BAD_CONTENT` when the name is taken.
 */
export function putFile(directory: Directory, name: string, node: DagNode, path: string): void {
  const existing = directory.entries.get(name)
  const packed = pack(node)
  if (existing !== undefined && (isDirectory(existing) || existing.cid !== packed.cid)) {
    throw badContent(path, `the upload has two different entries of the name ${path}`)
  }
  directory.entries.set(name, packed)
}

/** A directory that has been stored, with its path from where the storing began. */
export interface StoredDirectory {
  readonly names: readonly string[]
  readonly node: DagNode
}

/**
 * Stores the tree below `directory`, children first, itself last. What is returned is in the order in which Kubo tells of it: by name,
 * or, where a directory is sharded, as its shards are walked.
 */
export async function storeDirectory(
  directory: Directory,
  store: StoreNode,
  names: readonly string[] = [],
): Promise<StoredDirectory[]> {
  const below = new Map<string, StoredDirectory[]>()
  const links: PackedLink[] = []
  let weight = 0
  for (const [name, entry] of sortedEntries(directory)) {
    let node: PackedNode
    if (isDirectory(entry)) {
      const stored = await storeDirectory(entry, store, [...names, name])
      below.set(name, stored)
      node = pack((stored.at(-1) as StoredDirectory).node)
    } else {
      node = entry
    }
    weight += linkWeight(name, node.cid.length)
    links.push({ name, node })
  }
  if (weight <= SHARD_THRESHOLD_BYTES) {
    const unpacked = links.map(({ name, node }) => ({ name, node: unpack(node) }))
    const node = await store(encodeDirectory(unpacked), linkedSize(unpacked))
    return [...[...below.values()].flat(), { names, node }]
  }
  const hashed = await hashNames(links)
  const node = await storeShard(hashed, 0, store)
  const walked = below.size === 0 ? [] : hashed.flatMap(({ name }) => below.get(name) ?? [])
  return [...walked, { names, node }]
}

interface PackedLink {
  readonly name: string
  readonly node: PackedNode
}

/** With the hash of its name, in two halves of 32 bits. */
interface HashedLink extends PackedLink {
  readonly high: number
  readonly low: number
}

/** In the order of their hashes: that of a walk through the shards. */
async function hashNames(links: readonly PackedLink[]): Promise<HashedLink[]> {
  const hashed: HashedLink[] = []
  for (const { name, node } of links) {
    const { buffer, byteOffset } = await murmur364.encode(utf8(name))
    const view = new DataView(buffer, byteOffset)
    hashed.push({ name, node, high: view.getUint32(0), low: view.getUint32(4) })
  }
  return hashed.sort((a, b) => a.high - b.high || a.low - b.low)
}

/** @param links in the order of their hashes. */
async function storeShard(links: readonly HashedLink[], level: number, store: StoreNode): Promise<DagNode> {
  const bySlot = Map.groupBy(links, link => slotOf(link, level))
  const out: Link[] = []
  for (const [slot, inSlot] of bySlot) {
    const prefix = slot.toString(16).toUpperCase().padStart(2, '0')
    const [only] = inSlot
    if (inSlot.length === 1 && only !== undefined)
      out.push({ name: prefix + only.name, node: unpack(only.node) })
    else out.push({ name: prefix, node: await storeShard(inSlot, level + 1, store) })
  }
  return await store(encodeShard([...bySlot.keys()], out), linkedSize(out))
}

/** A byte of the hash chooses at each level. */
function slotOf({ high, low, name }: HashedLink, level: number): number {
  // Eight bytes of hash are all there are; names made to collide in them cannot be stored.
  if (level >= 8) throw badContent(name, `the name ${name} collides with others: sharded directory too deep`)
  return ((level < 4 ? high : low) >>> (24 - 8 * (level % 4))) & 0xff
}

function linkedSize(links: readonly Link[]): number {
  return links.reduce((sum, { node }) => sum + node.cumulativeSize, 0)
}

function sortedEntries({ entries }: Directory): [string, PackedNode | Directory][] {
  return [...entries].sort(([a], [b]) => compareUtf8(a, b))
}

function pack({ cid, cumulativeSize }: DagNode): PackedNode {
  const { buffer, byteOffset, length } = cid.bytes
  return { cid: Buffer.from(buffer, byteOffset, length).toString('latin1'), cumulativeSize }
}

function unpack({ cid, cumulativeSize }: PackedNode): DagNode {
  return { cid: CID.decode(Buffer.from(cid, 'latin1')), cumulativeSize, fileSize: 0 }
}

function isDirectory(entry: PackedNode | Directory): entry is Directory {
  return 'entries' in entry
}
