import { createReadStream } from 'node:fs'
import { lstat, readdir, readlink } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import type { AddPart } from '../route.ts'
import { compareUtf8 } from '../utf8-order.ts'

/** Bytes of one read. */
const READ_SIZE = 256 * 1024

export interface PathPartsOptions {
  /** Take what is in folders; true. */
  readonly recursive?: boolean
  /** Take entries of folders that start with a dot; false. */
  readonly hidden?: boolean
}

/**
 * Files and folders of this machine as parts of an upload, read as they are sent; entries of a folder in the order of their names.
 * Symlinks are uploaded as such.
 *
 * @throws the file system's errors; Error for what is neither file, folder nor symlink, or a folder without `recursive`.
 */
export async function* pathParts(
  paths: string | readonly string[],
  options: PathPartsOptions = {},
): AsyncGenerator<AddPart> {
  for (const path of [paths].flat()) {
    const full = resolve(path)
    yield* walk(full, basename(full), options)
  }
}

async function* walk(path: string, name: string, options: PathPartsOptions): AsyncGenerator<AddPart> {
  const stats = await lstat(path)
  if (stats.isFile()) {
    yield { path: name, kind: 'file', content: readFile(path) }
  } else if (stats.isSymbolicLink()) {
    yield { path: name, kind: 'symlink', content: once(Buffer.from(await readlink(path))) }
  } else if (stats.isDirectory()) {
    if (options.recursive === false) throw new Error(`${path} is a folder: set recursive to add it`)
    yield { path: name, kind: 'directory', content: once() }
    for (const child of (await readdir(path)).sort(compareUtf8)) {
      if (child.startsWith('.') && options.hidden !== true) continue
      yield* walk(join(path, child), `${name}/${child}`, options)
    }
  } else {
    throw new Error(`${path} is neither file, folder nor symlink`)
  }
}

/** Opened when it is its turn. */
async function* readFile(path: string): AsyncGenerator<Uint8Array> {
  yield* createReadStream(path, { highWaterMark: READ_SIZE })
}

async function* once(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}
