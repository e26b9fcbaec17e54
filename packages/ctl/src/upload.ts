/** Turns the arguments of `add` into the parts of an upload: local files and folders, and web pages. */
import type { AddPart } from '@ipfs-cluster/api'
import { LocalFailure } from './failure.ts'
import type { Files, Io } from './io.ts'

export interface UploadOptions {
  readonly recursive: boolean
  /** Take entries of folders that start with a dot. */
  readonly hidden: boolean
  readonly noCopy: boolean
}

/** An argument that has been looked at, but not read. */
type Entry =
  | { readonly source: 'web'; readonly name: string; readonly url: string }
  | { readonly source: 'files'; readonly name: string; readonly path: string }

/**
 * Checks all arguments; the parts are read as they are taken.
 *
 * @throws LocalFailure when one cannot be added.
 */
export async function readUpload(
  paths: readonly string[],
  options: UploadOptions,
  { files, fetch }: Pick<Io, 'files' | 'fetch'>,
): Promise<AsyncIterable<AddPart>> {
  const entries: Entry[] = []
  for (const path of paths) entries.push(await look(path, options, files))
  return parts(entries, options, files, fetch)
}

async function look(path: string, options: UploadOptions, files: Files): Promise<Entry> {
  try {
    if (/^https?:/.test(path)) {
      const url = new URL(path)
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
  files: Files,
  fetch: Io['fetch'],
): AsyncGenerator<AddPart> {
  try {
    for (const entry of entries) {
      if (entry.source === 'files') yield* walk(entry.path, entry.name, options, files)
      else yield { path: entry.name, kind: 'file', content: download(entry.url, fetch), absPath: entry.url }
    }
  } catch (cause) {
    throw cause instanceof LocalFailure ? cause : new LocalFailure('', cause)
  }
}

/** A folder comes before what is in it, entries in the order of their names. */
async function* walk(
  path: string,
  name: string,
  options: UploadOptions,
  files: Files,
): AsyncGenerator<AddPart> {
  const kind = await files.kind(path)
  switch (kind) {
    case 'file':
      yield { path: name, kind, content: readFile(path, files) }
      return
    case 'symlink':
      yield { path: name, kind, content: bytesOf(await files.target(path)) }
      return
    case 'directory':
      yield { path: name, kind, content: bytesOf('') }
      for (const child of (await files.names(path)).sort()) {
        if (child.startsWith('.') && !options.hidden) continue
        yield* walk(`${path === '/' ? '' : path}/${child}`, `${name}/${child}`, options, files)
      }
      return
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

async function* download(url: string, fetch: Io['fetch']): AsyncGenerator<Uint8Array> {
  const response = await fetch(url)
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
