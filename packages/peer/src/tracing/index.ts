/**
 * Traces: which requests took how long, and where (Go: `observations/`; decision 0013). The port is `Tracer` of base; here are the
 * implementation that records a share of all traces and sends them by OTLP/HTTP, and the wrappers that put spans around the ports of other
 * rooms, so that these know nothing of it. With `noopTracer` the wrappers hand back what they were given.
 *
 * A trace begins with a request over HTTP, a use case that a program calls, or an operation of the pin tracker; all else is traced as part
 * of these.
 */
export type { TracingConfig } from './types.ts'
export { createTracing, type Tracing } from './tracing.ts'
export { tracedCluster, tracedConsensus } from './traced-cluster.ts'
export { restRouteOf, tracedRequests } from './traced-http.ts'
export { tracedConnector, tracedOperations } from './traced-ipfs.ts'
export { tracedNetwork } from './traced-network.ts'
