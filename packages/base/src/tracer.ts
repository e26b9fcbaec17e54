import { formatTraceHeaders, type SpanContext, type TraceHeaders } from './trace-context.ts'

/** What is known of a span. Never a secret; CIDs and peer ids may be here, texts of a request's body may not. */
export type SpanAttributes = Readonly<Record<string, string | number | boolean>>

/** `server`: done for another process; `client`: waiting for one. */
export type SpanKind = 'internal' | 'server' | 'client'

export interface SpanOptions {
  readonly attributes?: SpanAttributes
  /** @default 'internal' */
  readonly kind?: SpanKind
  /** @default the span under way; `null`: a trace of its own; a context: that of a caller elsewhere. */
  readonly parent?: SpanContext | null | undefined
}

/** Something that takes time, on behalf of something else. */
export interface Span {
  set(attributes: SpanAttributes): void
  /** It has failed with `error`. */
  fail(error: unknown): void
  /** It is over. Later calls have no effect. */
  end(): void
  /** Runs `work`, in which this is the span under way: also in everything asynchronous that begins there. */
  run<T>(work: () => T): T
}

/**
 * Where rooms tell what they spend time on (the data model of OpenTelemetry). Whoever has a tracer of their own, such as one of
 * `@opentelemetry/api`, passes these two functions over it.
 */
export interface Tracer {
  start(name: string, options?: SpanOptions): Span
  /** The span under way here, for those that are called; `undefined` when there is none, or it is over. */
  active(): SpanContext | undefined
}

const noopSpan: Span = {
  set: () => undefined,
  fail: () => undefined,
  end: () => undefined,
  run: work => work(),
}

/** Traces nothing. Wrappers leave out all they would do for it. */
export const noopTracer: Tracer = { start: () => noopSpan, active: () => undefined }

/** Runs `work` in a span that ends, well or badly, when its promise settles. */
export function traced<T>(
  tracer: Tracer,
  name: string,
  options: SpanOptions,
  work: (span: Span) => Promise<T>,
): Promise<T> {
  return tracer === noopTracer ? work(noopSpan) : recorded(tracer.start(name, options), work)
}

async function recorded<T>(span: Span, work: (span: Span) => Promise<T>): Promise<T> {
  try {
    return await span.run(() => work(span))
  } catch (error) {
    span.fail(error)
    throw error
  } finally {
    span.end()
  }
}

/** The items of `open`, in a span from the first request for one to the end, or until the reader leaves; with the attribute `items`. */
export async function* tracedItems<T>(
  tracer: Tracer,
  name: string,
  options: SpanOptions,
  open: () => AsyncIterable<T>,
): AsyncGenerator<T> {
  if (tracer === noopTracer) return yield* open()
  const span = tracer.start(name, options)
  let count = 0
  try {
    const items = span.run(() => open()[Symbol.asyncIterator]())
    let left = false
    try {
      while (true) {
        // Whatever the source does is done within the span; what the reader does between two items is not.
        const next = await span.run(() => items.next())
        if (next.done === true) return
        count++
        left = true
        yield next.value
        left = false
      }
    } finally {
      if (left) await span.run(() => items.return?.())
    }
  } catch (error) {
    span.fail(error)
    throw error
  } finally {
    span.set({ items: count })
    span.end()
  }
}

/** What to send along with a call, if a span is under way. */
export function traceHeaders(tracer: Tracer): TraceHeaders | undefined {
  const context = tracer.active()
  return context && formatTraceHeaders(context)
}
