/** Directories: the tree that an upload describes, and its nodes, sharded (HAMT) where a plain one would be too large. */
import { compareBytes, utf8 } from '@ipfs-cluster/base'
import { murmur364 } from '@multiformats/murmur3'
import { badContent } from './errors.ts'
import { encodeDirectory, encodeShard, linkWeight, type DagNode, type Link } from './unixfs.ts'

/** A plain directory whose names and CIDs weigh more bytes than this is sharded (Kubo's default). */
const SHARD_THRESHOLD_BYTES = 256 * 1024
/** Nested folders of one path. */
const MAX_DEPTH = 1024

/** Stores an encoded dag-pb node whose links add up to `linkedSize` bytes. */
export type StoreNode = (data: Uint8Array, linkedSize: number) => Promise<DagNode>

export interface Directory {
  readonly entries: Map<string, DagNode | Directory>
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
 * The same content may come twice. Go takes other content too and keeps the last without a word, so that the first is lost.
 *
 * @throws AdderError `ADD_BAD_CONTENT` when the name is taken.
 */
export function putFile(directory: Directory, name: string, node: DagNode, path: string): void {
  const existing = directory.entries.get(name)
  if (existing !== undefined && (isDirectory(existing) || !existing.cid.equals(node.cid))) {
    throw badContent(path, `the upload has two different entries of the name ${path}`)
  }
  directory.entries.set(name, node)
}

/** A directory that has been stored, with its path from where the storing began. */
export interface StoredDirectory {
  readonly names: readonly string[]
  readonly node: DagNode
}

/** Stores the tree below `directory`, children first and by name, itself last. */
export async function storeDirectory(
  directory: Directory,
  store: StoreNode,
  names: readonly string[] = [],
): Promise<StoredDirectory[]> {
  const stored: StoredDirectory[] = []
  const links: Link[] = []
  for (const [name, entry] of sortedEntries(directory)) {
    if (isDirectory(entry)) {
      const below = await storeDirectory(entry, store, [...names, name])
      stored.push(...below)
      links.push({ name, node: (below.at(-1) as StoredDirectory).node })
    } else {
      links.push({ name, node: entry })
    }
  }
  const weight = links.reduce((sum, { name, node }) => sum + linkWeight(name, node.cid), 0)
  const node =
    weight > SHARD_THRESHOLD_BYTES
      ? await storeShard(await hashNames(links), 0, store)
      : await store(encodeDirectory(links), linkedSize(links))
  stored.push({ names, node })
  return stored
}

interface HashedLink extends Link {
  /** Each byte chooses the slot at one level. */
  readonly hash: Uint8Array
}

async function hashNames(links: readonly Link[]): Promise<HashedLink[]> {
  return await Promise.all(
    links.map(async link => ({ ...link, hash: await murmur364.encode(utf8(link.name)) })),
  )
}

async function storeShard(links: readonly HashedLink[], level: number, store: StoreNode): Promise<DagNode> {
  const bySlot = Map.groupBy(links, link => slotOf(link, level))
  const slots = [...bySlot.keys()].sort((a, b) => a - b)
  const out: Link[] = []
  for (const slot of slots) {
    const prefix = slot.toString(16).toUpperCase().padStart(2, '0')
    const inSlot = bySlot.get(slot) ?? []
    const [only] = inSlot
    if (inSlot.length === 1 && only !== undefined) out.push({ name: prefix + only.name, node: only.node })
    else out.push({ name: prefix, node: await storeShard(inSlot, level + 1, store) })
  }
  return await store(encodeShard(slots, out), linkedSize(out))
}

function slotOf({ hash, name }: HashedLink, level: number): number {
  const slot = hash[level]
  // Eight bytes of hash are all there are; names made to collide in them cannot be stored.
  if (slot === undefined)
    throw badContent(name, `the name ${name} collides with others: sharded directory too deep`)
  return slot
}

function linkedSize(links: readonly Link[]): number {
  return links.reduce((sum, { node }) => sum + node.cumulativeSize, 0)
}

function sortedEntries(directory: Directory): [string, DagNode | Directory][] {
  return [...directory.entries]
    .map(([name, entry]) => ({ name, entry, bytes: utf8(name) }))
    .sort((a, b) => compareBytes(a.bytes, b.bytes))
    .map(({ name, entry }) => [name, entry])
}

function isDirectory(entry: DagNode | Directory): entry is Directory {
  return 'entries' in entry
}
