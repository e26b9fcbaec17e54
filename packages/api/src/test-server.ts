/**
 * A peer's REST API made of the route table and stub handlers, on a free port: what tests of clients talk to. Its answers follow
 * the rules of the real one (statuses, trailers, `POST /add`), without its features.
 */
import { errorMessage } from '@ipfs-cluster/base'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { ApiError } from './api-error.ts'
import { errorCodec, type JsonCodec } from './json/index.ts'
import { matchRoute } from './match-route.ts'
import { parseQuery } from './parse-query.ts'
import { parseMultipart } from './test-multipart.ts'
import type { CarBytes, RouteHandlers, RouteName } from './route.ts'
import { ROUTES } from './routes.ts'

/** A request that was served, for tests to look at. */
export interface ServedRequest {
  readonly method: string
  /** With the query, as sent. */
  readonly url: string
  readonly headers: http.IncomingHttpHeaders
}

export interface TestServer extends AsyncDisposable {
  readonly url: string
  readonly requests: readonly ServedRequest[]
}

/** A handler throws this to choose the status. */
export class HttpError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** @param listen where, if not on a free port of loopback: the path of a Unix socket. */
export async function serveRoutes(handlers: Partial<RouteHandlers>, listen?: string): Promise<TestServer> {
  const requests: ServedRequest[] = []
  const server = http.createServer((request, response) => {
    requests.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers })
    serve(handlers, request, response).catch(error => response.destroy(error))
  })
  const { promise, resolve } = Promise.withResolvers<void>()
  if (listen === undefined) server.listen(0, '127.0.0.1', resolve)
  else server.listen(listen, resolve)
  await promise
  const url =
    listen === undefined ? `http://127.0.0.1:${(server.address() as AddressInfo).port}` : `unix:${listen}`
  return {
    url,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(closed => server.close(closed))
    },
  }
}

async function serve(
  handlers: Partial<RouteHandlers>,
  request: http.IncomingMessage,
  response: http.ServerResponse,
): Promise<void> {
  response.setHeader('Content-Type', 'application/json')
  const [path = '/', query = ''] = (request.url ?? '/').split('?')
  const match = matchRoute(request.method ?? '', path)
  if (match.kind === 'redirect') {
    response.writeHead(match.status, { Location: match.path + (query === '' ? '' : `?${query}`) }).end()
    return
  }
  if (match.kind === 'error') {
    if (match.status === 405) response.writeHead(405).end()
    else sendError(response, new HttpError(match.status, 'not found'))
    return
  }
  const handler = handlers[match.name] as ((input: object) => unknown) | undefined
  const stop = new AbortController()
  response.on('close', () => stop.abort())
  try {
    if (handler === undefined) throw new HttpError(501, `no stub for ${match.name}`)
    const input = ROUTES[match.name].decode({
      params: match.params,
      query: parseQuery(query),
      nowNs: 0n,
      ...(match.name === 'peerAdd' && { body: await text(request) }),
    })
    const parts = match.name === 'add' ? { parts: parseMultipart(request) } : {}
    if (ROUTES[match.name].kind === 'bulk') {
      await stream(
        response,
        handler({ ...input, lines: linesOf(request) }) as AsyncIterable<unknown>,
        RAW,
        false,
      )
      return
    }
    await answer(match.name, request, response, handler({ ...input, ...parts }), parseQuery(query))
  } catch (error) {
    sendError(response, error)
  }
}

async function answer(
  name: RouteName,
  request: http.IncomingMessage,
  response: http.ServerResponse,
  result: unknown,
  query: URLSearchParams,
): Promise<void> {
  const { kind, output } = ROUTES[name]
  const codec = output as JsonCodec<unknown>
  if (kind === 'car') await sendCar(request, response, result as CarBytes | Promise<CarBytes>)
  else if (kind === 'json') {
    const value = await result
    response.end(`${codec.stringify(value)}\n`)
  } else if (kind === 'empty') {
    await result
    response.writeHead(204).end()
  } else if (kind === 'add' && query.get('stream-channels') === 'false') {
    const items = await Array.fromAsync(result as AsyncIterable<unknown>)
    response.end(`[${items.map(item => codec.stringify(item)).join(',')}]\n`)
  } else {
    await stream(response, result as AsyncIterable<unknown>, codec, kind === 'add')
  }
}

async function sendCar(
  request: http.IncomingMessage,
  response: http.ServerResponse,
  result: CarBytes | Promise<CarBytes>,
): Promise<void> {
  const { car } = await result
  response.writeHead(200, {
    'Content-Type': 'application/vnd.ipld.car; version=1',
    Trailer: 'X-Stream-Error',
  })
  response.flushHeaders()
  if (request.method === 'HEAD') return void response.end()
  try {
    for await (const piece of car) {
      if (!response.write(piece) && !response.destroyed) await drained(response)
      if (response.destroyed) return
    }
  } catch (error) {
    if (request.headers.te !== 'trailers') return void response.destroy()
    response.addTrailers([['X-Stream-Error', errorMessage(error)]])
  }
  response.end()
}

async function stream(
  response: http.ServerResponse,
  items: AsyncIterable<unknown>,
  codec: Pick<JsonCodec<unknown>, 'stringify'>,
  begun: boolean,
): Promise<void> {
  response.setHeader('Trailer', 'X-Stream-Error')
  if (begun) response.flushHeaders()
  const trailers: [string, string][] = begun ? [] : [['X-Stream-Error', '']]
  try {
    for await (const item of items) {
      if (response.write(`${codec.stringify(item)}\n`)) continue
      await drained(response)
      if (response.destroyed) return
    }
  } catch (error) {
    if (!response.headersSent) throw error
    for (const part of errorMessage(error).split('\n')) trailers.push(['X-Stream-Error', part])
  }
  if (response.headersSent) {
    response.addTrailers(trailers)
  } else {
    // Node allows no trailer to be declared where there is no body; Go declares it here too.
    response.removeHeader('Trailer')
    response.writeHead(204)
  }
  response.end()
}

/** What a `bulk` handler gives is written as it is. */
const RAW = { stringify: (text: unknown) => String(text).trimEnd() }

async function* linesOf(request: http.IncomingMessage): AsyncGenerator<readonly string[]> {
  let rest = ''
  // Left early, the request lives on: its connection is needed for the answer.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    const lines = (rest + String(chunk)).split('\n')
    rest = lines.pop() ?? ''
    yield lines.filter(line => line !== '')
  }
  if (rest !== '') yield [rest]
}

async function drained(response: http.ServerResponse): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  response.once('drain', resolve).once('close', resolve)
  await promise
  response.off('drain', resolve).off('close', resolve)
}

function sendError(response: http.ServerResponse, error: unknown): void {
  const bad = error instanceof ApiError && error.code === 'BAD_PARAMETER'
  const code = error instanceof HttpError ? error.status : bad ? 400 : 500
  response.writeHead(code).end(`${errorCodec.stringify({ code, message: errorMessage(error) })}\n`)
}

async function text(request: http.IncomingMessage): Promise<string> {
  return Buffer.concat(await Array.fromAsync(request)).toString()
}
