/**
 * The Prometheus endpoint (`observations.metrics`; reference api.md 5.8): `GET /metrics` in the text format. It measures nothing: rooms report
 * to the `Meter`.
 */
export { createMetricsServer, type MetricsServerConfig } from './metrics-server.ts'
