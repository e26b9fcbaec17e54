import type { Meter } from '@ipfs-cluster/base'

export interface CallCounter {
  count(protocol: 'mux' | 'stream'): void
}

/** Counts remote calls: `ipfscluster_rpc_calls_total{protocol,direction}`. */
export function callCounter(meter: Meter, direction: 'in' | 'out'): CallCounter {
  const counter = meter.counter(
    'ipfscluster_rpc_calls_total',
    'Remote procedure calls, by protocol (mux: one stream for many calls; stream: one each) and direction',
  )
  const labels = { mux: { protocol: 'mux', direction }, stream: { protocol: 'stream', direction } }
  return { count: protocol => counter.add(labels[protocol]) }
}
