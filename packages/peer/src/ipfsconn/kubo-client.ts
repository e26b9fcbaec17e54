/**
 * HTTP requests to Kubo's RPC: keep-alive, deadlines, Go-like error texts, and a brake while the daemon cannot be reached. Content goes through
 * `kubo-exchange.ts`, questions about single pins, which have to cost little, through `kubo-short.ts`.
 */
import { Agent } from 'node:http'
import {
  concatBytes,
  silentMeter,
  utf8Text,
  type Clock,
  type Logger,
  type Meter,
  type TraceHeaders,
} from '@ipfs-cluster/base'
import { jsonLines, limited, pieces } from './kubo-answer.ts'
import { createBrake } from './kubo-brake.ts'
import type { KuboCalls } from './kubo-calls.ts'
import { exchange, type KuboRequest } from './kubo-exchange.ts'
import { ask, askMany, type ShortAnswer, type ShortRequest } from './kubo-short.ts'
import { createWireClient } from './kubo-wire.ts'
import { requestMetrics } from './metrics.ts'
import { parseNodeAddress } from './node-address.ts'
import { UnderWay } from './under-way.ts'

/** Idle connections kept for later. */
const MAX_IDLE_SOCKETS = 32

export interface KuboClient extends AsyncDisposable {
  /** POSTs and reads the whole answer. */
  bytes(path: string, request: KuboRequest): Promise<Uint8Array>
  text(path: string, request: KuboRequest): Promise<string>
  /** POSTs and yields the answer as it arrives, of any length. Ends well only if the daemon did. */
  stream(path: string, request: KuboRequest): AsyncGenerator<Uint8Array>
  /** POSTs and yields the JSON objects of the answer, one a line, as they arrive. Ends well only if the daemon did. */
  lines(path: string, request: KuboRequest): AsyncGenerator<unknown>
  /**
   * POSTs without a body and calls `onAnswer` with each JSON object of a short answer as it arrives: for what is asked of every pin.
   * Resolves when the daemon has ended its answer well.
   */
  ask(path: string, onAnswer: (answer: unknown) => void, request: ShortRequest): Promise<void>
  /** Several such questions in one piece, answered one after the other. */
  askMany(paths: readonly string[], request: ShortRequest): Promise<ShortAnswer[]>
}

export interface KuboClientComponents {
  readonly clock: Clock
  readonly logger: Logger
  /** Tells the daemon of the trace that a request is part of. Asked where the request is made. */
  readonly trace?: (() => TraceHeaders | undefined) | undefined
  /** @default silentMeter */
  readonly meter?: Meter | undefined
}

/**
 * @param nodeMultiaddress `/ip4/127.0.0.1/tcp/5001`, `/dns4/…`, `/unix/…`.
 * @throws IpfsError `IPFS_UNREACHABLE`, `IPFS_REQUEST_FAILED`, `IPFS_TIMEOUT` from every request; `RangeError` at once for an
 * address that is none.
 */
export function createKuboClient(
  { clock, logger, trace = () => undefined, meter = silentMeter }: KuboClientComponents,
  nodeMultiaddress: string,
): KuboClient {
  const address = parseNodeAddress(nodeMultiaddress)
  const agent = new Agent({ keepAlive: true, maxFreeSockets: MAX_IDLE_SOCKETS })
  const wire = createWireClient(address)
  const underWay = new UnderWay()
  const calls: KuboCalls = {
    nodeMultiaddress,
    address,
    agent,
    clock,
    logger,
    trace,
    brake: createBrake({ clock, logger }),
    measure: requestMetrics(meter, clock),
    underWay,
  }
  const bytes = async (path: string, request: KuboRequest) =>
    concatBytes(await Array.fromAsync(exchange(calls, path, request, limited)))

  return {
    bytes,
    text: async (path, request) => utf8Text(await bytes(path, request)),
    stream: (path, request) => exchange(calls, path, request, pieces),
    lines: (path, request) => exchange(calls, path, request, jsonLines),
    ask: (path, onAnswer, request) => ask(calls, wire, path, onAnswer, request),
    askMany: (paths, request) => askMany(calls, wire, paths, request),
    async [Symbol.asyncDispose]() {
      const closed = underWay.close()
      wire.close(underWay.closing.reason)
      await closed
      agent.destroy()
    },
  }
}
