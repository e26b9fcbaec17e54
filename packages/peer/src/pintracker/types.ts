import type { Pin, PinInfo, TrackerStatus } from '@ipfs-cluster/api'
import { CodedError, type AbortOptions } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { IpfsPinProgress } from '../ipfsconn/index.ts'

export interface PinTrackerConfig {
  /** @default 10 */
  readonly concurrentPins: number
  /** Pins younger than this and with few attempts go first. @default 24 h */
  readonly priorityPinMaxAgeMs: number
  /** @default 5 */
  readonly priorityPinMaxRetries: number
  /** Bytes; content of more is not pinned here. @default 0: no limit */
  readonly maxPinSize?: number
}

export const DEFAULT_PIN_TRACKER_CONFIG: PinTrackerConfig = {
  concurrentPins: 10,
  priorityPinMaxAgeMs: 24 * 3_600_000,
  priorityPinMaxRetries: 5,
}

export interface StatusListOptions extends AbortOptions {
  /** Resumes behind this CID. */
  readonly after?: CID | undefined
  /** False: leaves out what the pinset says of each pin (name, allocations, creation, …), and spares reading it. @default true */
  readonly facts?: boolean
}

export interface StatusOptions extends AbortOptions {
  /** The pin, where the caller is reading it anyway; then it is not read again. */
  readonly pin?: Promise<Pin | undefined>
}

export interface PinTracker extends AsyncDisposable {
  /** Status here, asking the daemon where the table alone cannot know. */
  status(cid: CID, options?: StatusOptions): Promise<PinInfo>
  /** Every pin whose status matches `filter` (0 = all), in key order (bytes of the CID). From the table, without the daemon. */
  statusAll(filter: TrackerStatus, options?: AbortOptions): AsyncIterable<PinInfo>
  /** As `statusAll`, in batches; one of them may be empty, which tells that the list goes on. */
  statusBatches(filter: TrackerStatus, options?: StatusListOptions): AsyncIterable<readonly PinInfo[]>
  /** From the table, without the daemon, in the order of `cids`; `unpinned` for those that are not in the pinset. */
  statusMany(cids: readonly CID[]): Promise<readonly PinInfo[]>
  /** Retries now if it failed or was lost; resolves with the new status. */
  recover(cid: CID, options?: AbortOptions): Promise<PinInfo>
  /** Retries everything that failed or was lost; yields what was queued again. */
  recoverAll(options?: AbortOptions): AsyncIterable<PinInfo>
  /** Compares the table with the daemon's own list and corrects it (unexpectedly_unpinned); bounded memory. */
  audit(options?: AbortOptions): Promise<{ readonly checked: number; readonly lost: number }>
  /** Pins waiting for their turn. */
  pinQueueSize(): number
}

/** What the tracker in this process tells beside the port. */
export interface LocalPinTracker extends PinTracker {
  /** How far the pin operation under way has come; `undefined` when there is none or the daemon does not tell. */
  progress(cid: CID): IpfsPinProgress | undefined
  /** Bytes of the disk that pins which wait or are under way have yet to take, as far as their sizes are known. */
  reservedBytes(): number
  stats(): PinTrackerStats
}

export interface PinTrackerStats {
  /** Rows of the table by status; operations under way count as queued or as errors. */
  readonly counts: Readonly<Record<string, number>>
  /** Pin and unpin operations under way. */
  readonly pinning: number
  readonly unpinning: number
  /** False while the daemon does not answer and the queues stand still. */
  readonly daemonReachable: boolean
}

export interface PinTrackerFailure {
  readonly code: 'TRACKER_FORMAT'
  readonly found: number
  readonly expected: number
}

export class PinTrackerError extends CodedError<PinTrackerFailure> {
  override readonly name = 'PinTrackerError'
}
