import {
  anySignal,
  asError,
  createTaskScope,
  errorMessage,
  type Clock,
  type Logger,
  type Meter,
  type Random,
  type SpanAttributes,
} from '@ipfs-cluster/base'
import { VERSION } from '../version.ts'
import { encodeSpans } from './otlp.ts'
import { postSpans, type Delivery } from './post-spans.ts'
import type { SpanRecord, TracingConfig } from './types.ts'

/** Spans that wait to be sent; later ones are dropped, and counted. */
export const MAX_QUEUED_SPANS = 4096
/** Spans of one request. */
export const MAX_BATCH_SPANS = 512
/** How long the first span waits for others, in milliseconds. */
export const GATHER_MS = 2_000
/** Of one request, in milliseconds. */
const POST_TIMEOUT_MS = 10_000
/** Requests for the same spans, and the rests between them in milliseconds: doubled each time, ±20 %. */
const MAX_ATTEMPTS = 5
const FIRST_REST_MS = 1_000
const MAX_REST_MS = 30_000
/** For what is left when the peer stops, in milliseconds. */
export const FLUSH_TIMEOUT_MS = 3_000

const SCOPE = { name: '@ipfs-cluster/peer', version: VERSION }

export interface ExporterComponents {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly meter: Meter
}

/** Sends spans away in batches. Disposing sends what is left, for at most `FLUSH_TIMEOUT_MS`. */
export interface SpanExporter extends AsyncDisposable {
  /** Takes a span, or drops it when too many wait. Never fails, never waits. */
  add(span: SpanRecord): void
}

export function createExporter(
  { clock, random, logger, meter }: ExporterComponents,
  config: Pick<TracingConfig, 'tracesUrl' | 'headers'> & { readonly resource: SpanAttributes },
): SpanExporter {
  const queue: SpanRecord[] = []
  const stopped = new AbortController()
  /** The time at the end is up. */
  const over = new AbortController()
  let wake = Promise.withResolvers<void>()
  let gathering: AbortController | undefined
  const { sent, dropped } = createCounters(meter, () => queue.length)
  const news = createNews(logger, config.tracesUrl)

  const post = async (spans: readonly SpanRecord[]): Promise<Delivery> => {
    const signal = anySignal(clock.timeout(POST_TIMEOUT_MS), over.signal)
    const delivery = await postSpans(config, encodeSpans(spans, config.resource, SCOPE), signal)
    news.of(delivery)
    if (delivery.kind === 'accepted') {
      sent.add({}, spans.length - delivery.rejected)
      if (delivery.rejected > 0) dropped.add({ reason: 'rejected' }, delivery.rejected)
    }
    if (delivery.kind === 'refused') dropped.add({ reason: 'rejected' }, spans.length)
    return delivery
  }

  /** Until they are taken, refused for good, or it has been tried often enough. What cannot be sent now goes back into the queue at the end. */
  const deliver = async (spans: readonly SpanRecord[]) => {
    for (let attempt = 1; !stopped.signal.aborted; attempt++) {
      const delivery = await post(spans)
      if (delivery.kind !== 'failed') return
      if (attempt === MAX_ATTEMPTS) return dropped.add({ reason: 'undeliverable' }, spans.length)
      const restMs = Math.max(FIRST_REST_MS * 2 ** (attempt - 1), delivery.retryAfterMs ?? 0)
      await pause(Math.min(MAX_REST_MS, restMs) * (0.8 + 0.4 * random.float()), stopped.signal)
    }
    queue.unshift(...spans)
  }

  const pause = async (ms: number, signal: AbortSignal) => {
    // Cut short: there is something to do.
    await clock.sleep(ms, { signal }).catch(() => undefined)
  }

  const gather = async () => {
    gathering = new AbortController()
    if (queue.length < MAX_BATCH_SPANS) await pause(GATHER_MS, gathering.signal)
    gathering = undefined
  }

  const work = async () => {
    while (!stopped.signal.aborted) {
      await wake.promise
      wake = Promise.withResolvers()
      while (queue.length > 0 && !stopped.signal.aborted) {
        await gather()
        await deliver(queue.splice(0, MAX_BATCH_SPANS))
      }
    }
    while (queue.length > 0 && !over.signal.aborted) {
      const spans = queue.splice(0, MAX_BATCH_SPANS)
      if ((await post(spans)).kind === 'failed') {
        queue.unshift(...spans)
        break
      }
    }
    if (queue.length > 0) dropped.add({ reason: 'stopped' }, queue.length)
    queue.length = 0
  }

  const working = work().catch((error: unknown) => {
    logger.error({ err: asError(error) }, `no spans are sent any more: ${errorMessage(error)}`)
  })
  let closing: Promise<void> | undefined
  return {
    add(span) {
      if (stopped.signal.aborted) return dropped.add({ reason: 'stopped' })
      if (queue.length >= MAX_QUEUED_SPANS) return dropped.add({ reason: 'queue_full' })
      queue.push(span)
      wake.resolve()
      if (queue.length >= MAX_BATCH_SPANS) gathering?.abort()
    },
    [Symbol.asyncDispose]() {
      closing ??= (async () => {
        await using timer = createTaskScope(logger)
        timer.run('flush of spans', async signal => {
          await clock.sleep(FLUSH_TIMEOUT_MS, { signal })
          over.abort(new DOMException('the peer has stopped', 'AbortError'))
        })
        stopped.abort()
        gathering?.abort()
        wake.resolve()
        await working
      })()
      return closing
    },
  }
}

function createCounters(meter: Meter, queued: () => number) {
  meter.gauge('ipfscluster_tracing_spans_queued', 'Spans that wait to be sent', queued)
  return {
    sent: meter.counter('ipfscluster_tracing_spans_sent_total', 'Spans that the collector has taken'),
    dropped: meter.counter(
      'ipfscluster_tracing_spans_dropped_total',
      'Spans that were recorded and will not reach the collector, by reason',
    ),
  }
}

/** Says once that something has changed; the rest is for those who look closely. */
function createNews(logger: Logger, url: string) {
  let failing = false
  return {
    of(delivery: Delivery) {
      if (delivery.kind === 'accepted') {
        if (failing) logger.info({ url }, 'the collector takes spans again')
        failing = false
        return
      }
      const { problem, detail } = delivery
      const log = failing ? logger.debug : logger.warn
      failing = true
      log(
        { url, error: problem },
        'spans cannot be delivered. Is a collector there that takes OTLP over HTTP?',
      )
      if (detail !== undefined) logger.debug({ url, detail }, 'what the collector says')
    },
  }
}
