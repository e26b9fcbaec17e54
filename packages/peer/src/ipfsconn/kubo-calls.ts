/** What all requests to a daemon share: where it is, whether it can be reached, and what ends with the client. */
import type { Agent } from 'node:http'
import { errorCode, errorMessage, type Clock, type Logger, type TraceHeaders } from '@ipfs-cluster/base'
import { badAnswer, connectionBroke, IpfsError } from './errors.ts'
import { BadHttp } from './kubo-answer-parser.ts'
import type { Brake } from './kubo-brake.ts'
import { NoAnswer } from './kubo-request.ts'
import type { RequestMetrics } from './metrics.ts'
import type { NodeAddress } from './node-address.ts'
import type { UnderWay } from './under-way.ts'

export interface KuboCalls {
  /** The multiaddress of the configuration, for messages, and what it stands for. */
  readonly nodeMultiaddress: string
  readonly address: NodeAddress
  /** Connections of requests with content. */
  readonly agent: Agent
  readonly clock: Clock
  readonly logger: Logger
  readonly brake: Brake
  /** Asked where a request is made. */
  readonly trace: () => TraceHeaders | undefined
  /** Begins to measure a request. */
  readonly measure: () => RequestMetrics
  readonly underWay: UnderWay
}

/** What the caller of a request that failed is told. */
export function failureTold({ nodeMultiaddress }: KuboCalls, path: string, error: unknown): unknown {
  if (error instanceof NoAnswer) return unreachable(path, nodeMultiaddress, error.cause ?? error)
  // Errors of this room, and of a request's body, stay what they are.
  if (error instanceof IpfsError || errorCode(error) === undefined) return error
  if (error instanceof BadHttp) return badAnswer(path, error.message, error)
  return connectionBroke(path, error)
}

function unreachable(path: string, address: string, cause: unknown): IpfsError {
  return new IpfsError(
    `IPFS request failed (is it running?) (${path}): cannot reach the IPFS daemon at ${address} ` +
      `(${errorMessage(cause)}): start it, or correct node_multiaddress in the configuration`,
    { code: 'IPFS_UNREACHABLE', address },
    { cause },
  )
}
