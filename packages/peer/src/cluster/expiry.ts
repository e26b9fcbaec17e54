/** Lets pins expire: a timer for the soonest expiry, set anew when a sooner one comes in. Nothing is looked through to find it. */
import {
  asError,
  errorCode,
  errorMessage,
  LastingFailure,
  mapConcurrent,
  type Clock,
  type Logger,
} from '@ipfs-cluster/base'
import type { Pin } from '@ipfs-cluster/api'
import type { PinState } from '../state/index.ts'
import type { Pinning } from './pinning.ts'
import { isBeingAdded } from './sharded-content.ts'

export interface ExpiryComponents {
  readonly state: Pick<PinState, 'expired' | 'nextExpiry' | 'onExpiry'>
  readonly pinning: Pick<Pinning, 'unpinExpired'>
  /** Whether we are the peer that unpins this CID; made anew for each look. */
  readonly closest: () => (cid: Pin['cid']) => boolean
  readonly clock: Clock
  readonly logger: Logger
}

export interface ExpiryConfig {
  /** Before it, the others' pings are not known, and every peer would think that it is the one to unpin. Milliseconds. */
  readonly startDelayMs: number
  /** When to look again at what has expired and is still there: another peer's to unpin, or refused. Milliseconds. */
  readonly retryMs: number
}

/** Longest sleep: beyond it timers of the system overflow. */
const MAX_SLEEP_MS = 24 * 3_600_000
/** Pins unpinned at once: they share commits. */
const UNPIN_CONCURRENCY = 32

/** Runs until `signal` fires. */
export async function letPinsExpire(
  components: ExpiryComponents,
  config: ExpiryConfig,
  signal: AbortSignal,
): Promise<never> {
  const { state, clock, logger } = components
  /** The soonest expiry still to come of those that came in. */
  let cameIn = Number.POSITIVE_INFINITY
  let wake = new AbortController()
  let wakeBefore = 0
  const trouble = new LastingFailure(logger, clock)
  using _ = state.onExpiry(seconds => {
    cameIn = Math.min(cameIn, seconds)
    if (cameIn < wakeBefore) wake.abort()
  })
  await clock.sleep(config.startDelayMs, { signal })
  while (true) {
    let overdue = 0
    // One moment for both looks: a second that ends in between would belong to neither.
    const now = nowSeconds(clock)
    try {
      overdue = await unpinExpired(components, { now, retryMs: config.retryMs }, signal, trouble)
    } catch (error) {
      signal.throwIfAborted()
      overdue = 1
      trouble.failed({ err: asError(error) }, `expired pins cannot be unpinned: ${errorMessage(error)}`)
    }
    // Until its time has come: the index may not have it yet.
    if (cameIn < now) cameIn = Number.POSITIVE_INFINITY
    const next = (await state.nextExpiry(now)) ?? Number.POSITIVE_INFINITY
    wakeBefore = Math.min(next, cameIn)
    const ms = Math.min(
      // A pin has expired when its second is over.
      (wakeBefore + 1) * 1000 - clock.now(),
      overdue > 0 ? config.retryMs : MAX_SLEEP_MS,
      MAX_SLEEP_MS,
    )
    wake = new AbortController()
    const either = AbortSignal.any([signal, wake.signal])
    await clock.sleep(Math.max(0, ms), { signal: either }).catch(() => signal.throwIfAborted())
    // Lets go of what `any` holds.
    wake.abort()
  }
}

/** Unpins what is ours to unpin. Resolves with how many expired pins are left. */
async function unpinExpired(
  { state, pinning, closest, clock, logger }: ExpiryComponents,
  { now, retryMs }: { readonly now: number; readonly retryMs: number },
  signal: AbortSignal,
  trouble: LastingFailure,
): Promise<number> {
  const isOurs = closest()
  let left = 0
  let failed = 0
  let failure: unknown
  const unpin = async (pin: Pin) => {
    if (!isOurs(pin.cid) && !isOverdue(pin, clock, retryMs)) return void left++
    try {
      await pinning.unpinExpired(pin.cid, { signal })
      logger.info({ cid: pin.cid.toString(), name: pin.name }, 'an expired pin was unpinned')
    } catch (error) {
      signal.throwIfAborted()
      // Somebody else was first.
      if (errorCode(error) === 'PIN_NOT_FOUND') return
      // A part of sharded content that a Go peer added: it goes with its root.
      if (errorCode(error) === 'UNPIN_SHARD') return
      left++
      failed++
      failure = error
    }
  }
  const expired = state.expired(now, { signal })
  for await (const _done of mapConcurrent(expired, UNPIN_CONCURRENCY, unpin));
  // One line for all: with a full disk there may be thousands, again and again.
  if (failed === 0) trouble.succeeded('expired pins are unpinned again')
  else
    trouble.failed(
      { err: asError(failure), pins: failed },
      `expired pins cannot be unpinned: ${errorMessage(failure)}`,
    )
  return left
}

/** A shard without a root that nobody has unpinned in time: the peer that should is one in Go, which never does. */
function isOverdue(pin: Pin, clock: Clock, retryMs: number): boolean {
  return isBeingAdded(pin) && Number(pin.expireAt ?? 0n) / 1e6 + 2 * retryMs < clock.now()
}

function nowSeconds(clock: Clock): number {
  return Math.floor(clock.now() / 1000)
}
