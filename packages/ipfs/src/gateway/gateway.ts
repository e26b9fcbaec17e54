import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { anySignal, asError, errorMessage, type Clock, type Logger } from '@ipfs-cluster/base'
import { IpfsNodeError } from '../errors.ts'
import type { Reader } from '../reader.ts'
import { answer, type GatewayRequest } from './answer.ts'

/** How long a client waits for the first byte. */
export const GATEWAY_TIMEOUT_MS = 60_000
/** Clients connected at the same time. */
const MAX_CONNECTIONS = 1024

export interface GatewayComponents {
  readonly reader: Reader
  readonly clock: Clock
  readonly logger: Logger
}

export interface GatewayConfig {
  /** `/ip4/127.0.0.1/tcp/8080` */
  readonly listen: string
  /** May blocks be fetched that are not here? */
  readonly fetch: boolean
  /** Milliseconds until the first byte. @default 60_000 */
  readonly timeoutMs?: number
}

export interface Gateway extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly url: string
}

/**
 * A read-only HTTP gateway: `GET /ipfs/CID/path` (https://specs.ipfs.tech/http-gateways/path-gateway/), with ranges, and blocks or CARs by
 * `?format=` or `Accept`.
 *
 * @throws IpfsNodeError `IPFS_BAD_OPTION` when it cannot listen
 */
export async function createGateway(components: GatewayComponents, config: GatewayConfig): Promise<Gateway> {
  const { logger } = components
  const { host, port } = parseListen(config.listen)
  if (!/^(127\.|::1$|localhost$)/.test(host)) {
    logger.warn(
      { listen: config.listen },
      'the gateway listens beyond this machine: everybody there can read and make it fetch',
    )
  }
  const stop = new AbortController()
  const running = new Set<Promise<void>>()
  const server = createServer((request, response) => {
    const handling = handle(components, config, stop.signal, request, response).finally(() =>
      running.delete(handling),
    )
    running.add(handling)
  })
  server.maxConnections = MAX_CONNECTIONS
  await listen(server, host, port, config.listen)
  const address = server.address()
  const bound = typeof address === 'object' && address !== null ? address.port : port
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}`,
    async [Symbol.asyncDispose]() {
      stop.abort(new DOMException('the gateway stops', 'AbortError'))
      const closed = new Promise<void>(resolve => {
        server.close(() => resolve())
      })
      server.closeAllConnections()
      await Promise.all([closed, ...running])
    },
  }
}

async function handle(
  { reader, clock, logger }: GatewayComponents,
  config: GatewayConfig,
  stop: AbortSignal,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController()
  response.on('close', () => gone.abort(new DOMException('the client left', 'AbortError')))
  const timeoutMs = config.timeoutMs ?? GATEWAY_TIMEOUT_MS
  const signal = anySignal(stop, gone.signal) ?? stop
  const deadline = clock.timeout(timeoutMs)
  using session = reader.session({ signal, fetch: config.fetch, lenient: true, timeoutMs })
  try {
    const parsed: GatewayRequest = {
      method: request.method ?? 'GET',
      url: request.url ?? '/',
      headers: request.headers,
    }
    const opening = anySignal(signal, deadline) ?? signal
    await answer(parsed, response, {
      read: (cid, abort) => session.get(cid, { signal: abort }),
      opening,
      signal,
    })
  } catch (error) {
    // Nobody is there to be told.
    if (gone.signal.aborted) return
    if (response.headersSent) {
      logger.warn(
        { url: request.url, err: asError(error) },
        `a gateway answer broke off: ${errorMessage(error)}`,
      )
      response.destroy()
      return
    }
    refuse(response, ...refusal(error, { deadline: deadline.aborted, timeoutMs, mayFetch: config.fetch }))
    logger.debug({ url: request.url, error: errorMessage(error) }, 'gateway request failed')
  }
}

function refusal(
  error: unknown,
  { deadline, timeoutMs, mayFetch }: { deadline: boolean; timeoutMs: number; mayFetch: boolean },
): [status: number, text: string] {
  if (error instanceof IpfsNodeError) {
    const text = errorMessage(error)
    switch (error.code) {
      case 'IPFS_BAD_PATH':
      case 'IPFS_BAD_OPTION':
        return [400, text]
      case 'IPFS_PATH_MISSING':
        return [404, text]
      case 'IPFS_NOT_UNIXFS':
      case 'IPFS_UNKNOWN_CODEC':
      case 'IPFS_UNKNOWN_HASH':
        return [415, `${text}; ask for the block itself with ?format=raw`]
      case 'IPFS_BLOCK_MISSING':
        return [mayFetch ? 504 : 404, text]
      default:
        return [500, text]
    }
  }
  if (deadline)
    return [504, `the content was not found on the network within ${timeoutMs / 1000} s; try again later`]
  return [500, errorMessage(error)]
}

export function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'x-content-type-options': 'nosniff',
  })
  response.end(`${text}\n`)
}

function parseListen(address: string): { readonly host: string; readonly port: number } {
  const match = /^\/(ip4|ip6|dns|dns4|dns6)\/([^/]+)\/tcp\/(\d{1,5})$/.exec(address)
  const [, , host, port] = match ?? []
  if (host === undefined || Number(port) > 65535) {
    throw badListen(address, 'it must look like /ip4/127.0.0.1/tcp/8080')
  }
  return { host, port: Number(port) }
}

async function listen(server: Server, host: string, port: number, address: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject)
  server.listen(port, host, () => resolve())
  try {
    await promise
  } catch (cause) {
    throw badListen(address, errorMessage(cause), cause)
  }
  server.removeListener('error', reject)
}

function badListen(address: string, why: string, cause?: unknown): IpfsNodeError {
  return new IpfsNodeError(
    `the gateway cannot listen on ${address}: ${why}`,
    { code: 'IPFS_BAD_OPTION', option: 'gateway' },
    cause === undefined ? undefined : { cause },
  )
}
