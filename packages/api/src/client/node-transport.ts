/**
 * The transport of Node: reads trailers, streams uploads with back-pressure, and speaks over Unix sockets. Not for browsers; it is
 * exported as `@ipfs-cluster/api/node`.
 */
import { errorCode, systemClock, type AbortOptions, type Clock } from '@ipfs-cluster/base'
import http from 'node:http'
import https from 'node:https'
import type { Duplex } from 'node:stream'
import { callbackify } from 'node:util'
import type { HttpAnswer, HttpCall, HttpTransport } from './transport.ts'

/** Go's dialer gives up after as long. */
const CONNECT_TIMEOUT_MS = 30_000
/** An idle connection is closed after this long, before servers close theirs (Node's after 5 s) under a request. */
const IDLE_SOCKET_MS = 4_000

export interface NodeTransportConfig {
  /** Do not verify TLS certificates. */
  readonly insecureTls?: boolean
  /** Until a connection stands, TLS included; 30 s. */
  readonly connectTimeoutMs?: number
  /**
   * Opens what carries one request to a host that is a multiaddr, `/ip4/…/p2p/…` or `/dnsaddr/…`: in Node
   * `createHttpDialer().connect` of `@ipfs-cluster/peer/libp2p-http`. The request destroys it in the end.
   */
  readonly connect?: (address: string, options: AbortOptions) => Promise<Duplex>
}

/**
 * Hosts are `http://…`, `https://…`, `unix:/absolute/path` of a socket, or with `connect` multiaddrs of libp2p peers. Idle connections do not keep the process alive.
 */
export function createNodeTransport(
  config: NodeTransportConfig = {},
  clock: Clock = systemClock,
): HttpTransport & Disposable {
  const pool = { keepAlive: true, timeout: IDLE_SOCKET_MS }
  const agents = {
    http: new http.Agent(pool),
    https: new https.Agent({ ...pool, rejectUnauthorized: config.insecureTls !== true }),
  }
  const connectTimeoutMs = config.connectTimeoutMs ?? CONNECT_TIMEOUT_MS

  const attempt = async (call: HttpCall, signal: AbortSignal | undefined): Promise<HttpAnswer> => {
    signal?.throwIfAborted()
    const request = open(call, agents, config.connect)
    const answer = Promise.withResolvers<http.IncomingMessage>()
    let response: http.IncomingMessage | undefined
    const onAbort = () => fail(signal?.reason)
    const fail = (reason: unknown) => {
      answer.reject(reason)
      response?.destroy(reason as Error)
      request.destroy()
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    request.on('close', () => {
      signal?.removeEventListener('abort', onAbort)
      answer.reject(new Error('the connection was closed without an answer'))
    })
    request.on('error', error => {
      const stale = request.reusedSocket && errorCode(error) === 'ECONNRESET'
      answer.reject(stale ? new StaleConnection(error.message, { cause: error }) : error)
    })
    request.on('response', message => {
      response = message
      answer.resolve(message)
    })
    try {
      await connected(request, clock.timeout(connectTimeoutMs), answer.promise)
      void upload(request, call.body).catch(fail)
      const message = await answer.promise
      return {
        status: message.statusCode ?? 0,
        body: message,
        trailer: name => message.trailersDistinct[name.toLowerCase()] ?? [],
      }
    } catch (error) {
      request.destroy()
      throw error
    }
  }

  return {
    readsTrailers: true,
    async send(call, { signal }: AbortOptions = {}) {
      try {
        return await attempt(call, signal)
      } catch (error) {
        // The server may close an idle connection just as we use it: what changes nothing is asked again.
        if (call.method !== 'GET' || !(error instanceof StaleConnection)) throw error
        return await attempt(call, signal)
      }
    },
    [Symbol.dispose]() {
      agents.http.destroy()
      agents.https.destroy()
    },
  }
}

/** A kept connection turned out to be closed when it was used again. */
class StaleConnection extends Error {}

interface Agents {
  readonly http: http.Agent
  readonly https: https.Agent
}

function open(call: HttpCall, agents: Agents, connect: NodeTransportConfig['connect']): http.ClientRequest {
  // Node would send the body of a DELETE without saying that there is one.
  const framing = typeof call.body === 'object' ? { 'Transfer-Encoding': 'chunked' } : {}
  const options: http.RequestOptions = { method: call.method, headers: { ...framing, ...call.headers } }
  if (call.host.startsWith('unix:')) {
    const socketPath = call.host.slice('unix:'.length)
    return http.request({ ...options, agent: agents.http, socketPath, path: call.path, host: 'restapi' })
  }
  if (call.host.startsWith('/') && connect !== undefined)
    return openOver(connect, call.host, options, call.path)
  const url = new URL(call.host.replace(/\/+$/, '') + call.path)
  return url.protocol === 'https:'
    ? https.request(url, { ...options, agent: agents.https })
    : http.request(url, { ...options, agent: agents.http })
}

/** One connection a request, as Go's client; the peer is asked to end it after its answer. */
function openOver(
  connect: NonNullable<NodeTransportConfig['connect']>,
  address: string,
  options: http.RequestOptions,
  path: string,
): http.ClientRequest {
  const given = new AbortController()
  const request = http.request({
    ...options,
    path,
    // The peer id, as Go's client says, or the name of a /dnsaddr.
    host: address.slice(address.lastIndexOf('/') + 1),
    // Else the header would name a port, which there is none of.
    defaultPort: 80,
    createConnection: (_options, done) => {
      callbackify(connect)(address, { signal: given.signal }, done)
      return undefined
    },
  })
  request.once('close', () => given.abort(new DOMException('the request is over', 'AbortError')))
  return request
}

/** Resolves when the request has a connection that stands. */
async function connected(
  request: http.ClientRequest,
  deadline: AbortSignal,
  answer: Promise<unknown>,
): Promise<void> {
  const ready = Promise.withResolvers<void>()
  const onDeadline = () => ready.reject(new Error('timed out while connecting'))
  deadline.addEventListener('abort', onDeadline, { once: true })
  request.on('socket', socket => {
    if (socket.connecting) {
      socket.once('encrypted' in socket ? 'secureConnect' : 'connect', () => ready.resolve())
    } else ready.resolve()
  })
  // A failure of the request is a failure to connect as long as there is no connection.
  answer.catch(error => ready.reject(error))
  try {
    await ready.promise
  } finally {
    deadline.removeEventListener('abort', onDeadline)
  }
}

/** Sends the body; leaves off quietly when the server has answered and closed its side. */
async function upload(request: http.ClientRequest, body: HttpCall['body']): Promise<void> {
  if (body === undefined || typeof body === 'string') {
    request.end(body)
    return
  }
  for await (const chunk of body) {
    if (request.destroyed) return
    if (!request.write(chunk)) await drained(request)
  }
  if (!request.destroyed) request.end()
}

async function drained(request: http.ClientRequest): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  request.once('drain', resolve)
  request.once('close', resolve)
  await promise
  request.off('drain', resolve)
  request.off('close', resolve)
}
