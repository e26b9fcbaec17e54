import { MAX_SERIES, memoize, type Meter } from '@ipfs-cluster/base'

export interface CallCounter {
  count(protocol: 'mux' | 'stream'): void
}

/** Counts remote calls: `ipfscluster_rpc_calls_total{protocol,direction}`. */
export function callCounter(meter: Meter, direction: 'in' | 'out'): CallCounter {
  const counter = meter.counter(
    'ipfscluster_rpc_calls_total',
    'Remote procedure calls, by protocol (mux: one stream for many calls; stream: one each) and direction',
  )
  const callsOf = memoize(MAX_SERIES, (protocol: 'mux' | 'stream') => counter.of({ protocol, direction }))
  return { count: protocol => callsOf(protocol).add() }
}
