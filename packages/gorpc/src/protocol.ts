import type { Clock, TraceHeaders } from '@ipfs-cluster/base'
import type { Stream } from '@libp2p/interface'
import { field, int, omitEmpty, string, struct } from './codec.ts'
import type { MsgpackWriter } from './msgpack-writer.ts'
import type { Codec, RpcMethod } from './types.ts'

/** libp2p protocol of cluster peers. */
export const RPC_PROTOCOL = '/ipfscluster/1.0/rpc'

/**
 * libp2p protocol of peers of this implementation: one long stream carries all unary calls of one peer to another (`mux-frame.ts`).
 * Streaming methods, and those with `maxReplyBytes` above `MAX_OBJECT_BYTES`, keep a stream of `RPC_PROTOCOL` for each call, where
 * yamux gives each its own flow control.
 */
export const MUX_PROTOCOL = '/ipfscluster-ts/1.0/rpc'

/** Largest argument or reply. Bytes: a block of 4 MiB with room for what stands around it. */
export const MAX_OBJECT_BYTES = 8 * 1024 * 1024

/** Whether calls of this method may go over `MUX_PROTOCOL`. */
export function fitsMux({ kind, maxReplyBytes }: RpcMethod<unknown, unknown>): boolean {
  return kind === 'unary' && (maxReplyBytes ?? MAX_OBJECT_BYTES) <= MAX_OBJECT_BYTES
}

/** What a call needs of a libp2p stream. */
export type RpcStream = Pick<
  Stream,
  | 'abort'
  | 'addEventListener'
  | 'close'
  | 'maxReadBufferLength'
  | 'pause'
  | 'readBufferLength'
  | 'readStatus'
  | 'remoteWriteStatus'
  | 'removeEventListener'
  | 'resume'
  | 'send'
  | 'status'
  | 'writableNeedsDrain'
  | 'writeBufferLength'
>

export interface ServiceId {
  readonly service: string
  readonly method: string
}

/** Names a method. */
export const serviceId: Codec<ServiceId> = struct<ServiceId>({
  service: field('Name', string),
  method: field('Method', string),
})

/**
 * What opens a call among our own kind: with the caller's trace, if there is one. Peers that do not know these keys pass over them, Go's
 * too; but those are never sent any.
 */
export interface Opening extends ServiceId {
  readonly traceparent: string
  readonly tracestate: string
}

export const opening: Codec<Opening> = struct<Opening>({
  service: field('Name', string),
  method: field('Method', string),
  traceparent: omitEmpty('Traceparent', string),
  tracestate: omitEmpty('Tracestate', string),
})

export function encodeOpening(writer: MsgpackWriter, id: ServiceId, trace?: TraceHeaders): void {
  if (trace === undefined) return serviceId.encode(writer, id)
  const { service, method } = id
  opening.encode(writer, { service, method, tracestate: '', ...trace })
}

/** What the caller says of its trace; not checked. */
export function traceOf({ traceparent, tracestate }: Opening): TraceHeaders | undefined {
  if (traceparent === '') return undefined
  return tracestate === '' ? { traceparent } : { traceparent, tracestate }
}

/** Whose fault an error is; on the wire as a number. */
export const ERROR_TYPE = { application: 0, server: 1, client: 2, authorization: 3 } as const

export interface Response {
  readonly service: ServiceId
  readonly error: string
  readonly errorType: number
}

/** Stands before every reply object. */
export const response: Codec<Response> = struct<Response>({
  service: omitEmpty('Service', serviceId),
  error: omitEmpty('Error', string),
  errorType: omitEmpty('ErrType', int),
})

/** Calls `expire` after `ms`, unless disposed before. */
export function startTimer(clock: Clock, ms: number, expire: () => void): Disposable {
  const controller = new AbortController()
  clock.sleep(ms, { signal: controller.signal }).then(expire, () => {
    // Disposed in time: the only reason for which a sleep rejects.
  })
  return { [Symbol.dispose]: () => controller.abort(DISPOSED) }
}

/** One reason for all timers, as making a DOMException with its stack would cost more than the timer. */
const DISPOSED = 'disposed'
