/**
 * Blocks to their destinations: chosen at the first block, then every block to each of them at the speed of the slowest. One that
 * fails or stops taking is dropped; the add goes on as long as one is left.
 */
import type { NodeWithMeta, PeerId } from '@ipfs-cluster/api'
import {
  asError,
  Channel,
  createStallGuard,
  errorMessage,
  lengthOf,
  raceSignal,
  type Clock,
  type Logger,
  type StallGuard,
} from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { AdderError } from './errors.ts'
import { createQueueShare, type QueueShare } from './queue-share.ts'
import type { AdderComponents, DestinationHold } from './types.ts'

/** Blocks waiting for one destination, and not more bytes than `queueShare` says. The blocks are shared, so the slowest one decides the memory. */
const DESTINATION_QUEUE_BLOCKS = 32
/** A destination that has blocks to take and takes none for so long is dropped. */
export const DESTINATION_STALL_MS = 120_000
/** The same while others go on: they wait no longer than this for one that stands still. What it lacks it fetches from them. */
export const STALL_BESIDE_OTHERS_MS = 30_000
/** Blocks remembered to skip repetitions: long runs of equal chunks (zeros) are sent once. */
const RECENT_BLOCKS = 2

export interface BlockSink extends AsyncDisposable {
  /** Peers that will keep the content; empty before the first block. */
  allocations(): readonly PeerId[]
  /** Waits for room at every destination. @throws AdderError when none is left. */
  put(block: NodeWithMeta): Promise<void>
  /**
   * Resolves when at least one destination has stored everything and all others have, too, or failed. From here to the disposal no garbage
   * collection takes the blocks from destinations that know how to keep them.
   */
  finish(): Promise<void>
  /** After `finish`, when `root` is about to be pinned: destinations keep the blocks until it is. */
  keepFor(root: CID): void
  /** Destinations that have failed, and why. */
  failures(): readonly DestinationFailure[]
}

export interface BlockSinkOptions {
  /** Chooses allocations and, from them, where the blocks go; called once. */
  readonly choose: (
    first: CID,
  ) => Promise<{ allocations: readonly PeerId[]; destinations: readonly PeerId[] }>
  /** Fires when the add is aborted. */
  readonly signal: AbortSignal
  /** Whoever puts blocks does not look at them any more. @default false */
  readonly owned?: boolean
}

export interface DestinationFailure {
  readonly peer: PeerId
  readonly error: Error
}

interface Destination {
  readonly peer: PeerId
  readonly queue: Channel<NodeWithMeta>
  readonly guards: readonly StallGuard[]
  /** Settles when the destination is done; never rejects. */
  readonly done: Promise<void>
  readonly state: DestinationState
}

interface DestinationState {
  failure: Error | undefined
  /** There will be no more blocks. */
  ended: boolean
  /** Everything is stored. */
  stored: boolean
  /** When the last block was taken. */
  tookAt: number
  /** Bytes of the blocks in the queue. */
  queuedBytes: number
  /** Resolves when there may be room. */
  moved: PromiseWithResolvers<void>
  hold: DestinationHold | undefined
  /** It wants no more. */
  left: boolean
}

export type BlockSinkComponents = Pick<AdderComponents, 'putBlocks' | 'hold'> & {
  readonly clock: Clock
  readonly logger: Logger
  /** Of all adds of a peer. @default one of its own */
  readonly queueShare?: QueueShare
}

export function createBlockSink(
  components: BlockSinkComponents,
  { choose, signal, owned = false }: BlockSinkOptions,
): BlockSink {
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  const recent: CID[] = []
  let destinations: Destination[] | undefined
  let allocations: readonly PeerId[] = []
  let finished = false
  const { queueShare = createQueueShare() } = components
  const place = queueShare.enter()

  const alive = (all: readonly Destination[]) => {
    signal.throwIfAborted()
    const left = all.filter(({ state }) => state.failure === undefined)
    if (left.length === 0) throw allFailed(all)
    return left
  }
  const open = async (first: CID) => {
    const chosen = await choose(first)
    allocations = chosen.allocations
    const opened: Destination[] = []
    const context = { signal: either, all: opened, owned: owned && chosen.destinations.length === 1 }
    for (const peer of chosen.destinations) opened.push(startDestination(components, peer, context))
    return opened
  }

  return {
    allocations: () => allocations,
    async put(block) {
      if (recent.some(cid => cid.equals(block.cid))) return
      destinations ??= await open(block.cid)
      const left = alive(destinations)
      const full = left.filter(destination => !offer(destination, block, queueShare))
      if (full.length > 0) {
        await Promise.all(
          full.map(async destination => {
            while (!offer(destination, block, queueShare))
              await raceSignal(destination.state.moved.promise, signal)
          }),
        )
        alive(destinations)
      }
      recent.push(block.cid)
      if (recent.length > RECENT_BLOCKS) recent.shift()
    },
    async finish() {
      const all = destinations ?? []
      for (const destination of all) {
        if (destination.queue.size === 0) progress(destination)
        destination.state.ended = true
        destination.queue.end()
      }
      await Promise.all(all.map(({ done }) => done))
      if (all.length > 0) alive(all)
      finished = true
    },
    keepFor(root) {
      for (const { state } of destinations ?? []) state.hold?.keepFor(root)
    },
    failures: () =>
      (destinations ?? []).flatMap(({ peer, state: { failure } }) =>
        failure === undefined ? [] : [{ peer, error: failure }],
      ),
    async [Symbol.asyncDispose]() {
      place[Symbol.dispose]()
      const all = destinations ?? []
      const over = () => stop.abort(new DOMException('the add is over', 'AbortError'))
      // Of an add that came to its end, every destination is told which root to keep the blocks for.
      if (!finished) over()
      for (const { queue } of all) queue.end()
      await Promise.all(all.map(({ done }) => done))
      await Promise.all(all.map(async ({ state }) => await state.hold?.[Symbol.asyncDispose]()))
      over()
    },
  }
}

/** True when the destination took the block or wants no more. */
function offer(destination: Destination, block: NodeWithMeta, queueShare: QueueShare): boolean {
  const { queue, state } = destination
  if (state.failure !== undefined || state.left) return true
  const length = lengthOf(block)
  // A block that is larger than any share has to pass, too.
  if (queue.size > 0 && state.queuedBytes + length > queueShare.bytes()) return false
  if (queue.size === 0) progress(destination)
  if (!queue.tryPush(block)) return false
  state.queuedBytes += length
  return true
}

function moved(state: DestinationState): void {
  state.moved.resolve()
  state.moved = Promise.withResolvers()
}

function progress({ guards }: Pick<Destination, 'guards'>): void {
  for (const guard of guards) guard.progress()
}

interface DestinationContext {
  readonly signal: AbortSignal
  /** With those that are still to be opened. */
  readonly all: readonly Destination[]
  /** The blocks are for this one alone. */
  readonly owned: boolean
}

function startDestination(
  components: BlockSinkComponents,
  peer: PeerId,
  { signal, all, owned }: DestinationContext,
): Destination {
  const { clock, logger, putBlocks } = components
  const queue = new Channel<NodeWithMeta>(DESTINATION_QUEUE_BLOCKS)
  const state: DestinationState = {
    failure: undefined,
    ended: false,
    stored: false,
    tookAt: clock.monotonic(),
    queuedBytes: 0,
    moved: Promise.withResolvers(),
    left: false,
    hold: undefined,
  }
  const goesOn = (other: Destination) =>
    other.state !== state &&
    other.state.failure === undefined &&
    (other.state.stored ||
      other.queue.size === 0 ||
      clock.monotonic() - other.state.tookAt < STALL_BESIDE_OTHERS_MS)
  // Only time in which there is something to take, or to finish, counts against the destination.
  const isOwing = () => state.ended || queue.size > 0
  const alone = createStallGuard(clock, DESTINATION_STALL_MS, isOwing)
  const beside = createStallGuard(clock, STALL_BESIDE_OTHERS_MS, () => isOwing() && all.some(goesOn))
  const guards = [alone, beside]
  const stalled = AbortSignal.any([alone.signal, beside.signal])
  const ours = AbortSignal.any([signal, stalled])
  const blocks = async function* () {
    for await (const block of queue) {
      progress({ guards })
      state.tookAt = clock.monotonic()
      state.queuedBytes -= lengthOf(block)
      moved(state)
      yield block
    }
    // What is put is kept while the stream lasts; from there on by the hold, which has to stand before the end.
    if (state.ended) state.hold = await openHold(components, peer, ours)
  }
  const run = async () => {
    try {
      await raceSignal(putBlocks(peer, blocks(), { signal: ours, owned }), stalled)
      if (!state.ended) throw new Error('it stopped taking blocks before the last one')
      state.stored = true
    } catch (error) {
      const limitMs = alone.signal.aborted ? DESTINATION_STALL_MS : STALL_BESIDE_OTHERS_MS
      state.failure = stalled.aborted
        ? new Error(`it took no block for ${limitMs / 1000} s`, { cause: error })
        : asError(error)
      if (!signal.aborted) {
        logger.warn({ peer, err: state.failure }, `adding to a peer failed: ${errorMessage(state.failure)}`)
      }
    } finally {
      for (const guard of guards) guard[Symbol.dispose]()
      queue.end()
      state.left = true
      moved(state)
    }
  }
  return { peer, queue, guards, done: run(), state }
}

async function openHold(
  { hold, logger }: BlockSinkComponents,
  peer: PeerId,
  signal: AbortSignal,
): Promise<DestinationHold | undefined> {
  try {
    return await hold?.(peer, { signal })
  } catch (error) {
    signal.throwIfAborted()
    // A peer in Go, as a rule: there the blocks are at the mercy of its collections, as in every add of Go's.
    logger.debug({ peer, error: errorMessage(error) }, 'a peer does not keep the blocks of an add')
    return undefined
  }
}

function allFailed(destinations: readonly Destination[]): AdderError {
  const failures = destinations.map(
    ({ peer, state: { failure } }) => new Error(`${peer}: ${errorMessage(failure)}`, { cause: failure }),
  )
  return new AdderError(
    // Go's words, and then why.
    `failed to put block on all destinations: ${failures.map(errorMessage).join('; ')}`,
    { code: 'ADD_ALL_DESTINATIONS_FAILED', destinations: destinations.map(({ peer }) => peer) },
    { cause: new AggregateError(failures) },
  )
}
