import type { ServerResponse } from 'node:http'
import {
  DURATION_BOUNDS_S,
  MAX_SERIES,
  memoize,
  OPENCENSUS_BYTES_BOUNDS,
  OPENCENSUS_MS_BOUNDS,
  type Clock,
  type Meter,
} from '@ipfs-cluster/base'
import { CountingResponse, type HttpHandler } from './serve.ts'

export interface HttpMetrics {
  /** The same handler, measured. */
  measured(handle: HttpHandler): HttpHandler
  /** Says which route answers: its pattern, never the path, so that there are few. */
  route(response: ServerResponse, pattern: string): void
}

/** For requests that came to no route: refused, redirected, not found. */
const NO_ROUTE = 'none'
/** What a server of another kind tells. */
const NOT_COUNTED = { bodyBytes: 0, route: undefined }
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** @param api label value of the requests of one server, such as `restapi`. */
export function createHttpMetrics(meter: Meter, clock: Pick<Clock, 'monotonic'>, api: string): HttpMetrics {
  const durations = meter.histogram(
    'ipfscluster_http_request_duration_seconds',
    'Duration of HTTP requests to the end of the answer, by API, route, method and class of the status',
    DURATION_BOUNDS_S,
  )
  const openCensus = openCensusViews(meter)
  const byRoute = memoize(MAX_SERIES, (route: string) =>
    memoize(MAX_SERIES, (method: string) =>
      memoize(MAX_SERIES, (statusClass: number) =>
        durations.of({ api, route, method, status: `${statusClass}xx` }),
      ),
    ),
  )
  let inFlight = 0
  meter.gauge('ipfscluster_http_requests_in_flight', 'HTTP requests under way, by API', () => inFlight, {
    api,
  })
  return {
    route(response, pattern) {
      if (response instanceof CountingResponse) response.route = pattern
    },
    measured: handle => (request, response, signal) => {
      const start = clock.monotonic()
      const method = METHODS.has(request.method ?? '') ? (request.method ?? '') : 'other'
      inFlight++
      openCensus.begin(method)
      response.once('close', () => {
        inFlight--
        const ms = clock.monotonic() - start
        const { bodyBytes, route } = response instanceof CountingResponse ? response : NOT_COUNTED
        byRoute(route ?? NO_ROUTE)(method)(Math.floor(response.statusCode / 100)).observe(ms / 1000)
        openCensus.end({
          ms,
          status: response.statusCode,
          requestBytes: Number(request.headers['content-length'] ?? 0),
          responseBytes: bodyBytes,
        })
      })
      return handle(request, response, signal)
    },
  }
}

/** The server views of OpenCensus, as Go peers export them: all APIs together. */
function openCensusViews(meter: Meter) {
  const name = (view: string) => `ipfscluster_opencensus_io_http_server_${view}`
  const started = meter.counter(name('request_count'), 'Count of HTTP requests started')
  const byMethod = meter.counter(name('request_count_by_method'), 'Server request count by HTTP method')
  const byStatus = meter.counter(
    name('response_count_by_status_code'),
    'Server response count by status code',
  )
  const latency = meter.histogram(
    name('latency'),
    'Latency distribution of HTTP requests in milliseconds',
    OPENCENSUS_MS_BOUNDS,
  )
  const requestBytes = meter.histogram(
    name('request_bytes'),
    'Size distribution of HTTP request body',
    OPENCENSUS_BYTES_BOUNDS,
  )
  const responseBytes = meter.histogram(
    name('response_bytes'),
    'Size distribution of HTTP response body',
    OPENCENSUS_BYTES_BOUNDS,
  )
  const all = started.of({})
  const methodOf = memoize(MAX_SERIES, (method: string) => byMethod.of({ http_method: method }))
  const statusOf = memoize(MAX_SERIES, (status: number) => byStatus.of({ http_status: String(status) }))
  return {
    begin(method: string) {
      all.add()
      methodOf(method).add()
    },
    end(request: {
      readonly ms: number
      readonly status: number
      readonly requestBytes: number
      readonly responseBytes: number
    }) {
      statusOf(request.status).add()
      latency.observe(request.ms)
      requestBytes.observe(request.requestBytes)
      responseBytes.observe(request.responseBytes)
    },
  }
}
