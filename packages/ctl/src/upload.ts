/** Turns the arguments of `add` into the parts of an upload: local files and folders, web pages, and standard input. */
import { compareUtf8, type AddPart } from '@ipfs-cluster/api'
import { LocalFailure } from './failure.ts'
import { networkText } from './host-transport.ts'
import type { FileKind, Files, Io } from './io.ts'

export interface UploadOptions {
  readonly recursive: boolean
  /** Take entries of folders that start with a dot. */
  readonly hidden: boolean
  readonly noCopy: boolean
}

/** The argument that stands for standard input, as for many programs; a file of that name is `./-`. */
const STDIN = '-'
/** What Node puts in place of bytes that are not UTF-8. */
const REPLACEMENT = '\uFFFD'

/** What of the outside an upload is read from. */
export type UploadIo = Pick<Io, 'files' | 'fetch' | 'stdin' | 'signal'>

/** An argument that has been looked at, but not read. */
type Entry =
  | { readonly source: 'stdin' }
  | { readonly source: 'web'; readonly name: string; readonly url: string }
  | { readonly source: 'files'; readonly name: string; readonly path: string }

export interface Upload {
  /** Read as they are taken, once. */
  readonly parts: AsyncIterable<AddPart>
  /** Bytes of all files; `undefined` when there is a URL or standard input among them. */
  size(): Promise<number | undefined>
}

/**
 * Checks all arguments.
 *
 * @throws LocalFailure when one cannot be added.
 */
export async function readUpload(
  paths: readonly string[],
  options: UploadOptions,
  io: UploadIo,
): Promise<Upload> {
  if (paths.filter(path => path === STDIN).length > 1) {
    throw new LocalFailure('', `standard input (${STDIN}) can be read only once`)
  }
  const entries: Entry[] = []
  for (const path of paths) entries.push(await look(path, options, io.files))
  return { parts: parts(entries, options, io), size: () => sizeOf(entries, options, io.files) }
}

async function sizeOf(
  entries: readonly Entry[],
  options: UploadOptions,
  files: Files,
): Promise<number | undefined> {
  let size = 0
  for (const entry of entries) {
    if (entry.source !== 'files') return undefined
    for await (const { path, kind } of walk(entry.path, entry.name, options, files)) {
      if (kind === 'file') size += await files.size(path)
    }
  }
  return size
}

async function look(path: string, options: UploadOptions, files: Files): Promise<Entry> {
  if (path === STDIN) return { source: 'stdin' }
  try {
    if (/^https?:/.test(path)) {
      const url = URL.parse(path)
      if (url === null) throw new Error(`${path} is not a URL`)
      return { source: 'web', name: baseName(decodeURIComponent(url.pathname)), url: path }
    }
    if (options.noCopy) throw new Error('nocopy option is only valid for URLs')
    const clean = cleanPath(path === '.' ? await files.currentDirectory() : path)
    const kind = await files.kind(clean)
    if (kind === 'directory' && !options.recursive) {
      throw new Error(`${clean} is a directory, but Recursive option is not set`)
    }
    return { source: 'files', name: baseName(clean), path: clean }
  } catch (cause) {
    throw new LocalFailure('', cause)
  }
}

async function* parts(
  entries: readonly Entry[],
  options: UploadOptions,
  io: UploadIo,
): AsyncGenerator<AddPart> {
  try {
    for (const entry of entries) {
      if (entry.source === 'stdin') {
        // Without a name: in a folder the peer calls it by its CID.
        yield { path: '', kind: 'file', content: io.stdin() }
        continue
      }
      if (entry.source === 'web') {
        yield { path: entry.name, kind: 'file', content: download(entry.url, io), absPath: entry.url }
        continue
      }
      for await (const found of walk(entry.path, entry.name, options, io.files)) {
        yield await partOf(found, io.files)
      }
    }
  } catch (cause) {
    throw cause instanceof LocalFailure ? cause : new LocalFailure('', cause)
  }
}

interface Found {
  readonly path: string
  /** In the upload. */
  readonly name: string
  readonly kind: FileKind
}

/** A folder comes before what is in it, entries in the order of their names. */
async function* walk(
  path: string,
  name: string,
  options: UploadOptions,
  files: Files,
): AsyncGenerator<Found> {
  const kind = await kindOf(path, files)
  yield { path, name, kind }
  if (kind !== 'directory') return
  for (const child of (await files.names(path)).sort(compareUtf8)) {
    if (child.startsWith('.') && !options.hidden) continue
    yield* walk(`${path === '/' ? '' : path}/${child}`, `${name}/${child}`, options, files)
  }
}

async function kindOf(path: string, files: Files): Promise<FileKind> {
  try {
    return await files.kind(path)
  } catch (cause) {
    if (!path.includes(REPLACEMENT)) throw cause
    const message = `the name of ${path} is perhaps not UTF-8, and such names cannot be added: rename it`
    throw new Error(message, { cause })
  }
}

async function partOf({ path, name, kind }: Found, files: Files): Promise<AddPart> {
  switch (kind) {
    case 'file':
      return { path: name, kind, content: readFile(path, files) }
    case 'symlink':
      return { path: name, kind, content: bytesOf(await files.target(path)) }
    case 'directory':
      return { path: name, kind, content: bytesOf('') }
    case 'other':
      throw new Error(`unrecognized file type for ${path}: neither file, folder nor symlink`)
  }
}

async function* readFile(path: string, files: Files): AsyncGenerator<Uint8Array> {
  try {
    yield* files.read(path)
  } catch (cause) {
    throw new LocalFailure('', cause)
  }
}

async function* bytesOf(text: string): AsyncGenerator<Uint8Array> {
  if (text !== '') yield new TextEncoder().encode(text)
}

async function* download(
  url: string,
  { fetch, signal }: Pick<Io, 'fetch' | 'signal'>,
): AsyncGenerator<Uint8Array> {
  let response: Response
  try {
    response = await fetch(url, { signal })
  } catch (cause) {
    if (signal.aborted) throw cause
    // What fetch throws only says that it failed; its cause says why.
    const why = networkText(cause instanceof Error ? (cause.cause ?? cause) : cause)
    throw new LocalFailure('', new Error(`cannot get ${url}: ${why}`, { cause }))
  }
  if (!response.ok) throw new LocalFailure('', `got non-2XX status code ${response.status}: ${url}`)
  if (response.body !== null) yield* response.body
}

/** Without `.`, doubled slashes and, where there is something to go back from, `..`. */
function cleanPath(path: string): string {
  const absolute = path.startsWith('/')
  const out: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue
    if (segment !== '..' || (out.length === 0 && !absolute) || out.at(-1) === '..') out.push(segment)
    else out.pop()
  }
  return (absolute ? '/' : '') + (out.join('/') || (absolute ? '' : '.'))
}

function baseName(path: string): string {
  return path.replace(/\/+$/, '').split('/').at(-1) || '/'
}
