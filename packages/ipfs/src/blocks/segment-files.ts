import { open, readdir, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { errorCode } from '@ipfs-cluster/base'

/** Segment files kept open for reading. */
const MAX_OPEN_FILES = 64
/** Segments that are written at the same time. */
export const LANES = 2
const SUFFIX = '.seg'

interface OpenFile {
  readonly handle: Promise<FileHandle>
  users: number
  /** Close when the last user leaves: the file is gone from the pool. */
  doomed: boolean
}

/** The files below the block store: numbered, written at the end only, read anywhere. */
export interface SegmentFiles extends AsyncDisposable {
  list(): Promise<number[]>
  /** Fills `target` from `offset`; the number of bytes that were there. @throws ENOENT when the segment was removed. */
  read(segment: number, target: Uint8Array, offset: number): Promise<number>
  /** Writes `parts` one after the other from `offset`. Calls for one segment must not overlap, nor those for more than LANES segments. */
  write(segment: number, parts: Uint8Array[], offset: number): Promise<void>
  /** What was written to this segment now survives a power cut. */
  sync(segment: number): Promise<void>
  /** Cuts off everything behind `size`. Creates nothing. */
  truncate(segment: number, size: number): Promise<void>
  size(segment: number): Promise<number>
  remove(segment: number): Promise<void>
}

export function createSegmentFiles(folder: string): SegmentFiles {
  const pool = new Map<number, OpenFile>()
  /** Open for writing; the one written last is the last. */
  const writing = new Map<number, Promise<FileHandle>>()
  const fileOf = (segment: number) => join(folder, segment.toString().padStart(8, '0') + SUFFIX)

  const release = async (file: OpenFile): Promise<void> => {
    file.users--
    if (file.doomed && file.users === 0) await (await file.handle).close()
  }
  const doom = async (segment: number, file: OpenFile): Promise<void> => {
    pool.delete(segment)
    file.doomed = true
    file.users++
    await release(file)
  }
  const acquire = async (segment: number): Promise<OpenFile> => {
    let file = pool.get(segment)
    if (file === undefined) {
      file = { handle: open(fileOf(segment), 'r'), users: 0, doomed: false }
    }
    // Last in the map: most recently used.
    pool.delete(segment)
    pool.set(segment, file)
    file.users++
    try {
      await file.handle
    } catch (error) {
      if (pool.get(segment) === file) pool.delete(segment)
      throw error
    }
    for (const [oldest, idle] of pool) {
      if (pool.size <= MAX_OPEN_FILES) break
      if (idle.users === 0) await doom(oldest, idle)
    }
    return file
  }
  const closeWriter = async (segment: number): Promise<void> => {
    const handle = writing.get(segment)
    writing.delete(segment)
    // One that could not be opened was told of when it was to be written.
    await handle?.then(
      open => open.close(),
      () => undefined,
    )
  }
  const writer = async (segment: number): Promise<FileHandle> => {
    const handle = writing.get(segment) ?? openForWriting(fileOf(segment), folder)
    writing.delete(segment)
    writing.set(segment, handle)
    const [oldest] = writing.keys()
    const closing = writing.size > LANES && oldest !== undefined ? closeWriter(oldest) : undefined
    try {
      return await handle
    } catch (error) {
      if (writing.get(segment) === handle) writing.delete(segment)
      throw error
    } finally {
      await closing
    }
  }

  return {
    async list() {
      const names = await readdir(folder)
      return names
        .filter(name => /^\d{8,}\.seg$/.test(name))
        .map(name => Number.parseInt(name, 10))
        .sort((a, b) => a - b)
    },
    async read(segment, target, offset) {
      const file = await acquire(segment)
      try {
        return await readFully(await file.handle, target, offset)
      } finally {
        await release(file)
      }
    },
    async write(segment, parts, offset) {
      await writeFully(await writer(segment), parts, offset)
    },
    async sync(segment) {
      const writer = await writing.get(segment)
      if (writer !== undefined) return await writer.datasync()
      // Writing has gone on to the next file; syncing by any handle syncs the file.
      const handle = await open(fileOf(segment), 'r+')
      try {
        await handle.datasync()
      } finally {
        await handle.close()
      }
    },
    async truncate(segment, size) {
      const handle = await open(fileOf(segment), 'r+')
      try {
        await handle.truncate(size)
        await handle.datasync()
      } finally {
        await handle.close()
      }
    },
    async size(segment) {
      const handle = await open(fileOf(segment), 'r')
      try {
        return (await handle.stat()).size
      } finally {
        await handle.close()
      }
    },
    async remove(segment) {
      const file = pool.get(segment)
      if (file !== undefined) await doom(segment, file)
      await closeWriter(segment)
      await rm(fileOf(segment), { force: true })
    },
    async [Symbol.asyncDispose]() {
      for (const [segment, file] of pool) await doom(segment, file)
      for (const segment of writing.keys()) await closeWriter(segment)
    },
  }
}

/** Opens, or creates and makes the new name durable. */
async function openForWriting(path: string, folder: string): Promise<FileHandle> {
  try {
    return await open(path, 'r+')
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error
  }
  const handle = await open(path, 'wx+', 0o600)
  const directory = await open(folder, 'r')
  try {
    await directory.sync()
  } catch (error) {
    // Windows cannot sync a directory and does not need to.
    if (errorCode(error) !== 'EPERM') throw error
  } finally {
    await directory.close()
  }
  return handle
}

async function readFully(handle: FileHandle, target: Uint8Array, offset: number): Promise<number> {
  let done = 0
  while (done < target.length) {
    const { bytesRead } = await handle.read(target, done, target.length - done, offset + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return done
}

async function writeFully(handle: FileHandle, parts: Uint8Array[], offset: number): Promise<void> {
  let rest = parts
  let position = offset
  while (rest.length > 0) {
    const { bytesWritten } = await handle.writev(rest, position)
    position += bytesWritten
    rest = without(rest, bytesWritten)
  }
}

/** `parts` without their first `count` bytes: a write may stop short. */
function without(parts: Uint8Array[], count: number): Uint8Array[] {
  let skip = count
  let index = 0
  while (index < parts.length && skip >= (parts[index] as Uint8Array).length) {
    skip -= (parts[index] as Uint8Array).length
    index++
  }
  const rest = parts.slice(index)
  if (skip > 0) rest[0] = (rest[0] as Uint8Array).subarray(skip)
  return rest
}
