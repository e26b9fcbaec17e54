import type { PinInfo, TrackerStatus } from '@ipfs-cluster/api'
import type { AbortOptions } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'

export interface PinTrackerConfig {
  /** Queued pins beyond it are refused with an error status. @default 1_000_000 */
  readonly maxPinQueueSize: number
  /** @default 10 */
  readonly concurrentPins: number
  /** Pins younger than this and with few attempts go first. @default 24 h */
  readonly priorityPinMaxAgeMs: number
  /** @default 5 */
  readonly priorityPinMaxRetries: number
}

export interface PinTracker extends AsyncDisposable {
  /** Status here, asking the daemon where the table alone cannot know. */
  status(cid: CID, options?: AbortOptions): Promise<PinInfo>
  /** Every pin whose status matches `filter` (0 = all), in key order (bytes of the CID). From the table, without the daemon. */
  statusAll(filter: TrackerStatus, options?: AbortOptions): AsyncIterable<PinInfo>
  /** Retries now if it failed or was lost; resolves with the new status. */
  recover(cid: CID, options?: AbortOptions): Promise<PinInfo>
  /** Retries everything that failed or was lost; yields what was queued again. */
  recoverAll(options?: AbortOptions): AsyncIterable<PinInfo>
  /** Compares the table with the daemon's own list and corrects it (unexpectedly_unpinned); bounded memory. */
  audit(options?: AbortOptions): Promise<{ readonly checked: number; readonly lost: number }>
  /** Pins waiting for their turn. */
  pinQueueSize(): number
}
