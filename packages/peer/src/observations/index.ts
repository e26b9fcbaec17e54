/**
 * How a peer is doing, for those who watch over it: a probe that exercises its parts, and what its store takes of the disk (Go:
 * `observations/`). It makes no metric of what other rooms do; those tell the `Meter` themselves. Serving it is `http/metrics`' and
 * `http/rest`'s part.
 */
export {
  createHealthProbe,
  HealthError,
  PROBE_TIMEOUT_MS,
  type HealthFailure,
  type HealthProbe,
  type HealthProbeComponents,
} from './health.ts'
export { createLoopUtilization } from './loop-utilization.ts'
export { createStoreMetrics, type StoreMetrics } from './store-metrics.ts'
