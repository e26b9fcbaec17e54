import {
  asError,
  errorMessage,
  refusalsOf,
  silentMeter,
  type Clock,
  type Logger,
  type Meter,
} from '@ipfs-cluster/base'
import { callCounter } from './call-counter.ts'
import { measuredHandlers } from './call-metrics.ts'
import { IncomingCall } from './incoming-call.ts'
import { MAX_CALLS_PER_PEER, MAX_MUX_STREAMS_PER_PEER, MAX_REQUEST_BYTES_PER_PEER } from './limits.ts'
import { createMethodTable, type RpcMethods } from './method-table.ts'
import { IncomingMux } from './mux-server.ts'
import { PeerAccounts } from './peer-account.ts'
import type { RpcStream } from './protocol.ts'
import type { RpcHandler } from './types.ts'

export interface RpcServerOptions extends RpcMethods {
  readonly clock: Clock
  readonly logger: Logger
  /** @default MAX_CALLS_PER_PEER */
  readonly maxCallsPerPeer?: number
  /** @default MAX_REQUEST_BYTES_PER_PEER */
  readonly maxRequestBytesPerPeer?: number
  /** Counts calls and refusals. @default silentMeter */
  readonly meter?: Meter
}

export interface RpcServer extends AsyncDisposable {
  /**
   * Serves the one call of a stream of `RPC_PROTOCOL`. Call it in the same turn in which libp2p handed the stream over. Resolves when
   * the call is over; never rejects.
   */
  handleStream(stream: RpcStream, remotePeer: string): Promise<void>
  /**
   * Serves all calls of a stream of `MUX_PROTOCOL`. Call it in the same turn in which libp2p handed the stream over. Resolves when the
   * stream and its calls are over; never rejects.
   */
  handleMux(stream: RpcStream, remotePeer: string): Promise<void>
  /** The handler of `Service.Method`, for calls to ourselves. */
  handler(name: string): RpcHandler | undefined
  /** Serves these methods instead of the present ones. Calls that are being served go on. @throws as `createRpcServer` */
  replaceMethods(methods: RpcMethods): void
}

/** @throws when a name is longer than Go allows or registered twice: mistakes of the program. */
export function createRpcServer(options: RpcServerOptions): RpcServer {
  const { clock, logger, meter = silentMeter } = options
  const { maxCallsPerPeer = MAX_CALLS_PER_PEER } = options
  const { maxRequestBytesPerPeer = MAX_REQUEST_BYTES_PER_PEER } = options
  const measured = measuredHandlers(meter, clock)
  const tableOf = (methods: RpcMethods) =>
    createMethodTable({ ...methods, handlers: measured(methods.handlers) })
  let table = tableOf(options)
  const accounts = new PeerAccounts()
  const stopped = new AbortController()
  const refusals = refusalsOf(meter, 'rpc')
  const calls = callCounter(meter, 'in')
  const context = {
    admit: (...args: Parameters<typeof table.admit>) => table.admit(...args),
    clock,
    logger,
    refusals,
    maxCallsPerPeer,
    maxRequestBytesPerPeer,
    countCall: () => calls.count('mux'),
  }
  const running = new Set<Promise<void>>()
  /** Keeps the promise until it has settled. */
  const track = async (work: Promise<void>) => {
    running.add(work)
    await work
    running.delete(work)
  }
  return {
    handler: name => table.handler(name),
    replaceMethods(methods) {
      table = tableOf(methods)
    },
    async handleStream(stream, peer) {
      const account = accounts.of(peer)
      if (stopped.signal.aborted || account.calls.size >= maxCallsPerPeer) {
        if (!stopped.signal.aborted) refusals.count('too_many_calls')
        logger.debug({ peer, calls: account.calls.size }, 'call refused: too many at once, or stopping')
        accounts.settle(peer)
        return stream.abort(new Error('too many calls at once'))
      }
      calls.count('stream')
      const call = new IncomingCall(context, stream, peer, account, stopped.signal)
      const serving = call.serve().catch((error: unknown) => {
        logger.debug({ peer, err: error }, `call failed: ${errorMessage(error)}`)
      })
      account.calls.add(serving)
      await track(serving)
      account.calls.delete(serving)
      accounts.settle(peer)
    },
    async handleMux(stream, peer) {
      if (stopped.signal.aborted) return stream.abort(asError(stopped.signal.reason))
      const account = accounts.of(peer)
      const mux = new IncomingMux(context, stream, peer, account)
      const abort = (error: Error) => mux.abort(error)
      account.muxStreams.add(abort)
      if (account.muxStreams.size > MAX_MUX_STREAMS_PER_PEER) {
        // The newest is the one that the peer uses.
        const [oldest] = account.muxStreams
        refusals.count('too_many_streams')
        oldest?.(new Error('too many streams at once'))
      }
      const onStop = () => mux.abort(asError(stopped.signal.reason))
      stopped.signal.addEventListener('abort', onStop, { once: true })
      await track(
        mux.closed().then(() => {
          account.muxStreams.delete(abort)
          return mux.over()
        }),
      )
      stopped.signal.removeEventListener('abort', onStop)
      accounts.settle(peer)
    },
    async [Symbol.asyncDispose]() {
      stopped.abort(new Error('stopping'))
      await Promise.all(running)
    },
  }
}
