import type { RpcContext, RpcHandler, RpcMethod, StreamingMethod, UnaryMethod } from './types.ts'

/** `Service.Method`, as Go writes it in messages. */
export function methodName(method: Pick<RpcMethod<unknown, unknown>, 'service' | 'method'>): string {
  return `${method.service}.${method.method}`
}

/** A unary method with its implementation. What `call` throws reaches the caller as text. */
export function unaryHandler<Arg, Reply>(
  method: UnaryMethod<Arg, Reply>,
  call: (arg: Arg, context: RpcContext) => Promise<Reply>,
): RpcHandler {
  return { method, serve: { kind: 'unary', call } as RpcHandler['serve'] }
}

/**
 * A streaming method with its implementation. Leaving `args` early stops the caller's arguments; replies are taken as fast as the
 * caller reads them.
 */
export function streamingHandler<Arg, Reply>(
  method: StreamingMethod<Arg, Reply>,
  call: (args: AsyncIterable<Arg>, context: RpcContext) => AsyncIterable<Reply>,
): RpcHandler {
  return { method, serve: { kind: 'streaming', call } as RpcHandler['serve'] }
}

/** A streaming method without replies, such as one that takes blocks. */
export function receivingHandler<Arg, Reply>(
  method: StreamingMethod<Arg, Reply>,
  receive: (args: AsyncIterable<Arg>, context: RpcContext) => Promise<void>,
): RpcHandler {
  return streamingHandler(method, async function* (args, context): AsyncGenerator<Reply> {
    await receive(args, context)
    yield* []
  })
}
