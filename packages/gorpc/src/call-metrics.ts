import {
  DURATION_BOUNDS_S,
  errorCode,
  MAX_SERIES,
  memoize,
  OPENCENSUS_BYTES_BOUNDS,
  OPENCENSUS_MS_BOUNDS,
  type Clock,
  type Histogram,
  type Meter,
  type Observer,
} from '@ipfs-cluster/base'
import { methodName } from './handler.ts'
import type { Codec, RpcHandler, RpcMethod } from './types.ts'

/** The server views of go-libp2p-ocgorpc have finer steps below a millisecond. */
const GO_LATENCY_BOUNDS_MS = [0.01, 0.05, 0.1, 0.3, 0.6, 0.8, ...OPENCENSUS_MS_BOUNDS]

type Method = Pick<RpcMethod<unknown, unknown>, 'service' | 'method'>

/** Takes note of one call that begins now. */
export interface CallMetrics {
  begin(method: Method): { ended(error?: unknown): void }
}

/** `ipfscluster_rpc_duration_seconds{direction,method}`, `ipfscluster_rpc_errors_total{direction,method,code}`. Methods are of our own table. */
export function callMetrics(
  meter: Meter,
  clock: Pick<Clock, 'monotonic'>,
  direction: 'in' | 'out',
): CallMetrics {
  const durations = meter.histogram(
    'ipfscluster_rpc_duration_seconds',
    'Duration of remote procedure calls, by direction and method; calls of our own id count as incoming',
    DURATION_BOUNDS_S,
  )
  const errors = meter.counter(
    'ipfscluster_rpc_errors_total',
    'Remote procedure calls that failed, by direction, method and code of the error',
  )
  const byMethod = perMethod(durations, name => ({ direction, method: name }))
  return {
    begin(method) {
      const start = clock.monotonic()
      return {
        ended(error) {
          byMethod(method).observe((clock.monotonic() - start) / 1000)
          if (error !== undefined) {
            errors.add({ direction, method: methodName(method), code: codeOf(error) })
          }
        },
      }
    },
  }
}

/**
 * The same handlers, measured: our own metrics, and the server views of Go peers, which count calls of the own id too. Sizes are those of
 * unary calls that came over the wire.
 */
export function measuredHandlers(
  meter: Meter,
  clock: Pick<Clock, 'monotonic'>,
): (handlers: readonly RpcHandler[]) => RpcHandler[] {
  const calls = callMetrics(meter, clock, 'in')
  const completed = meter.counter(
    'ipfscluster_gorpc_libp2p_io_server_completed_rpcs',
    'Count of RPCs by method and status.',
  )
  const histogram = (name: string, help: string, bounds: readonly number[]) =>
    perMethod(meter.histogram(`ipfscluster_gorpc_libp2p_io_server_${name}`, help, bounds), method => ({
      gorpc_server_method: method,
    }))
  const latency = histogram(
    'server_latency',
    'Distribution of server latency in milliseconds, by method.',
    GO_LATENCY_BOUNDS_MS,
  )
  const received = histogram(
    'received_bytes_per_rpc',
    'Distribution of received bytes per RPC, by method.',
    OPENCENSUS_BYTES_BOUNDS,
  )
  const sent = histogram(
    'sent_bytes_per_rpc',
    'Distribution of total sent bytes per RPC, by method.',
    OPENCENSUS_BYTES_BOUNDS,
  )
  const completedOf = memoize(MAX_SERIES, (name: string) => completed.of({ gorpc_server_method: name }))
  const measured = ({ method, serve }: RpcHandler): RpcHandler => {
    const name = methodName(method)
    const begin = () => {
      const call = calls.begin(method)
      const start = clock.monotonic()
      return (error?: unknown) => {
        call.ended(error)
        completedOf(name).add()
        latency(method).observe(clock.monotonic() - start)
      }
    }
    if (serve.kind === 'streaming') {
      return {
        method,
        serve: { kind: 'streaming', call: (args, context) => during(begin, serve.call(args, context)) },
      }
    }
    return {
      method: {
        ...method,
        arg: sized(method.arg, () => received(method)),
        reply: sized(method.reply, () => sent(method)),
      },
      serve: {
        kind: 'unary',
        async call(arg, context) {
          const ended = begin()
          try {
            const reply = await serve.call(arg, context)
            ended()
            return reply
          } catch (error) {
            ended(error)
            throw error
          }
        },
      },
    }
  }
  return handlers => handlers.map(measured)
}

/** The observer of a method, made when it is first called. */
function perMethod(
  histogram: Histogram,
  labels: (name: string) => Readonly<Record<string, string>>,
): (method: Method) => Observer {
  const observerOf = memoize(MAX_SERIES, (name: string) => histogram.of(labels(name)))
  return method => observerOf(methodName(method))
}

function sized(codec: Codec<unknown>, observer: () => Observer): Codec<unknown> {
  return {
    ...codec,
    isZero: value => codec.isZero(value),
    encode(writer, value) {
      const before = writer.length
      codec.encode(writer, value)
      observer().observe(writer.length - before)
    },
    decode(reader) {
      const before = reader.offset
      const value = codec.decode(reader)
      observer().observe(reader.offset - before)
      return value
    },
  }
}

/** `items`, with a call measured from the first request to the end. */
export async function* during<T>(
  begin: () => (error?: unknown) => void,
  items: AsyncIterable<T>,
): AsyncGenerator<T> {
  const ended = begin()
  let failure: unknown
  try {
    yield* items
  } catch (error) {
    failure = error
    throw error
  } finally {
    ended(failure)
  }
}

/** Codes of our own errors; others by what they are, as their text may be anything. */
function codeOf(error: unknown): string {
  const code = errorCode(error)
  if (code !== undefined) return code
  return error instanceof Error && (error.name === 'AbortError' || error.name === 'TimeoutError')
    ? error.name
    : 'OTHER'
}
