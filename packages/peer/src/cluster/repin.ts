/**
 * Moves the pins of peers that died (Go: `alertsHandler`, `repinFromPeer`): after a grace period, one peer at a time, at most half of the time,
 * until the peer is back. What has been moved so far is kept, so that a pass goes on after a restart.
 */
import type { PeerId, Pin } from '@ipfs-cluster/api'
import { errorMessage, mapConcurrent, type Clock, type Logger, type Meter } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { PeerMonitor } from '../monitor/index.ts'
import type { PinState } from '../state/index.ts'
import type { Pinning } from './pinning.ts'
import type { RepinJournal } from './repin-journal.ts'

export interface RepinComponents {
  readonly self: PeerId
  readonly state: Pick<PinState, 'list'>
  readonly monitor: Pick<PeerMonitor, 'members' | 'latestOf'>
  readonly pinning: Pick<Pinning, 'reallocate'>
  /** Whether we are the peer that moves a pin, when `dead` is left out of account; made anew for each pass. */
  readonly closest: (dead: PeerId) => (cid: CID) => boolean
  readonly journal: RepinJournal
  readonly counts: RepinCounts
  readonly clock: Clock
  readonly logger: Logger
}

export interface RepinConfig {
  /** How long a peer has to be away. */
  readonly graceMs: number
  /** After our start, how long it takes at most until we have heard of all that live. */
  readonly startDelayMs: number
  /** How often it is looked who is there. */
  readonly watchIntervalMs: number
  /** When a pass is made again of which pins could not be moved. */
  readonly retryMs: number
}

/** A pass over so many pins that could not be moved, for want of peers say, is made again after this long. */
export const REPIN_RETRY_MS: number = 10 * 60_000
/** Pins moved at once: they share commits, and leave room for those of others. */
const MOVE_CONCURRENCY = 16
/** Pins moved between two looks at whether the peer is back. */
const MOVE_BATCH = 64
/** Pins looked at between two pauses. */
const LOOK_BATCH = 1_000
const MIN_PAUSE_MS = 10
/** How often it is said how far a pass has come. */
const REPORT_INTERVAL_MS = 60_000

interface Absence {
  /** On the monotonic clock: when a pass may begin. */
  dueAt: number
}

interface Progress {
  looked: number
  moved: number
  failed: number
}

/** Runs until `signal` fires. */
export async function repinFromTheDead(
  components: RepinComponents,
  config: RepinConfig,
  signal: AbortSignal,
): Promise<never> {
  const { self, monitor, journal, clock, logger } = components
  const resumeAt = new Map(await journal.load())
  const absent = new Map<PeerId, Absence>()
  const graceAtStart = Math.max(config.graceMs, config.startDelayMs)
  for (const peer of resumeAt.keys()) {
    if (peer !== self) absent.set(peer, { dueAt: clock.monotonic() + graceAtStart })
  }
  const look = async () => {
    const present = new Set(monitor.members())
    for (const peer of present) {
      if (peer === self) continue
      if (absent.delete(peer)) logger.info({ peer }, 'the peer is back: its pins stay where they are')
      if (!resumeAt.has(peer) || resumeAt.get(peer) !== undefined) await journal.put(peer)
      resumeAt.set(peer, undefined)
    }
    for (const peer of resumeAt.keys()) {
      if (peer === self || present.has(peer) || absent.has(peer)) continue
      absent.set(peer, { dueAt: clock.monotonic() + config.graceMs })
      logger.warn({ peer, graceMs: config.graceMs }, 'a peer is gone: its pins move if it stays away')
    }
  }
  const step = async () => {
    await look()
    const due = [...absent].find(([, { dueAt }]) => dueAt <= clock.monotonic())
    if (due === undefined) return
    const [peer, absence] = due
    absence.dueAt = clock.monotonic() + config.retryMs
    const outcome = await pass(components, peer, resumeAt.get(peer), signal)
    if (outcome === 'failed') {
      absence.dueAt = clock.monotonic() + config.retryMs
      resumeAt.set(peer, undefined)
      await journal.put(peer)
    } else if (outcome === 'done') {
      absent.delete(peer)
      resumeAt.delete(peer)
      await journal.remove(peer)
    }
  }
  while (true) {
    await step().catch((error: unknown) => {
      signal.throwIfAborted()
      logger.warn({ error: errorMessage(error) }, 're-pinning was interrupted; it will be tried again')
    })
    await clock.sleep(config.watchIntervalMs, { signal })
  }
}

/** What is told of the pass under way, and of all. */
export interface RepinCounts {
  underWay: Progress | undefined
  moved: number
  failed: number
}

/** @param pinCount pins in the pinset. */
export function measureRepinning(meter: Meter, pinCount: () => number): RepinCounts {
  const counts: RepinCounts = { underWay: undefined, moved: 0, failed: 0 }
  meter.gauge(
    'ipfscluster_repin_pins_left',
    'Pins that the pass over the pins of a dead peer has not looked at yet; 0 when there is none under way',
    () => (counts.underWay === undefined ? 0 : Math.max(0, pinCount() - counts.underWay.looked)),
  )
  meter.total('ipfscluster_repinned_total', 'Pins moved from dead peers by this one', () => counts.moved)
  meter.total(
    'ipfscluster_repin_errors_total',
    'Pins of dead peers that could not be moved',
    () => counts.failed,
  )
  return counts
}

/** Looks through the pinset once. It stops when the peer is back. */
async function pass(
  { state, monitor, pinning, closest, journal, counts, clock, logger }: RepinComponents,
  dead: PeerId,
  after: CID | undefined,
  signal: AbortSignal,
): Promise<'done' | 'failed' | 'back'> {
  const isOurs = closest(dead)
  const isBack = () => monitor.latestOf('ping', dead) !== undefined
  const progress: Progress = { looked: 0, moved: 0, failed: 0 }
  counts.underWay = progress
  using _ = { [Symbol.dispose]: () => void (counts.underWay = undefined) }
  const pace = createPace(clock)
  let reported = clock.monotonic()
  logger.info({ peer: dead, resumed: after !== undefined }, 'moving the pins of a dead peer')
  const move = async (pin: Pin) => {
    try {
      if (!(await pinning.reallocate(pin.cid, dead, { signal }))) return
      progress.moved++
      counts.moved++
    } catch (error) {
      signal.throwIfAborted()
      counts.failed++
      // The first says why; a thousand more of the same would hide it.
      if (progress.failed++ > 0) return
      const fields = { cid: pin.cid.toString(), error: errorMessage(error) }
      logger.warn(fields, 'cannot move a pin of a dead peer')
    }
  }
  for await (const pins of batchesToMove(
    state.list({ signal, ...(after && { after }) }),
    progress,
    pin => pin.allocations.includes(dead) && isOurs(pin.cid),
  )) {
    if (isBack()) return 'back'
    for await (const _moved of mapConcurrent(pins.found, MOVE_CONCURRENCY, move));
    if (pins.found.length > 0) await journal.put(dead, pins.last)
    if (clock.monotonic() - reported >= REPORT_INTERVAL_MS) {
      reported = clock.monotonic()
      logger.info({ peer: dead, ...progress }, 'moving the pins of a dead peer goes on')
    }
    await pace.rest(signal)
  }
  logger.info({ peer: dead, ...progress }, 're-pinned what the dead peer kept')
  return progress.failed > 0 ? 'failed' : 'done'
}

interface ToMove {
  readonly found: readonly Pin[]
  /** Of all that were looked at, found or not. */
  readonly last: CID
}

/** What is to be moved, and now and then nothing, so that there are pauses where there is little to move. */
async function* batchesToMove(
  pins: AsyncIterable<Pin>,
  progress: Progress,
  isWanted: (pin: Pin) => boolean,
): AsyncGenerator<ToMove> {
  let found: Pin[] = []
  let looked = 0
  let last: CID | undefined
  for await (const pin of pins) {
    last = pin.cid
    progress.looked++
    looked++
    if (isWanted(pin)) found.push(pin)
    if (found.length < MOVE_BATCH && looked < LOOK_BATCH) continue
    yield { found, last }
    found = []
    looked = 0
  }
  if (last !== undefined) yield { found, last }
}

/** Rests as long as was worked since the last rest. */
function createPace(clock: Clock) {
  let since = clock.monotonic()
  return {
    async rest(signal: AbortSignal): Promise<void> {
      await clock.sleep(Math.max(MIN_PAUSE_MS, clock.monotonic() - since), { signal })
      since = clock.monotonic()
    },
  }
}
