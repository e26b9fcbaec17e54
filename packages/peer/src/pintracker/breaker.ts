import {
  errorCode,
  errorMessage,
  isAbortError,
  type Clock,
  type Logger,
  type TaskScope,
} from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { IpfsConnector } from '../ipfsconn/index.ts'

export interface BreakerComponents {
  readonly ipfs: Pick<IpfsConnector, 'pinLsCid'>
  readonly clock: Clock
  readonly logger: Logger
  readonly scope: TaskScope
}

/**
 * Keeps the queues still while the daemon does not answer: a million pins must not each find that out for themselves.
 * Open means: start nothing.
 */
export interface Breaker {
  isOpen(): boolean
  /** The daemon could not be reached. Probes it, asking for `cid`, until it answers. */
  trip(cid: CID): void
  /** The daemon has answered. */
  answered(): void
  /** The daemon broke off an answer: asks at once whether it is still there. Resolves with what `isOpen` says then. */
  suspect(cid: CID): Promise<boolean>
}

/** Milliseconds between probes (Go: one request a second after many connection failures). */
export const PROBE_INTERVAL_MS = 1_000
/** Milliseconds a probe may take. */
export const PROBE_DEADLINE_MS = 10_000

/** @param onClosed called when work may go on. */
export function createBreaker(
  { ipfs, clock, logger, scope }: BreakerComponents,
  onClosed: () => void,
): Breaker {
  let open = false
  const isOpen = () => open

  const answered = () => {
    if (!open) return
    open = false
    logger.info('the IPFS daemon answers again; pinning goes on')
    onClosed()
  }

  const probe = async (cid: CID, signal: AbortSignal): Promise<boolean> => {
    const deadline = AbortSignal.any([signal, clock.timeout(PROBE_DEADLINE_MS)])
    try {
      await ipfs.pinLsCid(cid, 'recursive', { signal: deadline })
      return true
    } catch (error) {
      signal.throwIfAborted()
      logger.debug({ error: errorMessage(error) }, 'the IPFS daemon does not answer yet')
      // Any other error is an answer, too.
      return !isUnreachable(error) && errorCode(error) !== 'IPFS_TIMEOUT' && !isAbortError(error)
    }
  }

  const trip = (cid: CID) => {
    if (open) return
    open = true
    logger.warn('the IPFS daemon cannot be reached; pinning waits until it answers')
    scope.run('probe the IPFS daemon', async signal => {
      while (isOpen()) {
        await clock.sleep(PROBE_INTERVAL_MS, { signal })
        if (await probe(cid, signal)) answered()
      }
    })
  }

  /** One question for all who ask meanwhile. */
  let suspecting: Promise<boolean> | undefined
  const ask = async (cid: CID) => {
    try {
      if (!(await probe(cid, scope.signal))) trip(cid)
      return open
    } finally {
      suspecting = undefined
    }
  }

  return { isOpen, answered, trip, suspect: async cid => open || (await (suspecting ??= ask(cid))) }
}

export function isUnreachable(error: unknown): boolean {
  return errorCode(error) === 'IPFS_UNREACHABLE'
}
