import { anySignal, errorMessage, raceSignal } from '@ipfs-cluster/base'
import {
  methodName,
  RpcError,
  type RpcClient,
  type RpcContext,
  type RpcHandler,
  type RpcMethod,
} from '@ipfs-cluster/gorpc'
import type { FakeMember } from './fake-network.ts'

type Method = RpcMethod<unknown, unknown>

/** Calls the handlers of other members in this process: arguments and replies are passed as they are. */
export function createFakeRpc(me: FakeMember, reach: (peer: string) => FakeMember): RpcClient {
  const find = (peer: string, method: Method): RpcHandler => {
    const target = reachable(me, reach, peer, method)
    const name = methodName(method)
    const handler = target.served?.handlers.find(candidate => methodName(candidate.method) === name)
    if (target !== me && !isAllowed(target, me.id, handler?.method ?? method)) {
      const text = `client does not have permissions to call ${name}`
      throw new RpcError(text, { code: 'RPC_UNAUTHORIZED', peer, method: name })
    }
    if (handler === undefined) {
      throw new RpcError(`rpc: can't find method ${name}`, { code: 'RPC_PROTOCOL', peer, method: name })
    }
    return handler
  }
  /** Errors of others travel as text, our own as they are. */
  const failed = (peer: string, method: Method, error: unknown, signal: AbortSignal | undefined): unknown => {
    if (isSelf(me, peer) || signal?.aborted === true) return error
    return new RpcError(
      errorMessage(error),
      { code: 'RPC_REMOTE', peer, method: methodName(method) },
      { cause: error },
    )
  }

  return {
    async call(peer, method, arg, { signal } = {}) {
      signal?.throwIfAborted()
      const { serve } = find(peer, method as unknown as Method)
      if (serve.kind !== 'unary') throw new TypeError(`${methodName(method)} is not unary`)
      const context: RpcContext = { peer: me.id, signal: signal ?? new AbortController().signal }
      try {
        return (await raceSignal(serve.call(arg, context), signal)) as never
      } catch (error) {
        throw failed(peer, method as unknown as Method, error, signal)
      }
    },
    async *stream(peer, method, args, { signal } = {}) {
      signal?.throwIfAborted()
      const { serve } = find(peer, method as unknown as Method)
      if (serve.kind !== 'streaming') throw new TypeError(`${methodName(method)} is not streaming`)
      const left = new AbortController()
      const context: RpcContext = { peer: me.id, signal: anySignal(left.signal, signal) ?? left.signal }
      const replies = serve.call(asyncOf(args), context)[Symbol.asyncIterator]()
      try {
        while (true) {
          const { done, value } = await raceSignal(replies.next(), signal)
          if (done === true) return
          yield value as never
        }
      } catch (error) {
        throw failed(peer, method as unknown as Method, error, signal)
      } finally {
        left.abort(new DOMException('the caller left', 'AbortError'))
        // Not awaited: a handler may wait for arguments that never come.
        replies.return?.()?.catch(() => undefined)
      }
    },
  }
}

function reachable(
  me: FakeMember,
  reach: (peer: string) => FakeMember,
  peer: string,
  method: Method,
): FakeMember {
  if (isSelf(me, peer)) return me
  try {
    return reach(peer)
  } catch (cause) {
    const failure = { code: 'RPC_UNREACHABLE', peer, method: methodName(method) } as const
    throw new RpcError(errorMessage(cause), failure, { cause })
  }
}

function isAllowed({ served }: FakeMember, caller: string, { policy }: Method): boolean {
  return policy === 'open' || (policy === 'trusted' && served?.isTrusted(caller) === true)
}

function isSelf(me: FakeMember, peer: string): boolean {
  return peer === me.id || peer === ''
}

async function* asyncOf<T>(items: AsyncIterable<T> | Iterable<T>): AsyncGenerator<T> {
  yield* items
}
