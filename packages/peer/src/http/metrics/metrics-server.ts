import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Multiaddr } from '@ipfs-cluster/api'
import { prometheusText, type Clock, type Logger, type MeterRegistry } from '@ipfs-cluster/base'
import { createHttpServer, type HttpServer } from '../common/index.ts'

export interface MetricsServerConfig {
  readonly listen: readonly Multiaddr[]
}

const READ_TIMEOUT_MS = 10_000
const IDLE_TIMEOUT_MS = 120_000
const MAX_HEADER_BYTES = 4096

/** @throws HttpError `HTTP_LISTEN_FAILED` */
export async function createMetricsServer(
  {
    meter,
    clock,
    logger,
  }: {
    readonly meter: Pick<MeterRegistry, 'collect'>
    readonly clock: Clock
    readonly logger: Logger
  },
  { listen }: MetricsServerConfig,
): Promise<HttpServer> {
  return await createHttpServer(
    {
      handle: async (request, response) => answer(meter, request, response),
      clock,
      // A scrape every few seconds is no news.
      logger: { ...logger, info: logger.debug },
    },
    {
      listen,
      readTimeoutMs: READ_TIMEOUT_MS,
      readHeaderTimeoutMs: READ_TIMEOUT_MS,
      writeTimeoutMs: READ_TIMEOUT_MS,
      idleTimeoutMs: IDLE_TIMEOUT_MS,
      maxHeaderBytes: MAX_HEADER_BYTES,
      configKey: 'observations.metrics.prometheus_endpoint',
    },
  )
}

function answer(
  meter: Pick<MeterRegistry, 'collect'>,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const path = (request.url ?? '').replace(/\?.*/, '')
  if (path !== '/metrics') {
    response.writeHead(404, { 'Content-Type': 'text/plain; charset=utf-8' }).end('404: see /metrics\n')
  } else if (request.method !== 'GET' && request.method !== 'HEAD') {
    response.writeHead(405, { Allow: 'GET, HEAD' }).end()
  } else {
    response.writeHead(200, { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' })
    response.end(prometheusText(meter.collect()))
  }
}
