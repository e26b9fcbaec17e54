import { Limiter, type Clock, type Logger } from '@ipfs-cluster/base'

/** Consecutive connection failures after which requests are let through one a second. */
const FAILURES_BEFORE_BRAKE = 10
const BRAKE_MS = 1000

/** Slows requests down while the daemon cannot be reached, as Go does. */
export interface Brake {
  /** Whether `pass` would wait at all. */
  isOn(): boolean
  /** While the daemon is down, callers pass one a second; the first success lets all through at once. */
  pass(signal: AbortSignal): Promise<void>
  /** The daemon has answered, whatever. */
  reached(): void
  failed(): void
}

export function createBrake({ clock, logger }: { readonly clock: Clock; readonly logger: Logger }): Brake {
  const queue = new Limiter(1)
  let failures = 0
  let lifted = new AbortController()
  const isOn = () => failures > FAILURES_BEFORE_BRAKE
  const wait = async (signal: AbortSignal) => {
    if (!isOn()) return
    const lift = lifted.signal
    try {
      await clock.sleep(BRAKE_MS, { signal: AbortSignal.any([signal, lift]) })
    } catch (error) {
      signal.throwIfAborted()
      if (!lift.aborted) throw error
    }
  }
  return {
    isOn,
    async pass(signal) {
      if (isOn()) await queue.run(() => wait(signal), { signal })
    },
    reached() {
      if (isOn()) {
        logger.info('the IPFS daemon answers again: no more limit on requests')
        lifted.abort()
        lifted = new AbortController()
      }
      failures = 0
    },
    failed() {
      failures++
      if (failures === FAILURES_BEFORE_BRAKE + 1) {
        logger.warn('the IPFS daemon cannot be reached: one request a second from now on')
      }
    },
  }
}
