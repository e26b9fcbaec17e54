import { asError, type Clock, type Logger, type Refusals, type TraceHeaders } from '@ipfs-cluster/base'
import type { CallCounter } from './call-counter.ts'
import { callError, failedCall, refusalError, refusalReason, type Target } from './call-error.ts'
import { encodeObject } from './codec.ts'
import { methodName } from './handler.ts'
import { MsgpackError } from './msgpack-error.ts'
import { MsgpackReader } from './msgpack-reader.ts'
import { MsgpackWriter } from './msgpack-writer.ts'
import { FRAME } from './mux-frame.ts'
import type { MuxDialer, MuxPool } from './mux-pool.ts'
import type { MuxSession } from './mux-session.ts'
import { ObjectReader } from './object-reader.ts'
import { ObjectWriter } from './object-writer.ts'
import { encodeOpening, ERROR_TYPE, MAX_OBJECT_BYTES, response, type RpcStream } from './protocol.ts'
import { abortWith, closeGently } from './stream-end.ts'
import type { Codec, RpcMethod } from './types.ts'

/** What stands before a reply: service, method and the text of an error. Bytes. */
const MAX_RESPONSE_BYTES = 1024 * 1024

export interface CallContext {
  openStream(peer: string, options: { readonly signal: AbortSignal }): Promise<RpcStream>
  readonly clock: Clock
  readonly logger: Logger
  readonly refusals: Refusals
  readonly calls: CallCounter
  readonly mux?: MuxDialer
  readonly trace?: () => TraceHeaders | undefined
}

/** One remote call, over a stream of its own or over one that is shared. Must be disposed. */
export class OutgoingCall<Arg, Reply> implements Disposable, Target {
  readonly peer: string
  readonly method: RpcMethod<Arg, Reply>
  readonly #context: CallContext
  readonly #cancel = new AbortController()
  readonly #caller: AbortSignal | undefined
  readonly #onCallerAbort = () => this.#cancel.abort(this.#caller?.reason)
  /** What stands before every reply on a stream that is no error. */
  #accepted: Uint8Array | undefined
  readonly #trace: TraceHeaders | undefined

  constructor(
    context: CallContext,
    peer: string,
    method: RpcMethod<Arg, Reply>,
    caller: AbortSignal | undefined,
  ) {
    this.#context = context
    this.peer = peer
    this.method = method
    this.#caller = caller
    // Here, as it depends on who calls; what comes later may run on behalf of somebody else.
    this.#trace = context.trace?.()
    caller?.addEventListener('abort', this.#onCallerAbort, { once: true })
  }

  [Symbol.dispose](): void {
    this.#caller?.removeEventListener('abort', this.#onCallerAbort)
  }

  /** Gives up: the peer took longer than `ms`. */
  expire(ms: number): void {
    this.#cancel.abort(callError(this, 'RPC_UNREACHABLE', `no answer from ${this.peer} within ${ms} ms`))
  }

  /** Dials, if need be, and opens a stream for this call. */
  async open(): Promise<RpcStream> {
    try {
      return await this.#context.openStream(this.peer, { signal: this.#cancel.signal })
    } catch (error) {
      throw this.#failure(error)
    }
  }

  /** As `MuxPool.reach`. */
  async reach(pool: MuxPool): Promise<MuxSession | RpcStream | undefined> {
    try {
      return pool.session(this.peer) ?? (await pool.reach(this.peer, this.#cancel.signal))
    } catch (error) {
      throw this.#failure(error)
    }
  }

  /** A unary call among others on one stream. */
  async askShared(session: MuxSession, arg: Arg): Promise<Reply> {
    try {
      const writer = new MsgpackWriter()
      encodeOpening(writer, this.method, this.#trace)
      this.method.arg.encode(writer, arg)
      this.#context.calls.count('mux')
      const { type, bytes } = await session.ask(writer.take(), this.#replyLimit, this.#cancel.signal)
      if (type === FRAME.reply) return this.#decode(this.method.reply, new MsgpackReader(bytes))
      const { error, errorType } = this.#decode(response, new MsgpackReader(bytes))
      throw refusalError(this, error, errorType)
    } catch (error) {
      throw this.#failure(error)
    }
  }

  /** A unary call. Our side stays open until the reply is here: a Go server takes its end for a cancelled call. */
  async ask(stream: RpcStream, arg: Arg): Promise<Reply> {
    using _ = abortWith(stream, this.#cancel.signal)
    const reader = new ObjectReader(stream)
    try {
      const writer = new ObjectWriter(stream)
      this.#context.calls.count('stream')
      writer.add(objects => {
        encodeOpening(objects, this.method, this.#traceOnStream)
        this.method.arg.encode(objects, arg)
      })
      // Not awaited, as the peer may refuse before it has read all. When sending fails, so does reading.
      writer.flush().catch((error: unknown) => stream.abort(asError(error)))
      const reply = await this.#reply(reader)
      if (reply === undefined) throw callError(this, 'RPC_PROTOCOL', `${this.peer} gave no answer`)
      void closeGently(stream, reader, this.#context.clock)
      return reply.value
    } catch (error) {
      stream.abort(asError(error))
      throw this.#failure(error)
    }
  }

  /** A streaming call. Leaving the loop resets the stream. */
  async *converse(stream: RpcStream, args: AsyncIterable<Arg> | Iterable<Arg>): AsyncGenerator<Reply> {
    using _ = abortWith(stream, this.#cancel.signal)
    const reader = new ObjectReader(stream)
    let over = false
    this.#context.calls.count('stream')
    void this.#sendAll(stream, args, () => over || reader.closed)
    try {
      while (true) {
        const reply = await this.#reply(reader)
        if (reply === undefined) break
        yield reply.value
      }
      over = true
      void closeGently(stream, reader, this.#context.clock)
    } catch (error) {
      throw this.#failure(error)
    } finally {
      if (!over) {
        over = true
        stream.abort(new Error('the caller left'))
      }
    }
  }

  /** Sends the arguments and ends our side. A failure of their source ends the call; one of the stream is the reader's to report. */
  async #sendAll(stream: RpcStream, args: AsyncIterable<Arg> | Iterable<Arg>, isOver: () => boolean) {
    try {
      const writer = new ObjectWriter(stream)
      writer.add(objects => encodeOpening(objects, this.method, this.#traceOnStream))
      await writer.advance()
      for await (const arg of args) {
        if (isOver()) return
        writer.add(objects => this.method.arg.encode(objects, arg))
        await writer.advance()
      }
      await writer.flush()
      await stream.close()
    } catch (error) {
      if (isOver()) {
        const fields = { peer: this.peer, method: methodName(this.method), err: error }
        this.#context.logger.debug(fields, 'arguments of a finished call failed')
      } else this.#cancel.abort(error)
    }
  }

  /** The next reply, or `undefined` when the peer has no more. */
  async #reply(reader: ObjectReader): Promise<{ readonly value: Reply } | undefined> {
    this.#accepted ??= encodeObject(response, { service: this.method, error: '', errorType: 0 })
    if (!reader.tryBytes(this.#accepted)) {
      const header = await this.#object(reader, MAX_RESPONSE_BYTES)
      if (header === undefined) return undefined
      const { error, errorType } = this.#decode(response, header)
      if (error !== '' || errorType !== ERROR_TYPE.application) throw refusalError(this, error, errorType)
    }
    const body = await this.#object(reader, this.#replyLimit)
    // Go takes this for success with a zero value.
    if (body === undefined) throw callError(this, 'RPC_PROTOCOL', `${this.peer} ended before its reply`)
    return { value: this.#decode(this.method.reply, body) }
  }

  /** On the Go protocol: nothing for peers that may be Go's. */
  get #traceOnStream(): TraceHeaders | undefined {
    if (this.#trace === undefined) return undefined
    return this.#context.mux?.speaks?.(this.peer) === true ? this.#trace : undefined
  }

  get #replyLimit(): number {
    return this.method.maxReplyBytes ?? MAX_OBJECT_BYTES
  }

  /** As `reader.next`; what cannot be read is counted. */
  async #object(reader: ObjectReader, limit: number): Promise<MsgpackReader | undefined> {
    try {
      return reader.poll(limit) ?? (await reader.next(limit))
    } catch (error) {
      throw this.#counted(error)
    }
  }

  #decode<T>(codec: Codec<T>, bytes: MsgpackReader): T {
    try {
      return codec.decode(bytes)
    } catch (error) {
      throw this.#counted(error)
    }
  }

  #counted(error: unknown): unknown {
    if (error instanceof MsgpackError) this.#context.refusals.count(refusalReason(error))
    return error
  }

  /** What the caller gets to see. */
  #failure(error: unknown): unknown {
    return this.#cancel.signal.aborted ? this.#cancel.signal.reason : failedCall(this, error)
  }
}
