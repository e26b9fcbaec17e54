import { asError, errorMessage, type Clock, type Logger } from '@ipfs-cluster/base'
import { encodeObject } from './codec.ts'
import { methodName } from './handler.ts'
import { MsgpackError } from './msgpack-error.ts'
import { ObjectReader } from './object-reader.ts'
import { ObjectWriter } from './object-writer.ts'
import { ERROR_TYPE, MAX_OBJECT_BYTES, response, serviceId, type RpcStream } from './protocol.ts'
import { RpcError, type RpcFailure } from './rpc-error.ts'
import { abortWith, closeGently } from './stream-end.ts'
import type { RpcMethod } from './types.ts'

/** What stands before a reply: service, method and the text of an error. Bytes. */
const MAX_RESPONSE_BYTES = 1024 * 1024

export interface CallContext {
  openStream(peer: string, options: { readonly signal: AbortSignal }): Promise<RpcStream>
  readonly clock: Clock
  readonly logger: Logger
}

/** One remote call: one stream. Must be disposed. */
export class OutgoingCall<Arg, Reply> implements Disposable {
  readonly #context: CallContext
  readonly #peer: string
  readonly #method: RpcMethod<Arg, Reply>
  readonly #cancel = new AbortController()
  readonly #caller: AbortSignal | undefined
  readonly #onCallerAbort = () => this.#cancel.abort(this.#caller?.reason)
  /** What stands before every reply that is no error. */
  readonly #accepted: Uint8Array

  constructor(
    context: CallContext,
    peer: string,
    method: RpcMethod<Arg, Reply>,
    caller: AbortSignal | undefined,
  ) {
    this.#context = context
    this.#peer = peer
    this.#method = method
    this.#accepted = encodeObject(response, { service: method, error: '', errorType: 0 })
    this.#caller = caller
    caller?.addEventListener('abort', this.#onCallerAbort, { once: true })
  }

  [Symbol.dispose](): void {
    this.#caller?.removeEventListener('abort', this.#onCallerAbort)
  }

  /** Gives up: the peer took longer than `ms`. */
  expire(ms: number): void {
    this.#cancel.abort(this.#error('RPC_UNREACHABLE', `no answer from ${this.#peer} within ${ms} ms`))
  }

  /** Dials, if need be, and opens the stream. */
  async open(): Promise<RpcStream> {
    try {
      return await this.#context.openStream(this.#peer, { signal: this.#cancel.signal })
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
      writer.add(objects => {
        serviceId.encode(objects, this.#method)
        this.#method.arg.encode(objects, arg)
      })
      // Not awaited, as the peer may refuse before it has read all. When sending fails, so does reading.
      writer.flush().catch((error: unknown) => stream.abort(asError(error)))
      const reply = await this.#reply(reader)
      if (reply === undefined) throw this.#error('RPC_PROTOCOL', `${this.#peer} gave no answer`)
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
      writer.add(objects => serviceId.encode(objects, this.#method))
      await writer.advance()
      for await (const arg of args) {
        if (isOver()) return
        writer.add(objects => this.#method.arg.encode(objects, arg))
        await writer.advance()
      }
      await writer.flush()
      await stream.close()
    } catch (error) {
      if (isOver()) {
        const fields = { peer: this.#peer, method: methodName(this.#method), err: error }
        this.#context.logger.debug(fields, 'arguments of a finished call failed')
      } else this.#cancel.abort(error)
    }
  }

  /** The next reply, or `undefined` when the peer has no more. */
  async #reply(reader: ObjectReader): Promise<{ readonly value: Reply } | undefined> {
    if (!reader.tryBytes(this.#accepted)) {
      const header = await reader.next(MAX_RESPONSE_BYTES)
      if (header === undefined) return undefined
      const { error, errorType } = response.decode(header)
      if (error !== '' || errorType !== ERROR_TYPE.application) throw this.#refusal(error, errorType)
    }
    const limit = this.#method.maxReplyBytes ?? MAX_OBJECT_BYTES
    const body = reader.poll(limit) ?? (await reader.next(limit))
    // Go takes this for success with a zero value.
    if (body === undefined) throw this.#error('RPC_PROTOCOL', `${this.#peer} ended before its reply`)
    return { value: this.#method.reply.decode(body) }
  }

  #refusal(text: string, errorType: number): RpcError {
    const code =
      errorType === ERROR_TYPE.authorization
        ? 'RPC_UNAUTHORIZED'
        : errorType === ERROR_TYPE.application
          ? 'RPC_REMOTE'
          : 'RPC_PROTOCOL'
    return this.#error(code, text === '' ? `${this.#peer} refused without saying why` : text)
  }

  /** What the caller gets to see. */
  #failure(error: unknown): unknown {
    if (this.#cancel.signal.aborted) return this.#cancel.signal.reason
    if (error instanceof RpcError) return error
    const code = error instanceof MsgpackError ? 'RPC_PROTOCOL' : 'RPC_UNREACHABLE'
    return this.#error(code, `${methodName(this.#method)} on ${this.#peer}: ${errorMessage(error)}`, error)
  }

  #error(code: RpcFailure['code'], message: string, cause?: unknown): RpcError {
    const data = { code, peer: this.#peer, method: methodName(this.#method) }
    return new RpcError(message, data, cause === undefined ? {} : { cause })
  }
}
