import type { IncomingMessage, ServerResponse } from 'node:http'
import { getHeapSpaceStatistics, getHeapStatistics } from 'node:v8'
import type { Multiaddr } from '@ipfs-cluster/api'
import { errorMessage, prometheusText, type Clock, type Logger, type MeterRegistry } from '@ipfs-cluster/base'
import { createHttpServer, type HttpServer } from '../common/index.ts'
import { createProfiler, ProfilerError, type ProfileKind, type Profiler } from './profiler.ts'

export interface MetricsServerConfig {
  readonly listen: readonly Multiaddr[]
}

export interface MetricsServerComponents {
  readonly meter: Pick<MeterRegistry, 'collect'>
  /** Called, and waited for, before metrics are read. */
  readonly refresh?: () => Promise<void>
  /** More for `/debug/vars`; nothing secret. */
  readonly vars?: () => Readonly<Record<string, unknown>>
  readonly clock: Clock
  readonly logger: Logger
}

const READ_TIMEOUT_MS = 10_000
const IDLE_TIMEOUT_MS = 120_000
const MAX_HEADER_BYTES = 4096
/** As in Go, when the request does not say. */
const DEFAULT_PROFILE_SECONDS = 30
const MAX_PROFILE_SECONDS = 300
/** A profile is answered when it is done, and then it takes a while to be sent. */
const WRITE_TIMEOUT_MS = (MAX_PROFILE_SECONDS + 30) * 1000

/** A request on its way to an answer. */
interface Exchange {
  readonly components: MetricsServerComponents
  readonly profiler: Profiler
  readonly query: URLSearchParams
  readonly response: ServerResponse
  readonly signal: AbortSignal
}

const PATHS: Readonly<Record<string, (exchange: Exchange) => Promise<void> | void>> = {
  '/metrics': metrics,
  '/debug/vars': vars,
  '/debug/pprof/profile': exchange => profile(exchange, 'profile'),
  '/debug/pprof/heap': exchange => profile(exchange, 'heap'),
}

/** @throws HttpError `HTTP_LISTEN_FAILED` */
export async function createMetricsServer(
  components: MetricsServerComponents,
  { listen }: MetricsServerConfig,
): Promise<HttpServer> {
  const { clock, logger } = components
  const profiler = createProfiler(clock)
  return await createHttpServer(
    {
      handle: (request, response, signal) => answer(components, profiler, request, response, signal),
      clock,
      // A scrape every few seconds is no news.
      logger: { ...logger, info: logger.debug },
    },
    {
      listen,
      readTimeoutMs: READ_TIMEOUT_MS,
      readHeaderTimeoutMs: READ_TIMEOUT_MS,
      writeTimeoutMs: WRITE_TIMEOUT_MS,
      idleTimeoutMs: IDLE_TIMEOUT_MS,
      maxHeaderBytes: MAX_HEADER_BYTES,
      configKey: 'observations.metrics.prometheus_endpoint',
    },
  )
}

async function answer(
  components: MetricsServerComponents,
  profiler: Profiler,
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const [path = '', query = ''] = (request.url ?? '').split('?', 2)
  const serve = Object.hasOwn(PATHS, path) ? PATHS[path] : undefined
  if (serve === undefined) {
    sendText(response, 404, `404: see ${Object.keys(PATHS).join(', ')}\n`)
  } else if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { Allow: 'GET, HEAD' }).end()
  } else {
    await serve({ components, profiler, query: new URLSearchParams(query), response, signal })
  }
}

async function metrics({ components, response }: Exchange): Promise<void> {
  await components.refresh?.()
  response.writeHead(200, { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' })
  response.end(prometheusText(components.meter.collect()))
}

/** Neither arguments nor environment: they may hold secrets. */
function vars({ components, response }: Exchange): void {
  const heap = { ...getHeapStatistics(), spaces: getHeapSpaceStatistics() }
  const all = { heap, ...components.vars?.() }
  response.writeHead(200, { 'Content-Type': 'application/json; charset=utf-8' })
  response.end(`${JSON.stringify(all, undefined, 2)}\n`)
}

async function profile(exchange: Exchange, kind: ProfileKind): Promise<void> {
  const { profiler, query, response, signal } = exchange
  const text = query.get('seconds') ?? String(DEFAULT_PROFILE_SECONDS)
  const seconds = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (seconds < 1 || seconds > MAX_PROFILE_SECONDS) {
    return sendText(response, 400, `seconds is a whole number from 1 to ${MAX_PROFILE_SECONDS}\n`)
  }
  try {
    const json = await profiler.take(kind, seconds, { signal })
    const file = kind === 'profile' ? 'ipfs-cluster.cpuprofile' : 'ipfs-cluster.heapprofile'
    response.writeHead(200, {
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Disposition': `attachment; filename="${file}"`,
    })
    response.end(json)
  } catch (error) {
    if (!(error instanceof ProfilerError)) throw error
    sendText(response, 503, `${errorMessage(error)}\n`)
  }
}

function sendText(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8' }).end(text)
}
