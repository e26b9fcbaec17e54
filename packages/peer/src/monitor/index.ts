/**
 * What peers tell each other at intervals: keeps the latest metrics of every peer, says who is alive and raises an alert when a
 * metric expires (Go: `monitor/pubsubmon`, `monitor/metrics`; reference wire.md 7).
 *
 * It measures nothing itself: informers make metrics.
 */
export { createMonitor, type MetricCodec, type MonitorComponents } from './monitor.ts'
export * from './types.ts'
