import { matchRoute, ROUTES } from '@ipfs-cluster/api'
import {
  CodedError,
  noopTracer,
  parseTraceHeaders,
  traced,
  type SpanAttributes,
  type Tracer,
} from '@ipfs-cluster/base'
import type { HttpHandler } from '../http/common/index.ts'

/**
 * A span for each request, in the trace that the client tells of. Its name is method and route: a path of its own for every CID would be
 * no name. The query stays out, as it holds whatever a client puts there.
 *
 * @param routeOf the pattern of the route, such as `/pins/{hash}`; `undefined` when there is none. Takes the path without the query.
 */
export function tracedRequests(
  handle: HttpHandler,
  routeOf: (method: string, path: string) => string | undefined,
  tracer: Tracer,
): HttpHandler {
  if (tracer === noopTracer) return handle
  return async (request, response, signal) => {
    const { method = 'GET', url = '/', headers, httpVersion } = request
    const { traceparent, tracestate } = headers
    const route = routeOf(method, url.split('?', 1)[0] ?? '/')
    const attributes: SpanAttributes = {
      'http.request.method': method,
      'network.protocol.version': httpVersion,
      ...(route === undefined ? {} : { 'http.route': route }),
    }
    // What else goes on on this connection is no parent of it.
    const parent = parseTraceHeaders(single(traceparent), single(tracestate)) ?? null
    await traced(
      tracer,
      route === undefined ? method : `${method} ${route}`,
      { kind: 'server', parent, attributes },
      async span => {
        try {
          await handle(request, response, signal)
        } finally {
          const { statusCode } = response
          span.set({ 'http.response.status_code': statusCode })
          if (statusCode >= 500)
            span.fail(new CodedError(`answered ${statusCode}`, { code: String(statusCode) }))
          if (signal.aborted && !response.writableFinished) span.set({ cancelled: true })
        }
      },
    )
  }
}

function single(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === 'string' ? header : header?.join(',')
}

/** For `tracedRequests`: routes of the REST API. */
export function restRouteOf(method: string, path: string): string | undefined {
  const match = matchRoute(method, path)
  return match.kind === 'route' ? ROUTES[match.name].path : undefined
}
