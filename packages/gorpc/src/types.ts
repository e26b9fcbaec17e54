import type { AbortOptions, TraceHeaders } from '@ipfs-cluster/base'
import type { MsgpackReader, MsgpackWriter } from './msgpack.ts'

/** How one Go type stands in msgpack. */
export interface Codec<T> {
  /** @throws MsgpackError for a value that the Go type cannot hold. */
  encode(writer: MsgpackWriter, value: T): void
  /** @throws MsgpackError on what Go would refuse. */
  decode(reader: MsgpackReader): T
  /** What nil and an absent key mean. Missing where our type has no zero value, such as a CID that must be there. */
  readonly zero?: T
  /** True for a value that Go's `omitempty` leaves out. */
  isZero(value: T): boolean
}

/** Who may call: everybody in the swarm, trusted peers, or only this process. */
export type RpcPolicy = 'open' | 'trusted' | 'closed'

/** One remote method. For streaming methods `Arg` and `Reply` are the types of one item. */
export interface RpcMethod<Arg, Reply> {
  readonly service: string
  readonly method: string
  readonly kind: 'unary' | 'streaming'
  readonly policy: RpcPolicy
  readonly arg: Codec<Arg>
  readonly reply: Codec<Reply>
  /** Deadline of a remote unary call, where the client's own does not fit. Milliseconds. */
  readonly timeoutMs?: number
  /** Largest reply taken from a peer, where the client's own limit does not fit. Bytes of msgpack. */
  readonly maxReplyBytes?: number
}

export type UnaryMethod<Arg, Reply> = RpcMethod<Arg, Reply> & { readonly kind: 'unary' }
export type StreamingMethod<Arg, Reply> = RpcMethod<Arg, Reply> & { readonly kind: 'streaming' }

/** Of a call being served. */
export interface RpcContext {
  /** The caller's peer id; our own for local calls. */
  readonly peer: string
  /** Fires when the caller resets or leaves, or the server stops. */
  readonly signal: AbortSignal
  /** In which trace the caller calls, as it says. */
  readonly trace?: TraceHeaders | undefined
}

/** A method with its implementation; made by `unaryHandler` and `streamingHandler`. */
export interface RpcHandler {
  readonly method: RpcMethod<unknown, unknown>
  readonly serve:
    | { readonly kind: 'unary'; call(arg: unknown, context: RpcContext): Promise<unknown> }
    | {
        readonly kind: 'streaming'
        call(args: AsyncIterable<unknown>, context: RpcContext): AsyncIterable<unknown>
      }
}

export interface RpcClient {
  /**
   * @throws RpcError with the peer's own text where it gave one: `RPC_UNAUTHORIZED` it refuses us, `RPC_REMOTE` the method failed,
   * `RPC_PROTOCOL` it does not know the method or one side does not understand the other, `RPC_UNREACHABLE` no connection or no answer
   * in time. The signal's reason when that fires; what the handler threw when the peer is ourselves.
   */
  call<Arg, Reply>(
    peer: string,
    method: UnaryMethod<Arg, Reply>,
    arg: Arg,
    options?: AbortOptions,
  ): Promise<Reply>
  /** Replies as they come; leaving the loop cancels the call. Errors as `call`, possibly after some replies. */
  stream<Arg, Reply>(
    peer: string,
    method: StreamingMethod<Arg, Reply>,
    args: AsyncIterable<Arg> | Iterable<Arg>,
    options?: AbortOptions,
  ): AsyncGenerator<Reply>
}
