/** W3C Trace Context, level 1 (https://www.w3.org/TR/trace-context-1/): the headers `traceparent` and `tracestate`. */

/** Which span is under way, as others are told of it. */
export interface SpanContext {
  /** 16 bytes in lower-case hex, not all zero. */
  readonly traceId: string
  /** 8 bytes in lower-case hex, not all zero. */
  readonly spanId: string
  /** Whether the span is recorded; what is called on its behalf decides alike. */
  readonly sampled: boolean
  /** What tracing systems before us want to be passed on. */
  readonly traceState?: string
}

/** The headers of a call. */
export interface TraceHeaders {
  readonly traceparent: string
  readonly tracestate?: string
}

const SAMPLED = 1
/** `00-<32 hex>-<16 hex>-<2 hex>`. */
const TRACEPARENT_LENGTH = 55
/** Later versions may append fields; beyond this it is no header in good faith. Characters. */
const MAX_TRACEPARENT_LENGTH = 512
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-|$)/

/** Characters of a `tracestate` that are passed on; longer members go first, then those on the right (W3C 3.3.1.5). */
const MAX_TRACESTATE_LENGTH = 512
const LONG_MEMBER_LENGTH = 128
/** What is looked at, at all: more than 32 members of the largest allowed size. Characters. */
const MAX_TRACESTATE_HEADER = 20_000
const MAX_TRACESTATE_MEMBERS = 32
const MEMBER =
  /^(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/

/**
 * The caller's span. `undefined` when there is none or the header is not as the specification wants it: then a new trace begins. A bad
 * `tracestate` alone is left out.
 */
export function parseTraceHeaders(
  traceparent: string | undefined,
  tracestate?: string,
): SpanContext | undefined {
  if (traceparent === undefined || traceparent.length > MAX_TRACEPARENT_LENGTH) return undefined
  const [, version, traceId = '', spanId = '', flags = ''] = TRACEPARENT.exec(traceparent) ?? []
  if (version === undefined || version === 'ff') return undefined
  // Only a later version may go on after the flags.
  if (version === '00' && traceparent.length !== TRACEPARENT_LENGTH) return undefined
  if (isZero(traceId) || isZero(spanId)) return undefined
  const traceState = tracestate === undefined ? undefined : cleanTracestate(tracestate)
  return {
    traceId,
    spanId,
    sampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0,
    ...(traceState === undefined ? {} : { traceState }),
  }
}

/** What tells a callee of this span. Flags that we do not know are not passed on, as the specification wants it. */
export function formatTraceHeaders({ traceId, spanId, sampled, traceState }: SpanContext): TraceHeaders {
  const traceparent = `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`
  return traceState === undefined ? { traceparent } : { traceparent, tracestate: traceState }
}

/** A `tracestate` fit to be passed on; `undefined` when it is empty or malformed. */
export function cleanTracestate(text: string): string | undefined {
  if (text.length > MAX_TRACESTATE_HEADER) return undefined
  const members = text
    .split(',')
    .map(member => member.trim())
    .filter(member => member !== '')
  const keys = new Set(members.map(member => member.slice(0, member.indexOf('='))))
  const isValid =
    members.length <= MAX_TRACESTATE_MEMBERS &&
    keys.size === members.length &&
    members.every(member => MEMBER.test(member))
  if (!isValid || members.length === 0) return undefined
  const isLong = () => members.join(',').length > MAX_TRACESTATE_LENGTH
  while (isLong()) {
    const long = members.findLastIndex(member => member.length > LONG_MEMBER_LENGTH)
    members.splice(long < 0 ? members.length - 1 : long, 1)
  }
  return members.length === 0 ? undefined : members.join(',')
}

function isZero(hex: string): boolean {
  return /^0+$/.test(hex)
}
