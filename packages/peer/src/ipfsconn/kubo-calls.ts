/** What all requests to a daemon share: where it is, whether it can be reached, and what ends with the client. */
import type { Agent } from 'node:http'
import { errorCode, errorMessage, type Clock, type Logger, type TraceHeaders } from '@ipfs-cluster/base'
import { badAnswer, connectionBroke, IpfsError } from './errors.ts'
import { BadHttp } from './kubo-answer-parser.ts'
import type { Brake } from './kubo-brake.ts'
import { NoAnswer } from './kubo-request.ts'
import type { RequestMetrics } from './metrics.ts'
import type { NodeAddress } from './node-address.ts'

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

/** The requests under way; all of them end when the client closes. */
export class UnderWay {
  readonly #closing = new AbortController()
  readonly #active = new Set<Promise<unknown>>()

  /** Fires when the client closes. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  begin(): Call {
    return new Call(this.#active)
  }

  /** Resolves when the last of them has ended. */
  async close(): Promise<void> {
    this.#closing.abort(new DOMException('the IPFS connector is stopped', 'AbortError'))
    await Promise.all(this.#active)
  }
}

/** One request; ends with its disposal. */
export class Call implements Disposable {
  readonly #active: Set<Promise<unknown>>
  readonly #done = Promise.withResolvers<void>()

  constructor(active: Set<Promise<unknown>>) {
    this.#active = active
    this.resume()
  }

  /** Nothing of it is under way that a closing could wait for: whoever reads the answer is busy with a part of it. */
  pause(): void {
    this.#active.delete(this.#done.promise)
  }

  resume(): void {
    this.#active.add(this.#done.promise)
  }

  [Symbol.dispose](): void {
    this.pause()
    this.#done.resolve()
  }
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
