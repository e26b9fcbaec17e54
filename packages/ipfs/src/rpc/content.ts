/** `cat`, `ls`, `files/stat`. */
import * as dagPb from '@ipld/dag-pb'
import type { CID } from 'multiformats/cid'
import { IpfsNodeError, isFailure } from '../errors.ts'
import { dagBlocks } from '../unixfs/car.ts'
import { describe } from '../unixfs/explore.ts'
import { readFile, type ReadBlock } from '../unixfs/read-file.ts'
import { ahead } from './ahead.ts'
import type { Call, Command } from './command.ts'
import { refused } from './errors.ts'
import { LOOK_AHEAD_ENTRIES, MAX_LISTED_AT_ONCE } from './limits.ts'
import { decodePb, parsePath, resolveToCid } from './paths.ts'
import { entryOf, TYPE_NUMBER, type UnixfsEntry } from './unixfs-entry.ts'

const RAW = 0x55

/** Reads with the signal of a call. */
export function readerOf({ session, signal }: Pick<Call, 'session' | 'signal'>): ReadBlock {
  return (cid, stop) => session.get(cid, { signal: AbortSignal.any([signal, stop]) })
}

export async function inspect(call: Pick<Call, 'session' | 'signal'>, cid: CID): Promise<UnixfsEntry> {
  return entryOf(cid, await call.session.get(cid, { signal: call.signal }))
}

interface Range {
  readonly cid: CID
  readonly size: number
  readonly from: number
  readonly to: number
}

export const cat: Command = {
  args: [{ name: 'ipfs-path', required: true, many: true, fromBody: true }],
  options: {
    offset: { kind: 'int', short: 'o' },
    length: { kind: 'int', short: 'l' },
    progress: { kind: 'bool', short: 'p' },
  },
  async run(call) {
    const { options, answer } = call
    const offset = options.number('offset') ?? 0
    const most = options.number('length') ?? Number.POSITIVE_INFINITY
    if (offset < 0) throw refused('cannot specify negative offset')
    if (most < 0) throw refused('cannot specify negative length')
    const ranges = await rangesOf(call, offset, most)
    const length = ranges.reduce((sum, { from, to }) => sum + to - from, 0)
    const read = readerOf(call)
    await answer.bytes(
      (async function* () {
        for (const { from, to, ...file } of ranges) yield* readFile(file, from, to, read)
      })(),
      { length },
    )
  },
}

/** The parts of the files that `offset` and `most` leave of all of them, one behind the other. */
async function rangesOf(call: Call, offset: number, most: number): Promise<Range[]> {
  const ranges: Range[] = []
  let skip = offset
  let left = most
  for (const path of call.args) {
    if (left === 0) break
    const cid = await resolveToCid(path, call)
    const entry = await inspect(call, cid)
    if (entry.kind === 'directory') {
      throw new IpfsNodeError(`${path} is a directory`, { code: 'IPFS_IS_DIRECTORY', path })
    }
    if (entry.kind === 'symlink') throw refused('operation not supported')
    const from = Math.min(skip, entry.size)
    const to = Math.min(entry.size, from + left)
    skip -= from
    left -= to - from
    ranges.push({ cid, size: entry.size, from, to })
  }
  return ranges
}

interface Listed {
  readonly name: string
  readonly cid: CID
  readonly size: number
}

export const ls: Command = {
  args: [{ name: 'ipfs-path', required: true, many: true, fromBody: true }],
  options: {
    headers: { kind: 'bool', short: 'v' },
    'resolve-type': { kind: 'bool' },
    size: { kind: 'bool' },
    stream: { kind: 'bool', short: 's' },
    long: { kind: 'bool', short: 'l' },
  },
  async run(call) {
    const { args, options, answer } = call
    const objects: object[] = []
    const isStream = options.flag('stream') ?? false
    if (isStream) answer.lines()
    for (const path of args) {
      const links: { readonly Name: string }[] = []
      for await (const link of ahead(entriesAt(path, call), LOOK_AHEAD_ENTRIES, each => linkOf(each, call))) {
        if (isStream) {
          await answer.line({ Objects: [{ Hash: path, Links: [link] }] })
          continue
        }
        if (links.length >= MAX_LISTED_AT_ONCE) {
          throw refused(`${path} has more than ${MAX_LISTED_AT_ONCE} entries: list it with stream=true`)
        }
        links.push(link)
      }
      objects.push({ Hash: path, Links: links.sort(byName) })
    }
    if (!isStream) await answer.once({ Objects: objects })
  },
}

/** As Go compares strings: by their bytes. */
function byName(a: { readonly Name: string }, b: { readonly Name: string }): number {
  return Buffer.compare(Buffer.from(a.Name), Buffer.from(b.Name))
}

/** The entries of a directory; of a file, its parts. */
async function* entriesAt(path: string, call: Call): AsyncGenerator<Listed> {
  const { session, signal } = call
  const cid = await resolveToCid(path, call)
  const data = await session.get(cid, { signal })
  if (entryOf(cid, data).kind === 'directory') {
    const directory = await describe(cid, path, readerOf(call), signal)
    if (directory.kind !== 'directory') throw new Error('invariant broken: a directory is described as one')
    for await (const { name, cid: child, size } of directory.list())
      yield { name, cid: child, size: Number(size) }
  } else if (cid.code === dagPb.code) {
    for (const { Name = '', Hash, Tsize = 0 } of decodePb(cid, data).Links)
      yield { name: Name, cid: Hash, size: Tsize }
  }
}

async function linkOf({ name, cid, size }: Listed, call: Call) {
  const link = {
    Name: name,
    Hash: call.cidText(cid),
    Size: 0,
    Type: TYPE_NUMBER.unknown as number,
    Target: '',
    Mode: 0,
    ModTime: '0001-01-01T00:00:00Z',
  }
  if (cid.code === RAW) return { ...link, Size: size, Type: TYPE_NUMBER.file }
  const { options } = call
  const isLookedAt = (options.flag('resolve-type') ?? true) || (options.flag('size') ?? true)
  if (!isLookedAt || cid.code !== dagPb.code) return link
  const entry = await inspect(call, cid)
  return { ...link, Size: entry.size, Type: TYPE_NUMBER[entry.kind], Target: entry.target }
}

export const filesStat: Command = {
  args: [{ name: 'path', required: true }],
  options: {
    format: { kind: 'string' },
    hash: { kind: 'bool' },
    size: { kind: 'bool' },
    'with-local': { kind: 'bool' },
  },
  async run(call) {
    const { args, options, answer, cidText } = call
    const path = args[0] as string
    if (!path.startsWith('/')) throw refused('paths must start with a leading slash')
    if (!path.startsWith('/ipfs/')) throw noMfs()
    parsePath(path)
    const cid = await resolveToCid(path, call)
    const { kind, size, cumulativeSize, links } = await inspect(call, cid)
    await answer.once({
      Hash: cidText(cid),
      Size: size,
      CumulativeSize: cumulativeSize,
      Blocks: kind === 'symlink' ? 0 : links,
      Type: kind,
      ...(options.flag('with-local') === true ? await locality(cid, call) : {}),
    })
  },
}

/** How much of a DAG is here. */
async function locality(cid: CID, { node, signal }: Call) {
  using here = node.details.session({ signal, fetch: false })
  let bytes = 0
  try {
    for await (const { data } of dagBlocks(cid, (each, stop) => here.get(each, { signal: stop })))
      bytes += data.length
  } catch (error) {
    if (!isFailure(error, 'IPFS_BLOCK_MISSING')) throw error
    return { WithLocality: true, SizeLocal: bytes }
  }
  return { WithLocality: true, Local: true, SizeLocal: bytes }
}

function noMfs() {
  return refused('the built-in IPFS node has no files of its own ("ipfs files"); name content by /ipfs/<CID>')
}

export const filesElse: Command = {
  args: [{ name: 'path', many: true }],
  run: () => Promise.reject(noMfs()),
}
