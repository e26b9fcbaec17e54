import { AsyncLocalStorage } from 'node:async_hooks'
import {
  EMPTY_BYTES,
  errorCode,
  errorMessage,
  toHex,
  type Clock,
  type Random,
  type Span,
  type SpanAttributes,
  type SpanContext,
  type SpanKind,
  type Tracer,
} from '@ipfs-cluster/base'
import { isSampled } from './sampler.ts'
import type { SpanEvent, SpanRecord } from './types.ts'

export interface RecorderComponents {
  readonly clock: Clock
  readonly random: Random
  /** Takes what is over. */
  readonly onEnd: (span: SpanRecord) => void
}

/** Characters of an attribute or of an error's text; more is cut off. */
const MAX_TEXT_LENGTH = 1024
/** Failures noted of one span. */
const MAX_EVENTS = 8

const TRACE_ID_BYTES = 16
const SPAN_ID_BYTES = 8
/** Random bytes asked for at once. */
const STOCK_BYTES = 2048

/**
 * A tracer that records. The span under way is known to everything asynchronous that begins in it; what goes on after a span has ended
 * (a connection that a request opened, a loop that it woke) belongs to it no more.
 */
export function createRecorder(components: RecorderComponents, samplingProbability: number): Tracer {
  const storage = new AsyncLocalStorage<OpenSpan>()
  const ids = createIds(components.random)
  const current = (): OpenSpan | undefined => {
    let span = storage.getStore()
    while (span?.ended === true) span = span.outer
    return span
  }
  return {
    active: () => current()?.context,
    start(name, { attributes, kind = 'internal', parent } = {}) {
      const outer = parent === undefined ? current() : undefined
      const context = childOf(parent ?? outer?.context, ids, samplingProbability)
      const parentSpanId = (parent ?? outer?.context)?.spanId ?? ''
      if (!context.sampled) return new OpenSpan(storage, context, outer, undefined)
      const recording = new Recording(components, context, { name, kind, attributes, parentSpanId })
      return new OpenSpan(storage, context, outer, recording)
    },
  }
}

function childOf(parent: SpanContext | undefined, ids: Ids, probability: number): SpanContext {
  // Nobody is told of a span that is not recorded: what is called goes on under the last one that is known.
  if (parent?.sampled === false) return parent
  const spanId = ids(SPAN_ID_BYTES)
  if (parent !== undefined) return { ...parent, spanId }
  const traceId = ids(TRACE_ID_BYTES)
  return { traceId, spanId, sampled: isSampled(traceId, probability) }
}

/** An id of so many bytes in hex. */
type Ids = (length: number) => string

/** Asks for random bytes in stock: once for each id would cost more than the rest of a span. */
function createIds(random: Random): Ids {
  let stock = EMPTY_BYTES
  const next: Ids = length => {
    if (stock.length < length) stock = random.bytes(STOCK_BYTES)
    const id = toHex(stock.subarray(0, length))
    stock = stock.subarray(length)
    // All zero means none.
    return /^0+$/.test(id) ? next(length) : id
  }
  return next
}

class OpenSpan implements Span {
  readonly context: SpanContext
  readonly outer: OpenSpan | undefined
  ended = false
  readonly #storage: AsyncLocalStorage<OpenSpan>
  #recording: Recording | undefined

  constructor(
    storage: AsyncLocalStorage<OpenSpan>,
    context: SpanContext,
    outer: OpenSpan | undefined,
    recording: Recording | undefined,
  ) {
    this.#storage = storage
    this.context = context
    this.outer = outer
    this.#recording = recording
  }

  run<T>(work: () => T): T {
    return this.#storage.run(this, work)
  }

  set(attributes: SpanAttributes): void {
    this.#recording?.set(attributes)
  }

  fail(error: unknown): void {
    this.#recording?.fail(error)
  }

  end(): void {
    this.ended = true
    this.#recording?.end()
    // A connection may hold on to this span for days.
    this.#recording = undefined
  }
}

interface Beginning {
  readonly name: string
  readonly kind: SpanKind
  readonly attributes: SpanAttributes | undefined
  readonly parentSpanId: string
}

class Recording {
  readonly #components: RecorderComponents
  readonly #context: SpanContext
  readonly #beginning: Beginning
  readonly #startNs: bigint
  readonly #attributes: Record<string, string | number | boolean> = {}
  readonly #events: SpanEvent[] = []
  #error: { readonly message: string } | undefined

  constructor(components: RecorderComponents, context: SpanContext, beginning: Beginning) {
    this.#components = components
    this.#context = context
    this.#beginning = beginning
    this.#startNs = components.clock.nowNs()
    if (beginning.attributes !== undefined) this.set(beginning.attributes)
  }

  set(attributes: SpanAttributes): void {
    for (const [key, value] of Object.entries(attributes)) {
      this.#attributes[key] = typeof value === 'string' ? cut(value) : value
    }
  }

  fail(error: unknown): void {
    const type = errorCode(error) ?? (error instanceof Error ? error.name : typeof error)
    // Not a failure: whoever wanted it has left, or something else was first.
    if (error instanceof Error && error.name === 'AbortError') return this.set({ cancelled: true })
    const message = cut(errorMessage(error))
    this.#error = { message }
    this.set({ 'error.type': type })
    if (this.#events.length >= MAX_EVENTS) return
    this.#events.push({
      name: 'exception',
      timeNs: this.#components.clock.nowNs(),
      attributes: { 'exception.type': type, 'exception.message': message },
    })
  }

  end(): void {
    const { traceId, spanId, traceState = '' } = this.#context
    const { name, kind, parentSpanId } = this.#beginning
    this.#components.onEnd({
      traceId,
      spanId,
      parentSpanId,
      traceState,
      name,
      kind,
      startNs: this.#startNs,
      endNs: this.#components.clock.nowNs(),
      attributes: this.#attributes,
      error: this.#error,
      events: this.#events,
    })
  }
}

function cut(text: string): string {
  return text.length <= MAX_TEXT_LENGTH ? text : `${text.slice(0, MAX_TEXT_LENGTH - 1)}…`
}
