import {
  TRACKER_STATUS,
  type IPFSPinStatus,
  type Multiaddr,
  type PeerId,
  type Pin,
  type PinInfo,
  type TrackerStatus,
} from '@ipfs-cluster/api'
import type { CID } from 'multiformats/cid'
import { placeOf } from './events.ts'
import type { Operation } from './operations.ts'
import { pinProgress } from './progress.ts'
import type { Row } from './rows.ts'
import { isPriority, waitsForPin } from './transitions.ts'
import type { PinTrackerConfig } from './types.ts'

/** This peer, as its pin infos name it. */
export interface TrackerSelf {
  readonly id: PeerId
  info(): {
    readonly peerName: string
    readonly ipfs: PeerId
    readonly ipfsAddresses: readonly Multiaddr[]
  }
}

export interface StatusContext {
  readonly selfId: PeerId
  readonly info: ReturnType<TrackerSelf['info']>
  readonly config: PinTrackerConfig
  /** Unix ms. */
  readonly now: number
}

/**
 * Status of a CID here, from what the table, the operations under way and the pinset say; the daemon is not asked.
 *
 * @param pin its entry of the pinset, when there is one.
 */
export function pinInfo(
  cid: CID,
  row: Row | undefined,
  operation: Operation | undefined,
  pin: Pin | undefined,
  context: StatusContext,
): PinInfo {
  const base = newPinInfo(cid, pin, context)
  // A pin that came back while it is removed: its change is on the way.
  const isBack = pin !== undefined && isRemoved(row) && placeOf(pin, context.selfId) === 'here'
  if (row === undefined || isBack) return { ...base, ...withoutRow(pin, context) }
  const underWay = overlay(row, operation)
  if (underWay !== undefined) {
    return {
      ...base,
      status: underWay.kind === 'pin' ? TRACKER_STATUS.pinning : TRACKER_STATUS.unpinning,
      ts: nanoseconds(underWay.startedAt),
      attemptCount: row.attempts + 1,
      priorityPin: underWay.kind === 'pin' && isPriority(row, context),
      ...progressOf(underWay, context),
    }
  }
  // As in Go, what rests is dated by the pin, and what has an operation by its last change.
  const rests = row.queue === undefined
  return {
    ...base,
    status: TRACKER_STATUS[row.status],
    ts: rests ? submittedAt(row, pin) : nanoseconds(row.changed),
    error: row.error,
    attemptCount: row.attempts,
    priorityPin: waitsForPin(row) && isPriority(row, context),
    ...(row.status === 'pinned' && row.size > 0 ? { size: BigInt(row.size) } : {}),
  }
}

function progressOf({ progress, pin }: Operation, { now }: StatusContext): Pick<PinInfo, 'progress'> {
  return progress === undefined ? {} : { progress: pinProgress(progress, pin?.size, now) }
}

/** The status when the daemon says `found` of a pin that the table has as pinned. */
export function isPinnedAs(found: IPFSPinStatus, pin: Pick<Pin, 'maxDepth'>): boolean {
  return found === 'recursive' || (found === 'direct' && pin.maxDepth === 0)
}

function isRemoved(row: Row | undefined): boolean {
  return row?.status === 'unpin_queued' || row?.status === 'unpin_error'
}

/** The operation of the row if it is under way; `remote` and `sharded` pins keep their name while they are removed here. */
function overlay(row: Row, operation: Operation | undefined): Operation | undefined {
  if (operation === undefined || operation.state === 'ready' || operation.generation !== row.generation)
    return undefined
  return row.status === 'remote' || row.status === 'sharded' ? undefined : operation
}

/** Not in the table: not in the pinset either, or so new that the table does not know yet. */
function withoutRow(
  pin: Pin | undefined,
  { selfId, now }: StatusContext,
): { status: TrackerStatus; ts: bigint | null } {
  if (pin === undefined) return { status: TRACKER_STATUS.unpinned, ts: nanoseconds(now) }
  const place = placeOf(pin, selfId)
  const status = place === 'here' ? TRACKER_STATUS.pin_queued : TRACKER_STATUS[place]
  return { status, ts: pin.timestamp }
}

/** The pinset keeps whole seconds, so the row's milliseconds are as exact. */
function submittedAt({ submitted }: Row, pin: Pin | undefined): bigint | null {
  if (pin !== undefined) return pin.timestamp
  return submitted === 0 ? null : nanoseconds(submitted)
}

function newPinInfo(cid: CID, pin: Pin | undefined, { selfId, info }: StatusContext): PinInfo {
  return {
    cid,
    name: pin?.name ?? '',
    peer: selfId,
    allocations: pin?.allocations ?? [],
    origins: pin?.origins ?? [],
    created: pin?.timestamp ?? null,
    metadata: pin?.metadata ?? null,
    peerName: info.peerName,
    ipfs: info.ipfs,
    ipfsAddresses: info.ipfsAddresses,
    status: TRACKER_STATUS.undefined,
    ts: null,
    error: '',
    attemptCount: 0,
    priorityPin: false,
  }
}

function nanoseconds(ms: number): bigint {
  return BigInt(Math.round(ms)) * 1_000_000n
}
