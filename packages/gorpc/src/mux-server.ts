import { errorMessage, EMPTY_BYTES, type TraceHeaders } from '@ipfs-cluster/base'
import { Assembly } from './assembly.ts'
import { refusalReason } from './call-error.ts'
import { encodeObject } from './codec.ts'
import { methodName } from './handler.ts'
import { argLimit, type ServingContext } from './incoming-call.ts'
import { MAX_MUX_UNSENT_BYTES, MAX_SERVICE_ID_BYTES, REPLY_STALL_MS, REQUEST_TIMEOUT_MS } from './limits.ts'
import { MsgpackError } from './msgpack-error.ts'
import { MsgpackReader } from './msgpack-reader.ts'
import { ObjectScanner, tooLarge } from './msgpack-scanner.ts'
import { FRAME, malformed, type Frame } from './mux-frame.ts'
import { MuxWire } from './mux-wire.ts'
import type { PeerAccount } from './peer-account.ts'
import {
  ERROR_TYPE,
  fitsMux,
  response,
  opening,
  startTimer,
  traceOf,
  type Opening,
  type RpcStream,
  type ServiceId,
} from './protocol.ts'
import type { RpcContext, RpcHandler } from './types.ts'

type UnaryHandler = RpcHandler & { readonly serve: { readonly kind: 'unary' } }

/** A request that has arrived in part. */
interface Partial {
  /** Missing when the call is refused already and the rest is dropped. */
  readonly handler: UnaryHandler | undefined
  readonly assembly: Assembly
  /** Where the argument begins. */
  readonly argStart: number
  readonly trace: TraceHeaders | undefined
  readonly timer: Disposable
}

export interface MuxServingContext extends ServingContext {
  readonly maxCallsPerPeer: number
  countCall(): void
}

const CANCELLED = new Error('the caller cancelled the call')
const OVER = new Error('the call is over')

/** One stream of `MUX_PROTOCOL` being served. Make it in the same turn in which libp2p handed the stream over. */
export class IncomingMux {
  readonly #context: MuxServingContext
  readonly #peer: string
  readonly #account: PeerAccount
  readonly #wire: MuxWire
  /** Calls whose callers wait, each with what aborts it. */
  readonly #calls = new Map<number, AbortController>()
  readonly #partials = new Map<number, Partial>()
  readonly #running = new Set<Promise<void>>()
  readonly #closed = Promise.withResolvers<void>()
  #lastId = 0
  #ending = false

  constructor(context: MuxServingContext, stream: RpcStream, peer: string, account: PeerAccount) {
    this.#context = context
    this.#peer = peer
    this.#account = account
    const limits = {
      maxBytes: MAX_MUX_UNSENT_BYTES,
      stallMs: REPLY_STALL_MS,
      frameMs: REQUEST_TIMEOUT_MS,
    }
    this.#wire = new MuxWire(
      stream,
      context.clock,
      {
        onFrame: frame => this.#onFrame(frame),
        onEnd: () => this.#onEnd(),
        onClose: error => this.#onClose(error),
        onRefusal: reason => context.refusals.count(reason),
      },
      limits,
    )
  }

  /** Resolves when the stream is closed, well or badly. */
  async closed(): Promise<void> {
    await this.#closed.promise
  }

  /** Resolves when the stream is closed and all of its calls are over. */
  async over(): Promise<void> {
    await this.closed()
    await Promise.all(this.#running)
  }

  /** Resets the stream and aborts its calls. */
  abort(error: Error): void {
    this.#wire.abort(error)
  }

  #onFrame(frame: Frame): void {
    if (frame.type === FRAME.cancel) return this.#cancel(frame.id)
    if (frame.type !== FRAME.request) return this.#malformed('a reply to nobody')
    const partial = this.#partials.get(frame.id)
    if (partial === undefined) this.#begin(frame)
    else this.#goOn(partial, frame)
  }

  /** The first or only piece of a request. It holds the ServiceID, so that nothing of a call that is not allowed is kept. */
  #begin(frame: Frame): void {
    const { id, payload, more } = frame
    if (id <= this.#lastId) return this.#malformed('a call id for the second time')
    this.#lastId = id
    const reader = new MsgpackReader(payload)
    let service: Opening
    try {
      service = opening.decode(reader)
      if (reader.offset > MAX_SERVICE_ID_BYTES) throw tooLarge(MAX_SERVICE_ID_BYTES)
    } catch (error) {
      return this.#undecodable(frame, undefined, error, 'error reading service ID: ')
    }
    const handler = this.#admit(frame, service)
    if (handler === undefined) return
    try {
      checkArg(payload, reader.offset, payload.length, argLimit(handler.method))
      if (!more) return this.#serve(id, handler, reader, traceOf(service))
    } catch (error) {
      return this.#undecodable(frame, handler.method, error)
    }
    this.#keep(frame, handler, reader.offset, traceOf(service))
  }

  /** The handler, or `undefined` when the call is refused. */
  #admit(frame: Frame, service: ServiceId): UnaryHandler | undefined {
    const admission = this.#context.admit(service, this.#peer)
    if ('refusal' in admission) {
      this.#refuse(frame, service, admission.refusal, admission.errorType, admission.reason)
    } else if (!isUnary(admission.handler)) {
      const text = `rpc: ${methodName(service)} needs a stream of its own`
      this.#refuse(frame, service, text, ERROR_TYPE.client, 'malformed')
    } else if (this.#account.calls.size + this.#account.partials >= this.#context.maxCallsPerPeer) {
      this.#context.refusals.count('too_many_calls')
      this.#wire.send(FRAME.cancel, frame.id, EMPTY_BYTES)
      this.#dropRest(frame)
    } else {
      return admission.handler
    }
    return undefined
  }

  /** A further piece of a request. */
  #goOn(partial: Partial, frame: Frame): void {
    const { handler, assembly, argStart, trace } = partial
    if (handler === undefined) {
      if (!frame.more) this.#forget(frame.id)
      return
    }
    assembly.add(frame.payload)
    this.#hold(frame.payload.length)
    if (this.#wire.closed) return
    const limit = argLimit(handler.method)
    try {
      if (assembly.length - argStart > limit) throw tooLarge(limit)
      if (frame.more) return
      this.#forget(frame.id)
      this.#serve(frame.id, handler, new MsgpackReader(assembly.bytes(), argStart), trace)
    } catch (error) {
      this.#forget(frame.id)
      this.#undecodable(frame, handler.method, error)
    }
  }

  #keep(
    { id, payload }: Frame,
    handler: UnaryHandler | undefined,
    argStart: number,
    trace?: TraceHeaders,
  ): void {
    const assembly = new Assembly()
    if (handler !== undefined) assembly.add(payload)
    const timer = startTimer(this.#context.clock, REQUEST_TIMEOUT_MS, () =>
      this.#wire.refuse('slow_request', new Error(`a request was not whole within ${REQUEST_TIMEOUT_MS} ms`)),
    )
    this.#partials.set(id, { handler, assembly, argStart, trace, timer })
    this.#account.partials++
    this.#hold(assembly.length)
  }

  #hold(bytes: number): void {
    this.#account.requestBytes += bytes
    if (this.#account.requestBytes > this.#context.maxRequestBytesPerPeer) {
      this.#wire.refuse('too_many_request_bytes', new Error('too many bytes of requests at once'))
    }
  }

  #forget(id: number): void {
    const partial = this.#partials.get(id)
    if (partial === undefined) return
    this.#partials.delete(id)
    this.#account.partials--
    this.#account.requestBytes -= partial.assembly.length
    partial.timer[Symbol.dispose]()
  }

  /** What else comes of a refused request is passed over. */
  #dropRest(frame: Frame): void {
    if (!frame.more || this.#wire.closed) return
    if (this.#account.partials >= this.#context.maxCallsPerPeer) {
      return this.#wire.refuse('too_many_calls', new Error('too many unfinished requests'))
    }
    this.#keep(frame, undefined, 0)
  }

  /** @throws MsgpackError when the argument is not what the method takes. */
  #serve(id: number, handler: UnaryHandler, reader: MsgpackReader, trace?: TraceHeaders): void {
    if (reader.remaining === 0) {
      this.#sendError(id, handler.method, 'EOF', ERROR_TYPE.server)
      return this.#context.refusals.count('malformed')
    }
    const arg = handler.method.arg.decode(reader)
    this.#context.countCall()
    const gone = new AbortController()
    this.#calls.set(id, gone)
    const context = { peer: this.#peer, signal: gone.signal, trace }
    const serving = this.#answer(id, handler, arg, context, gone).finally(() => {
      this.#running.delete(serving)
      this.#account.calls.delete(serving)
      this.#finish()
    })
    this.#running.add(serving)
    this.#account.calls.add(serving)
  }

  /** Never rejects. */
  async #answer(
    id: number,
    handler: UnaryHandler,
    arg: unknown,
    context: RpcContext,
    gone: AbortController,
  ): Promise<void> {
    const { method, serve } = handler
    let reply: Uint8Array | undefined
    let failure = ''
    try {
      reply = encodeObject(method.reply, await serve.call(arg, context))
    } catch (error) {
      this.#context.logger.debug(
        { peer: this.#peer, method: methodName(method), err: error },
        'method failed',
      )
      failure = errorMessage(error)
    }
    // Gone when nobody waits any more.
    if (!this.#calls.delete(id)) return
    // So that signals joined with this one are let go.
    gone.abort(OVER)
    if (reply !== undefined) this.#wire.send(FRAME.reply, id, reply)
    else this.#sendError(id, method, failure, ERROR_TYPE.application)
  }

  #cancel(id: number): void {
    this.#forget(id)
    this.#wire.drop(id)
    const call = this.#calls.get(id)
    this.#calls.delete(id)
    call?.abort(CANCELLED)
  }

  #undecodable(frame: Frame, service: ServiceId | undefined, error: unknown, prefix = ''): void {
    if (!(error instanceof MsgpackError)) throw error
    this.#refuse(frame, service, prefix + error.message, ERROR_TYPE.server, refusalReason(error))
  }

  #refuse(
    frame: Frame,
    service: ServiceId | undefined,
    text: string,
    errorType: number,
    reason: string,
  ): void {
    this.#context.refusals.count(reason)
    this.#sendError(frame.id, service, text, errorType)
    this.#dropRest(frame)
  }

  #sendError(id: number, service: ServiceId | undefined, error: string, errorType: number): void {
    const named = service ?? { service: '', method: '' }
    this.#wire.send(FRAME.error, id, encodeObject(response, { service: named, error, errorType }))
  }

  #malformed(what: string): void {
    this.#wire.refuse('malformed', malformed(what))
  }

  /** The caller asks nothing more: what it has asked is answered, and then the stream ends. */
  #onEnd(): void {
    this.#ending = true
    this.#finish()
  }

  #finish(): void {
    if (this.#ending && this.#running.size === 0) this.#wire.close()
  }

  #onClose(error: Error): void {
    for (const id of this.#partials.keys()) this.#forget(id)
    for (const call of this.#calls.values()) call.abort(error)
    this.#calls.clear()
    this.#closed.resolve()
  }
}

function isUnary(handler: RpcHandler): handler is UnaryHandler {
  return handler.serve.kind === 'unary' && fitsMux(handler.method)
}

/** Refuses an argument that announces more than `limit` bytes before the rest of it has arrived. */
function checkArg(bytes: Uint8Array, start: number, end: number, limit: number): void {
  new ObjectScanner().scan(bytes, start, end, limit)
}
