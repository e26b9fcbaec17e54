import {
  errorCode,
  errorMessage,
  isAbortError,
  type Clock,
  type Logger,
  type TaskScope,
} from '@ipfs-cluster/base'
import type { Pin } from '@ipfs-cluster/api'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import { isUnreachable, type Breaker } from './breaker.ts'
import type { DaemonLoad } from './daemon-load.ts'
import type { Operation, Operations } from './operations.ts'

export interface ChecksComponents {
  readonly ipfs: Pick<IpfsConnector, 'arePinned'>
  readonly clock: Clock
  readonly logger: Logger
  readonly scope: TaskScope
  readonly operations: Operations
  readonly breaker: Breaker
  readonly load: DaemonLoad
  /** After each group; `pinned` need no operation any more. */
  readonly onChecked: (pinned: readonly Operation[]) => void
}

/**
 * Asks the daemon for groups of pins whether it has them already, before they take a place: one question for many costs a fraction of one
 * each, and no place waits for its answer. What is not told here is asked for by `IpfsConnector.pin`.
 */
export interface Checks {
  /** True when nothing has to be waited for before the operation is started. */
  isDone(operation: Operation): boolean
  /** The daemon has said a moment ago that it does not have it. */
  isAbsent(operation: Operation): boolean
  /** Asks for what is ready and was not asked for yet. */
  wake(): void
}

/** Pins asked for at once. */
const GROUP = 64
/** Milliseconds the daemon has for a group, and after which it counts as overloaded though it answers. */
const DEADLINE_MS = 10_000
const SLOW_MS = 5_000
/** Milliseconds for which an answer holds. */
const VALID_MS = 60_000

export function createChecks(components: ChecksComponents): Checks {
  const { ipfs, clock, logger, scope, operations, breaker, load, onChecked } = components
  /** When, by the monotonic clock, and what the daemon said. */
  const answers = new WeakMap<Operation, { readonly at: number; readonly absent: boolean }>()
  let asking = false
  /** All of the last group were pinned: such as come from a pinset that was imported are, one after the other. */
  let areLikely = false

  const ask = async (group: readonly Operation[], signal: AbortSignal): Promise<Operation[]> => {
    const began = clock.monotonic()
    const pins = group.map(({ pin }) => pin as Pin)
    const deadline = AbortSignal.any([signal, clock.timeout(DEADLINE_MS)])
    const found = (await ipfs.arePinned?.(pins, { signal: deadline, areLikely })) ?? []
    areLikely = found.length > 0 && found.every(isPinned => isPinned === true)
    const at = clock.monotonic()
    if (at - began > SLOW_MS) load.overloaded(at)
    breaker.answered()
    group.forEach((operation, i) => answers.set(operation, { at, absent: found[i] === false }))
    return group.filter(
      ({ state, controller }, i) => found[i] === true && state === 'ready' && !controller.signal.aborted,
    )
  }

  const run = async (signal: AbortSignal) => {
    while (!breaker.isOpen()) {
      const group = operations.unchecked(GROUP)
      const [first] = group
      if (first === undefined) return
      let pinned: Operation[] = []
      try {
        pinned = await ask(group, signal)
      } catch (error) {
        signal.throwIfAborted()
        if (isUnreachable(error)) {
          operations.uncheck(group)
          return breaker.trip(first.cid)
        }
        if (isAbortError(error) || errorCode(error) === 'IPFS_TIMEOUT') load.overloaded(clock.monotonic())
        logger.debug({ error: errorMessage(error) }, 'the IPFS daemon does not tell what is pinned')
        for (const operation of group) answers.set(operation, { at: 0, absent: false })
      }
      onChecked(pinned)
    }
  }

  return {
    isDone: operation => ipfs.arePinned === undefined || answers.has(operation),
    isAbsent(operation) {
      const answer = answers.get(operation)
      return answer?.absent === true && clock.monotonic() - answer.at < VALID_MS
    },
    wake() {
      if (asking || ipfs.arePinned === undefined || breaker.isOpen()) return
      asking = true
      scope.run('what is pinned already', async signal => {
        try {
          await run(signal)
        } finally {
          asking = false
        }
      })
    },
  }
}
