import {
  anySignal,
  raceSignal,
  refusalsOf,
  silentMeter,
  type Clock,
  type Logger,
  type Meter,
  type TraceHeaders,
} from '@ipfs-cluster/base'
import { callCounter } from './call-counter.ts'
import { callMetrics, during } from './call-metrics.ts'
import { methodName } from './handler.ts'
import { MuxPool, type MuxDialer } from './mux-pool.ts'
import { MuxSession } from './mux-session.ts'
import { OutgoingCall } from './outgoing-call.ts'
import { fitsMux, startTimer, type RpcStream } from './protocol.ts'
import { RpcError } from './rpc-error.ts'
import type { RpcClient, RpcHandler, StreamingMethod, UnaryMethod } from './types.ts'

/** Deadline of a unary call, and of opening a stream; Go's callers use the same. Milliseconds. */
export const DEFAULT_TIMEOUT_MS = 15_000

export interface RpcClientOptions {
  /** Calls to this peer, or to the empty id, are answered by `localHandler`: without codec, deadline or authorisation. */
  readonly selfId: string
  /** The method of ours with this name (`Service.Method`). */
  localHandler(name: string): RpcHandler | undefined
  /** Opens a stream of `RPC_PROTOCOL`, dialling if need be. */
  openStream(peer: string, options: { readonly signal: AbortSignal }): Promise<RpcStream>
  /** How to come to streams of `MUX_PROTOCOL`. Without it, every call has a stream of its own. */
  readonly mux?: MuxDialer
  readonly clock: Clock
  readonly logger: Logger
  /** @default DEFAULT_TIMEOUT_MS */
  readonly timeoutMs?: number
  /** Counts calls and refusals. @default silentMeter */
  readonly meter?: Meter
  /** The trace that a call is part of, told to peers of our own kind. Asked where the call is made. */
  readonly trace?: () => TraceHeaders | undefined
}

/** Disposing of it fails the calls under way over `MUX_PROTOCOL`, closes their streams, and lets no such call begin. */
export interface OwnedRpcClient extends RpcClient, AsyncDisposable {}

/**
 * Unary calls go over `MUX_PROTOCOL` where the peer speaks it; errors are the same on both protocols. A call of which the peer may have
 * heard is never made again.
 */
export function createRpcClient(options: RpcClientOptions): OwnedRpcClient {
  const { selfId, clock, mux, meter = silentMeter, timeoutMs = DEFAULT_TIMEOUT_MS } = options
  const context = { ...options, refusals: refusalsOf(meter, 'rpc'), calls: callCounter(meter, 'out') }
  const pool = mux === undefined ? undefined : new MuxPool({ ...context, dialer: mux })
  const outgoing = callMetrics(meter, clock, 'out')
  async function* replies<Arg, Reply>(call: OutgoingCall<Arg, Reply>, args: StreamArgs<Arg>) {
    const timer = startTimer(clock, timeoutMs, () => call.expire(timeoutMs))
    const opening = call.open().finally(() => timer[Symbol.dispose]())
    yield* call.converse(await opening, args)
  }
  const isSelf = (peer: string) => peer === selfId || peer === ''
  return {
    async call(peer, method, arg, { signal } = {}) {
      signal?.throwIfAborted()
      if (isSelf(peer)) return await callSelf(options, method, arg, signal)
      const metrics = outgoing.begin(method)
      using call = new OutgoingCall(context, peer, method, signal)
      const deadline = method.timeoutMs ?? timeoutMs
      using _ = startTimer(clock, deadline, () => call.expire(deadline))
      try {
        const way = pool !== undefined && fitsMux(method) ? await call.reach(pool) : undefined
        const reply =
          way instanceof MuxSession
            ? await call.askShared(way, arg)
            : await call.ask(way ?? (await call.open()), arg)
        metrics.ended()
        return reply
      } catch (error) {
        metrics.ended(error)
        throw error
      }
    },
    async *stream(peer, method, args, { signal } = {}) {
      signal?.throwIfAborted()
      if (isSelf(peer)) return yield* streamSelf(options, method, args, signal)
      using call = new OutgoingCall(context, peer, method, signal)
      const metrics = outgoing.begin(method)
      yield* during(() => error => metrics.ended(error), replies(call, args))
    },
    async [Symbol.asyncDispose]() {
      await pool?.[Symbol.asyncDispose]()
    },
  }
}

type StreamArgs<Arg> = AsyncIterable<Arg> | Iterable<Arg>

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
