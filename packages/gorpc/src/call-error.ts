import { errorMessage } from '@ipfs-cluster/base'
import { FrameError } from './mux-frame.ts'
import { methodName } from './handler.ts'
import { MsgpackError } from './msgpack-error.ts'
import { ERROR_TYPE } from './protocol.ts'
import { RpcError, type RpcFailure } from './rpc-error.ts'
import type { RpcMethod } from './types.ts'

/** What an error is about. */
export interface Target {
  readonly peer: string
  readonly method: RpcMethod<unknown, unknown>
}

export function callError(
  { peer, method }: Target,
  code: RpcFailure['code'],
  message: string,
  cause?: unknown,
): RpcError {
  const data = { code, peer, method: methodName(method) }
  return new RpcError(message, data, cause === undefined ? {} : { cause })
}

/** What a peer answers instead of a reply. */
export function refusalError(target: Target, text: string, errorType: number): RpcError {
  const code =
    errorType === ERROR_TYPE.authorization
      ? 'RPC_UNAUTHORIZED'
      : errorType === ERROR_TYPE.application
        ? 'RPC_REMOTE'
        : 'RPC_PROTOCOL'
  return callError(target, code, text === '' ? `${target.peer} refused without saying why` : text)
}

/** Anything that ended a call, as its caller gets to see it. */
export function failedCall(target: Target, error: unknown): RpcError {
  if (error instanceof RpcError) return error
  const isMisunderstood = error instanceof MsgpackError || error instanceof FrameError
  const code = isMisunderstood ? 'RPC_PROTOCOL' : 'RPC_UNREACHABLE'
  return callError(
    target,
    code,
    `${methodName(target.method)} on ${target.peer}: ${errorMessage(error)}`,
    error,
  )
}

/** Under which reason an object that cannot be read is counted. */
export function refusalReason({ code }: MsgpackError): 'too_large' | 'malformed' {
  return code === 'MSGPACK_TOO_LARGE' ? 'too_large' : 'malformed'
}
