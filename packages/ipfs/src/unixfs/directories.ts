import { encode, prepare } from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import type { ImportResult, InProgressImportResult, TreeBuilder, WritableStorage } from 'ipfs-unixfs-importer'
import { DirSharded } from 'ipfs-unixfs-importer/utils'
import { CID } from 'multiformats/cid'
import { sha256 } from '../blocks/hash.ts'
import { badPath } from '../errors.ts'

/** Names and CIDs of a directory may sum up to this many bytes before it becomes a HAMT (Kubo: `Import.UnixFSHAMTDirectorySizeThreshold`). */
const SHARD_BYTES = 256 * 1024

interface Leaf {
  readonly cid: CID
  readonly size: bigint
}

type Tree = Map<string, Leaf | Tree>

/**
 * Puts the files into directories as Kubo does. The importer's own builder differs: it leaves subdirectories out when it decides
 * whether a directory must become a HAMT, and an empty directory's entry that comes late removes the files in it.
 */
export function directoryBuilder(options: {
  readonly wrap: boolean
  readonly cidVersion: 0 | 1
}): TreeBuilder {
  return async function* (source, storage) {
    const root: Tree = new Map()
    for await (const entry of source) {
      const names = (entry.path ?? '').split('/').filter(name => name !== '')
      if (entry.unixfs?.isDirectory() === true) {
        enter(root, names)
        continue
      }
      yield entry
      insert(root, names, entry)
    }
    if (options.wrap) {
      yield* flush(root, '', storage, options.cidVersion)
      return
    }
    for (const [name, child] of root) {
      if (isTree(child)) yield* flush(child, name, storage, options.cidVersion)
    }
  }
}

function insert(root: Tree, names: readonly string[], { cid, size, path }: InProgressImportResult): void {
  // A file without a name gets its CID as name, as in Kubo.
  const name = names.at(-1) ?? cid.toString()
  const parent = enter(root, names.slice(0, -1))
  if (isTree(parent.get(name))) throw badPath(path ?? name, 'it is a file and a directory at once')
  parent.set(name, { cid, size })
}

function enter(root: Tree, names: readonly string[]): Tree {
  let tree = root
  for (const name of names) {
    let child = tree.get(name)
    if (child === undefined) {
      child = new Map()
      tree.set(name, child)
    }
    if (!isTree(child))
      throw badPath(names.join('/'), `${JSON.stringify(name)} is a file and a directory at once`)
    tree = child
  }
  return tree
}

/** Yields the directories below, then this one. */
async function* flush(
  tree: Tree,
  path: string,
  storage: WritableStorage,
  cidVersion: 0 | 1,
): AsyncGenerator<ImportResult> {
  const entries = new Map<string, Leaf>()
  for (const [name, child] of tree) {
    if (!isTree(child)) {
      entries.set(name, child)
      continue
    }
    let last: ImportResult | undefined
    for await (const directory of flush(child, path === '' ? name : `${path}/${name}`, storage, cidVersion)) {
      yield directory
      last = directory
    }
    if (last !== undefined) entries.set(name, last)
  }
  let bytes = 0
  for (const [name, { cid }] of entries) bytes += Buffer.byteLength(name) + cid.byteLength
  yield bytes > SHARD_BYTES
    ? await putSharded(entries, path, storage, cidVersion)
    : await putFlat(entries, path, storage, cidVersion)
}

async function putFlat(
  entries: ReadonlyMap<string, Leaf>,
  path: string,
  storage: WritableStorage,
  cidVersion: 0 | 1,
): Promise<ImportResult> {
  const unixfs = new UnixFS({ type: 'directory' })
  const links = [...entries].map(([Name, { cid, size }]) => ({ Name, Tsize: Number(size), Hash: cid }))
  const block = encode(prepare({ Data: unixfs.marshal(), Links: links }))
  const cid = CID.create(cidVersion, 0x70, sha256(block))
  await storage.put(cid, block)
  let size = BigInt(block.length)
  for (const entry of entries.values()) size += entry.size
  return { cid, path, unixfs, size }
}

async function putSharded(
  entries: ReadonlyMap<string, Leaf>,
  path: string,
  storage: WritableStorage,
  cidVersion: 0 | 1,
): Promise<ImportResult> {
  const props = { root: false, dir: true, path, dirty: true, flat: false }
  const directory = new DirSharded(props, { cidVersion })
  for (const [name, entry] of entries) await directory.put(name, entry)
  let last: ImportResult | undefined
  for await (const result of directory.flush(storage)) last = result
  if (last === undefined) throw new Error('invariant broken: a flushed directory has a result')
  return last
}

function isTree(node: Leaf | Tree | undefined): node is Tree {
  return node instanceof Map
}
