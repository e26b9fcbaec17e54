import { EMPTY_BYTES, type Clock, type Refusals } from '@ipfs-cluster/base'
import { Assembly } from './assembly.ts'
import { MAX_MUX_UNSENT_BYTES, REQUEST_TIMEOUT_MS } from './limits.ts'
import { tooLarge } from './msgpack-scanner.ts'
import { FRAME, malformed, type Frame } from './mux-frame.ts'
import { MuxWire } from './mux-wire.ts'
import type { RpcStream } from './protocol.ts'
import { RpcError } from './rpc-error.ts'

/** What stands in an error: service, method and its text. Bytes. */
const MAX_ERROR_BYTES = 1024 * 1024
/** How long the peer may take nothing of what we have to send. Milliseconds: beyond every deadline of an ordinary call. */
const SEND_STALL_MS = 60_000

export interface MuxAnswer {
  readonly type: typeof FRAME.reply | typeof FRAME.error
  /** May be a view of what arrived together with it. */
  readonly bytes: Uint8Array
}

interface Pending {
  readonly maxReplyBytes: number
  readonly resolve: (answer: MuxAnswer) => void
  readonly reject: (error: unknown) => void
  assembly: Assembly | undefined
}

export interface SessionContext {
  readonly clock: Clock
  readonly refusals: Refusals
}

export interface SessionOwner {
  /** Once, and before `onClose`: no new calls may be made. */
  onRetire(): void
  /** Once: the stream is over, with what ended it. */
  onClose(error: Error): void
}

/** Our calls to one peer over one stream of `MUX_PROTOCOL`. Make it in the same turn in which the stream was handed over. */
export class MuxSession {
  readonly #wire: MuxWire
  readonly #calls = new Map<number, Pending>()
  readonly #owner: SessionOwner
  readonly #refusals: Refusals
  #nextId = 1
  #retired = false
  #error: Error | undefined

  constructor({ clock, refusals }: SessionContext, stream: RpcStream, owner: SessionOwner) {
    this.#owner = owner
    this.#refusals = refusals
    const limits = { maxBytes: MAX_MUX_UNSENT_BYTES, stallMs: SEND_STALL_MS, frameMs: REQUEST_TIMEOUT_MS }
    this.#wire = new MuxWire(
      stream,
      clock,
      {
        onFrame: frame => this.#onFrame(frame),
        onEnd: () => this.abort(new Error('the peer ended the stream of all calls')),
        onClose: error => this.#onClose(error),
        onRefusal: reason => refusals.count(reason),
      },
      limits,
    )
  }

  /**
   * One call. Its request is on the way when this returns.
   *
   * @throws the signal's reason; MsgpackError when the answer is too large; what the stream was closed with.
   */
  async ask(request: Uint8Array, maxReplyBytes: number, signal: AbortSignal): Promise<MuxAnswer> {
    signal.throwIfAborted()
    if (this.#error !== undefined) throw this.#error
    if (this.#retired) throw new Error('the stream takes no new calls')
    const id = this.#nextId++
    const { promise, resolve, reject } = Promise.withResolvers<MuxAnswer>()
    this.#calls.set(id, { maxReplyBytes, resolve, reject, assembly: undefined })
    this.#wire.send(FRAME.request, id, request)
    const seen = this.#wire.framesSeen
    const onAbort = () => {
      this.#giveUp(id, signal.reason)
      // A deadline passed, and nothing came of any call: the stream may be dead without having been closed.
      if (signal.reason instanceof RpcError && this.#wire.framesSeen === seen) this.#retire()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      return await promise
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  /** Resets the stream: what is under way fails with this error. */
  abort(error: Error): void {
    this.#wire.abort(error)
  }

  #onFrame({ type, id, payload, more }: Frame): void {
    if (type === FRAME.request || id >= this.#nextId) {
      return this.#wire.refuse('malformed', malformed('an answer to a call that was never made'))
    }
    const call = this.#calls.get(id)
    // Answers to calls that were given up cross the cancellation.
    if (call === undefined) return
    if (type === FRAME.cancel) {
      this.#end(id)
      return call.reject(new Error('the call was reset by the peer'))
    }
    const limit = type === FRAME.error ? MAX_ERROR_BYTES : call.maxReplyBytes
    if ((call.assembly?.length ?? 0) + payload.length > limit) {
      this.#refusals.count('too_large')
      return this.#giveUp(id, tooLarge(limit))
    }
    if (more || call.assembly !== undefined) {
      call.assembly ??= new Assembly()
      call.assembly.add(payload)
    }
    if (more) return
    this.#end(id)
    call.resolve({ type, bytes: call.assembly?.bytes() ?? payload })
  }

  /** The peer has answered. When it did so before it had the whole request, it is told that no more of that will come. */
  #end(id: number): void {
    this.#calls.delete(id)
    if (this.#wire.drop(id) === 'partly sent') this.#wire.send(FRAME.cancel, id, EMPTY_BYTES)
    this.#closeWhenDone()
  }

  /** We do not wait for the answer any more. */
  #giveUp(id: number, error: unknown): void {
    const call = this.#calls.get(id)
    if (call === undefined) return
    this.#calls.delete(id)
    if (this.#wire.drop(id) !== 'unsent') this.#wire.send(FRAME.cancel, id, EMPTY_BYTES)
    this.#closeWhenDone()
    call.reject(error)
  }

  /** No new calls; closes when those under way have ended. */
  #retire(): void {
    if (this.#retired) return
    this.#retired = true
    this.#owner.onRetire()
    this.#closeWhenDone()
  }

  #closeWhenDone(): void {
    if (this.#retired && this.#calls.size === 0) this.#wire.close()
  }

  #onClose(error: Error): void {
    this.#error = error
    this.#retire()
    const calls = [...this.#calls.values()]
    this.#calls.clear()
    for (const { reject } of calls) reject(error)
    this.#owner.onClose(error)
  }
}
