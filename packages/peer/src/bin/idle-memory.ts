import { performance, type EventLoopUtilization } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createTaskScope, errorMessage, type Clock, type Logger } from '@ipfs-cluster/base'
import { trimMalloc } from './malloc.ts'

/** Milliseconds between two looks. */
export const LOOK_MS = 10_000
/** Share of the time in which the event loop worked, since the last look, below which the peer is idle. */
export const IDLE_SHARE = 0.1
/** Bytes that the process has to have grown by since memory was given back, which stops everything for a tenth of a second. */
export const GROWTH_BYTES = 48 * 1024 * 1024

export interface IdleMemoryComponents {
  readonly clock: Clock
  readonly logger: Logger
  /** What the engine of its store has mapped is its own to give back. False: not now. */
  readonly peer: { returnMemory(): Promise<boolean> }
}

/** What is looked at, and what is done. */
export interface MemoryOfProcess {
  readonly residentBytes: () => number
  /** Of the event loop since `last`; without it, since the start. */
  readonly utilization: (last?: EventLoopUtilization) => EventLoopUtilization
  /** Collects all garbage and gives its memory back. */
  readonly collect: () => void
  /** Gives back what the C library holds free. */
  readonly trim: () => void
}

/**
 * Gives memory back after a burst of work, the start among them, when there is little to do. V8 keeps what it took until the machine runs short, which it
 * does not see coming, malloc keeps most of what is free, and what was read of the store's files counts as ours: the peer would stay twice as large as it is, beside an IPFS daemon
 * that wants the memory for its cache.
 */
export function returnIdleMemory(
  { clock, logger, peer }: IdleMemoryComponents,
  { residentBytes, utilization, collect, trim }: MemoryOfProcess = thisProcess(),
): AsyncDisposable {
  const scope = createTaskScope(logger)
  scope.run('idle memory', async signal => {
    let least = 0
    /** The peer could not give back what it has. */
    let isOwing = false
    while (true) {
      const last = utilization()
      await clock.sleep(LOOK_MS, { signal })
      if (utilization(last).utilization > IDLE_SHARE) continue
      const before = residentBytes()
      least = Math.min(least, before)
      const hasGrown = before - least >= GROWTH_BYTES
      if (!hasGrown && !isOwing) continue
      if (hasGrown) collect()
      isOwing = !(await peer.returnMemory().catch((error: unknown) => {
        logger.debug({ error: errorMessage(error) }, 'the memory of mapped files is not given back')
        return false
      }))
      trim()
      // What is in use now is no garbage: it is not looked for again.
      least = residentBytes()
      logger.debug({ before, after: least }, 'memory given back')
    }
  })
  return scope
}

function thisProcess(): MemoryOfProcess {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as NodeJS.GCFunction
  return {
    residentBytes: () => process.memoryUsage.rss(),
    utilization: last => performance.eventLoopUtilization(last),
    collect: () => void gc({ type: 'major', flavor: 'last-resort' }),
    trim: trimMalloc,
  }
}
