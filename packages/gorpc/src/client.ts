import { anySignal, raceSignal } from '@ipfs-cluster/base'
import { methodName } from './handler.ts'
import { OutgoingCall, type CallContext } from './outgoing-call.ts'
import { startTimer } from './protocol.ts'
import { RpcError } from './rpc-error.ts'
import type { RpcClient, RpcHandler, StreamingMethod, UnaryMethod } from './types.ts'

/** Deadline of a unary call, and of opening a stream; Go's callers use the same. Milliseconds. */
export const DEFAULT_TIMEOUT_MS = 15_000

/** `openStream` opens a stream of `RPC_PROTOCOL`, dialling if need be. */
export interface RpcClientOptions extends CallContext {
  /** Calls to this peer, or to the empty id, are answered by `localHandler`: without codec, deadline or authorisation. */
  readonly selfId: string
  /** The method of ours with this name (`Service.Method`). */
  localHandler(name: string): RpcHandler | undefined
  /** @default DEFAULT_TIMEOUT_MS */
  readonly timeoutMs?: number
}

export function createRpcClient(options: RpcClientOptions): RpcClient {
  const { selfId, clock } = options
  const timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
  const isSelf = (peer: string) => peer === selfId || peer === ''
  return {
    async call(peer, method, arg, { signal } = {}) {
      signal?.throwIfAborted()
      if (isSelf(peer)) return await callSelf(options, method, arg, signal)
      using call = new OutgoingCall(options, peer, method, signal)
      const deadline = method.timeoutMs ?? timeoutMs
      using _ = startTimer(clock, deadline, () => call.expire(deadline))
      return await call.ask(await call.open(), arg)
    },
    async *stream(peer, method, args, { signal } = {}) {
      signal?.throwIfAborted()
      if (isSelf(peer)) return yield* streamSelf(options, method, args, signal)
      using call = new OutgoingCall(options, peer, method, signal)
      const timer = startTimer(clock, timeoutMs, () => call.expire(timeoutMs))
      const opening = call.open().finally(() => timer[Symbol.dispose]())
      yield* call.converse(await opening, args)
    },
  }
}

async function callSelf<Arg, Reply>(
  options: RpcClientOptions,
  method: UnaryMethod<Arg, Reply>,
  arg: Arg,
  signal: AbortSignal = new AbortController().signal,
): Promise<Reply> {
  const { serve } = options.localHandler(methodName(method)) ?? {}
  if (serve?.kind !== 'unary') throw missing(options, methodName(method))
  const reply = await raceSignal(serve.call(arg, { peer: options.selfId, signal }), signal)
  return reply as Reply
}

async function* streamSelf<Arg, Reply>(
  options: RpcClientOptions,
  method: StreamingMethod<Arg, Reply>,
  args: AsyncIterable<Arg> | Iterable<Arg>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Reply> {
  const { serve } = options.localHandler(methodName(method)) ?? {}
  if (serve?.kind !== 'streaming') throw missing(options, methodName(method))
  const left = new AbortController()
  const context = { peer: options.selfId, signal: anySignal(signal, left.signal) ?? left.signal }
  try {
    yield* serve.call(asyncOf(args), context) as AsyncIterable<Reply>
  } finally {
    left.abort()
  }
}

async function* asyncOf<T>(items: AsyncIterable<T> | Iterable<T>): AsyncGenerator<T> {
  yield* items
}

function missing({ selfId }: RpcClientOptions, method: string): RpcError {
  return new RpcError(`rpc: can't find method ${method}`, { code: 'RPC_PROTOCOL', peer: selfId, method })
}
