import type { NodeWithMeta } from '@ipfs-cluster/api'
import { concatBytes, fewPieces, totalLength, withPieces } from '@ipfs-cluster/base'
import type { Chunk, Chunker } from './chunker.ts'
import { createDirectory, makeDirectories, putFile, storeDirectory, type Directory } from './directory.ts'
import { badContent } from './errors.ts'
import { balancedLayout, trickleLayout } from './file-layout.ts'
import { DAG_PB, RAW, type CidBuilder } from './hashing.ts'
import type { AddPart } from './types.ts'
import { encodeFileNode, encodeLeaf, encodeSymlink, type DagNode } from './unixfs.ts'

/** Bytes of a file between two progress outputs. */
const PROGRESS_BYTES = 256 * 1024
/** Bytes of a symlink's target. */
const MAX_SYMLINK_BYTES = 64 * 1024

export interface ImportOptions {
  readonly chunk: Chunker
  readonly layout: 'balanced' | 'trickle'
  readonly rawLeaves: boolean
  readonly cids: CidBuilder
  readonly wrap: boolean
  readonly progress: boolean
  readonly put: (block: NodeWithMeta) => Promise<void>
}

export type Imported =
  /** A file or directory; its name carries the folder being added, a single file has its own. */
  | { readonly kind: 'node'; readonly name: string; readonly node: DagNode }
  /** Bytes of a file so far; the name is relative to the folder being added. */
  | { readonly kind: 'progress'; readonly name: string; readonly bytes: number }
  /** The root of a top-level entry is complete. */
  | { readonly kind: 'root'; readonly node: DagNode }

/** A folder being added; `name` is empty when it wraps everything. */
interface OpenFolder {
  readonly name: string
  readonly root: Directory
}

/**
 * Imports an upload as UnixFS, with the same blocks as Kubo makes: files as they come, then the directories of each top-level
 * entry, children before parents. Entries of one folder follow each other; a wrapping folder holds all entries.
 *
 * @throws AdderError `ADD_BAD_CONTENT`
 */
export async function* importUnixfs(
  parts: AsyncIterable<AddPart>,
  options: ImportOptions,
): AsyncGenerator<Imported> {
  let open: OpenFolder | undefined
  for await (const part of parts) {
    const names = cleanNames(part.path)
    const [top = ''] = names
    if (options.wrap) open ??= { name: '', root: createDirectory() }
    else if (open !== undefined && open.name !== top) {
      yield* closeFolder(open, options)
      open = undefined
    }
    if (open === undefined && names.length < 2 && part.kind !== 'directory') {
      const node = yield* importContent(part, '', options)
      yield { kind: 'node', name: top, node }
      yield { kind: 'root', node }
      continue
    }
    open ??= { name: top, root: createDirectory() }
    yield* importInto(open, options.wrap ? names : names.slice(1), part, options)
  }
  if (open !== undefined) yield* closeFolder(open, options)
}

async function* importInto(
  folder: OpenFolder,
  names: readonly string[],
  part: AddPart,
  options: ImportOptions,
): AsyncGenerator<Imported> {
  if (part.kind === 'directory') {
    makeDirectories(folder.root, names)
    return
  }
  const path = names.join('/')
  const node = yield* importContent(part, path, options)
  // A file without a name, in a folder, is called by its CID.
  const parent = makeDirectories(folder.root, names.slice(0, -1))
  if (names.length === 0 && folder.name !== '')
    throw badContent(folder.name, `${folder.name} is both a file and a folder`)
  putFile(parent, names.at(-1) ?? node.cid.toString(), node, joinNames([folder.name, ...names]))
  yield { kind: 'node', name: joinNames([folder.name, ...names]), node }
}

async function* closeFolder({ name, root }: OpenFolder, options: ImportOptions): AsyncGenerator<Imported> {
  const stored = await storeDirectory(root, (data, linked) => storeNode(options, data, linked, 0))
  for (const { names, node } of stored) yield { kind: 'node', name: joinNames([name, ...names]), node }
  const last = stored.at(-1)
  if (last !== undefined) yield { kind: 'root', node: last.node }
}

async function* importContent(
  part: AddPart,
  name: string,
  options: ImportOptions,
): AsyncGenerator<Imported, DagNode> {
  if (part.kind === 'symlink') {
    const target = await readTarget(part)
    return await storeNode(options, encodeSymlink(target), 0, target.length)
  }
  const layout = (options.layout === 'trickle' ? trickleLayout : balancedLayout)(children =>
    storeNode(options, encodeFileNode(children), sum(children, 'cumulativeSize'), sum(children, 'fileSize')),
  )
  const progress = countProgress(part.content)
  for await (const chunk of options.chunk(options.progress ? progress.content : part.content)) {
    await layout.add(await storeLeaf(options, chunk))
    for (const bytes of progress.take()) yield { kind: 'progress', name, bytes }
  }
  for (const bytes of progress.take()) yield { kind: 'progress', name, bytes }
  return (await layout.finish()) ?? (await storeLeaf(options, []))
}

async function storeLeaf(options: ImportOptions, chunk: Chunk): Promise<DagNode> {
  const length = totalLength(chunk)
  if (options.rawLeaves) return await storeBlock(options, RAW, chunk, { linked: 0, fileSize: length })
  const leaf = encodeLeaf(options.layout === 'trickle' ? 'raw' : 'file', chunk)
  return await storeBlock(options, DAG_PB, leaf, { linked: 0, fileSize: length })
}

/** @param linked bytes of everything below the node. @param fileSize bytes of the file it stands for. */
async function storeNode(
  options: ImportOptions,
  data: Uint8Array,
  linked: number,
  fileSize: number,
): Promise<DagNode> {
  return await storeBlock(options, DAG_PB, [data], { linked, fileSize })
}

async function storeBlock(
  { cids, put }: ImportOptions,
  codec: typeof RAW | typeof DAG_PB,
  pieces: readonly Uint8Array[],
  { linked, fileSize }: { readonly linked: number; readonly fileSize: number },
): Promise<DagNode> {
  const few = fewPieces(pieces)
  const cid = cids.cid(codec, few)
  const cumulativeSize = totalLength(few) + linked
  await put(withPieces({ cid, cumulativeSize: BigInt(cumulativeSize) }, few))
  return { cid, cumulativeSize, fileSize }
}

/** Notes how far the reading of a file has come: every so many bytes, and at its end. */
function countProgress(content: AsyncIterable<Uint8Array>) {
  let noted: number[] = []
  const counted = async function* () {
    let bytes = 0
    let next = PROGRESS_BYTES
    for await (const piece of content) {
      bytes += piece.length
      for (; next <= bytes; next += PROGRESS_BYTES) noted.push(next)
      yield piece
    }
    noted.push(bytes)
  }
  return {
    content: counted(),
    take(): readonly number[] {
      const taken = noted
      noted = []
      return taken
    },
  }
}

async function readTarget(part: AddPart): Promise<Uint8Array> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of part.content) {
    length += piece.length
    if (length > MAX_SYMLINK_BYTES)
      throw badContent(part.path, `the target of the symlink ${part.path} is too long`)
    pieces.push(piece)
  }
  return concatBytes(pieces)
}

/** The names of a path: empty ones and `.` vanish, `..` goes up but never out (Go: `path.Clean` below `/`). */
export function cleanNames(path: string): string[] {
  const names: string[] = []
  for (const name of path.split('/')) {
    if (name === '..') names.pop()
    else if (name !== '' && name !== '.') names.push(name)
  }
  return names
}

function joinNames(names: readonly string[]): string {
  return names.filter(name => name !== '').join('/')
}

function sum(nodes: readonly DagNode[], field: 'cumulativeSize' | 'fileSize'): number {
  return nodes.reduce((total, node) => total + node[field], 0)
}
