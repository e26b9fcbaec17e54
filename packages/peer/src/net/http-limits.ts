/** What others may do to the endpoint of HTTP over libp2p. It stands open to everybody: its connections cost a handshake, but no secret. */
import type { ConnectionLimits } from './types.ts'

export const HTTP_CONNECTION_LIMITS: ConnectionLimits = {
  inbound: 512,
  pending: 128,
  pendingPerAddress: 64,
  perAddress: 128,
  perPeer: 8,
  handshakeTimeoutMs: 10_000,
}

/** Streams that carry HTTP: of one peer over all its connections, and of all peers. Each is a request under way, or waits for one. */
export const MAX_HTTP_STREAMS_PER_PEER = 256
export const MAX_HTTP_STREAMS = 2048

/** A connection that carries no HTTP for so long is closed; clients dial again. */
export const IDLE_CONNECTION_MS = 2 * 60 * 1000

/** How often idle connections are looked for. */
export const IDLE_CHECK_MS = 30_000

/** Peers remembered besides those connected: nobody is dialled. */
export const MAX_REMEMBERED_PEERS = 512
export const MAX_REMEMBERED_ADDRESSES = 8

/** Bytes in flight on one stream, and bytes it may hold unread: above the former, so that a paused reader never fails. */
const WINDOW_BYTES = 1024 * 1024

/** Streams of one connection that may be open in all, those of identify and ping included. */
const MAX_STREAMS_PER_CONNECTION = MAX_HTTP_STREAMS_PER_PEER + 64

/** A request may be silent for as long as the time-outs of the HTTP server let it; a dead peer shows by its pings. */
const STREAM_INACTIVITY_MS = 24 * 60 * 60 * 1000

export const httpMuxerOptions = {
  maxInboundStreams: MAX_STREAMS_PER_CONNECTION,
  maxOutboundStreams: MAX_STREAMS_PER_CONNECTION,
  maxEarlyStreams: MAX_STREAMS_PER_CONNECTION,
  streamOptions: {
    maxStreamWindowSize: WINDOW_BYTES,
    maxReadBufferLength: 2 * WINDOW_BYTES,
    inactivityTimeout: STREAM_INACTIVITY_MS,
  },
}
