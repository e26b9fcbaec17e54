/** The server of an API, complete but for its routes. */
import type { Clock, Logger } from '@ipfs-cluster/base'
import type { Multiaddr } from '@ipfs-cluster/api'
import { createApiHandler, type ApiCall, type ApiHeaders } from './api-handler.ts'
import type { Authenticator, Credentials } from './auth.ts'
import type { ConnectionSource } from './connection-source.ts'
import { createCors, type CorsConfig } from './cors.ts'
import { HttpError } from './errors.ts'
import { logRequestsTo, openRequestLog } from './request-log.ts'
import type { HttpHandler } from './serve.ts'
import { createHttpServer, type HttpServer } from './server.ts'
import type { TlsIdentity } from './tls.ts'

/** A section such as `restapi`. */
export interface HttpApiConfig {
  readonly listen: readonly Multiaddr[]
  /** 0 = none, for all four; see `HttpServerConfig`. */
  readonly readTimeoutMs: number
  readonly readHeaderTimeoutMs: number
  readonly writeTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly maxHeaderBytes: number
  /** Added to every answer of a handler. */
  readonly headers: ApiHeaders
  /** @default none: everybody may do everything */
  readonly credentials?: Credentials | null
  /** @default none: plain HTTP */
  readonly tls?: TlsIdentity
  /** @default that of empty lists */
  readonly cors?: CorsConfig
  /** Where requests are logged. @default the peer's own log */
  readonly logFile?: string
}

const NO_CORS_CONFIG: CorsConfig = {
  allowedOrigins: [],
  allowedMethods: [],
  allowedHeaders: [],
  exposedHeaders: [],
  allowCredentials: false,
  maxAgeMs: 0,
}

export interface ApiServerComponents {
  /** Key of the section, for messages. */
  readonly section: string
  readonly authenticator: Authenticator | undefined
  readonly clock: Clock
  readonly logger: Logger
  /** Connections besides those of the listeners. */
  readonly connections?: ConnectionSource | undefined
  /** The JSON of an error, in the form of this API. */
  readonly formatError: (status: number, message: string) => string
  readonly route: (call: ApiCall) => Promise<void>
  /** What stands around all of this, such as a trace of every request. */
  readonly around?: ((handle: HttpHandler) => HttpHandler) | undefined
}

/**
 * @throws HttpError `HTTP_LISTEN_FAILED`, `HTTP_LOG_FILE`, `HTTP_NO_ENDPOINTS`
 */
export async function createApiServer(
  { section, authenticator, clock, logger, connections, formatError, route, around }: ApiServerComponents,
  config: HttpApiConfig,
): Promise<HttpServer> {
  if (config.listen.length === 0 && connections === undefined) {
    throw new HttpError(
      `neither the libp2p nor the HTTP endpoints are enabled: set ${section}.http_listen_multiaddress`,
      { code: 'HTTP_NO_ENDPOINTS' },
    )
  }
  await using stack = new AsyncDisposableStack()
  // Of the name that Go gives it, so that its level can be set apart.
  const requestLogger = logger.child(`${section}log`)
  const requestLog = stack.use(
    config.logFile === undefined
      ? logRequestsTo(requestLogger)
      : await openRequestLog(config.logFile, `${section}.http_log_file`, logger),
  )
  const cors = createCors(config.cors ?? NO_CORS_CONFIG)
  const handle = createApiHandler({ authenticator, cors, logger, formatError, route }, config.headers)
  const server = stack.use(
    await createHttpServer(
      { handle: around?.(handle) ?? handle, clock, logger, requestLog, connections },
      { ...config, configKey: `${section}.http_listen_multiaddress` },
    ),
  )
  const owned = stack.move()
  return { urls: server.urls, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
