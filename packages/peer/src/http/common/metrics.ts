import type { ServerResponse } from 'node:http'
import {
  DURATION_BOUNDS_S,
  OPENCENSUS_BYTES_BOUNDS,
  OPENCENSUS_MS_BOUNDS,
  type Clock,
  type Meter,
  type Observer,
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
const METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** @param api label value of the requests of one server, such as `restapi`. */
export function createHttpMetrics(meter: Meter, clock: Pick<Clock, 'monotonic'>, api: string): HttpMetrics {
  const durations = meter.histogram(
    'ipfscluster_http_request_duration_seconds',
    'Duration of HTTP requests to the end of the answer, by API, route, method and class of the status',
    DURATION_BOUNDS_S,
  )
  const openCensus = openCensusViews(meter)
  const routes = new WeakMap<ServerResponse, string>()
  // Making the labels of a series costs more than counting in it.
  const observers = new Map<string, Observer>()
  const durationOf = (route: string, method: string, statusClass: number): Observer => {
    const key = `${statusClass} ${method} ${route}`
    let observer = observers.get(key)
    if (observer === undefined) {
      observer = durations.of({ api, route, method, status: `${statusClass}xx` })
      observers.set(key, observer)
    }
    return observer
  }
  let inFlight = 0
  meter.gauge('ipfscluster_http_requests_in_flight', 'HTTP requests under way, by API', () => inFlight, {
    api,
  })
  return {
    route: (response, pattern) => void routes.set(response, pattern),
    measured: handle => (request, response, signal) => {
      const start = clock.monotonic()
      const method = METHODS.has(request.method ?? '') ? (request.method ?? '') : 'other'
      inFlight++
      openCensus.begin(method)
      response.once('close', () => {
        inFlight--
        const ms = clock.monotonic() - start
        const route = routes.get(response) ?? NO_ROUTE
        durationOf(route, method, Math.floor(response.statusCode / 100)).observe(ms / 1000)
        openCensus.end({
          ms,
          status: response.statusCode,
          requestBytes: Number(request.headers['content-length'] ?? 0),
          responseBytes: response instanceof CountingResponse ? response.bodyBytes : 0,
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
  started.add({}, 0)
  return {
    begin(method: string) {
      started.add()
      byMethod.add({ http_method: method })
    },
    end(request: {
      readonly ms: number
      readonly status: number
      readonly requestBytes: number
      readonly responseBytes: number
    }) {
      byStatus.add({ http_status: String(request.status) })
      latency.observe(request.ms)
      requestBytes.observe(request.requestBytes)
      responseBytes.observe(request.responseBytes)
    },
  }
}
