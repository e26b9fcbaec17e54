import { DEFAULT_PIN_OPTIONS, parseQuery, type Pin } from '@ipfs-cluster/api'
import {
  CodedError,
  errorCode,
  silentMeter,
  type AbortOptions,
  type Clock,
  type Logger,
  type Meter,
} from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { Cluster } from '../../cluster/index.ts'
import {
  answerUnmatched,
  continueBody,
  createApiServer,
  createAuthenticator,
  createHttpMetrics,
  readBody,
  RETRY_AFTER_S,
  sendJson,
  type ApiCall,
  type Authenticator,
  type ConnectionSource,
  type HttpApiConfig,
  type HttpHandler,
  type HttpServer,
} from '../common/index.ts'
import { failureBody, failureOf } from './failures.ts'
import { listPins, withStatus, type ListingComponents } from './listing.ts'
import { createPinObjects, type PinObjectComponents, type PinObjects } from './pin-objects.ts'
import { readListQuery, readPin, readRequestId } from './read-request.ts'
import { matchRoute, ROUTES, type PinningRoute } from './routes.ts'
import type { PinAsked } from './types.ts'

/** A body beyond this is refused. */
const BODY_BYTES_MAX = 256 * 1024

export interface PinningServiceComponents extends ListingComponents, PinObjectComponents {
  readonly cluster: Pick<Cluster, 'id' | 'pin' | 'pinGet' | 'replace' | 'statusAll' | 'statusOf' | 'unpin'>
  readonly clock: Clock
  readonly logger: Logger
  /** Connections besides those of the listeners. */
  readonly connections?: ConnectionSource | undefined
  /** What stands around the handling of every request. */
  readonly around?: ((handle: HttpHandler) => HttpHandler) | undefined
  /** @default silentMeter */
  readonly meter?: Meter
}

interface Asked {
  readonly requestid: string
  readonly query: string
  readonly body: string
  readonly user: string | undefined
}

interface Answer {
  readonly status: number
  /** Becomes JSON; none: an empty body. */
  readonly body?: unknown
}

type Handlers = Readonly<Record<PinningRoute, (asked: Asked, options: AbortOptions) => Promise<Answer>>>

/**
 * Serves the Pinning Service API on the configured addresses.
 *
 * @throws HttpError `HTTP_LISTEN_FAILED`, `HTTP_LOG_FILE`, `HTTP_NO_ENDPOINTS`
 */
export async function createPinningService(
  components: PinningServiceComponents,
  config: HttpApiConfig,
): Promise<HttpServer> {
  const { clock, logger, connections, around, meter = silentMeter } = components
  const { credentials = null, headers } = config
  const authenticator = credentials === null ? undefined : createAuthenticator({ clock, logger }, credentials)
  const handlers = createHandlers(components, createPinObjects(components), authenticator)
  const metrics = createHttpMetrics(meter, clock, 'pinsvcapi')
  const route = async (call: ApiCall) => {
    const { request, response, signal, target, user } = call
    const found = matchRoute(request.method ?? 'GET', target.path)
    const match = answerUnmatched(call, found, headers, (status, details) =>
      sendJson(response, status, failureBody(status, details)),
    )
    if (match === undefined) return
    metrics.route(response, ROUTES[match.name].path)
    try {
      continueBody(request, response)
      const body = await readBody(request, BODY_BYTES_MAX)
      const asked = { requestid: match.params['requestid'] ?? '', query: target.query, body, user }
      const answer = await handlers[match.name](asked, { signal })
      if (answer.body === undefined) response.writeHead(answer.status, emptyHead(answer.status)).end()
      else sendJson(response, answer.status, `${JSON.stringify(answer.body)}\n`)
    } catch (error) {
      signal.throwIfAborted()
      if (response.headersSent) throw error
      const failure = failureOf(error)
      if (failure.status === 429) response.setHeader('Retry-After', RETRY_AFTER_S)
      sendJson(response, failure.status, failure.body)
    }
  }
  return await createApiServer(
    {
      section: 'pinsvcapi',
      authenticator,
      clock,
      logger,
      connections,
      formatError: failureBody,
      route,
      around: handle => metrics.measured(around?.(handle) ?? handle),
    },
    config,
  )
}

/** A 204 has no length. */
function emptyHead(status: number): Record<string, number> {
  return status === 204 ? {} : { 'Content-Length': 0 }
}

function createHandlers(
  components: PinningServiceComponents,
  objects: PinObjects,
  authenticator: Pick<Authenticator, 'token'> | undefined,
): Handlers {
  const { cluster } = components

  /** Of pins there is one for each CID: whoever pins it again changes it, but never how many copies there are. */
  const pin = async (asked: PinAsked, options: AbortOptions): Promise<Pin> => {
    const { cid, name, origins, metadata } = asked
    const existing = await pinOf(cluster, cid, options)
    const kept = existing && {
      replicationFactorMin: existing.replicationFactorMin,
      replicationFactorMax: existing.replicationFactorMax,
      ...(existing.maxPinSize !== undefined && { maxPinSize: existing.maxPinSize }),
    }
    return await cluster.pin(cid, { ...DEFAULT_PIN_OPTIONS, ...kept, name, origins, metadata }, options)
  }

  const accepted = async (submitted: Pin, options: AbortOptions): Promise<Answer> => ({
    status: 202,
    body: await objects.submitted(submitted, options),
  })

  return {
    async listPins({ query }, options) {
      const { found, count } = await listPins(components, readListQuery(parseQuery(query)), options)
      return { status: 200, body: { count, results: await objects.of(found, options) } }
    },
    addPin: async ({ body }, options) => await accepted(await pin(readPin(body), options), options),
    async getPin({ requestid }, options) {
      const known = await cluster.pinGet(readRequestId(requestid), options)
      const found = await Array.fromAsync(withStatus(components, [known], options))
      const [object] = await objects.of(found, options)
      return { status: 200, body: object }
    },
    async replacePin({ requestid, body }, options) {
      const from = readRequestId(requestid)
      const asked = readPin(body)
      // In Go it is unpinned then.
      if (!asked.cid.equals(from)) return await accepted(await cluster.replace(from, asked, options), options)
      await cluster.pinGet(from, options)
      return await accepted(await pin(asked, options), options)
    },
    async removePin({ requestid }, options) {
      await cluster.unpin(readRequestId(requestid), options)
      return { status: 202 }
    },
    async token({ user }) {
      if (user === undefined || authenticator === undefined) {
        throw new CodedError('unauthorized', { code: 'UNAUTHORIZED' })
      }
      return { status: 200, body: { token: await authenticator.token(user) } }
    },
    health: () => Promise.resolve({ status: 204 }),
  }
}

async function pinOf(
  cluster: Pick<Cluster, 'pinGet'>,
  cid: CID,
  options: AbortOptions,
): Promise<Pin | undefined> {
  try {
    return await cluster.pinGet(cid, options)
  } catch (error) {
    if (errorCode(error) === 'PIN_NOT_FOUND') return undefined
    throw error
  }
}
