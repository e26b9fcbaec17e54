/**
 * A peer's spans in the OpenTelemetry SDK of your own program, which then decides on sampling and export:
 *
 *   import { context, trace } from '@opentelemetry/api'
 *   await createClusterPeer(config, { tracer: openTelemetryTracer({ context, trace }) })
 */
import type { Span, SpanContext, Tracer } from '@ipfs-cluster/base'

export function openTelemetryTracer({ context, trace }: OpenTelemetryApi): Tracer {
  const tracer = trace.getTracer('ipfs-cluster')
  const root = trace.deleteSpan(context.active())
  const remote = ({ traceId, spanId, sampled }: SpanContext) =>
    trace.setSpanContext(root, { traceId, spanId, traceFlags: sampled ? 1 : 0, isRemote: true })
  return {
    start(name, { attributes = {}, kind = 'internal', parent } = {}): Span {
      const within = parent === undefined ? context.active() : parent === null ? root : remote(parent)
      const span = tracer.startSpan(name, { attributes, kind: KINDS[kind] }, within)
      return {
        run: work => context.with(trace.setSpan(within, span), work),
        set: more => void span.setAttributes(more),
        fail(error) {
          span.recordException(error instanceof Error ? error : String(error))
          span.setStatus({ code: ERROR })
        },
        end: () => span.end(),
      }
    },
    active() {
      const span = trace.getSpan(context.active())?.spanContext()
      return span && { traceId: span.traceId, spanId: span.spanId, sampled: (span.traceFlags & 1) === 1 }
    },
  }
}

/** `SpanKind` and `SpanStatusCode.ERROR` of `@opentelemetry/api`. */
const KINDS = { internal: 0, server: 1, client: 2 }
const ERROR = 2

/** What is used of `@opentelemetry/api` 1.x, so that nobody has to install it who does not use it. */
export interface OpenTelemetryApi {
  readonly context: {
    active(): OtelContext
    with<T>(context: OtelContext, work: () => T): T
  }
  readonly trace: {
    getTracer(name: string): {
      startSpan(
        name: string,
        options: { attributes: Record<string, string | number | boolean>; kind: number },
        context: OtelContext,
      ): OtelSpan
    }
    getSpan(context: OtelContext): OtelSpan | undefined
    setSpan(context: OtelContext, span: OtelSpan): OtelContext
    deleteSpan(context: OtelContext): OtelContext
    setSpanContext(context: OtelContext, span: OtelSpanContext): OtelContext
  }
}

export interface OtelContext {
  getValue(key: symbol): unknown
  setValue(key: symbol, value: unknown): OtelContext
  deleteValue(key: symbol): OtelContext
}

export interface OtelSpanContext {
  traceId: string
  spanId: string
  traceFlags: number
  isRemote?: boolean
}

export interface OtelSpan {
  spanContext(): OtelSpanContext
  setAttributes(attributes: Record<string, string | number | boolean>): OtelSpan
  recordException(error: Error | string): void
  setStatus(status: { code: number }): OtelSpan
  end(): void
}
