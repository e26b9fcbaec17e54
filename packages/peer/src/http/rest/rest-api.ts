import type { IncomingMessage, ServerResponse } from 'node:http'
import {
  errorCodec,
  matchRoute,
  parseQuery,
  ROUTES,
  type AddedOutput,
  type CarBytes,
  type NdjsonChunks,
  type RouteHandlers,
  type RouteName,
  type RouteRequest,
} from '@ipfs-cluster/api'
import {
  batchesOf,
  errorMessage,
  type AbortOptions,
  type Clock,
  type Logger,
  type Meter,
  silentMeter,
} from '@ipfs-cluster/base'
import type { Cluster } from '../../cluster/index.ts'
import type { HealthProbe } from '../../observations/index.ts'
import {
  answerUnmatched,
  continueBody,
  createApiServer,
  createAuthenticator,
  createHttpMetrics,
  discardRest,
  httpStatusOf,
  readBody,
  RETRY_AFTER_S,
  sendJson,
  sendStream,
  serveAdd,
  type ApiCall,
  type ConnectionSource,
  type HttpHandler,
} from '../common/index.ts'
import { serveCar } from './car.ts'
import { serveBulk, type BulkTimeouts } from './bulk.ts'
import { restHandlers } from './handlers.ts'
import type { HttpApi, HttpApiConfig } from './types.ts'

/** A JSON body beyond this is refused. Uploads are streamed and have no limit. */
const BODY_BYTES_MAX = 1024 * 1024

export interface RestApiComponents {
  readonly cluster: Cluster
  readonly clock: Clock
  readonly logger: Logger
  /** Connections besides those of the listeners. */
  readonly connections?: ConnectionSource | undefined
  /** What stands around the handling of every request. */
  readonly around?: ((handle: HttpHandler) => HttpHandler) | undefined
  /** Answers `GET /health/ready`. @default always well */
  readonly probe?: Pick<HealthProbe, 'check'>
  /** @default silentMeter */
  readonly meter?: Meter
}

/** A call on its way through: the route, what it was asked with, and where the answer goes. */
interface Exchange extends BulkTimeouts {
  readonly name: RouteName
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly signal: AbortSignal
  readonly clock: Clock
}

/**
 * Serves the REST API on the configured addresses.
 *
 * @throws HttpError `HTTP_LISTEN_FAILED`, `HTTP_LOG_FILE`, `HTTP_NO_ENDPOINTS`
 */
export async function createRestApi(
  { cluster, clock, logger, connections, around, probe, meter = silentMeter }: RestApiComponents,
  config: HttpApiConfig,
): Promise<HttpApi> {
  const { credentials = null, headers, readTimeoutMs, writeTimeoutMs } = config
  const timeouts = { readTimeoutMs, writeTimeoutMs }
  const authenticator = credentials === null ? undefined : createAuthenticator({ clock, logger }, credentials)
  const handlers = restHandlers(cluster, authenticator, probe)
  const metrics = createHttpMetrics(meter, clock, 'restapi')
  const route = async (call: ApiCall) => {
    const { request, response, signal, target, user } = call
    const found = matchRoute(request.method ?? 'GET', target.path)
    const match = answerUnmatched(call, found, headers, (status, text) => sendError(response, status, text))
    if (match === undefined) return
    metrics.route(response, ROUTES[match.name].path)
    const query = parseQuery(target.query)
    const bare = { params: match.params, query, nowNs: clock.nowNs(), ...(user !== undefined && { user }) }
    await serveRoute({ name: match.name, request, response, signal, clock, ...timeouts }, handlers, bare)
  }
  return await createApiServer(
    {
      section: 'restapi',
      authenticator,
      clock,
      logger,
      connections,
      formatError: errorBody,
      route,
      around: handle => metrics.measured(around?.(handle) ?? handle),
    },
    config,
  )
}

async function serveRoute(exchange: Exchange, handlers: RouteHandlers, bare: RouteRequest): Promise<void> {
  const { name, request, response, signal, clock } = exchange
  const route = ROUTES[name]
  // The table guarantees that a handler takes what its own route decodes, and returns what its own codec writes.
  const handler = handlers[name] as (input: unknown, options: AbortOptions) => unknown
  try {
    continueBody(request, response)
    if (route.kind === 'add') {
      const input = route.decode(bare)
      const format = (output: AddedOutput) => stringifier(route.output)(output).trimEnd()
      const add = (parts: unknown) => handler({ ...input, parts }, { signal }) as AsyncIterable<AddedOutput>
      const sendFailure = (error: unknown) => sendAddFailure(response, error)
      const { streamChannels } = input.params
      return await serveAdd(exchange, { add, format, sendFailure, streamChannels })
    }
    if (route.kind === 'bulk') {
      const input = route.decode(bare)
      const answer = (lines: unknown) => handler({ ...input, lines }, { signal }) as AsyncIterable<string>
      return await serveBulk({ ...exchange, formatError: errorBody }, answer)
    }
    const body = await readBody(request, BODY_BYTES_MAX)
    const input = route.decode({ ...bare, body })
    const result = handler(input, { signal })
    switch (route.kind) {
      case 'empty':
        await result
        response.writeHead(204).end()
        return
      case 'car':
        // The name is a CID that has been read, as it was written: letters and digits.
        await serveCar({ ...exchange, name: bare.params['hash'] ?? '' }, (await result) as CarBytes)
        return
      case 'json':
        sendJson(response, 200, stringifier(route.output)(await result))
        return
      case 'stream':
        await sendStream(
          response,
          isNdjson(result)
            ? result.ndjson
            : lines(result as AsyncIterable<unknown>, stringifier(route.output)),
          signal,
          error => ({
            status: httpStatusOf(error),
            body: errorBody(httpStatusOf(error), errorMessage(error)),
          }),
        )
    }
  } catch (error) {
    signal.throwIfAborted()
    if (response.headersSent) throw error
    if (route.kind === 'add' || route.kind === 'bulk') await discardRest(request, clock)
    sendError(response, httpStatusOf(error), errorMessage(error))
  }
}

/** What turns out while the upload is read is a failure of the add, in Go. */
function sendAddFailure(response: ServerResponse, error: unknown): void {
  const status = httpStatusOf(error)
  sendError(response, status === 400 ? 500 : status, errorMessage(error))
}

function isNdjson(result: unknown): result is NdjsonChunks {
  return typeof result === 'object' && result !== null && 'ndjson' in result
}

/** The lines of a batch come as one text. */
async function* lines(
  items: AsyncIterable<unknown>,
  toLine: (item: unknown) => string,
): AsyncGenerator<string> {
  for await (const batch of batchesOf(items)) {
    let text = ''
    for (const item of batch) text += toLine(item)
    yield text
  }
}

function stringifier(codec: { stringify(value: never): string } | null): (value: unknown) => string {
  return value => `${codec === null ? '' : codec.stringify(value as never)}\n`
}

function sendError(response: ServerResponse, status: number, message: string): void {
  if (status === 429) response.setHeader('Retry-After', RETRY_AFTER_S)
  sendJson(response, status, errorBody(status, message))
}

function errorBody(code: number, message: string): string {
  return `${errorCodec.stringify({ code, message })}\n`
}
