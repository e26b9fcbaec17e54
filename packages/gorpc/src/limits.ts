/** What one peer may cost us at once, and how long it may take. Beyond a limit it is refused, and counted under the reason beside it. */

/** Calls of one peer served at once, on all of its streams and both protocols. `too_many_calls` */
export const MAX_CALLS_PER_PEER = 512
/** Streams of `MUX_PROTOCOL` that one peer may have open: one, and old ones that are not known to be dead yet. `too_many_streams` */
export const MAX_MUX_STREAMS_PER_PEER = 4

/** Names of service and method with what stands around them. Bytes. `too_large` */
export const MAX_SERVICE_ID_BYTES = 1024
/** Largest argument of a method that strangers may call. Bytes. `too_large` */
export const MAX_OPEN_ARG_BYTES = 64 * 1024
/** All arguments together of a streaming method that strangers may call. Bytes. `endless_request` */
export const MAX_OPEN_CALL_BYTES = 256 * 1024
/** What may still come on a stream that is no longer read: more than a yamux window, which may be under way. Bytes. `endless_request` */
export const MAX_DISCARDED_BYTES = 32 * 1024 * 1024
/** Bytes that have arrived of one peer's arguments and are not whole yet, or not taken by their method. `too_many_request_bytes` */
export const MAX_REQUEST_BYTES_PER_PEER = 256 * 1024 * 1024
/** Bytes of one peer's replies to unary calls on streams of their own that it has not read yet; a single larger one may stand alone. `slow_reader` */
export const MAX_REPLY_BYTES_PER_PEER = 64 * 1024 * 1024
/** Bytes that wait to be sent on one stream of `MUX_PROTOCOL`; a single larger payload may stand alone. `slow_reader` */
export const MAX_MUX_UNSENT_BYTES = 64 * 1024 * 1024

/** How long a caller may take to say which method it wants, with a unary method's argument. Milliseconds. `slow_request` */
export const REQUEST_TIMEOUT_MS = 30_000
/**
 * How long a caller of a streaming method may take for its next argument: it may be waiting for a person's upload. Milliseconds.
 * `slow_request`
 */
export const ARG_TIMEOUT_MS = 60 * 60_000
/** How long a caller may read nothing while replies wait for it: it may be waiting for a person's download. Milliseconds. `slow_reader` */
export const REPLY_STALL_MS = 10 * 60_000
