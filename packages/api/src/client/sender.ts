import { anySignal, errorMessage, type AbortOptions, type Clock, type Logger } from '@ipfs-cluster/base'
import { ApiError } from '../api-error.ts'
import { errorCodec, parseJson, type JsonCodec } from '../json/index.ts'
import { parseLines, readText } from './ndjson.ts'
import type { HttpAnswer, HttpCall, HttpTransport } from './transport.ts'

const STREAM_ERROR_TRAILER = 'X-Stream-Error'

export type Strategy = 'failover' | 'round-robin'

/** What `createSender` needs to know of the client's configuration. */
export interface SenderConfig {
  readonly hosts: readonly string[]
  readonly strategy: Strategy
  /** Of each request. */
  readonly tries: number
  readonly headers: Readonly<Record<string, string>>
  readonly timeoutMs: number | undefined
}

/** A request for whichever host answers. */
export interface SenderCall extends Omit<HttpCall, 'host'> {
  /** False once a body that can be read once only has been touched: no other host can be asked. */
  readonly canRepeat?: () => boolean
}

/** The answer of a peer, which is not an error. Exactly one of the methods is called. */
export interface Answer {
  json<T>(codec: JsonCodec<T>): Promise<T>
  nothing(): Promise<void>
  stream<T>(codec: JsonCodec<T>): AsyncGenerator<T>
  /** Ends well only when all has come, as far as the transport can tell. */
  bytes(): AsyncGenerator<Uint8Array>
}

export interface Sender {
  /** @throws ApiError `API_ERROR`, `API_UNREACHABLE`; the signal's reason. */
  send(call: SenderCall, options: AbortOptions): Promise<Answer>
}

export function createSender(
  config: SenderConfig,
  transport: HttpTransport,
  clock: Clock,
  logger: Logger,
): Sender {
  let turns = 0
  return {
    async send(call, options) {
      const { canRepeat, ...rest } = call
      const request = { ...rest, headers: { ...config.headers, ...call.headers } }
      const failures: string[] = []
      for (let tried = 0; tried < config.tries; tried++) {
        const turn = config.strategy === 'failover' ? tried : turns++
        const host = config.hosts[turn % config.hosts.length]
        if (host === undefined) break
        // As Go: each try has its own time.
        const deadline = config.timeoutMs === undefined ? undefined : clock.timeout(config.timeoutMs)
        const signal = anySignal(options.signal, deadline)
        try {
          logger.debug(`${call.method}: ${host}${call.path}`)
          const head = await transport.send({ ...request, host }, { signal })
          const body = guard(head.body, `${call.method} ${host}${call.path}`, host, options)
          return await toAnswer({ ...head, body, trailer: name => head.trailer(name) }, logger)
        } catch (error) {
          if (error instanceof ApiError) throw error
          options.signal?.throwIfAborted()
          failures.push(`${call.method} ${host}${call.path}: ${errorMessage(error)}`)
          if (canRepeat?.() === false) break
        }
      }
      throw new ApiError(failures.join('; ') || 'no host is configured', {
        code: 'API_UNREACHABLE',
        hosts: config.hosts,
      })
    },
  }
}

/** The body, whose failures are the peer's and not the network library's. */
async function* guard(
  body: AsyncIterable<Uint8Array>,
  what: string,
  host: string,
  options: AbortOptions,
): AsyncGenerator<Uint8Array> {
  try {
    yield* body
  } catch (cause) {
    options.signal?.throwIfAborted()
    throw new ApiError(
      `${what}: the answer broke off: ${errorMessage(cause)}`,
      { code: 'API_UNREACHABLE', hosts: [host] },
      { cause },
    )
  }
}

async function toAnswer(head: HttpAnswer, logger: Logger): Promise<Answer> {
  const text = async () => {
    const body = await readText(head.body)
    logger.debug(`Response body: ${body}`)
    return body
  }
  if (head.status >= 400) throw errorOf(head.status, await text())
  return {
    async json(codec) {
      const body = await text()
      try {
        return codec.parse(parseJson(body))
      } catch (cause) {
        throw apiError(head.status, `the answer cannot be read: ${errorMessage(cause)}`, cause)
      }
    },
    async nothing() {
      await text()
    },
    stream: codec => streamOf(head, codec),
    bytes: () => bytesOf(head),
  }
}

async function* streamOf<T>(head: HttpAnswer, codec: JsonCodec<T>): AsyncGenerator<T> {
  if (head.status !== 200 && head.status !== 204) {
    throw apiError(head.status, 'expected streaming response with code 200/204')
  }
  for await (const document of parseLines(head.body)) yield codec.parse(document)
  checkTrailer(head)
}

async function* bytesOf(head: HttpAnswer): AsyncGenerator<Uint8Array> {
  yield* head.body
  checkTrailer(head)
}

function checkTrailer(head: HttpAnswer): void {
  // On success Go sends one empty value.
  const errors = head.trailer(STREAM_ERROR_TRAILER).filter(value => value !== '')
  if (errors.length > 0) throw apiError(500, errors.join('; '))
}

/** The error of an answer: Go's JSON, or the text itself, for example from a proxy in between. */
function errorOf(status: number, body: string): ApiError {
  try {
    const { code, message } = errorCodec.parse(parseJson(body))
    return apiError(code === 0 ? status : code, message)
  } catch {
    // Not JSON: the text is the message.
    return apiError(status, body)
  }
}

function apiError(status: number, message: string, cause?: unknown): ApiError {
  return new ApiError(message, { code: 'API_ERROR', status, message }, { cause })
}
