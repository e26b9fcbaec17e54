import { cleanSegments, escapePath, parseQuery } from '@ipfs-cluster/api'
import { errorMessage, silentMeter, type Meter } from '@ipfs-cluster/base'
import {
  createHttpMetrics,
  createHttpServer,
  logRequestsTo,
  openRequestLog,
  parseTarget,
  unescapedPath,
  type HttpHandler,
  type HttpServer,
} from '../common/index.ts'
import { sendError, type HijackComponents } from './call.ts'
import { ProxyError } from './errors.ts'
import { createHeaderSource } from './headers.ts'
import { hijackedRoute } from './routes.ts'
import type { IpfsProxyConfig } from './types.ts'

export interface IpfsProxyComponents extends HijackComponents {
  /** What stands around the handling of every request. */
  readonly around?: ((handle: HttpHandler) => HttpHandler) | undefined
  /** @default silentMeter */
  readonly meter?: Meter
}

/** Label of requests that the daemon answers. */
const FORWARDED = 'forwarded'

/**
 * Serves Kubo's RPC API on the configured addresses: what is about pins is the cluster's, the rest the daemon's.
 *
 * @throws HttpError `HTTP_LISTEN_FAILED`, `HTTP_LOG_FILE`
 */
export async function createIpfsProxy(
  { around, meter = silentMeter, ...components }: IpfsProxyComponents,
  config: IpfsProxyConfig,
): Promise<HttpServer> {
  const { cluster, upstream, clock, logger } = components
  const serverName = `ipfs-cluster/ipfsproxy/${cluster.version().version}`
  await using stack = new AsyncDisposableStack()
  // Of the name that Go gives it, so that its level can be set apart.
  const requestLogger = logger.child('ipfsproxylog')
  const requestLog = stack.use(
    config.logFile === undefined
      ? logRequestsTo(requestLogger)
      : await openRequestLog(config.logFile, 'ipfsproxy.log_file', logger),
  )
  const headers = stack.use(createHeaderSource({ upstream, clock, logger }, config))
  const metrics = createHttpMetrics(meter, clock, 'ipfsproxy')
  const handle: HttpHandler = async (request, response, signal) => {
    const { method = 'GET', url = '/' } = request
    if (method === 'OPTIONS' && url === '*') {
      response.writeHead(200, { 'Content-Length': 0 }).end()
      return
    }
    const target = parseTarget(url)
    const path = target && unescapedPath(target.path)
    if (target === undefined || path === undefined) {
      response.setHeader('Content-Type', 'application/json')
      return sendError(response, 400, 'the path of the request cannot be read')
    }
    const clean = cleaned(path)
    if (clean !== path) {
      response.writeHead(301, { Location: escapePath(clean) + target.query, 'Content-Length': 0 }).end()
      return
    }
    const route = hijackedRoute(method, path, parseQuery(target.query))
    metrics.route(response, route?.pattern ?? FORWARDED)
    if (route === undefined) return await upstream.forward(request, response, signal)
    const origin = request.headersDistinct['origin']?.[0]
    const learnt = await headers.of({ method, origin, path: target.path }, { signal })
    // The daemon's first, then ours over them.
    for (const [name, values] of learnt) response.setHeader(name, values)
    response.setHeader('Content-Type', 'application/json')
    response.setHeader('Server', serverName)
    try {
      await route.handle({ ...components, request, response, signal, path: target.path, query: route.query })
    } catch (error) {
      signal.throwIfAborted()
      if (response.headersSent) throw error
      sendError(response, statusOf(error), errorMessage(error))
    }
  }
  const server = stack.use(
    await createHttpServer(
      { handle: metrics.measured(around?.(handle) ?? handle), clock, logger, requestLog },
      { ...config, configKey: 'ipfsproxy.listen_multiaddress' },
    ),
  )
  const owned = stack.move()
  return { urls: server.urls, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** Without `.`, `..` and doubled slashes. Unlike the REST API, Kubo tells a path with a slash at the end from one without. */
function cleaned(path: string): string {
  const clean = `/${cleanSegments(path).join('/')}`
  return path.endsWith('/') && clean !== '/' ? `${clean}/` : clean
}

/** Kubo's clients look at the message; 500 is what Kubo and the Go peer say of nearly all that fails. */
function statusOf(error: unknown): number {
  return error instanceof ProxyError && error.data.code === 'PROXY_BAD_REQUEST' ? error.data.status : 500
}

/** The pattern of a route that the cluster answers; for traces. Takes the path without the query. */
export function proxyRouteOf(method: string, path: string): string | undefined {
  const plain = unescapedPath(path)
  return plain === undefined ? undefined : hijackedRoute(method, plain, new URLSearchParams())?.pattern
}
