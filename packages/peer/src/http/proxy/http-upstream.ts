import { Agent, request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http'
import { Agent as TlsAgent, request as tlsRequest } from 'node:https'
import type { Socket } from 'node:net'
import { createStallGuard, errorCode, errorMessage, type Clock, type Logger } from '@ipfs-cluster/base'
import type { Multiaddr } from '@ipfs-cluster/api'
import { parseNodeAddress, type NodeAddress } from '../../ipfsconn/index.ts'
import { continueBody, parseTarget, type HttpHandler } from '../common/index.ts'
import { ProxyError } from './errors.ts'
import { hasBody, headersToSend, passedBack, passedOn, pump } from './passing.ts'
import type { Upstream, UpstreamRequest } from './types.ts'

/** Where the daemon is, by the section `ipfsproxy`. */
export interface HttpUpstreamConfig {
  /** `/ip4/127.0.0.1/tcp/5001`, `/dns4/…` or `/unix/…`. */
  readonly nodeMultiaddress: Multiaddr
  readonly nodeHttps: boolean
}

export interface HttpUpstreamComponents {
  readonly clock: Clock
  readonly logger: Logger
}

/** Idle connections kept for later. */
const MAX_IDLE_SOCKETS = 32
/** For a connection to come about, names resolved. What the daemon does after that may take it hours. */
const CONNECT_MS = 10_000

interface Exchange {
  readonly outgoing: ClientRequest
  readonly answer: IncomingMessage
}

/**
 * A daemon that is reached over HTTP. Requests are ended by their signals; disposal closes what is kept for the next ones.
 *
 * @throws ProxyError `PROXY_BAD_ADDRESS`
 */
export function createHttpUpstream(
  { clock, logger }: HttpUpstreamComponents,
  { nodeMultiaddress, nodeHttps }: HttpUpstreamConfig,
): Upstream & Disposable {
  const address = addressOf(nodeMultiaddress)
  const options = { keepAlive: true, maxFreeSockets: MAX_IDLE_SOCKETS }
  const agent = nodeHttps ? new TlsAgent(options) : new Agent(options)

  const unreachable = (cause: unknown) =>
    new ProxyError(
      `cannot reach the IPFS daemon at ${nodeMultiaddress} (${errorMessage(cause)}): start it, or correct ipfsproxy.node_multiaddress ` +
        'in the configuration',
      { code: 'IPFS_UNREACHABLE', address: nodeMultiaddress },
      { cause },
    )

  const send = (
    { method, target, headers, body }: UpstreamRequest,
    signal: AbortSignal,
  ): Promise<Exchange> => {
    const { promise, resolve, reject } = Promise.withResolvers<Exchange>()
    const make = nodeHttps ? tlsRequest : httpRequest
    const outgoing = make({
      ...address,
      method,
      path: target,
      headers: headersToSend(headers),
      signal,
      // A streamed body cannot be sent twice, so it must not meet a connection that the daemon has just closed.
      agent: body === undefined ? agent : false,
    })
    let answered = false
    outgoing.once('socket', socket => limitConnecting(socket, outgoing, clock))
    outgoing.once('response', answer => {
      answered = true
      resolve({ outgoing, answer })
    })
    outgoing.on('error', error => {
      // After the answer has begun, its reader sees the failure.
      if (answered) return
      if (signal.aborted) return reject(signal.reason)
      const stale = outgoing.reusedSocket && /^(ECONNRESET|EPIPE)$/.test(errorCode(error) ?? '')
      if (stale) return resolve(send({ method, target, headers, body }, signal))
      reject(unreachable(error))
    })
    if (body === undefined) outgoing.end()
    else body.pipe(outgoing)
    return promise
  }

  const forward: HttpHandler = async (request, response, signal) => {
    const { path = '/', query = '' } = parseTarget(request.url ?? '/') ?? {}
    const withBody = hasBody(request)
    if (withBody) continueBody(request, response)
    let exchange: Exchange
    try {
      const { method = 'GET' } = request
      const passed = { method, target: path + query, headers: passedOn(request) }
      exchange = await send({ ...passed, body: withBody ? request : undefined }, signal)
    } catch (error) {
      signal.throwIfAborted()
      logger.warn({ error: errorMessage(error) }, 'a request cannot be passed on')
      response.writeHead(502, { 'Content-Length': 0 }).end()
      return
    }
    const { outgoing, answer } = exchange
    try {
      response.writeHead(answer.statusCode ?? 502, passedBack(answer, request))
      // A daemon that streams may take its time from here to the first byte.
      response.flushHeaders()
      await pump(answer as AsyncIterable<Uint8Array>, response, signal)
      if (Object.keys(answer.trailers).length > 0) response.addTrailers(pairs(answer.rawTrailers))
      response.end()
    } catch (error) {
      signal.throwIfAborted()
      logger.warn({ error: errorMessage(error) }, 'the answer of the IPFS daemon broke off')
      response.destroy()
    } finally {
      // An upload of which the daemon wanted no more.
      if (!outgoing.writableFinished) outgoing.destroy()
    }
  }

  return {
    forward,
    async ask(request, { signal }) {
      signal.throwIfAborted()
      const { outgoing, answer } = await send(request, signal)
      return {
        status: answer.statusCode ?? 0,
        headers: answer.headersDistinct,
        body: answer as AsyncIterable<Uint8Array>,
        trailers: () => answer.trailers,
        [Symbol.dispose]() {
          // Unless both directions ended well, the connection is of no more use.
          if (!answer.readableEnded || !outgoing.writableFinished) outgoing.destroy()
        },
      }
    },
    [Symbol.dispose]: () => agent.destroy(),
  }
}

function addressOf(multiaddress: Multiaddr): NodeAddress {
  try {
    return parseNodeAddress(multiaddress)
  } catch (cause) {
    const data = { code: 'PROXY_BAD_ADDRESS', address: multiaddress } as const
    throw new ProxyError(`ipfsproxy.node_multiaddress: ${errorMessage(cause)}`, data, { cause })
  }
}

/** An address that swallows packets must not hold a request for minutes. */
function limitConnecting(socket: Socket, outgoing: ClientRequest, clock: Clock): void {
  if (!socket.connecting) return
  const guard = createStallGuard(clock, CONNECT_MS)
  const stop = () => guard[Symbol.dispose]()
  socket.once('connect', stop).once('close', stop)
  guard.signal.addEventListener('abort', () =>
    outgoing.destroy(new Error(`no connection within ${CONNECT_MS / 1000} s`)),
  )
}

function pairs(raw: readonly string[]): [string, string][] {
  return raw.flatMap((name, i) => (i % 2 === 0 ? [[name, raw[i + 1] ?? ''] as [string, string]] : []))
}
