/** One request from its head to its line in the log, whatever the handler does. */
import { ServerResponse, type IncomingMessage, type Server } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { errorCode, errorMessage, type Clock, type Logger } from '@ipfs-cluster/base'
import { discardRest } from './discard-rest.ts'
import { framingProblem, type Refusal } from './framing.ts'
import { formatRequestLog, redactUrl, type RequestLog } from './request-log.ts'

/** Answers a request. The signal fires when the client leaves, the server stops or the answer takes too long. */
export type HttpHandler = (
  request: IncomingMessage,
  response: ServerResponse,
  signal: AbortSignal,
) => Promise<void>

/** What Go says where a client has no address. */
const UNIX_PEER = '@'

/** One for all: making an error with its stack for every request costs more than much of the rest. */
const ANSWERED = new DOMException('answered', 'AbortError')

export interface ServeContext {
  readonly handle: HttpHandler
  readonly clock: Clock
  readonly logger: Logger
  readonly requestLog: RequestLog
  /** Requests under way. */
  readonly live: LiveRequests
  /** From the head of the request to the end of the answer; 0 = none. */
  readonly writeTimeoutMs: number
}

/**
 * The requests of a server that are under way, each with what gives it up. A joined signal for each (`AbortSignal.any`) would cost more than
 * the rest of `serve`.
 */
export class LiveRequests implements Disposable {
  readonly #controllers = new Set<AbortController>()
  #reason: DOMException | undefined

  begin(): AbortController {
    const controller = new AbortController()
    if (this.#reason === undefined) this.#controllers.add(controller)
    else controller.abort(this.#reason)
    return controller
  }

  end(controller: AbortController): void {
    this.#controllers.delete(controller)
  }

  /** Gives all of them up, and those still to come. */
  [Symbol.dispose](): void {
    this.#reason ??= new DOMException('the server is stopping', 'AbortError')
    for (const controller of this.#controllers) controller.abort(this.#reason)
    this.#controllers.clear()
  }
}

/** Knows what log and metrics say of it: what is written to the body, and which route answers. */
export class CountingResponse extends ServerResponse {
  bodyBytes = 0
  route: string | undefined

  override write(chunk: unknown, ...rest: unknown[]): boolean {
    this.bodyBytes += lengthOf(chunk)
    return Reflect.apply(super.write, this, [chunk, ...rest]) as boolean
  }

  override end(...args: unknown[]): this {
    this.bodyBytes += lengthOf(args[0])
    return Reflect.apply(super.end, this, args) as this
  }
}

function lengthOf(chunk: unknown): number {
  if (typeof chunk === 'string') return Buffer.byteLength(chunk)
  return chunk instanceof Uint8Array ? chunk.length : 0
}

/** Bodies whose reader sees to time itself, by their connection. */
const timedByReader = new WeakMap<Socket, IncomingMessage>()

/**
 * From here on `read_timeout` and `write_timeout` are the caller's to keep: they would end a request that is read and answered at the same time,
 * however well it moves.
 */
export function takeTimeouts(request: IncomingMessage): void {
  timedByReader.set(request.socket, request)
}

/** The latest request of each connection. */
const latest = new WeakMap<Socket, { readonly request: IncomingMessage; readonly response: ServerResponse }>()

/**
 * Ends what takes too long as node:http would, but for bodies whose reader sees to time, and for what has come in time to a process that was too
 * busy to read it: such a process looks at its timers before its connections.
 */
function spareTheTimely(server: Server | TlsServer): void {
  const emit = server.emit.bind(server) as (event: string, ...args: unknown[]) => boolean
  server.emit = (event: string, ...args: unknown[]): boolean => {
    const [error, socket] = args as [unknown, Socket]
    if (event !== 'clientError' || errorCode(error) !== 'ERR_HTTP_REQUEST_TIMEOUT')
      return emit(event, ...args)
    const before = latest.get(socket)
    // What the time was for: its body, or the head of one that is not there yet.
    const unfinished = before?.request.complete === false ? before.request : undefined
    // By then every connection has been looked at once.
    setImmediate(() => {
      const hasCome = latest.get(socket) !== before || unfinished?.complete === true
      const isTimedByReader = unfinished !== undefined && timedByReader.get(socket) === unfinished
      if (!hasCome && !isTimedByReader) endLate(socket, before?.response)
    })
    return true
  }
}

/** @param response the latest: one that is under way is cut off, and says so by its end alone. */
function endLate(socket: Socket, response: ServerResponse | undefined): void {
  const isAnswering = response?.headersSent === true && !response.writableFinished
  if (socket.writable && !isAnswering) {
    socket.write('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n', 'latin1')
  }
  socket.destroy()
}

/** Sends every request of `server` through `serve`, those that node:http treats apart included. */
export function serveAll(server: Server | TlsServer, context: ServeContext): void {
  spareTheTimely(server)
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    void serve(request, response, context)
  })
  // "100 Continue" is for `continueBody`, once somebody wants the body. A client told otherwise may send it or not, so that
  // what follows on its connection means nothing.
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    response.shouldKeepAlive = false
    void serve(request, response, context)
  })
  server.on('connect', (request: IncomingMessage, socket: Socket) => {
    // node:http has let go of this connection; it gets an answer and ends. An error is one of a client that left.
    socket.on('error', () => undefined)
    const response = new CountingResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(socket)
    response.once('finish', () => socket.destroySoon())
    void serve(request, response, context)
  })
}

/** Asks a client that waits for it (`Expect: 100-continue`) for the body. To be called when the body is about to be read. */
export function continueBody(request: IncomingMessage, response: ServerResponse): void {
  if (request.headers.expect !== undefined && !response.headersSent) response.writeContinue()
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  { handle, clock, logger, requestLog, live, writeTimeoutMs }: ServeContext,
): Promise<void> {
  const left = live.begin()
  latest.set(request.socket, { request, response })
  const host = request.socket.remoteAddress ?? UNIX_PEER
  const atMs = clock.now()
  const onClose = () => {
    live.end(left)
    // Also when all went well: a joined signal that has listeners is kept alive, with all they hold, until it fires.
    left.abort(response.writableFinished ? ANSWERED : new DOMException('the client left', 'AbortError'))
    const size = response instanceof CountingResponse ? response.bodyBytes : 0
    requestLog.write(formatRequestLog({ request, status: response.statusCode, size, host, atMs }))
  }
  response.once('close', onClose)
  if (writeTimeoutMs > 0) {
    const tooLate = () => {
      if (timedByReader.get(request.socket) !== request) request.socket.destroy()
    }
    clock.sleep(writeTimeoutMs, { signal: left.signal }).then(tooLate, () => undefined)
  }
  try {
    const problem = framingProblem(request)
    if (problem !== undefined) return refuse(response, problem)
    await handle(request, response, left.signal)
    if (!request.complete) await dropBody(request, clock)
  } catch (error) {
    // A handler answers for its own failures; what comes here is a client that left, or a fault of ours.
    if (!left.signal.aborted) {
      const url = redactUrl(request.url ?? '')
      logger.error({ url, err: error }, `request failed: ${errorMessage(error)}`)
    }
    response.destroy()
  }
}

/** What follows on this connection means nothing. */
function refuse(response: ServerResponse, { status, message }: Refusal): void {
  response.shouldKeepAlive = false
  const headers = {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': Buffer.byteLength(message),
  }
  response.writeHead(status, headers).end(message)
}

/** Answered, and yet the client sends: node:http would read on without an end. */
async function dropBody(request: IncomingMessage, clock: Clock): Promise<void> {
  await discardRest(request, clock)
  if (!request.complete) request.socket.destroy()
}
