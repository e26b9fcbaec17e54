/**
 * The Prometheus endpoint (`observations.metrics`; reference api.md 5.8): `GET /metrics` in the text format, and beside it what Node has of
 * Go's `/debug`: memory and versions (`/debug/vars`), profiles of CPU and allocations (`/debug/pprof/profile`, `/debug/pprof/heap`). It
 * measures nothing: rooms report to the `Meter`.
 */
export {
  createMetricsServer,
  type MetricsServerComponents,
  type MetricsServerConfig,
} from './metrics-server.ts'
