/** `get`: a file or folder as TAR, or gzip. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { constants, createGzip } from 'node:zlib'
import type { CID } from 'multiformats/cid'
import { describe } from '../unixfs/explore.ts'
import { readFile } from '../unixfs/read-file.ts'
import type { Call, Command } from './command.ts'
import { inspect, readerOf } from './content.ts'
import { refused } from './errors.ts'
import { MAX_ARCHIVE_PATH_BYTES, MAX_DEPTH } from './limits.ts'
import { resolveToCid } from './paths.ts'
import { TAR_END, tarHeader, tarPadding } from './tar.ts'

export const get: Command = {
  args: [{ name: 'ipfs-path', required: true, fromBody: true }],
  options: {
    output: { kind: 'string', short: 'o' },
    archive: { kind: 'bool', short: 'a' },
    compress: { kind: 'bool', short: 'C' },
    'compression-level': { kind: 'int', short: 'l' },
    progress: { kind: 'bool', short: 'p' },
  },
  async run(call) {
    const { args, options, answer, clock, signal } = call
    const level = options.number('compression-level')
    const isCompressed = options.flag('compress') ?? false
    if (isCompressed && level !== undefined && (level < 1 || level > 9)) {
      throw refused('compression level must be between 1 and 9')
    }
    const path = args[0] as string
    const cid = await resolveToCid(path, call)
    const { kind, size, cumulativeSize } = await inspect(call, cid)
    const isArchive = options.flag('archive') ?? false
    const length = kind === 'file' ? size : cumulativeSize
    let bytes: AsyncIterable<Uint8Array>
    if (isCompressed && !isArchive) {
      if (kind !== 'file') throw refused('file is not regular')
      bytes = readFile({ cid, size }, 0, size, readerOf(call))
    } else {
      const name = path.split('/').findLast(part => part !== '') ?? cid.toString()
      bytes = archive(call, { cid, path: safeName(name, cid), depth: 0 }, clock.now() / 1000)
    }
    if (!isCompressed) return await answer.bytes(bytes, { contentType: 'application/x-tar', length })
    const gzip = createGzip({ level: level ?? constants.Z_DEFAULT_COMPRESSION })
    const done = pipeline(Readable.from(bytes, { objectMode: false }), gzip, { signal })
    // Told by the stream, too.
    done.catch(() => undefined)
    await answer.bytes(gzip, { contentType: 'application/gzip', length })
    await done
  },
}

interface Place {
  readonly cid: CID
  readonly path: string
  readonly depth: number
}

async function* archive(call: Call, root: Place, mtime: number): AsyncGenerator<Uint8Array> {
  yield* entries(call, root, mtime)
  yield TAR_END
}

async function* entries(call: Call, place: Place, mtime: number): AsyncGenerator<Uint8Array> {
  const { cid, path, depth } = place
  if (depth > MAX_DEPTH) throw refused(`directories more than ${MAX_DEPTH} deep, at ${path.slice(0, 200)}`)
  if (Buffer.byteLength(path) > MAX_ARCHIVE_PATH_BYTES)
    throw refused(`a path of more than ${MAX_ARCHIVE_PATH_BYTES} bytes`)
  const entry = await inspect(call, cid)
  yield tarHeader({ ...entry, path }, mtime)
  if (entry.kind === 'file') {
    yield* readFile({ cid, size: entry.size }, 0, entry.size, readerOf(call))
    yield tarPadding(entry.size)
    return
  }
  if (entry.kind !== 'directory') return
  const directory = await describe(cid, path, readerOf(call), call.signal)
  if (directory.kind !== 'directory') throw new Error('invariant broken: a directory is described as one')
  for await (const { name, cid: child } of directory.list()) {
    const inside = { cid: child, path: `${path}/${safeName(name, cid)}`, depth: depth + 1 }
    yield* entries(call, inside, mtime)
  }
}

/** Whoever unpacks must not be led out of the folder. */
function safeName(name: string, cid: CID): string {
  if (name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name)) return name
  throw refused(`an entry of ${cid} has a name that no file can have: ${JSON.stringify(name.slice(0, 100))}`)
}
