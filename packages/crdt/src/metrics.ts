import { COUNT_BOUNDS, DURATION_BOUNDS_S, type Clock, type Counter, type Meter } from '@ipfs-cluster/base'

/** What is measured of writing and merging. */
export interface CrdtMetrics {
  /** Counts merged nodes and remembers when the last one was. */
  readonly merged: Pick<Counter, 'add'>
  onCommit(ms: number, ops: number): void
}

export function crdtMetrics(meter: Meter, clock: Pick<Clock, 'now'>): CrdtMetrics {
  const nodes = meter.counter(
    'ipfscluster_crdt_nodes_merged_total',
    'Nodes of the CRDT merged, our own included',
  )
  const durations = meter.histogram(
    'ipfscluster_crdt_commit_duration_seconds',
    'Duration of durable writes of our own operations; requests that come meanwhile share one',
    DURATION_BOUNDS_S,
  )
  const sizes = meter.histogram(
    'ipfscluster_crdt_commit_ops',
    'Operations of one durable write',
    COUNT_BOUNDS,
  )
  let mergedAt = 0
  meter.gauge(
    'ipfscluster_crdt_last_merge_timestamp_seconds',
    'When a node was last merged, in seconds since the Unix epoch; 0 when none was since the start',
    () => mergedAt,
  )
  nodes.add({}, 0)
  return {
    merged: {
      add(labels, count = 1) {
        if (count === 0) return
        mergedAt = clock.now() / 1000
        nodes.add(labels, count)
      },
    },
    onCommit(ms, ops) {
      durations.observe(ms / 1000)
      sizes.observe(ops)
    },
  }
}
