import {
  noopTracer,
  parseTraceHeaders,
  traced,
  tracedItems,
  type SpanAttributes,
  type Tracer,
} from '@ipfs-cluster/base'
import { methodName, type RpcClient, type RpcContext, type RpcHandler } from '@ipfs-cluster/gorpc'
import type { Network } from '../net/index.ts'
import { withMethods } from './with-methods.ts'

type Method = Parameters<typeof methodName>[0]

/** A span for each call of another peer on somebody's behalf, and for each that another peer of our kind makes in a trace of its own. */
export function tracedNetwork(network: Network, tracer: Tracer): Network {
  if (tracer === noopTracer) return network
  return withMethods(network, {
    rpc: tracedRpc(network, tracer),
    serve: (handlers, isTrusted) =>
      network.serve(
        handlers.map(handler => tracedHandler(handler, network.peerId, tracer)),
        isTrusted,
      ),
  } satisfies Partial<Network>)
}

function tracedRpc({ rpc, peerId }: Network, tracer: Tracer): RpcClient {
  const options = (peer: string, method: Method) => {
    const isSelf = peer === peerId || peer === ''
    return {
      kind: isSelf ? ('internal' as const) : ('client' as const),
      attributes: describe(method, isSelf ? peerId : peer),
    }
  }
  return {
    async call(peer, method, arg, callOptions) {
      const call = () => rpc.call(peer, method, arg, callOptions)
      if (tracer.active() === undefined) return await call()
      return await traced(tracer, spanName(method), options(peer, method), call)
    },
    async *stream(peer, method, args, callOptions) {
      const call = () => rpc.stream(peer, method, args, callOptions)
      if (tracer.active() === undefined) return yield* call()
      return yield* tracedItems(tracer, spanName(method), options(peer, method), call)
    },
  }
}

function tracedHandler(handler: RpcHandler, self: string, tracer: Tracer): RpcHandler {
  const { method, serve } = handler
  const options = (context: RpcContext) => {
    // Calls to ourselves have a span already; of Go peers no trace is known.
    const parent =
      context.peer === self || context.trace === undefined
        ? undefined
        : parseTraceHeaders(context.trace.traceparent, context.trace.tracestate)
    return parent && { kind: 'server' as const, parent, attributes: describe(method, context.peer) }
  }
  if (serve.kind === 'unary') {
    const call = async (arg: unknown, context: RpcContext) => {
      const span = options(context)
      return await (span === undefined
        ? serve.call(arg, context)
        : traced(tracer, spanName(method), span, () => serve.call(arg, context)))
    }
    return { method, serve: { kind: 'unary', call } }
  }
  const call = (args: AsyncIterable<unknown>, context: RpcContext) => {
    const span = options(context)
    return span === undefined
      ? serve.call(args, context)
      : tracedItems(tracer, spanName(method), span, () => serve.call(args, context))
  }
  return { method, serve: { kind: 'streaming', call } }
}

function spanName(method: Method): string {
  return `rpc/${methodName(method)}`
}

function describe({ service, method }: Method, peer: string): SpanAttributes {
  return { 'rpc.system': 'libp2p-gorpc', 'rpc.service': service, 'rpc.method': method, peer }
}
