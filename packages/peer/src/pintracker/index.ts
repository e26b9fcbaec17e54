/**
 * Brings the local IPFS daemon in line with the pinset and knows the status of every pin here (Go: `pintracker/stateless`, `optracker`;
 * reference wire.md 9). Status, attempts, due times and errors are rows of a durable table (`rows.ts`); queues are range scans of it, so
 * a million queued pins cost disk and a restart resumes without a sweep. What happens to a row is decided in `transitions.ts`; `runner.ts`
 * does it.
 *
 * It decides when to pin, unpin and retry; not where (allocator), and it never writes the pinset (cluster).
 */
export { TRACKER_PREFIX } from './rows.ts'
export {
  createPinTracker,
  DEFAULT_TRACKER_LIMITS,
  type PinTrackerComponents,
  type TrackerLimits,
} from './tracker.ts'
export type { TrackerSelf } from './status.ts'
export * from './types.ts'
