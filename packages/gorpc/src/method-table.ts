import { assert } from '@ipfs-cluster/base'
import { methodName } from './handler.ts'
import { ERROR_TYPE, type ServiceId } from './protocol.ts'
import type { RpcHandler, RpcMethod } from './types.ts'

/** Length of `Service` and `Method` together. Bytes; Go refuses longer names too. */
const MAX_NAME_BYTES = 256

/** What a server serves, and to whom. */
export interface RpcMethods {
  readonly handlers: readonly RpcHandler[]
  /** Methods of ours that no handler serves: known by name, so that callers learn that they are not allowed rather than mistaken. */
  readonly unserved?: readonly RpcMethod<unknown, unknown>[]
  /** May this peer call this method? Asked for every remote call, before its argument is read. */
  authorize(peer: string, method: RpcMethod<unknown, unknown>): boolean
}

/** What the server has to say to a request before the argument is looked at. */
export type Admission =
  | { readonly handler: RpcHandler }
  | {
      readonly refusal: string
      readonly errorType: number
      readonly reason: 'unauthorized' | 'unknown_method'
    }

export interface MethodTable {
  admit(id: ServiceId, peer: string): Admission
  handler(name: string): RpcHandler | undefined
}

/** @throws when a name is longer than Go allows or registered twice: mistakes of the program. */
export function createMethodTable({ handlers, unserved = [], authorize }: RpcMethods): MethodTable {
  const served = new Map<string, RpcHandler>()
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
  for (const handler of handlers) served.set(register(handler.method), handler)
  for (const method of unserved) register(method)

  const unknown = (refusal: string): Admission => ({
    refusal,
    errorType: ERROR_TYPE.server,
    reason: 'unknown_method',
  })
  return {
    admit(id, peer) {
      if (!services.has(id.service)) return unknown(`rpc: can't find service ${id.service}`)
      const name = methodName(id)
      const method = methods.get(name)
      if (method === undefined) return unknown(`rpc: can't find method ${id.method}`)
      if (!authorize(peer, method)) {
        return {
          refusal: `client does not have permissions to call ${name}`,
          errorType: ERROR_TYPE.authorization,
          reason: 'unauthorized',
        }
      }
      const handler = served.get(name)
      return handler === undefined ? unknown(`rpc: can't find method ${id.method}`) : { handler }
    },
    handler: name => served.get(name),
  }
}
