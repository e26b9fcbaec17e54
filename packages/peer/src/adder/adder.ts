import { newPin, type AddedOutput, type AddParams, type PeerId, type Pin } from '@ipfs-cluster/api'
import { errorMessage, raceSignal, type Clock, type Logger } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { createBlockSink, type BlockSink, type DestinationFailure } from './block-sink.ts'
import { importCar, type CarImportOptions } from './car-import.ts'
import { createChunker } from './chunker.ts'
import { AdderError, badCar, unsupported } from './errors.ts'
import { createCidBuilder } from './hashing.ts'
import { createQueueShare } from './queue-share.ts'
import { checkShardedParams, createShardedSink } from './sharded-add.ts'
import type { Adder, AdderComponents, AddPart, ShardedPins } from './types.ts'
import { cleanNames, importUnixfs, type ImportOptions } from './unixfs-import.ts'

export type CreateAdderComponents = AdderComponents & { readonly clock: Clock; readonly logger: Logger }

/** Adds uploads to the cluster (Go: `adder/`, `adder/single`). Holds nothing between two adds. */
export function createAdder(needs: CreateAdderComponents): Adder {
  const components = { ...needs, queueShare: createQueueShare() }
  return {
    async *add(parts, params, { signal } = {}) {
      const job = prepare(components, params)
      const pinSharded = params.shard ? shardedPins(components, params) : undefined
      const stop = new AbortController()
      const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
      try {
        if (pinSharded !== undefined) {
          const content = abortable(parts, either)
          yield* addSharded(components, params, sink => job(content, sink), { pinSharded, signal: either })
          return
        }
        await using sink = createBlockSink(components, {
          signal: either,
          choose: first => chooseDestinations(components, pinOf(first, params), params, either),
          owned: true,
        })
        const { root, size } = yield* finishing(job(abortable(parts, either), sink), sink)
        if (params.noPin) return
        sink.keepFor(root)
        const everywhere = params.pin.replicationFactorMin < 0
        const allocations = everywhere ? [] : sink.allocations()
        const pin = { ...pinOf(root, params), allocations, ...(size === undefined ? {} : { size }) }
        await components.pin(pin, { signal: either })
      } finally {
        stop.abort(new DOMException('the add is over', 'AbortError'))
      }
    },
  }
}

/** What to pin, with the bytes of its DAG. */
interface Added {
  readonly root: CID
  readonly size: bigint | undefined
}

/** Imports all parts, yielding outputs; returns the root to pin. */
type Job = (parts: AsyncIterable<AddPart>, sink: JobSink) => AsyncGenerator<AddedOutput, Added>

type JobSink = Pick<BlockSink, 'put' | 'allocations'>

/** @throws AdderError `ADD_UNSUPPORTED` */
function shardedPins({ pinSharded }: CreateAdderComponents, params: AddParams): () => ShardedPins {
  checkShardedParams(params)
  if (pinSharded === undefined) throw unsupported('shard', 'sharded adding is not supported here')
  return pinSharded
}

/** Tells of each shard when it is full, and of the list of all; the root comes last, as in every add. */
async function* addSharded(
  components: CreateAdderComponents,
  params: AddParams,
  job: (sink: JobSink) => ReturnType<Job>,
  { pinSharded, signal }: { readonly pinSharded: () => ShardedPins; readonly signal: AbortSignal },
): AsyncGenerator<AddedOutput> {
  await using pins = pinSharded()
  await using sink = createShardedSink(components, params, pins, { signal })
  const outputs = finishing(job(sink), sink)
  try {
    let step = await outputs.next()
    for (; step.done !== true; step = await outputs.next()) {
      yield* sink.takeOutputs()
      yield step.value
    }
    await sink.commit(step.value.root, step.value.size)
  } finally {
    await outputs.return(undefined as never)
  }
}

/**
 * What a job yields, its last node only when everything is stored: a client may take that for the end, and it says what did not go well.
 */
async function* finishing(
  outputs: AsyncGenerator<AddedOutput, Added>,
  sink: Pick<BlockSink, 'finish' | 'failures'>,
): AsyncGenerator<AddedOutput, Added> {
  let last: AddedOutput | undefined
  try {
    let step = await outputs.next()
    for (; step.done !== true; step = await outputs.next()) {
      if (last !== undefined) yield last
      last = undefined
      if (step.value.cid === null) yield step.value
      else last = step.value
    }
    await sink.finish()
    const warnings = [...(last?.warnings ?? []), ...sink.failures().map(warningOf)]
    if (last !== undefined) yield warnings.length === 0 ? last : { ...last, warnings }
    last = undefined
    return step.value
  } catch (error) {
    // Its block is there, whatever came after it.
    if (last !== undefined) yield last
    throw error
  } finally {
    await outputs.return?.(undefined as never)
  }
}

/** The pin keeps its allocations: a peer that comes back brings itself up to date, and one that stays away is replaced like any other. */
function warningOf({ peer, error }: DestinationFailure): string {
  return (
    `${peer} has not taken all blocks, and is to fetch them from the other peers once it can: ` +
    errorMessage(error)
  )
}

/** Checks the parameters before a byte is read. @throws AdderError `ADD_UNSUPPORTED`, `ADD_BAD_CAR` */
function prepare({ openScratch }: CreateAdderComponents, params: AddParams): Job {
  if (params.format === 'car') {
    if (params.wrap) throw badCar('cannot wrap a CAR file upload')
    const { requireComplete = false, noPin } = params
    const options = { requireComplete, withoutRoot: noPin, openScratch }
    return (parts, sink) => addCar(parts, sink, options)
  }
  const { layout, rawLeaves, wrap, progress } = params
  const chunk = createChunker(params.chunker)
  const cids = createCidBuilder(params.hashFun, params.cidVersion)
  return (parts, sink) =>
    addUnixfs(parts, sink, { chunk, cids, layout, rawLeaves, wrap, progress, put: sink.put })
}

async function* addUnixfs(
  parts: AsyncIterable<AddPart>,
  sink: JobSink,
  options: ImportOptions,
): AsyncGenerator<AddedOutput, Added> {
  let added: Added | undefined
  for await (const item of importUnixfs(parts, options)) {
    switch (item.kind) {
      case 'progress':
        yield { name: item.name, cid: null, bytes: BigInt(item.bytes), size: 0n, allocations: [] }
        break
      case 'node': {
        const { cid, cumulativeSize } = item.node
        yield {
          name: item.name,
          cid,
          bytes: 0n,
          size: BigInt(cumulativeSize),
          allocations: sink.allocations(),
        }
        break
      }
      case 'root':
        added = { root: item.node.cid, size: BigInt(item.node.cumulativeSize) }
    }
  }
  if (added === undefined) throw noContent()
  return added
}

async function* addCar(
  parts: AsyncIterable<AddPart>,
  sink: JobSink,
  options: CarImportOptions,
): AsyncGenerator<AddedOutput, Added> {
  for await (const part of parts) {
    const { root, bytes, size, dagSize, missing, missingCids } = await importCar(part, sink.put, options)
    const name = cleanNames(part.path)[0] ?? ''
    const told =
      missing === 0 ? {} : { missing, missingCids, warnings: [missingWarning(missing, missingCids)] }
    yield { name, cid: root, bytes, size, allocations: sink.allocations(), ...told }
    // Only the first part counts.
    return { root, size: dagSize }
  }
  throw noContent()
}

function missingWarning(missing: number, first: readonly CID[]): string {
  const what = missing === 1 ? '1 block of its DAG is' : `${missing} blocks of its DAG are`
  const more = missing > first.length ? ', …' : ''
  return `${what} not in the CAR, and the IPFS daemons have to find them elsewhere: ${first.join(', ')}${more}`
}

function noContent(): AdderError {
  return new AdderError('nothing to add: the upload has no parts', { code: 'ADD_NO_CONTENT' })
}

/** The pin of what is added: always recursive, never an update of another. */
function pinOf(cid: CID, { pin }: AddParams): Pin {
  return newPin(cid, { ...pin, mode: 'recursive', pinUpdate: null })
}

async function chooseDestinations(
  { allocate, self }: AdderComponents,
  pin: Pin,
  { local }: AddParams,
  signal: AbortSignal,
): Promise<{ allocations: readonly PeerId[]; destinations: readonly PeerId[] }> {
  const allocated = await allocate(pin, { signal })
  if (!local) return { allocations: allocated, destinations: allocated }
  // Blocks go to this peer alone, which then has to be one of those that keep the content; but the user's choice stands.
  const asIs = allocated.includes(self) || pin.userAllocations.length > 0
  const allocations = asIs ? allocated : [...allocated.slice(0, -1), self]
  return { allocations, destinations: [self] }
}

/** The parts and their contents, until the signal fires: then whoever reads them gets its reason, even in mid-read. */
async function* abortable(parts: AsyncIterable<AddPart>, signal: AbortSignal): AsyncGenerator<AddPart> {
  for await (const part of untilAborted(parts, signal)) {
    yield { ...part, content: untilAborted(part.content, signal) }
  }
}

async function* untilAborted<T>(source: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]()
  let ended = false
  try {
    while (true) {
      const { done, value } = await raceSignal(iterator.next(), signal)
      if (done === true) {
        ended = true
        return
      }
      yield value
    }
  } finally {
    // Not awaited: a source that waits for bytes that never come would keep the add from ending.
    if (!ended) iterator.return?.()?.catch(() => undefined)
  }
}
