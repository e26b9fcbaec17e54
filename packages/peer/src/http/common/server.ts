import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { rm } from 'node:fs/promises'
import type { Multiaddr } from '@ipfs-cluster/api'
import { errorCode, errorMessage, type Clock, type Logger } from '@ipfs-cluster/base'
import { multiaddr } from '@multiformats/multiaddr'
import { HttpError } from './errors.ts'
import { formatRequestLog } from './request-log.ts'

export interface HttpServerConfig {
  readonly listen: readonly Multiaddr[]
  /** 0 = none, for all four. */
  readonly readTimeoutMs: number
  readonly readHeaderTimeoutMs: number
  readonly writeTimeoutMs: number
  readonly idleTimeoutMs: number
  readonly maxHeaderBytes: number
  /** The key of the configuration that names the addresses, for error messages. */
  readonly configKey: string
}

export interface HttpServer extends AsyncDisposable {
  /** One per listener, with the ports that the system gave: `http://127.0.0.1:9094`, `unix:///path`. */
  readonly urls: readonly string[]
}

export type HttpHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
) => Promise<void>

/** Go's server reads this much beyond the configured limit before it refuses. */
const HEADER_SLACK_BYTES = 4096
/** Requests under way get this long to end when the server stops; then their connections are cut. */
const STOP_GRACE_MS = 1_000
/** Node counts unfinished header reads at this interval. */
const TIMEOUT_CHECK_MS = 1_000

/**
 * Listens on all addresses and hands every request to `handle`, whose signal fires when the client leaves or the server stops.
 *
 * @throws HttpError `HTTP_LISTEN_FAILED` naming the address; nothing is left listening then.
 */
export async function createHttpServer(
  { handle, clock, logger }: { readonly handle: HttpHandler; readonly clock: Clock; readonly logger: Logger },
  config: HttpServerConfig,
): Promise<HttpServer> {
  const stopping = new AbortController()
  await using stack = new AsyncDisposableStack()
  const urls: string[] = []
  for (const address of config.listen) {
    const server = createServer(serverOptions(config), (request, response) => {
      void serve(request, response, { handle, clock, logger, stopping: stopping.signal })
    })
    server.timeout = config.writeTimeoutMs
    urls.push(await listen(server, address, config.configKey))
    stack.defer(() => close(server, clock))
  }
  stack.defer(() => stopping.abort(new DOMException('the server is stopping', 'AbortError')))
  const owned = stack.move()
  return { urls, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  context: { handle: HttpHandler; clock: Clock; logger: Logger; stopping: AbortSignal },
): Promise<void> {
  const { handle, clock, logger, stopping } = context
  const left = new AbortController()
  const host = request.socket.remoteAddress ?? '-'
  const onClose = () => {
    // Also when all went well: a joined signal that has listeners is kept alive, with all they hold, until it fires.
    left.abort(new DOMException(response.writableFinished ? 'answered' : 'the client left', 'AbortError'))
    logger.info(formatRequestLog(request, response, host, new Date(clock.now())))
  }
  response.once('close', onClose)
  try {
    await handle(request, response, AbortSignal.any([left.signal, stopping]))
  } catch (error) {
    // A handler answers for its own failures; what comes here is a client that left, or a fault of ours.
    if (!left.signal.aborted && !stopping.aborted) {
      logger.error({ url: request.url, err: error }, `request failed: ${errorMessage(error)}`)
    }
    response.destroy()
  }
}

function serverOptions(config: HttpServerConfig) {
  return {
    maxHeaderSize: config.maxHeaderBytes + HEADER_SLACK_BYTES,
    headersTimeout: config.readHeaderTimeoutMs,
    requestTimeout: config.readTimeoutMs,
    keepAliveTimeout: config.idleTimeoutMs,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
  }
}

async function listen(server: Server, address: Multiaddr, key: string): Promise<string> {
  const target = listenTarget(address, key)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(target, resolve)
  try {
    await promise
  } catch (cause) {
    const why =
      errorCode(cause) === 'EADDRINUSE'
        ? `the port is in use; stop the program that has it, or change ${key}`
        : `${errorMessage(cause)}; check ${key}`
    throw new HttpError(
      `cannot listen on ${address}: ${why}`,
      { code: 'HTTP_LISTEN_FAILED', address },
      { cause },
    )
  }
  server.removeListener('error', reject)
  const bound = server.address()
  if (typeof bound === 'string' || bound === null) return `unix://${String(bound)}`
  const host = bound.family === 'IPv6' ? `[${bound.address}]` : bound.address
  return `http://${host}:${bound.port}`
}

function listenTarget(address: Multiaddr, key: string): { host: string; port: number } | { path: string } {
  // All that follows is the path, as Go writes it.
  if (address.startsWith('/unix/')) return { path: address.slice('/unix'.length) }
  const parts = multiaddr(address).getComponents()
  const value = (...names: string[]) => parts.find(part => names.includes(part.name))?.value
  const host = value('ip4', 'ip6', 'dns', 'dns4', 'dns6')
  const port = value('tcp')
  if (host === undefined || port === undefined) {
    throw new HttpError(
      `cannot listen on ${address}: ${key} takes addresses such as /ip4/127.0.0.1/tcp/9094`,
      {
        code: 'HTTP_LISTEN_FAILED',
        address,
      },
    )
  }
  return { host, port: Number(port) }
}

async function close(server: Server, clock: Clock): Promise<void> {
  const bound = server.address()
  const { promise, resolve } = Promise.withResolvers<void>()
  server.close(() => resolve())
  server.closeIdleConnections()
  const grace = new AbortController()
  const cut = clock.sleep(STOP_GRACE_MS, { signal: grace.signal }).then(
    () => server.closeAllConnections(),
    () => undefined,
  )
  await promise
  grace.abort()
  await cut
  if (typeof bound === 'string') await rm(bound, { force: true })
}
