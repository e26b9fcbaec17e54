import type { SpanAttributes, SpanKind } from '@ipfs-cluster/base'

export interface TracingConfig {
  /** Where spans are sent (OTLP over HTTP, JSON), path included: `http://127.0.0.1:4318/v1/traces`. */
  readonly tracesUrl: string
  /** Sent along. Secrets: never logged. */
  readonly headers: Readonly<Record<string, string>>
  /** Share of the traces begun here that are recorded, 0 to 1. Those begun elsewhere are recorded if they are there. */
  readonly samplingProbability: number
  /** `<service_name>-<peername>`, as Go has it. */
  readonly serviceName: string
  /** Why spans go where they go, when the configuration does not say it plainly. For the log. */
  readonly note?: string
  /** More about this process, such as `process.pid`. */
  readonly resource?: SpanAttributes
}

/** A span that is over. Times are nanoseconds since the epoch. */
export interface SpanRecord {
  readonly traceId: string
  readonly spanId: string
  /** Empty at the root of a trace. */
  readonly parentSpanId: string
  readonly traceState: string
  readonly name: string
  readonly kind: SpanKind
  readonly startNs: bigint
  readonly endNs: bigint
  readonly attributes: SpanAttributes
  readonly error: { readonly message: string } | undefined
  readonly events: readonly SpanEvent[]
}

export interface SpanEvent {
  readonly name: string
  readonly timeNs: bigint
  readonly attributes: SpanAttributes
}
