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
  raceSignal,
  type Clock,
  type Logger,
  type StallGuard,
} from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { AdderError } from './errors.ts'
import type { AdderComponents } from './types.ts'

/** Blocks waiting for one destination. The blocks are shared, so the slowest one decides the memory. */
const DESTINATION_QUEUE_BLOCKS = 32
/** A destination that has blocks to take and takes none for so long is dropped. */
export const DESTINATION_STALL_MS = 120_000
/** Blocks remembered to skip repetitions: long runs of equal chunks (zeros) are sent once. */
const RECENT_BLOCKS = 2

export interface BlockSink extends AsyncDisposable {
  /** Peers that will keep the content; empty before the first block. */
  allocations(): readonly PeerId[]
  /** Waits for room at every destination. @throws AdderError when none is left. */
  put(block: NodeWithMeta): Promise<void>
  /** Resolves when at least one destination has stored everything and all others have, too, or failed. */
  finish(): Promise<void>
}

export interface BlockSinkOptions {
  /** Chooses allocations and, from them, where the blocks go; called once. */
  readonly choose: (
    first: CID,
  ) => Promise<{ allocations: readonly PeerId[]; destinations: readonly PeerId[] }>
  /** Fires when the add is aborted. */
  readonly signal: AbortSignal
}

interface Destination {
  readonly peer: PeerId
  readonly queue: Channel<NodeWithMeta>
  readonly guard: StallGuard
  /** Settles when the destination is done; never rejects. */
  readonly done: Promise<void>
  readonly state: DestinationState
}

interface DestinationState {
  failure: Error | undefined
  /** There will be no more blocks. */
  ended: boolean
}

export type BlockSinkComponents = Pick<AdderComponents, 'putBlocks'> & {
  readonly clock: Clock
  readonly logger: Logger
}

export function createBlockSink(
  components: BlockSinkComponents,
  { choose, signal }: BlockSinkOptions,
): BlockSink {
  const stop = new AbortController()
  const either = AbortSignal.any([signal, stop.signal])
  const recent: CID[] = []
  let destinations: Destination[] | undefined
  let allocations: readonly PeerId[] = []

  const alive = (all: readonly Destination[]) => {
    signal.throwIfAborted()
    const left = all.filter(({ state }) => state.failure === undefined)
    if (left.length === 0) throw allFailed(all)
    return left
  }
  const open = async (first: CID) => {
    const chosen = await choose(first)
    allocations = chosen.allocations
    return chosen.destinations.map(peer => startDestination(components, peer, either))
  }

  return {
    allocations: () => allocations,
    async put(block) {
      if (recent.some(cid => cid.equals(block.cid))) return
      destinations ??= await open(block.cid)
      const left = alive(destinations)
      const full = left.filter(destination => !offer(destination, block))
      if (full.length > 0) {
        await Promise.all(full.map(({ queue }) => queue.push(block, { signal })))
        alive(destinations)
      }
      recent.push(block.cid)
      if (recent.length > RECENT_BLOCKS) recent.shift()
    },
    async finish() {
      const all = destinations ?? []
      for (const destination of all) {
        if (destination.queue.size === 0) destination.guard.progress()
        destination.state.ended = true
        destination.queue.end()
      }
      await Promise.all(all.map(({ done }) => done))
      if (all.length > 0) alive(all)
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new DOMException('the add is over', 'AbortError'))
      for (const { queue } of destinations ?? []) queue.end()
      await Promise.all((destinations ?? []).map(({ done }) => done))
    },
  }
}

/** True when the destination took the block or wants no more. */
function offer({ queue, guard, state }: Destination, block: NodeWithMeta): boolean {
  if (queue.size === 0) guard.progress()
  return state.failure !== undefined || queue.tryPush(block)
}

function startDestination(
  { clock, logger, putBlocks }: BlockSinkComponents,
  peer: PeerId,
  signal: AbortSignal,
): Destination {
  const queue = new Channel<NodeWithMeta>(DESTINATION_QUEUE_BLOCKS)
  const state: DestinationState = { failure: undefined, ended: false }
  // Only time in which there is something to take, or to finish, counts against the destination.
  const guard = createStallGuard(clock, DESTINATION_STALL_MS, () => state.ended || queue.size > 0)
  const blocks = async function* () {
    for await (const block of queue) {
      guard.progress()
      yield block
    }
  }
  const run = async () => {
    try {
      const storing = putBlocks(peer, blocks(), { signal: AbortSignal.any([signal, guard.signal]) })
      await raceSignal(storing, guard.signal)
      if (!state.ended) throw new Error('it stopped taking blocks before the last one')
    } catch (error) {
      state.failure = guard.signal.aborted
        ? new Error(`it took no block for ${DESTINATION_STALL_MS / 1000} s`, { cause: error })
        : asError(error)
      if (!signal.aborted) {
        logger.warn({ peer, err: state.failure }, `adding to a peer failed: ${errorMessage(state.failure)}`)
      }
    } finally {
      guard[Symbol.dispose]()
      queue.end()
    }
  }
  return { peer, queue, guard, done: run(), state }
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
