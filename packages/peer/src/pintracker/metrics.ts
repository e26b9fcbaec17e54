import type { Clock, Meter } from '@ipfs-cluster/base'
import { bytesUnderWay, reservedBytes } from './progress.ts'
import { QUEUES, ROW_STATUSES } from './rows.ts'
import type { Runner } from './runner.ts'
import type { TrackerTable } from './table.ts'

/** Everything is read from the counts that the table keeps: a scrape costs the same whatever the size of the pinset. */
export function measureTracker(
  meter: Meter,
  clock: Pick<Clock, 'now'>,
  table: Pick<TrackerTable, 'counts' | 'bytes'>,
  { operations, oldestDue, breaker, places, load }: Omit<Runner, 'noticed' | 'flush'>,
): void {
  const pinning = () => operations.running('pin')
  // A row is there for every pin of the pinset, and for those that left it until the daemon has let go of them.
  meter.gauge('ipfscluster_pins', 'Total number of cluster pins', () => {
    const counts = table.counts()
    const all = Object.values(counts).reduce((sum, count) => sum + count, 0)
    return all - counts.unpin_queued - counts.unpin_error
  })
  meter.gauge('ipfscluster_pins_pin_queued', 'Current number of pins queued for pinning', () => {
    const { pin_queued, unexpectedly_unpinned } = table.counts()
    return Math.max(0, pin_queued + unexpectedly_unpinned - operations.countedUnderWay())
  })
  meter.gauge('ipfscluster_pins_pinning', 'Current number of pins currently pinning', pinning)
  meter.gauge(
    'ipfscluster_pins_pin_error',
    'Current number of pins in pin_error state',
    () => table.counts().pin_error,
  )
  const bytes: readonly (readonly [name: string, help: string, read: () => number])[] = [
    ['pinned', 'Bytes of the content that is pinned, as far as sizes are known', () => table.bytes().pinned],
    ['pinning', 'Bytes that pins under way have fetched so far', () => bytesUnderWay(operations.all())],
    [
      'reserved',
      'Bytes that queued pins and those under way have yet to take, as far as sizes are known',
      () => reservedBytes(table.bytes().waiting, operations.all()),
    ],
  ]
  for (const [name, help, read] of bytes) meter.gauge(`ipfscluster_pintracker_${name}_bytes`, help, read)
  for (const status of ROW_STATUSES) {
    const read = () => table.counts()[status]
    meter.gauge('ipfscluster_pintracker_rows', 'CIDs that the pin tracker knows, by status', read, { status })
  }
  for (const kind of ['pin', 'unpin'] as const) {
    const read = () => operations.running(kind)
    meter.gauge('ipfscluster_pintracker_operations', 'Calls of the IPFS daemon under way', read, { kind })
  }
  meter.gauge(
    'ipfscluster_pintracker_pins_aside',
    'Pins under way of which nothing comes: they hold none of the places of concurrent_pins',
    () => places.aside(),
  )
  meter.gauge(
    'ipfscluster_pintracker_pin_limit',
    'Pins that may move at once: concurrent_pins, or fewer while the IPFS daemon is overloaded',
    () => load.limit(),
  )
  for (const queue of QUEUES) {
    meter.gauge(
      'ipfscluster_pintracker_oldest_waiting_seconds',
      'How long ago the first operation that waits for its turn became due',
      () => {
        const due = oldestDue(queue)
        return due === undefined ? 0 : Math.max(0, (clock.now() - due) / 1000)
      },
      { queue },
    )
  }
  meter.gauge(
    'ipfscluster_pintracker_daemon_reachable',
    '0 while the IPFS daemon does not answer and the queues stand still, else 1',
    () => (breaker.isOpen() ? 0 : 1),
  )
}
