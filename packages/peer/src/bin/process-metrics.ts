import { readdirSync, readFileSync } from 'node:fs'
import {
  monitorEventLoopDelay,
  performance,
  PerformanceObserver,
  type PerformanceEntry,
} from 'node:perf_hooks'
import { getHeapSpaceStatistics } from 'node:v8'
import type { Meter } from '@ipfs-cluster/base'

/** Steps in which the lag of the event loop is measured, in milliseconds: no finer, as each wakes the process. */
const LAG_RESOLUTION_MS = 20
/** The gauges of one scrape are of one time. */
const MIN_LOOK_MS = 1000
const NS_PER_S = 1e9
const GC_BOUNDS_S = [0.001, 0.01, 0.1, 1, 2, 5]
/** `perf_hooks.constants.NODE_PERFORMANCE_GC_*` */
const GC_KINDS: Readonly<Record<number, string>> = { 1: 'minor', 4: 'major', 8: 'incremental', 16: 'weakcb' }

/**
 * The process itself: `process_*` as Go and every other Prometheus client names it, and `nodejs_*`, under the names of the client for Node,
 * in the place of Go's `go_*`.
 */
export function reportProcess(meter: Meter): Disposable {
  reportResources(meter)
  reportHeap(meter)
  const stack = new DisposableStack()
  reportEventLoop(meter, stack)
  reportGarbageCollection(meter, stack)
  meter.gauge('nodejs_version_info', 'Version of Node', () => 1, { version: process.version })
  return stack
}

/** For `/debug/vars`: neither arguments nor environment. */
export function processVars(): Readonly<Record<string, unknown>> {
  return {
    versions: process.versions,
    platform: process.platform,
    arch: process.arch,
    pid: process.pid,
    uptime_seconds: process.uptime(),
    memory: process.memoryUsage(),
    resources: process.resourceUsage(),
  }
}

function reportResources(meter: Meter): void {
  const startedAt = Date.now() / 1000 - process.uptime()
  meter.gauge(
    'process_start_time_seconds',
    'Start of the process, in seconds since the Unix epoch',
    () => startedAt,
  )
  meter.total('process_cpu_seconds_total', 'User and system CPU time spent, in seconds', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  meter.gauge('process_resident_memory_bytes', 'Resident memory size in bytes', () =>
    process.memoryUsage.rss(),
  )
  // The rest is in files of Linux.
  if (read('/proc/self/status') === '') return
  meter.gauge(
    'process_virtual_memory_bytes',
    'Virtual memory size in bytes',
    () => numberAfter(read('/proc/self/status'), /^VmSize:\s+(\d+)/m) * 1024,
  )
  const limits = read('/proc/self/limits')
  const limit = (name: string) => {
    const text = new RegExp(`^${name}\\s+(\\S+)`, 'm').exec(limits)?.[1]
    // As in Go, which knows no infinite limit.
    return text === 'unlimited' ? 2 ** 64 : Number(text ?? 0)
  }
  const [maxMemory, maxFds] = [limit('Max address space'), limit('Max open files')]
  meter.gauge(
    'process_virtual_memory_max_bytes',
    'Maximum amount of virtual memory available in bytes',
    () => maxMemory,
  )
  meter.gauge('process_max_fds', 'Maximum number of open file descriptors', () => maxFds)
  meter.gauge('process_open_fds', 'Number of open file descriptors', openFds)
  const octets = (name: string) => () => columnOf(read('/proc/self/net/netstat'), 'IpExt', name)
  meter.total(
    'process_network_receive_bytes_total',
    'Bytes received by the network namespace of the process',
    octets('InOctets'),
  )
  meter.total(
    'process_network_transmit_bytes_total',
    'Bytes sent by the network namespace of the process',
    octets('OutOctets'),
  )
}

function reportHeap(meter: Meter): void {
  const memory = (name: string, help: string, key: 'heapTotal' | 'heapUsed' | 'external' | 'arrayBuffers') =>
    meter.gauge(name, help, () => process.memoryUsage()[key])
  memory('nodejs_heap_size_total_bytes', 'JavaScript heap reserved, in bytes', 'heapTotal')
  memory('nodejs_heap_size_used_bytes', 'JavaScript heap in use, in bytes', 'heapUsed')
  memory('nodejs_external_memory_bytes', 'Memory outside of the heap that objects hold, in bytes', 'external')
  memory('nodejs_array_buffers_bytes', 'Memory of buffers, a part of the external, in bytes', 'arrayBuffers')
  for (const { space_name } of getHeapSpaceStatistics()) {
    const space = space_name.replace(/_space$/, '')
    const read = () =>
      getHeapSpaceStatistics().find(each => each.space_name === space_name)?.space_used_size ?? 0
    meter.gauge('nodejs_heap_space_size_used_bytes', 'Use of each part of the heap, in bytes', read, {
      space,
    })
  }
}

/** How late timers are: what one long computation takes from everybody else. Of the time between two looks. */
function reportEventLoop(meter: Meter, stack: DisposableStack): void {
  const delay = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS })
  delay.enable()
  stack.defer(() => delay.disable())
  let lookedAt = performance.now()
  let seen = { mean: 0, max: 0, p50: 0, p90: 0, p99: 0 }
  // What is measured is the time from one tick to the next, which is never less than the step.
  const lag = (ns: number) =>
    Number.isFinite(ns) ? Math.max(0, ns / NS_PER_S - LAG_RESOLUTION_MS / 1000) : 0
  const look = () => {
    if (performance.now() - lookedAt >= MIN_LOOK_MS) {
      lookedAt = performance.now()
      const at = (percent: number) => lag(delay.percentile(percent))
      seen = { mean: lag(delay.mean), max: lag(delay.max), p50: at(50), p90: at(90), p99: at(99) }
      delay.reset()
    }
    return seen
  }
  for (const name of ['mean', 'max', 'p50', 'p90', 'p99'] as const) {
    meter.gauge(
      `nodejs_eventloop_lag_${name}_seconds`,
      `Lag of the event loop since the last look, in seconds: ${name}`,
      () => look()[name],
    )
  }
  const start = performance.eventLoopUtilization()
  meter.total(
    'nodejs_eventloop_active_seconds_total',
    'Time the event loop was busy, in seconds; beside the clock it tells how much room there is',
    () => performance.eventLoopUtilization(start).active / 1000,
  )
}

function reportGarbageCollection(meter: Meter, stack: DisposableStack): void {
  const durations = meter.histogram(
    'nodejs_gc_duration_seconds',
    'Pauses for garbage collection, by kind',
    GC_BOUNDS_S,
  )
  const observer = new PerformanceObserver(list => {
    for (const entry of list.getEntries()) {
      durations.of({ kind: GC_KINDS[kindOf(entry)] ?? 'other' }).observe(entry.duration / 1000)
    }
  })
  observer.observe({ entryTypes: ['gc'] })
  stack.defer(() => observer.disconnect())
}

function kindOf(entry: PerformanceEntry): number {
  const detail = 'detail' in entry ? entry.detail : undefined
  return typeof detail === 'object' && detail !== null && 'kind' in detail ? Number(detail.kind) : 0
}

function openFds(): number {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    // As if the file did not exist: not Linux, or not allowed.
    return 0
  }
}

/** Empty when there is no such file. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    // Not Linux, or not allowed: the metric is 0.
    return ''
  }
}

function numberAfter(text: string, pattern: RegExp): number {
  return Number(pattern.exec(text)?.[1] ?? 0)
}

/** Of a table in two lines, names and values, both starting with `title:`. */
function columnOf(text: string, title: string, name: string): number {
  const [names = [], values = []] = text
    .split('\n')
    .filter(line => line.startsWith(`${title}:`))
    .map(line => line.split(' '))
  return Number(values[names.indexOf(name)] ?? 0)
}
