import type { AbortOptions, Clock } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { ApiError } from '../api-error.ts'
import { TRACKER_STATUS, trackerStatusText, type TrackerStatus } from '../status.ts'
import type { GlobalPinInfo } from '../types.ts'

const CHECK_EVERY_MS = 1_000

const FAILED: readonly TrackerStatus[] = [
  TRACKER_STATUS.undefined,
  TRACKER_STATUS.cluster_error,
  TRACKER_STATUS.pin_error,
  TRACKER_STATUS.unpin_error,
]

export interface WaitForArgs {
  readonly cid: CID
  readonly target: TrackerStatus
  /** Look only at the peer that is asked. */
  readonly local?: boolean
  /** Enough peers at the target; 0 or less: all. */
  readonly limit?: number
  /** Milliseconds between looks; 1 s. */
  readonly checkEveryMs?: number
}

/**
 * Asks at intervals, the first time after one of them, until the target is reached.
 *
 * @returns the status that reached it.
 * @throws ApiError `API_WAIT_FAILED` as soon as a peer reports an error; what `status` throws; the signal's reason.
 */
export async function waitForStatus(
  args: WaitForArgs,
  status: (args: { cid: CID; local: boolean }, options: AbortOptions) => Promise<GlobalPinInfo>,
  clock: Clock,
  options: AbortOptions,
): Promise<GlobalPinInfo> {
  while (true) {
    await clock.sleep(args.checkEveryMs ?? CHECK_EVERY_MS, options)
    const info = await status({ cid: args.cid, local: args.local ?? false }, options)
    if (statusReached(info, args.target, args.limit ?? 0)) return info
  }
}

/** @throws ApiError `API_WAIT_FAILED` */
export function statusReached(info: GlobalPinInfo, target: TrackerStatus, limit: number): boolean {
  const statuses = Object.values(info.peerMap).map(peer => peer.status)
  const failed = statuses.find(status => FAILED.includes(status))
  if (failed !== undefined) {
    throw new ApiError(`error has occurred while attempting to reach status: ${trackerStatusText(target)}`, {
      code: 'API_WAIT_FAILED',
      status: failed,
    })
  }
  const enough = Math.min(limit, statuses.length)
  if (enough > 0) return statuses.filter(status => status === target).length >= enough
  return statuses.every(
    status => status === target || (target === TRACKER_STATUS.pinned && status === TRACKER_STATUS.remote),
  )
}
