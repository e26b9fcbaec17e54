/**
 * Spans in the JSON of OTLP (opentelemetry-proto `collector/trace/v1`): the JSON mapping of protobuf, 64-bit integers as text, and, unlike
 * it, ids in hex.
 */
import type { SpanAttributes, SpanKind } from '@ipfs-cluster/base'
import type { SpanRecord } from './types.ts'

const KINDS: Readonly<Record<SpanKind, number>> = { internal: 1, server: 2, client: 3 }
const STATUS_ERROR = 2
const FLAG_SAMPLED = 1

/** One `ExportTraceServiceRequest`. */
export function encodeSpans(
  spans: readonly SpanRecord[],
  resource: SpanAttributes,
  scope: { readonly name: string; readonly version: string },
): string {
  return JSON.stringify({
    resourceSpans: [
      {
        resource: { attributes: keyValues(resource) },
        scopeSpans: [{ scope, spans: spans.map(encodeSpan) }],
      },
    ],
  })
}

function encodeSpan(span: SpanRecord) {
  const { traceId, spanId, parentSpanId, traceState, name, error } = span
  return {
    traceId,
    spanId,
    ...(parentSpanId === '' ? {} : { parentSpanId }),
    ...(traceState === '' ? {} : { traceState }),
    flags: FLAG_SAMPLED,
    name,
    kind: KINDS[span.kind],
    startTimeUnixNano: String(span.startNs),
    endTimeUnixNano: String(span.endNs),
    attributes: keyValues(span.attributes),
    ...(span.events.length === 0
      ? {}
      : {
          events: span.events.map(event => ({
            timeUnixNano: String(event.timeNs),
            name: event.name,
            attributes: keyValues(event.attributes),
          })),
        }),
    status: error === undefined ? {} : { code: STATUS_ERROR, message: error.message },
  }
}

function keyValues(attributes: SpanAttributes) {
  return Object.entries(attributes).map(([key, value]) => ({ key, value: anyValue(value) }))
}

function anyValue(value: string | number | boolean) {
  if (typeof value === 'string') return { stringValue: value }
  if (typeof value === 'boolean') return { boolValue: value }
  if (Number.isSafeInteger(value)) return { intValue: String(value) }
  return { doubleValue: Number.isFinite(value) ? value : String(value) }
}
