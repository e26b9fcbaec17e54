import type { Meter } from '@ipfs-cluster/base'

/** The process itself, under the names that Prometheus clients for Node use. */
export function reportProcess(meter: Meter): void {
  const startedAt = Date.now() / 1000 - process.uptime()
  meter.gauge('process_resident_memory_bytes', 'Resident memory size in bytes', () =>
    process.memoryUsage.rss(),
  )
  meter.gauge(
    'nodejs_heap_size_used_bytes',
    'JavaScript heap in use, in bytes',
    () => process.memoryUsage().heapUsed,
  )
  meter.gauge('process_cpu_seconds_total', 'User and system CPU time spent, in seconds', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  meter.gauge(
    'process_start_time_seconds',
    'Start of the process, in seconds since the Unix epoch',
    () => startedAt,
  )
}
