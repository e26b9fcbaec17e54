import { newPin, type AddedOutput, type AddParams, type PeerId, type Pin } from '@ipfs-cluster/api'
import { raceSignal, type Clock, type Logger } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { createBlockSink, type BlockSink } from './block-sink.ts'
import { importCar } from './car-import.ts'
import { createChunker } from './chunker.ts'
import { AdderError, badCar, unsupported } from './errors.ts'
import { createCidBuilder } from './hashing.ts'
import type { Adder, AdderComponents, AddPart } from './types.ts'
import { cleanNames, importUnixfs, type ImportOptions } from './unixfs-import.ts'

export type CreateAdderComponents = AdderComponents & { readonly clock: Clock; readonly logger: Logger }

/** Adds uploads to the cluster (Go: `adder/`, `adder/single`). Holds nothing between two adds. */
export function createAdder(components: CreateAdderComponents): Adder {
  return {
    async *add(parts, params, { signal } = {}) {
      const job = prepare(params)
      const stop = new AbortController()
      const either = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
      await using sink = createBlockSink(components, {
        signal: either,
        choose: first => chooseDestinations(components, pinOf(first, params), params, either),
      })
      try {
        const { root, size } = yield* job(abortable(parts, either), sink)
        await sink.finish()
        if (params.noPin) return
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
type Job = (parts: AsyncIterable<AddPart>, sink: BlockSink) => AsyncGenerator<AddedOutput, Added>

/** Checks the parameters before a byte is read. @throws AdderError `ADD_UNSUPPORTED`, `ADD_BAD_CAR` */
function prepare(params: AddParams): Job {
  if (params.shard) {
    throw unsupported(
      'shard',
      'sharded adding is not supported: add without shard=true, or split the content',
    )
  }
  if (params.format === 'car') {
    if (params.wrap) throw badCar('cannot wrap a CAR file upload')
    return addCar
  }
  const { layout, rawLeaves, wrap, progress } = params
  const chunk = createChunker(params.chunker)
  const cids = createCidBuilder(params.hashFun, params.cidVersion)
  return (parts, sink) =>
    addUnixfs(parts, sink, { chunk, cids, layout, rawLeaves, wrap, progress, put: sink.put })
}

async function* addUnixfs(
  parts: AsyncIterable<AddPart>,
  sink: BlockSink,
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

async function* addCar(parts: AsyncIterable<AddPart>, sink: BlockSink): AsyncGenerator<AddedOutput, Added> {
  for await (const part of parts) {
    const { root, bytes, size, dagSize } = await importCar(part, sink.put)
    yield { name: cleanNames(part.path)[0] ?? '', cid: root, bytes, size, allocations: sink.allocations() }
    // Only the first part counts.
    return { root, size: dagSize }
  }
  throw noContent()
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
