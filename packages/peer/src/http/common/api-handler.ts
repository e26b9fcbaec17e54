/** What stands before the routes of every API, outermost first: who asks, then cross-origin rules (reference api.md 1.1). */
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { RouteMatch } from '@ipfs-cluster/api'
import type { Logger } from '@ipfs-cluster/base'
import type { Authenticator } from './auth.ts'
import type { Cors } from './cors.ts'
import type { HttpHandler } from './serve.ts'
import { parseTarget, unescapedPath, type Target } from './target.ts'

/** A request that may pass. */
export interface ApiCall {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly signal: AbortSignal
  readonly target: Target
  /** Who asks; `undefined` when nobody needs to say. */
  readonly user: string | undefined
}

export interface ApiHandlerComponents {
  /** `undefined`: everybody may do everything. */
  readonly authenticator: Authenticator | undefined
  readonly cors: Cors
  readonly logger: Logger
  /** The JSON of an error, in the form of this API. */
  readonly formatError: (status: number, message: string) => string
  /** Answers what has come through. */
  readonly route: (call: ApiCall) => Promise<void>
}

/** Headers of every answer that a handler gives; redirects and preflights do without. */
export type ApiHeaders = Readonly<Record<string, readonly string[]>>

/** A refused login shows nothing of the routes: it comes before redirects, 404 and cross-origin headers. */
export function createApiHandler(
  { authenticator, cors, logger, formatError, route }: ApiHandlerComponents,
  headers: ApiHeaders,
): HttpHandler {
  return async (request, response, signal) => {
    const fail = (status: number, message: string) => {
      addApiHeaders(response, headers)
      sendJson(response, status, formatError(status, message))
    }
    if (request.method === 'OPTIONS' && request.url === '*') {
      response.writeHead(200, { 'Content-Length': 0 }).end()
      return
    }
    const target = parseTarget(request.url ?? '/')
    let user: string | undefined
    if (authenticator !== undefined && !isExempt(request, target)) {
      const result = await authenticator.authenticate(request.headers.authorization)
      if (!result.ok) {
        logger.debug({ why: result.why }, result.message)
        response.setHeader('Www-Authenticate', result.challenges)
        return fail(401, result.message)
      }
      user = result.user
    }
    const { preflight, headers: corsHeaders } = cors({
      method: request.method ?? 'GET',
      origin: allValues(request, 'origin'),
      requestMethod: allValues(request, 'access-control-request-method'),
      requestHeaders: allValues(request, 'access-control-request-headers'),
    })
    for (const [name, value] of corsHeaders) response.setHeader(name, value)
    if (preflight) {
      response.writeHead(204).end()
      return
    }
    if (target === undefined) return fail(404, 'not found')
    await route({ request, response, signal, target, user })
  }
}

/** Most requests have no such header, and need not have all of theirs put in lists. */
function allValues(request: IncomingMessage, name: string): readonly string[] {
  return request.headers[name] === undefined ? [] : (request.headersDistinct[name] ?? [])
}

/** Preflights carry no login, and whoever watches over a peer need not have one. */
function isExempt({ method }: IncomingMessage, target: Target | undefined): boolean {
  if (method === 'OPTIONS') return true
  return method === 'GET' && target !== undefined && unescapedPath(target.path) === '/health'
}

/**
 * Answers a request that no route takes, as Go's router does; else sets the headers that all answers of the API have.
 *
 * @param sendError in the form of the API.
 * @returns the route.
 */
export function answerUnmatched<Name extends string>(
  { response, target }: Pick<ApiCall, 'response' | 'target'>,
  match: RouteMatch<Name>,
  headers: ApiHeaders,
  sendError: (status: 400 | 404, message: string) => void,
): Extract<RouteMatch<Name>, { kind: 'route' }> | undefined {
  if (match.kind === 'redirect') {
    response.writeHead(match.status, { Location: match.path + target.query, 'Content-Length': 0 }).end()
    return undefined
  }
  if (match.kind === 'error' && match.status === 405) {
    response.writeHead(405, { 'Content-Length': 0 }).end()
    return undefined
  }
  addApiHeaders(response, headers)
  if (match.kind === 'route') return match
  const status = match.status === 404 ? 404 : 400
  sendError(status, status === 404 ? 'not found' : 'the path is not properly escaped')
  return undefined
}

/** The configured headers, in addition to what is set, and the type of all that an API answers. */
function addApiHeaders(response: ServerResponse, headers: ApiHeaders): void {
  for (const [name, values] of Object.entries(headers)) response.appendHeader(name, values)
  response.appendHeader('Content-Type', 'application/json')
}

export function sendJson(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'Content-Length': Buffer.byteLength(body) }).end(body)
}
