import type { AbortOptions } from '@ipfs-cluster/base'
import type { MsgpackReader, MsgpackWriter } from './msgpack.ts'

/** How one Go type stands in msgpack. `decode` throws on what Go would refuse. */
export interface Codec<T> {
  encode(writer: MsgpackWriter, value: T): void
  decode(reader: MsgpackReader): T
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
}

export type UnaryMethod<Arg, Reply> = RpcMethod<Arg, Reply> & { readonly kind: 'unary' }
export type StreamingMethod<Arg, Reply> = RpcMethod<Arg, Reply> & { readonly kind: 'streaming' }

/** Of a call being served. */
export interface RpcContext {
  /** The caller's peer id; our own for local calls. */
  readonly peer: string
  /** Fires when the caller resets or leaves, or the server stops. */
  readonly signal: AbortSignal
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
  /** @throws RpcError with the peer's text; code `RPC_UNAUTHORIZED`, `RPC_REMOTE`, `RPC_PROTOCOL`, `RPC_UNREACHABLE`. */
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
