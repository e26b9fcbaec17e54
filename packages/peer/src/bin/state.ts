/** `ipfs-cluster-service state`: the pinset of a peer that does not run (Go: `cmdutils/state.go`; reference api.md 4.2, wire.md 13). */
import { open } from 'node:fs/promises'
import { Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parsePeerId, type PeerId } from '@ipfs-cluster/api'
import { errorMessage, systemClock, systemRandom, type JournaledStore, type Logger } from '@ipfs-cluster/base'
import { dotOfCrdt, markCrdt, summarizeCrdt } from '@ipfs-cluster/crdt'
import { openOfflineState, type OfflineState } from '../consensus/index.ts'
import { removeStore, replaceStore } from '../state/index.ts'
import { CommandError, step, type CommandIo } from './io.ts'
import { goStoresIn, takeFolder, type OfflineFolder } from './offline-folder.ts'
import { pinLine, readPins, type PinOverrides } from './pin-lines.ts'
import { createPrompt } from './prompt.ts'

/** What every one of these commands runs with. */
export interface StateContext {
  readonly folder: string
  readonly io: CommandIo
  readonly logger: Logger
}

/** Written to the output at a time, about. */
const CHUNK_CHARACTERS = 64 * 1024

const IMPORT_QUESTION = 'The pinset (state) of this peer will be replaced. Continue?'
const CLEANUP_QUESTION = 'The peer state will be removed.  Existing pins may be lost. Continue?'

/**
 * Writes the pinset, one pin a line, in the order of the store: that of the pins' keys, the upper-case base32 of the CIDs. To stdout when `file`
 * is empty.
 */
export async function exportState({ file }: { readonly file: string }, context: StateContext): Promise<void> {
  await using place = await takeCrdtFolder(context)
  await using store = await place.open()
  await using offline = await openState(store, context)
  await checkEmpty(store, place, context)
  async function* lines() {
    for await (const pin of offline.state.list({ signal: place.signal })) yield `${pinLine(pin)}\n`
  }
  await write('exporting state', lines(), { file, signal: place.signal }, context)
  const left = offline.undecodable()
  if (left > 0)
    context.logger.warn({ entries: left }, 'entries that cannot be read as a pin are not in the export')
  context.logger.info('state successfully exported')
}

export interface ImportOptions {
  readonly force: boolean
  /** Read instead of stdin unless empty. */
  readonly source: string
  readonly replicationMin: number
  readonly replicationMax: number
  /** Comma-separated peer ids. */
  readonly allocations: string
}

/**
 * Replaces the pinset by the one read. All of it is read and written to a fresh store before that takes the place of the old one, so input that is wrong
 * or cut off changes nothing.
 */
export async function importState(options: ImportOptions, context: StateContext): Promise<void> {
  const { io, logger } = context
  const { source, replicationMin, replicationMax } = options
  const allocations = await step('reading the allocations', () => parseAllocations(options.allocations))
  await using place = await takeCrdtFolder(context)
  if (!(await confirmed(IMPORT_QUESTION, options.force, place, io))) return
  const overrides = { replicationMin, replicationMax, allocations }
  const pins = await step('importing state', async () => {
    const input = await openInput(source, io)
    return await replaceStore(place.storePath, fresh => fill(fresh, input, overrides, place, context))
  })
  logger.info({ pins }, 'state successfully imported. Make sure all peers have consistent states')
}

async function fill(
  fresh: JournaledStore,
  input: Readable,
  overrides: PinOverrides,
  { signal }: OfflineFolder,
  context: StateContext,
): Promise<number> {
  await using offline = await openState(fresh, context)
  // What waits for input that does not come is ended by the signal.
  const onAbort = () => input.destroy(signal.reason as Error)
  // Until somebody reads: an error without a listener would end the program.
  input.on('error', () => undefined)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    signal.throwIfAborted()
    return await offline.add(readPins(input, overrides), { signal })
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Removes the store: the pinset and everything that follows from it. The next start is like a first one; IPFS keeps its pins. */
export async function cleanupState(
  { force }: { readonly force: boolean },
  context: StateContext,
): Promise<void> {
  const { io, logger } = context
  await using place = await takeCrdtFolder(context)
  if (!(await confirmed(CLEANUP_QUESTION, force, place, io))) return
  await step('cleaning state', () => removeStore(place.storePath))
  logger.info('data correctly cleaned up')
}

export async function crdtInfo(context: StateContext): Promise<void> {
  await using place = await takeCrdtFolder(context, crdtOnly())
  await using store = await place.open()
  const { heads, maxHeight, dirty, wanted } = await step('reading the CRDT', () => summarizeCrdt(store))
  if (wanted > 0) {
    context.logger.info(
      { nodes: wanted },
      'nodes of the DAG are missing here; the peer fetches them when it runs',
    )
  }
  // Go's bytes: no line feed at the end.
  context.io.stdout.write(
    `Number of heads: ${heads.length}. Current max-height: ${maxHeight}. Dirty: ${dirty}\n` +
      `Heads: [${heads.map(({ cid }) => cid).join(' ')}]`,
  )
}

export async function crdtDot({ file }: { readonly file: string }, context: StateContext): Promise<void> {
  await using place = await takeCrdtFolder(context, crdtOnly())
  const { signal } = place
  await using store = await place.open()
  await write('generating graph', dotOfCrdt(store, { signal }), { file, signal }, context)
}

/** Dirty: the next start of the daemon looks at every node of the DAG and repairs what it finds (`repairCrdt`). */
export async function markState(dirty: boolean, context: StateContext): Promise<void> {
  await using place = await takeCrdtFolder(context, crdtOnly())
  await using store = await place.open()
  await step('marking the CRDT', () => markCrdt(store, dirty))
  context.io.stdout.write(`Datastore marked '${dirty ? 'dirty' : 'clean'}'\n`)
}

/** @throws CommandError also for a peer of a Raft cluster: `refusal`. */
async function takeCrdtFolder(
  { folder, io }: StateContext,
  refusal: CommandError = noRaft(),
): Promise<OfflineFolder> {
  return await takeFolder(folder, io, ({ consensus }) => {
    if (consensus.crdt === undefined) throw refusal
  })
}

/** Go's words. */
function crdtOnly(): CommandError {
  return new CommandError('', 'crdt subcommands can only be run on peers initialized with crdt consensus')
}

function noRaft(): CommandError {
  return new CommandError(
    'creating state manager',
    'this implementation keeps no raft state; use the Go program for this folder',
  )
}

/** A folder in which only a Go peer has worked has a pinset, which an empty export would deny. */
async function checkEmpty(
  store: JournaledStore,
  { service }: OfflineFolder,
  { folder }: StateContext,
): Promise<void> {
  const left = goStoresIn(folder, service)
  if (left.length === 0 || (await summarizeCrdt(store)).heads.length > 0) return
  throw new CommandError(
    'exporting state',
    `the state is empty, and ${folder} holds the datastore of a Go peer (${left.join(', ')}), which this implementation cannot read; ` +
      'export it with the Go program, and import the result here',
  )
}

function openState(store: JournaledStore, { logger }: StateContext): Promise<OfflineState> {
  return step('opening the state', () =>
    openOfflineState({ store, clock: systemClock, random: systemRandom, logger: logger.child('crdt') }),
  )
}

/** @throws CommandError when the program is told to stop instead of an answer. */
async function confirmed(
  question: string,
  force: boolean,
  { signal }: OfflineFolder,
  io: CommandIo,
): Promise<boolean> {
  if (force) return true
  const stopped = () => step('waiting for an answer', () => signal.throwIfAborted())
  await stopped()
  using prompt = createPrompt(io)
  const onAbort = () => prompt[Symbol.dispose]()
  signal.addEventListener('abort', onAbort, { once: true })
  const yes = await prompt.confirm(question)
  signal.removeEventListener('abort', onAbort)
  await stopped()
  return yes
}

function parseAllocations(list: string): PeerId[] {
  return list
    .split(',')
    .filter(text => text !== '')
    .map(text => {
      try {
        return parsePeerId(text)
      } catch (cause) {
        throw new Error(`${JSON.stringify(text)}: ${errorMessage(cause)}`, { cause })
      }
    })
}

async function openInput(path: string, io: CommandIo): Promise<Readable> {
  if (path !== '') return (await step('reading import file', () => open(path))).createReadStream()
  io.stdout.write('reading from stdin, Ctrl-D to finish\n')
  return io.stdin
}

/** Writes text to `file`, or to stdout when that is empty, as fast as it is taken. */
async function write(
  doing: string,
  pieces: AsyncIterable<string>,
  { file, signal }: { readonly file: string; readonly signal: AbortSignal },
  { io }: StateContext,
): Promise<void> {
  const target = file === '' ? undefined : await step('creating output file', () => open(file, 'w'))
  await step(doing, async () => {
    const output: Writable = target?.createWriteStream({ flush: true }) ?? io.stdout
    try {
      await pipeline(Readable.from(chunks(pieces)), output, { end: target !== undefined, signal })
    } catch (error) {
      signal.throwIfAborted()
      throw error
    }
  })
}

async function* chunks(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let chunk = ''
  for await (const piece of pieces) {
    chunk += piece
    if (chunk.length < CHUNK_CHARACTERS) continue
    yield chunk
    chunk = ''
  }
  if (chunk !== '') yield chunk
}
