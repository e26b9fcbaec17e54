import { asError, errorMessage, type Clock, type Logger, type Refusals } from '@ipfs-cluster/base'
import { refusalReason } from './call-error.ts'
import { methodName } from './handler.ts'
import {
  ARG_TIMEOUT_MS,
  MAX_OPEN_ARG_BYTES,
  MAX_OPEN_CALL_BYTES,
  MAX_REPLY_BYTES_PER_PEER,
  MAX_SERVICE_ID_BYTES,
  REPLY_STALL_MS,
  REQUEST_TIMEOUT_MS,
} from './limits.ts'
import type { Admission } from './method-table.ts'
import { MsgpackError } from './msgpack-error.ts'
import type { MsgpackReader } from './msgpack-reader.ts'
import type { MsgpackWriter } from './msgpack-writer.ts'
import { ObjectReader } from './object-reader.ts'
import { ObjectWriter } from './object-writer.ts'
import type { PeerAccount } from './peer-account.ts'
import {
  ERROR_TYPE,
  MAX_OBJECT_BYTES,
  response,
  opening,
  startTimer,
  traceOf,
  type Opening,
  type RpcStream,
  type ServiceId,
} from './protocol.ts'
import { abortWith, closeGently } from './stream-end.ts'
import type { RpcContext, RpcHandler, RpcMethod } from './types.ts'

export interface ServingContext {
  admit(id: ServiceId, peer: string): Admission
  readonly clock: Clock
  readonly logger: Logger
  readonly refusals: Refusals
  readonly maxRequestBytesPerPeer: number
}

type UnaryServe = Extract<RpcHandler['serve'], { kind: 'unary' }>
type StreamingServe = Extract<RpcHandler['serve'], { kind: 'streaming' }>
/** Writes the body behind a response. */
type Body = (writer: MsgpackWriter) => void

const NIL: Body = writer => writer.nil()

/** One call being served: one stream. */
export class IncomingCall {
  readonly #context: ServingContext
  readonly #stream: RpcStream
  readonly #peer: string
  readonly #account: PeerAccount
  readonly #reader: ObjectReader
  readonly #writer: ObjectWriter
  /** Fires when nobody waits for the answer any more. */
  readonly #gone = new AbortController()
  readonly #stopped: AbortSignal

  constructor(
    context: ServingContext,
    stream: RpcStream,
    peer: string,
    account: PeerAccount,
    stopped: AbortSignal,
  ) {
    this.#context = context
    this.#stream = stream
    this.#peer = peer
    this.#account = account
    this.#stopped = stopped
    this.#reader = new ObjectReader(stream, {
      hold: bytes => this.#hold(bytes),
      onExcess: () => context.refusals.count('endless_request'),
    })
    this.#writer = new ObjectWriter(stream, {
      clock: context.clock,
      stallMs: REPLY_STALL_MS,
      onStall: () => this.#reset('slow_reader', 'the caller does not read'),
    })
    // Half-closing is no reason to stop: a caller that ends its side early still gets its answer.
    stream.addEventListener('close', event => {
      this.#gone.abort(event.error ?? new Error('the caller left'))
    })
  }

  /** Resolves when the call is over in both directions. @throws when the stream fails. */
  async serve(): Promise<void> {
    using _ = abortWith(this.#stream, this.#stopped)
    try {
      await this.#run()
      await closeGently(this.#stream, this.#reader, this.#context.clock)
    } catch (error) {
      this.#stream.abort(asError(error))
      throw error
    } finally {
      // Lets go of what nobody has read.
      this.#reader.discard()
    }
  }

  async #run(): Promise<void> {
    let request: MsgpackReader | undefined
    let id: Opening
    try {
      request = await this.#request(MAX_SERVICE_ID_BYTES)
      // Opened and ended without a word.
      if (request === undefined) return
      id = opening.decode(request)
    } catch (error) {
      if (!(error instanceof MsgpackError)) throw error
      this.#context.refusals.count(refusalReason(error))
      return await this.#refuse(undefined, `error reading service ID: ${error.message}`, ERROR_TYPE.server)
    }
    const admission = this.#context.admit(id, this.#peer)
    if ('refusal' in admission) {
      this.#context.refusals.count(admission.reason)
      return await this.#refuse(id, admission.refusal, admission.errorType)
    }
    const { method, serve } = admission.handler
    const context = { peer: this.#peer, signal: this.#gone.signal, trace: traceOf(id) }
    if (serve.kind === 'unary') await this.#unary(method, serve, context)
    else await this.#streaming(method, serve, context)
  }

  async #unary(method: RpcMethod<unknown, unknown>, serve: UnaryServe, context: RpcContext): Promise<void> {
    let arg: unknown
    try {
      const object = await this.#request(argLimit(method))
      if (object === undefined) return await this.#refuse(method, 'EOF', ERROR_TYPE.server)
      arg = method.arg.decode(object)
    } catch (error) {
      if (!(error instanceof MsgpackError)) throw error
      this.#context.refusals.count(refusalReason(error))
      return await this.#refuse(method, error.message, ERROR_TYPE.server)
    }
    // A second request on the same stream is not looked at.
    this.#reader.discard()
    try {
      const reply = await serve.call(arg, context)
      this.#add(method, reply)
    } catch (error) {
      this.#addFailure(method, error)
    }
    await this.#flushReply()
  }

  /** Sends the one reply of a unary call, unless too much waits for this peer already. */
  async #flushReply(): Promise<void> {
    const { length } = this.#writer
    const account = this.#account
    if (account.replyBytes > 0 && account.replyBytes + length > MAX_REPLY_BYTES_PER_PEER) {
      return this.#reset('slow_reader', 'too many bytes wait to be read')
    }
    account.replyBytes += length
    try {
      await this.#writer.flush()
    } finally {
      account.replyBytes -= length
    }
  }

  async #streaming(
    method: RpcMethod<unknown, unknown>,
    serve: StreamingServe,
    context: RpcContext,
  ): Promise<void> {
    try {
      for await (const reply of serve.call(this.#args(method), context)) {
        this.#add(method, reply)
        await this.#writer.advance()
      }
    } catch (error) {
      this.#addFailure(method, error)
    }
    await this.#writer.flush()
  }

  async *#args(method: RpcMethod<unknown, unknown>): AsyncGenerator<unknown> {
    const limit = argLimit(method)
    if (method.policy === 'open') this.#reader.allow(MAX_OPEN_CALL_BYTES)
    try {
      while (true) {
        const object = await this.#request(limit, ARG_TIMEOUT_MS)
        if (object === undefined) return
        yield method.arg.decode(object)
      }
    } catch (error) {
      if (error instanceof MsgpackError) this.#context.refusals.count(refusalReason(error))
      throw error
    }
  }

  /** Waits for an object of the request, but not for ever. */
  async #request(maxBytes: number, timeoutMs = REQUEST_TIMEOUT_MS): Promise<MsgpackReader | undefined> {
    const object = this.#reader.poll(maxBytes)
    if (object !== undefined) return object
    using _ = startTimer(this.#context.clock, timeoutMs, () =>
      this.#reset('slow_request', `no request within ${timeoutMs} ms`),
    )
    return await this.#reader.next(maxBytes)
  }

  #hold(bytes: number): void {
    this.#account.requestBytes += bytes
    if (bytes > 0 && this.#account.requestBytes > this.#context.maxRequestBytesPerPeer) {
      this.#reset('too_many_request_bytes', 'too many bytes of requests at once')
    }
  }

  #reset(reason: string, message: string): void {
    this.#context.refusals.count(reason)
    this.#stream.abort(new Error(message))
  }

  #add(method: RpcMethod<unknown, unknown>, reply: unknown): void {
    this.#respond(method, '', ERROR_TYPE.application, writer => method.reply.encode(writer, reply))
  }

  /** Go sends the method's zero value behind an application error of a unary method, nil behind that of a streaming one. */
  #addFailure(method: RpcMethod<unknown, unknown>, error: unknown): void {
    const { zero } = method.reply
    const hasZero = method.kind === 'unary' && zero !== undefined
    const body: Body = hasZero ? writer => method.reply.encode(writer, zero) : NIL
    this.#context.logger.debug({ peer: this.#peer, method: methodName(method), err: error }, 'method failed')
    this.#respond(method, errorMessage(error), ERROR_TYPE.application, body)
  }

  async #refuse(id: ServiceId | undefined, text: string, errorType: number): Promise<void> {
    this.#respond(id, text, errorType, NIL)
    await this.#writer.flush()
  }

  #respond(service: ServiceId | undefined, error: string, errorType: number, body: Body): void {
    this.#writer.add(writer => {
      response.encode(writer, { service: service ?? { service: '', method: '' }, error, errorType })
      body(writer)
    })
  }
}

/** Largest argument of a method. Bytes. */
export function argLimit(method: RpcMethod<unknown, unknown>): number {
  return method.policy === 'open' ? MAX_OPEN_ARG_BYTES : MAX_OBJECT_BYTES
}
