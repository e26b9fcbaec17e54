/**
 * HTTP requests to Kubo's RPC: keep-alive, deadlines, Go-like error texts, and a brake while the daemon cannot be reached.
 */
import { Agent, type ClientRequest, type IncomingMessage } from 'node:http'
import {
  anySignal,
  concatBytes,
  createStallGuard,
  errorCode,
  errorMessage,
  silentMeter,
  utf8Text,
  type AbortOptions,
  type Clock,
  type Logger,
  type Meter,
  type TraceHeaders,
} from '@ipfs-cluster/base'
import { badAnswer, connectionBroke, IpfsError, requestFailed, timedOut } from './errors.ts'
import { failureOf, jsonLines, limited, pieces, type OnBytes } from './kubo-answer.ts'
import { BadHttp } from './kubo-answer-parser.ts'
import { createBrake } from './kubo-brake.ts'
import { requestMetrics, type RequestMetrics } from './metrics.ts'
import { NoAnswer, sendRequest, type SendBody } from './kubo-request.ts'
import { createLineReader, type LineReader } from './kubo-lines.ts'
import { createWireClient } from './kubo-wire.ts'
import { parseNodeAddress } from './node-address.ts'

/** Idle connections kept for later. */
const MAX_IDLE_SOCKETS = 32

export interface ShortRequest extends AbortOptions {
  /** Of the whole exchange; none when the caller watches it himself. */
  readonly timeoutMs?: number
}

export interface KuboRequest extends ShortRequest {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: SendBody
}

export interface KuboClient extends AsyncDisposable {
  /** POSTs and reads the whole answer. */
  bytes(path: string, request: KuboRequest): Promise<Uint8Array>
  text(path: string, request: KuboRequest): Promise<string>
  /** POSTs and yields the answer as it arrives, of any length. Ends well only if the daemon did. */
  stream(path: string, request: KuboRequest): AsyncGenerator<Uint8Array>
  /** POSTs and yields the JSON objects of the answer, one a line, as they arrive. Ends well only if the daemon did. */
  lines(path: string, request: KuboRequest): AsyncGenerator<unknown>
  /**
   * POSTs without a body and calls `onAnswer` with each JSON object of a short answer as it arrives: for what is asked of every pin.
   * Resolves when the daemon has ended its answer well.
   */
  ask(path: string, onAnswer: (answer: unknown) => void, request: ShortRequest): Promise<void>
  /** Several such questions in one piece, answered one after the other. */
  askMany(paths: readonly string[], request: ShortRequest): Promise<ShortAnswer[]>
}

export interface ShortAnswer {
  /** The JSON objects of the answer. */
  readonly answers: readonly unknown[]
  /** The daemon's message when it refused. */
  readonly refusal: string | undefined
}

export interface KuboClientComponents {
  readonly clock: Clock
  readonly logger: Logger
  /** Tells the daemon of the trace that a request is part of. Asked where the request is made. */
  readonly trace?: (() => TraceHeaders | undefined) | undefined
  /** @default silentMeter */
  readonly meter?: Meter | undefined
}

type Read<T> = (path: string, response: IncomingMessage, onBytes: OnBytes) => AsyncGenerator<T>

/**
 * @param nodeMultiaddress `/ip4/127.0.0.1/tcp/5001`, `/dns4/…`, `/unix/…`.
 * @throws IpfsError `IPFS_UNREACHABLE`, `IPFS_REQUEST_FAILED`, `IPFS_TIMEOUT` from every request; `RangeError` at once for an
 * address that is none.
 */
export function createKuboClient(
  { clock, logger, trace, meter = silentMeter }: KuboClientComponents,
  nodeMultiaddress: string,
): KuboClient {
  const address = parseNodeAddress(nodeMultiaddress)
  const agent = new Agent({ keepAlive: true, maxFreeSockets: MAX_IDLE_SOCKETS })
  const measure = requestMetrics(meter, clock)
  const brake = createBrake({ clock, logger })
  const wire = createWireClient(address)
  const closing = new AbortController()
  const active = new Set<Promise<unknown>>()

  async function* exchange<T>(path: string, request: KuboRequest, read: Read<T>): AsyncGenerator<T> {
    const { body, headers = {}, timeoutMs } = request
    const traceparent = trace?.()
    // Unlike clock.timeout it leaves no timer behind: a deadline of hours would keep one for each request made since.
    using deadline = timeoutMs === undefined ? undefined : createStallGuard(clock, timeoutMs)
    const signal = anySignal(closing.signal, request.signal, deadline?.signal) ?? closing.signal
    const done = Promise.withResolvers<void>()
    active.add(done.promise)
    const metrics = measure()
    const onBytes = (count: number) => metrics.received(count)
    let outgoing: ClientRequest | undefined
    let status: number | undefined
    try {
      signal.throwIfAborted()
      await brake.pass(signal)
      logger.debug({ path }, 'posting to IPFS')
      const sent = await sendRequest({
        address,
        agent,
        path,
        headers: { ...traceparent, ...headers },
        body: body && countedBody(body, metrics),
        signal,
      })
      brake.reached()
      outgoing = sent.outgoing
      status = sent.response.statusCode
      if (status !== 200) throw await failureOf(path, sent.response, onBytes)
      for await (const item of read(path, sent.response, onBytes)) {
        // While the consumer is busy with an item, nothing here is under way that a disposal could wait for.
        active.delete(done.promise)
        yield item
        active.add(done.promise)
      }
      const trailer = sent.response.trailers['x-stream-error']
      if (trailer !== undefined) throw requestFailed(path, 200, trailer)
      if (outgoing.writableFinished) outgoing = undefined
    } catch (error) {
      if (error instanceof NoAnswer && !signal.aborted) brake.failed()
      const expired = deadline?.signal.aborted === true && signal.reason === deadline.signal.reason
      if (expired && !(error instanceof IpfsError)) throw timedOut(path, timeoutMs ?? 0)
      throw signal.aborted ? signal.reason : failure(path, error)
    } finally {
      metrics.ended(status)
      // Unless both directions ended well, the connection is of no more use.
      outgoing?.destroy()
      active.delete(done.promise)
      done.resolve()
    }
  }

  function failure(path: string, error: unknown): unknown {
    if (error instanceof NoAnswer) return unreachable(path, nodeMultiaddress, error.cause ?? error)
    // Errors of this room, and of a request's body, stay what they are.
    if (error instanceof IpfsError || errorCode(error) === undefined) return error
    if (error instanceof BadHttp) return badAnswer(path, error.message, error)
    return connectionBroke(path, error)
  }

  /** Sends them over one connection. Rejects only when none of them can have an answer. */
  async function short(readers: readonly LineReader[], request: ShortRequest): Promise<void> {
    const path = readers[0]?.path ?? ''
    const { timeoutMs } = request
    closing.signal.throwIfAborted()
    request.signal?.throwIfAborted()
    using deadline = timeoutMs === undefined ? undefined : createStallGuard(clock, timeoutMs)
    const signal = anySignal(request.signal, deadline?.signal)
    const headers = { ...trace?.() }
    const done = Promise.withResolvers<void>()
    active.add(done.promise)
    try {
      if (brake.isOn()) await brake.pass(anySignal(closing.signal, signal) ?? closing.signal)
      logger.debug({ path }, 'posting to IPFS')
      await wire.post(
        readers.map(reader => ({ path: reader.path, headers, reader })),
        signal,
      )
      brake.reached()
    } catch (error) {
      if (request.signal?.aborted === true) throw request.signal.reason
      if (closing.signal.aborted) throw closing.signal.reason
      if (deadline?.signal.aborted === true) throw timedOut(path, timeoutMs ?? 0)
      if (error instanceof NoAnswer) brake.failed()
      throw failure(path, error)
    } finally {
      for (const reader of readers) reader.closed()
      active.delete(done.promise)
      done.resolve()
    }
  }

  async function ask(
    path: string,
    onAnswer: (answer: unknown) => void,
    request: ShortRequest,
  ): Promise<void> {
    const reader = createLineReader(path, onAnswer, measure())
    await short([reader], request)
    const error = reader.failure()
    if (error !== undefined) throw error
  }

  async function askMany(paths: readonly string[], request: ShortRequest): Promise<ShortAnswer[]> {
    const answers = paths.map((): unknown[] => [])
    const readers = paths.map((path, i) =>
      createLineReader(path, answer => answers[i]?.push(answer), measure()),
    )
    await short(readers, request)
    return readers.map((reader, i) => ({ answers: answers[i] ?? [], refusal: reader.refusal() }))
  }

  async function bytes(path: string, request: KuboRequest): Promise<Uint8Array> {
    return concatBytes(await Array.fromAsync(exchange(path, request, limited)))
  }

  return {
    bytes,
    text: async (path, request) => utf8Text(await bytes(path, request)),
    stream: (path, request) => exchange(path, request, pieces),
    lines: (path, request) => exchange(path, request, jsonLines),
    ask,
    askMany,
    async [Symbol.asyncDispose]() {
      closing.abort(new DOMException('the IPFS connector is stopped', 'AbortError'))
      wire.close(closing.signal.reason)
      await Promise.all(active)
      agent.destroy()
    },
  }
}

function countedBody(body: SendBody, metrics: Pick<RequestMetrics, 'sent'>): SendBody {
  return writer =>
    body({
      write(data, onSent) {
        metrics.sent(data.length)
        return writer.write(data, onSent)
      },
    })
}

function unreachable(path: string, address: string, cause: unknown): IpfsError {
  return new IpfsError(
    `IPFS request failed (is it running?) (${path}): cannot reach the IPFS daemon at ${address} ` +
      `(${errorMessage(cause)}): start it, or correct node_multiaddress in the configuration`,
    { code: 'IPFS_UNREACHABLE', address },
    { cause },
  )
}
