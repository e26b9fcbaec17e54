import { createReadStream } from 'node:fs'
import { lstat, open, readdir, readlink, realpath, rename, rm, writeFile } from 'node:fs/promises'
import type { Files } from './io.ts'

/** Bytes a read. */
const READ_SIZE = 256 * 1024

/** The real file system; relative paths start at the process's current directory. */
export const nodeFiles: Files = {
  currentDirectory: () => realpath('.'),
  async kind(path) {
    const stats = await lstat(path)
    if (stats.isFile()) return 'file'
    if (stats.isDirectory()) return 'directory'
    return stats.isSymbolicLink() ? 'symlink' : 'other'
  },
  size: async file => (await lstat(file)).size,
  names: directory => readdir(directory),
  target: symlink => readlink(symlink),
  read: file => createReadStream(file, { highWaterMark: READ_SIZE }),
  write: (file, content) => writeFile(file, content),
  async create(file) {
    const partial = `${file}.partial`
    const handle = await open(partial, 'w')
    return {
      async write(bytes) {
        for (let at = 0; at < bytes.length;) at += (await handle.write(bytes, at)).bytesWritten
      },
      async finish() {
        await handle.close()
        await rename(partial, file)
      },
      async discard() {
        await handle.close()
        await rm(partial, { force: true })
      },
    }
  },
}
