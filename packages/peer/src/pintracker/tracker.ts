import { cidOfBytes, cidText, TRACKER_STATUS, type Pin, type PinInfo } from '@ipfs-cluster/api'
import {
  anySignal,
  Batched,
  createTaskScope,
  errorMessage,
  gather,
  Limiter,
  silentMeter,
  type AbortOptions,
  type Clock,
  type Logger,
  type Meter,
  type Random,
  type Store,
  type TaskScope,
} from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import type { PinChanges, PinState } from '../state/index.ts'
import { audit, DEFAULT_AUDIT_LIMITS, lostEvent, type AuditLimits } from './audit.ts'
import { followPinset, type FollowerComponents } from './follower.ts'
import { inChunks, listStatus, statusesOf, withAnyStatus, type ListingComponents } from './listing.ts'
import { measureTracker } from './metrics.ts'
import { createPace } from './pace.ts'
import { reservedBytes } from './progress.ts'
import { createRunner, type Runner } from './runner.ts'
import { fitting } from './size-limit.ts'
import { isPinnedAs, pinInfo, type TrackerSelf } from './status.ts'
import { openTable, type Applied, type TableEvent, type TrackerTable } from './table.ts'
import type { LocalPinTracker, PinTrackerConfig, StatusOptions } from './types.ts'

export interface PinTrackerComponents {
  /** The root store; the tracker keeps to its own prefix. */
  readonly store: Store
  readonly state: Pick<PinState, 'get' | 'getMany'>
  readonly changes: PinChanges
  readonly ipfs: Pick<IpfsConnector, 'pin' | 'unpin' | 'pinLs' | 'pinLsCid' | 'arePinned'>
  readonly self: TrackerSelf
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** @default silentMeter */
  readonly meter?: Meter
  /** Share of its time, from 0 to 1, that the process worked of late. @default none of it */
  readonly utilization?: () => number
  /** Whether somebody waits for the peer. @default nobody */
  readonly isAwaited?: () => boolean
}

/** Rows recovered in one batch. */
const RECOVER_CHUNK = 500
/** Milliseconds the daemon has to answer for the status of one CID. */
const STATUS_DEADLINE_MS = 10_000
/** CIDs that it is asked for in one go, when their statuses are wanted at the same time. */
const MAX_STATUS_GROUP = 64
export interface TrackerLimits extends AuditLimits {
  /**
   * Milliseconds for which changes and results that follow each other closely are gathered before they are written: a batch of many
   * costs hardly more than one of one. What comes after a pause is not delayed.
   */
  readonly gatherMs: number
  /** Milliseconds after the start before the daemon's list is gone through: until then others start, who are waited for. */
  readonly auditAfterMs: number
}

export const DEFAULT_TRACKER_LIMITS: TrackerLimits = {
  ...DEFAULT_AUDIT_LIMITS,
  gatherMs: 20,
  auditAfterMs: 2_000,
}

/** Milliseconds between attempts at the audit that follows the start. */
const FIRST_AUDIT_RETRY_MS = 10_000

/**
 * Opens the table and starts to follow the pinset: from then on pins and unpins happen by themselves. Disposing stops the operations
 * under way; they start again when the tracker is created anew.
 *
 * @throws PinTrackerError `TRACKER_FORMAT`
 */
export async function createPinTracker(
  components: PinTrackerComponents,
  config: PinTrackerConfig,
  limits: TrackerLimits = DEFAULT_TRACKER_LIMITS,
): Promise<LocalPinTracker> {
  const { store, state, changes, self, clock, logger, meter = silentMeter } = components
  const table = await openTable(store, clock, config)
  const scope = createTaskScope(logger)
  const pace = createPace(components.utilization ?? (() => 0), components.isAwaited ?? (() => false))
  const runner = createRunner(
    { ...components, table, selfId: self.id, scope, pace, gatherMs: limits.gatherMs },
    config,
  )
  measureTracker(meter, clock, table, runner)
  const { operations } = runner
  const context = () => ({ selfId: self.id, info: self.info(), config, now: clock.now() })
  const listing: ListingComponents = { table, state, changes, operations, context }
  const auditing = new Limiter(1)

  const settle: Settle = (events, options) =>
    table.exclusive(async () => {
      const applied = await table.apply(events)
      runner.noticed(applied)
      return applied
    }, options)

  const { localStatus, status } = createStatusReader(components, listing, settle)

  const runAudit = (options: AbortOptions = {}) =>
    auditing.run(() => audit({ ...components, table, noticed: runner.noticed }, limits, options), options)

  const following: FollowerComponents = { ...components, table, runner, pace, gatherMs: limits.gatherMs }
  scope.run('pinset changes', signal => followPinset(following, signal))
  scope.run('raised limits', async signal => {
    for await (const cids of fitting(table, state, config, { signal }))
      await settle(
        cids.map(cid => ({ cid, event: { type: 'recover', scope: 'one' } })),
        { signal },
      )
  })
  // Of what is pinned from now on the daemon can have lost nothing before.
  const hadPins = table.counts().pinned > 0
  scope.run('first audit', async signal => {
    if (!hadPins) return
    if (limits.auditAfterMs > 0) await clock.sleep(limits.auditAfterMs, { signal })
    await firstAudit(runAudit, components, signal)
  })

  return {
    status,
    statusAll: (filter, options) => new Batched(listStatus(listing, filter, options)),
    statusBatches: (filter, options) => listStatus(listing, filter, options),
    statusMany: cids => statusesOf(listing, cids),
    async recover(cid, options) {
      const info = await status(cid, options)
      if ((info.status & RECOVERABLE) === 0) return info
      await settle([{ cid, event: { type: 'recover', scope: 'one' } }], options)
      return await localStatus(cid)
    },
    recoverAll: options => recoverAll(listing, settle, options),
    async audit(options = {}) {
      const signal = anySignal(options.signal, scope.signal)
      return await runAudit({ signal })
    },
    pinQueueSize: () => Math.max(0, changes.backlog().count + table.waiting() - operations.countedUnderWay()),
    progress: cid => operations.get(cid)?.progress?.latest,
    reservedBytes: () => reservedBytes(table.bytes().waiting, operations.all()),
    stats: () => ({
      counts: table.counts(),
      pinning: operations.running('pin'),
      unpinning: operations.running('unpin'),
      daemonReachable: !runner.breaker.isOpen(),
    }),
    [Symbol.asyncDispose]: () => stop(scope, table, runner, logger),
  }
}

/** Writes events down and lets the runner act on them. */
type Settle = (events: readonly TableEvent[], options?: AbortOptions) => Promise<readonly Applied[]>

/** Status of single CIDs: from the table alone, and with the daemon's word where the table says `pinned`. */
function createStatusReader(
  { state, ipfs, clock }: PinTrackerComponents,
  { table, operations, context }: ListingComponents,
  settle: Settle,
) {
  const read = async (cid: CID, reading: Promise<Pin | undefined> = state.get(cid)) => {
    const [row, pin] = await Promise.all([table.row(cid), reading])
    return { row, pin, info: pinInfo(cid, row, operations.get(cid), pin, context()) }
  }
  const askDaemon = gather(MAX_STATUS_GROUP, async (pins: readonly Pin[]) => {
    const asked = { signal: clock.timeout(STATUS_DEADLINE_MS), areLikely: true }
    return (await ipfs.arePinned?.(pins, asked)) ?? pins.map(() => undefined)
  })
  /** Whether the daemon has it as it should. */
  const isKept = async (cid: CID, pin: Pin, options: AbortOptions) => {
    const told = ipfs.arePinned === undefined ? undefined : await askDaemon(pin)
    if (told !== undefined) return told
    const signal = anySignal(options.signal, clock.timeout(STATUS_DEADLINE_MS))
    return isPinnedAs(await ipfs.pinLsCid(cid, pin.mode, { signal }), pin)
  }
  return {
    localStatus: async (cid: CID): Promise<PinInfo> => (await read(cid)).info,
    async status(cid: CID, options: StatusOptions = {}): Promise<PinInfo> {
      const { row, pin, info } = await read(cid, options.pin)
      if (row?.status !== 'pinned' || pin === undefined) return info
      try {
        if (await isKept(cid, pin, options)) return info
      } catch (error) {
        options.signal?.throwIfAborted()
        return { ...info, status: TRACKER_STATUS.cluster_error, error: errorMessage(error) }
      }
      await settle([lostEvent(cid, row)], options)
      return (await read(cid)).info
    },
  }
}

const RECOVERABLE =
  TRACKER_STATUS.pin_error | TRACKER_STATUS.unpin_error | TRACKER_STATUS.unexpectedly_unpinned

async function* recoverAll(
  listing: ListingComponents,
  settle: Settle,
  options: AbortOptions = {},
): AsyncGenerator<PinInfo> {
  const { table, state, operations, context } = listing
  const failed = withAnyStatus(table, ['pin_error', 'unexpectedly_unpinned', 'unpin_error'], options)
  for await (const chunk of inChunks(failed, RECOVER_CHUNK)) {
    const cids = chunk.map(cidOfBytes).filter(cid => (operations.get(cid)?.state ?? 'ready') === 'ready')
    const applied = await settle(
      cids.map(cid => ({ cid, event: { type: 'recover', scope: 'all' } })),
      options,
    )
    const queued = applied.filter(({ before, row }) => row !== before)
    const pins = await state.getMany(queued.map(({ cid }) => cid))
    for (const [i, { cid, row }] of queued.entries()) {
      yield pinInfo(cid, row, operations.get(cid), pins[i], context())
    }
  }
}

/** What the daemon lost while we were away is found once it answers. */
async function firstAudit(
  runAudit: (options: AbortOptions) => Promise<{ readonly checked: number; readonly lost: number }>,
  { clock, logger }: PinTrackerComponents,
  signal: AbortSignal,
): Promise<void> {
  while (true) {
    try {
      const { checked, lost } = await runAudit({ signal })
      if (lost > 0) logger.warn({ checked, lost }, 'the IPFS daemon has lost pins; they are pinned again')
      return
    } catch (error) {
      signal.throwIfAborted()
      logger.debug({ error: errorMessage(error) }, 'the pins cannot be compared with the IPFS daemon yet')
      await clock.sleep(FIRST_AUDIT_RETRY_MS, { signal })
    }
  }
}

async function stop(scope: TaskScope, table: TrackerTable, runner: Runner, logger: Logger): Promise<void> {
  await scope[Symbol.asyncDispose]()
  try {
    // What finished on the way down need not be done again.
    await table.exclusive(() => runner.flush())
  } catch (error) {
    const cids = [...runner.operations.all()].map(({ cid }) => cidText(cid))
    logger.warn(
      { error: errorMessage(error), cids },
      'the last results were not written; those pins are looked at again after the next start',
    )
  }
}
