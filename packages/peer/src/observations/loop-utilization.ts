import { performance } from 'node:perf_hooks'
import type { Clock } from '@ipfs-cluster/base'

/** Milliseconds over which it is taken. */
const WINDOW_MS = 100

/** Tells the share of its time, from 0 to 1, that the event loop worked in the last window that has ended. Cheap; looks only when asked. */
export function createLoopUtilization(clock: Clock): () => number {
  let began = clock.monotonic()
  let last = performance.eventLoopUtilization()
  let share = 0
  return () => {
    const now = clock.monotonic()
    if (now - began >= WINDOW_MS) {
      began = now
      share = performance.eventLoopUtilization(last).utilization
      last = performance.eventLoopUtilization()
    }
    return share
  }
}
