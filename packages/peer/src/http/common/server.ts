import { createServer, type IncomingMessage, type Server, type ServerOptions } from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { Multiaddr } from '@ipfs-cluster/api'
import type { Clock, Logger } from '@ipfs-cluster/base'
import { serveConnections, type ConnectionSource } from './connection-source.ts'
import { listen } from './listen.ts'
import { logRequestsTo, type RequestLog } from './request-log.ts'
import { CountingResponse, LiveRequests, serveAll, type HttpHandler } from './serve.ts'
import { tlsOptions, type TlsIdentity } from './tls.ts'

export interface HttpServerConfig {
  readonly listen: readonly Multiaddr[]
  /** 0 = none, for all four. From the first byte of a request to the end of its body. */
  readonly readTimeoutMs: number
  /** To the end of its head; 0 = as `readTimeoutMs`. */
  readonly readHeaderTimeoutMs: number
  /** From the end of the head to the end of the answer. */
  readonly writeTimeoutMs: number
  /** Between two requests of a connection; 0 = as `readTimeoutMs`. */
  readonly idleTimeoutMs: number
  readonly maxHeaderBytes: number
  /** The key of the configuration that names the addresses, for error messages. */
  readonly configKey: string
  /** All listeners speak TLS, unix sockets included, as in Go. Connections from elsewhere do not. */
  readonly tls?: TlsIdentity | undefined
}

export interface HttpServer extends AsyncDisposable {
  /** One per listener, with the ports that the system gave: `http://127.0.0.1:9094`, `https://…`, `unix:///path`. */
  readonly urls: readonly string[]
}

export interface HttpServerComponents {
  readonly handle: HttpHandler
  readonly clock: Clock
  readonly logger: Logger
  /** @default lines of `logger` */
  readonly requestLog?: RequestLog | undefined
  /** Served like those of the listeners, without TLS. */
  readonly connections?: ConnectionSource | undefined
}

/** Go's server reads this much beyond the configured limit before it refuses. */
const HEADER_SLACK_BYTES = 4096
/** Requests under way get this long to end when the server stops; then their connections are cut. */
const STOP_GRACE_MS = 1_000
/** Node counts unfinished requests at this interval. */
const TIMEOUT_CHECK_MS = 500
/** Beyond the idle time that clients are told of: a request sent at its very end still finds the connection open. */
const KEEP_ALIVE_GRACE_MS = 1_000
/** For a TLS handshake, where no time-out is configured. */
const HANDSHAKE_TIMEOUT_MS = 120_000

/**
 * Listens on all addresses and hands every request to `handle`.
 *
 * @throws HttpError `HTTP_LISTEN_FAILED` naming the address; nothing is left listening then.
 */
export async function createHttpServer(
  { handle, clock, logger, requestLog = logRequestsTo(logger), connections }: HttpServerComponents,
  config: HttpServerConfig,
): Promise<HttpServer> {
  const live = new LiveRequests()
  await using stack = new AsyncDisposableStack()
  const urls: string[] = []
  const { writeTimeoutMs, tls, configKey } = config
  const context = { handle, clock, logger, requestLog, live, writeTimeoutMs }
  const serving = <S extends Server | TlsServer>(server: S): S => {
    // The bytes are limited; headers beyond a number would be dropped without a word.
    server.maxHeadersCount = 0
    serveAll(server, context)
    return server
  }
  const plain = () => serving(createServer(serverOptions(config)))
  const withTls = (identity: TlsIdentity) => {
    const options = {
      ...serverOptions(config),
      ...tlsOptions(identity),
      handshakeTimeout: handshakeMs(config),
    }
    return serving(createTlsServer(options))
  }
  for (const address of config.listen) {
    const server = tls === undefined ? plain() : withTls(tls)
    const scheme = tls === undefined ? 'http' : 'https'
    const listener = await listen(server, address, { key: configKey, scheme, clock, graceMs: STOP_GRACE_MS })
    urls.push(listener.url)
    stack.defer(() => listener.close())
  }
  if (connections !== undefined)
    stack.use(serveConnections(plain(), connections, { clock, graceMs: STOP_GRACE_MS }))
  stack.use(live)
  const owned = stack.move()
  return { urls, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

/** What Go falls back to where a time-out is 0. */
function serverOptions(
  config: HttpServerConfig,
): ServerOptions<typeof IncomingMessage, typeof CountingResponse> {
  const { readTimeoutMs, readHeaderTimeoutMs, idleTimeoutMs } = config
  return {
    ServerResponse: CountingResponse,
    maxHeaderSize: config.maxHeaderBytes + HEADER_SLACK_BYTES,
    headersTimeout: leastSet(readHeaderTimeoutMs, readTimeoutMs),
    requestTimeout: readTimeoutMs,
    keepAliveTimeout: idleTimeoutMs === 0 ? readTimeoutMs : idleTimeoutMs,
    keepAliveTimeoutBuffer: KEEP_ALIVE_GRACE_MS,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
  }
}

function handshakeMs({ readTimeoutMs, readHeaderTimeoutMs, writeTimeoutMs }: HttpServerConfig): number {
  const least = leastSet(readTimeoutMs, readHeaderTimeoutMs, writeTimeoutMs)
  return least === 0 ? HANDSHAKE_TIMEOUT_MS : least
}

/** The least that is not 0, which means none. */
function leastSet(...timeouts: readonly number[]): number {
  const set = timeouts.filter(each => each > 0)
  return set.length === 0 ? 0 : Math.min(...set)
}
