import {
  DEFAULT_PIN_OPTIONS,
  readablePeers,
  TRACKER_STATUS,
  type AddedOutput,
  type AddParams,
  type AddPart,
} from '@ipfs-cluster/api'
import { boolean, command, integer, text, texts, type Values } from '@ipfs-cluster/base/cli'
import { LocalFailure } from '../failure.ts'
import { addedListShape, addedQuietShape, addedShape } from '../format.ts'
import type { Session } from '../session.ts'
import { createProgress, type Progress } from '../progress.ts'
import { readUpload } from '../upload.ts'
import { bytesOf, expiryOf, metadataOf, waitForPin, waitTimeoutFlag } from './shared.ts'

const DEFAULT_HASH = 'sha2-256'
const FORMATS = ['unixfs', 'car'] as const
const LAYOUTS = ['balanced', 'trickle'] as const

const flags = {
  recursive: boolean('recursive, r', 'Add folders with all that is in them'),
  quiet: boolean('quiet, q', 'Print CIDs only'),
  quieter: boolean('quieter, Q', 'Print the last CID only'),
  noStream: boolean('no-stream', 'Print when all is done; with --enc=json as one list'),
  local: boolean('local', 'Add to the IPFS daemon of the peer that is asked, then pin as usual'),
  name: text('name, n', 'Name of the pin'),
  replicationMin: integer('replication-min, rmin', 'Least number of copies'),
  replicationMax: integer('replication-max, rmax', 'Wanted number of copies'),
  expireIn: text('expire-in', 'Unpin by itself after this long, such as 24h'),
  metadata: texts('metadata', 'key=value to keep with the pin; may be given again'),
  allocations: text('allocations, allocs', 'IDs of peers to prefer, comma-separated'),
  noPin: boolean('no-pin', 'Add without pinning'),
  shard: boolean('shard', 'Spread the DAG over the peers, in shards: for what no single peer has room for'),
  shardSize: text('shard-size', 'With --shard: size of a shard, such as 500MB; 100 MiB if not given'),
  wait: boolean('wait', 'Wait until as many peers as the minimum replication factor are done'),
  waitTimeout: waitTimeoutFlag,
  wrap: boolean('wrap-with-directory, w', 'Put the files into a folder'),
  format: text('format', 'unixfs (files and folders) or car (one CAR file)', 'unixfs', {
    choices: FORMATS,
  }),
  layout: text('layout', 'Layout of the DAG: balanced or trickle', '', { choices: LAYOUTS }),
  hidden: boolean('hidden, H', 'With --recursive: also files whose names start with a dot'),
  chunker: text('chunker, s', 'size-<bytes>, rabin-<min>-<avg>-<max> or buzhash', 'size-262144'),
  rawLeaves: boolean('raw-leaves', 'Raw blocks as leaves'),
  cidVersion: integer('cid-version', 'Version of CIDs; 1 implies --raw-leaves'),
  hash: text('hash', 'Hash function; if not the default, --cid-version is 1', DEFAULT_HASH),
  requireComplete: boolean('require-complete', 'With --format car: fail if blocks of its DAG are missing'),
  noCopy: boolean('nocopy', 'Let the daemon refer to the URL, not copy; implies --raw-leaves'),
}

export const addCommand = command({
  name: 'add',
  usage: 'Add files and folders to IPFS and pin them',
  argsUsage: '<path>',
  description: `Takes local files, folders (with -r), http(s) URLs, whose content is fetched from here, and
standard input, if the path is "-". Several arguments are put into one folder. CIDs come
out as "ipfs add" makes them with the same options; --format car imports a CAR file (version
1 or 2) with a single root as it is. What is missing of its DAG is told, and the IPFS
daemons look for it, unless --require-complete is given.

Blocks go at once to all peers that shall keep them, and the pin follows when they are
there. With --local they only go to the daemon of the peer that is asked, which is quicker
for the caller; the others then fetch them from it.

With --shard, content that is larger than any peer is cut into parts of --shard-size, and
each part is kept by peers of its own. The whole is unpinned, and its status asked for, by
its root. Not of Go, where the flags are left out of the program.`,
  flags,
  async run(session: Session, { values, args }) {
    if (args.length === 0) throw new LocalFailure('', 'need at least one path')
    const params = paramsOf(values, args.length, session)
    if (params.wrap && params.format === 'car') {
      throw new LocalFailure(
        '',
        'only a single CAR file can be added and wrap-with-directory is not supported',
      )
    }
    const last = await upload(session, values, params, args)
    if (last?.cid === null || last?.cid === undefined || !values.wait) return
    const limit = await replicationOf(session, last.cid, values.replicationMin)
    await waitForPin(session, last.cid, TRACKER_STATUS.pinned, values.waitTimeout, limit)
  },
})

/** Adds and prints; on a terminal a line shows how far it is, unless the flags ask for quiet. */
async function upload(
  session: Session,
  values: Values<typeof flags>,
  params: Partial<AddParams>,
  paths: readonly string[],
): Promise<AddedOutput | undefined> {
  const { io, client, encoding } = session
  const { parts, size } = await readUpload(paths, values, io)
  const quiet = values.quiet || values.quieter || encoding === 'json'
  if (quiet || io.terminal === undefined) {
    return await printOutputs(session, values, client.add({ params, parts }))
  }
  await using progress = createProgress(io.terminal, size(), io.clock)
  const print: Session['print'] = async (shape, value) => {
    await progress.hide()
    await session.print(shape, value)
  }
  const outputs = client.add({ params, parts: counted(parts, progress) })
  return await printOutputs({ ...session, print }, values, outputs)
}

async function* counted(parts: AsyncIterable<AddPart>, progress: Progress): AsyncGenerator<AddPart> {
  for await (const part of parts) {
    const content = part.kind === 'file' ? countedBytes(part.content, progress) : part.content
    yield { ...part, content }
  }
}

async function* countedBytes(
  content: AsyncIterable<Uint8Array>,
  progress: Progress,
): AsyncGenerator<Uint8Array> {
  for await (const chunk of content) {
    yield chunk
    progress.add(chunk.length)
  }
}

/** What the peer does not know (a format, layout or version) is sent as it is: the peer says what is wrong, and scripts get its code. */
function paramsOf(values: Values<typeof flags>, paths: number, session: Session): Partial<AddParams> {
  const cidVersion = values.hash === DEFAULT_HASH ? values.cidVersion : 1
  return {
    pin: {
      ...DEFAULT_PIN_OPTIONS,
      replicationFactorMin: values.replicationMin,
      replicationFactorMax: values.replicationMax,
      expireAt: expiryOf(values.expireIn, session),
      metadata: metadataOf(values.metadata),
      name: values.name,
      ...(values.shardSize === '' ? {} : { shardSize: bytesOf('shard-size', values.shardSize) }),
      userAllocations: readablePeers(values.allocations.split(',')),
    },
    noPin: values.noPin,
    ...(values.shard ? { shard: true } : {}),
    format: values.format as AddParams['format'],
    recursive: values.recursive,
    local: values.local,
    layout: (values.layout || LAYOUTS[0]) as AddParams['layout'],
    chunker: values.chunker,
    rawLeaves: values.rawLeaves || cidVersion > 0 || values.noCopy,
    hidden: values.hidden,
    wrap: values.wrap || paths > 1,
    cidVersion: cidVersion as AddParams['cidVersion'],
    hashFun: values.hash,
    noCopy: values.noCopy,
    ...(values.requireComplete && { requireComplete: true }),
  }
}

/** Prints as the flags ask; returns the last output, which is the root. */
async function printOutputs(
  session: Session,
  { quiet, quieter, noStream }: Values<typeof flags>,
  outputs: AsyncIterable<AddedOutput>,
): Promise<AddedOutput | undefined> {
  const shape = quiet || quieter ? addedQuietShape : addedShape
  const kept: AddedOutput[] = []
  let last: AddedOutput | undefined
  const finish = async () => {
    if (last === undefined) return
    if (noStream) await session.print(addedListShape(shape), quieter ? [last] : kept)
    else if (quieter) await session.print(shape, last)
  }
  try {
    for await (const output of outputs) {
      last = output
      // JSON carries them in the object.
      if (session.encoding === 'text') {
        for (const warning of output.warnings ?? []) await session.io.stderr(`warning: ${warning}\n`)
      }
      if (noStream) kept.push(output)
      else if (!quieter) await session.print(shape, output)
    }
  } catch (error) {
    // What was added is told before the error.
    await finish()
    throw error
  }
  await finish()
  return last
}

/** How many copies to wait for: what the pin got, or else what was asked for. */
async function replicationOf(
  session: Session,
  cid: NonNullable<AddedOutput['cid']>,
  asked: number,
): Promise<number> {
  try {
    return (await session.client.allocation({ cid })).replicationFactorMin
  } catch {
    // The wait that follows reports what is wrong.
    return asked
  }
}
