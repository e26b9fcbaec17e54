import { assert, errorMessage, type Clock, type Logger } from '@ipfs-cluster/base'
import { methodName } from './handler.ts'
import { IncomingCall, type Admission } from './incoming-call.ts'
import { ERROR_TYPE, type RpcStream, type ServiceId } from './protocol.ts'
import type { RpcHandler, RpcMethod } from './types.ts'

/** Calls of one peer served at once; more are reset. */
const MAX_CALLS_PER_PEER = 512
/** Length of `Service` and `Method` together. Bytes; Go refuses longer names too. */
const MAX_NAME_BYTES = 256

export interface RpcServerOptions {
  readonly handlers: readonly RpcHandler[]
  /** Methods of ours that no handler serves: known by name, so that callers learn that they are not allowed rather than mistaken. */
  readonly unserved?: readonly RpcMethod<unknown, unknown>[]
  /** May this peer call this method? Asked for every remote call, before its argument is read. */
  authorize(peer: string, method: RpcMethod<unknown, unknown>): boolean
  readonly clock: Clock
  readonly logger: Logger
  /** @default MAX_CALLS_PER_PEER */
  readonly maxCallsPerPeer?: number
}

export interface RpcServer extends AsyncDisposable {
  /**
   * Serves the one call of a stream of `RPC_PROTOCOL`. Call it in the same turn in which libp2p handed the stream over. Resolves when
   * the call is over; never rejects.
   */
  handleStream(stream: RpcStream, remotePeer: string): Promise<void>
  /** The handler of `Service.Method`, for calls to ourselves. */
  handler(name: string): RpcHandler | undefined
}

/** @throws when a name is longer than Go allows or registered twice: mistakes of the program. */
export function createRpcServer(options: RpcServerOptions): RpcServer {
  const handlers = new Map<string, RpcHandler>()
  const methods = new Map<string, RpcMethod<unknown, unknown>>()
  const services = new Set<string>()
  const register = (method: RpcMethod<unknown, unknown>): string => {
    const name = methodName(method)
    assert(name.length <= MAX_NAME_BYTES, `method name ${name} is too long`)
    assert(!methods.has(name), `method ${name} is registered twice`)
    methods.set(name, method)
    services.add(method.service)
    return name
  }
  for (const handler of options.handlers) handlers.set(register(handler.method), handler)
  for (const method of options.unserved ?? []) register(method)

  const admit = (id: ServiceId, peer: string): Admission => {
    const { server, authorization } = ERROR_TYPE
    if (!services.has(id.service)) {
      return { refusal: `rpc: can't find service ${id.service}`, errorType: server }
    }
    const name = methodName(id)
    const method = methods.get(name)
    if (method === undefined) return { refusal: `rpc: can't find method ${id.method}`, errorType: server }
    if (!options.authorize(peer, method)) {
      return { refusal: `client does not have permissions to call ${name}`, errorType: authorization }
    }
    const handler = handlers.get(name)
    return handler === undefined
      ? { refusal: `rpc: can't find method ${id.method}`, errorType: server }
      : { handler }
  }

  const stopped = new AbortController()
  const running = new Map<string, Set<Promise<void>>>()
  const limit = options.maxCallsPerPeer ?? MAX_CALLS_PER_PEER
  const { logger } = options
  return {
    handler: name => handlers.get(name),
    async handleStream(stream, peer) {
      const calls = running.get(peer) ?? new Set()
      if (stopped.signal.aborted || calls.size >= limit) {
        logger.debug({ peer, calls: calls.size }, 'call refused: too many at once, or stopping')
        return stream.abort(new Error('too many calls at once'))
      }
      const call = new IncomingCall({ ...options, admit }, stream, peer, stopped.signal)
      const serving = call.serve().catch((error: unknown) => {
        logger.debug({ peer, err: error }, `call failed: ${errorMessage(error)}`)
      })
      running.set(peer, calls.add(serving))
      await serving
      calls.delete(serving)
      if (calls.size === 0) running.delete(peer)
    },
    async [Symbol.asyncDispose]() {
      stopped.abort(new Error('stopping'))
      await Promise.all([...running.values()].flatMap(calls => [...calls]))
    },
  }
}
