import type { MessageStream, StreamMuxer, StreamMuxerFactory } from '@libp2p/interface'
import type { Refusals } from '@ipfs-cluster/base'

/** Streams of one connection; a Go peer opens one for each bitswap answer and each RPC call. */
export const MAX_STREAMS = 8192

/** Inbound streams of one connection that have not said yet what they are for. A Go peer opened 1,087 at once for as many blocks. */
const MAX_UNNAMED_STREAMS = 2048

/** Bytes in flight on one stream, and bytes a stream may hold unread: above the former, so that a paused reader never fails. */
const STREAM_WINDOW_BYTES = 4 * 1024 * 1024
const STREAM_BUFFER_BYTES = 2 * STREAM_WINDOW_BYTES

/** A call may stay silent for long (garbage collection of a large repository); a dead peer shows by its pings. */
const STREAM_INACTIVITY_MS = 24 * 60 * 60 * 1000

/** Bytes that wait for a peer which does not read; its streams stop long before, but answers to pings and resets do not. */
export const MAX_CONNECTION_BUFFER_BYTES = 64 * 1024 * 1024

export const muxerOptions = {
  maxInboundStreams: MAX_STREAMS,
  maxOutboundStreams: MAX_STREAMS,
  maxEarlyStreams: MAX_STREAMS,
  streamOptions: {
    maxStreamWindowSize: STREAM_WINDOW_BYTES,
    maxReadBufferLength: STREAM_BUFFER_BYTES,
    inactivityTimeout: STREAM_INACTIVITY_MS,
  },
}

/** Frame type and flag of yamux's specification. */
const WINDOW_UPDATE = 1
const RESET = 8

/** What js yamux keeps to itself. */
interface YamuxState {
  readonly numInboundStreams: number
  incomingStream(id: number): void
  sendFrame(header: { type: number; flag: number; streamID: number; length: number }): void
}

type MuxerFactory<Components> = (components: Components) => StreamMuxerFactory

/** A muxer that counts the streams it refuses, and whose connection ends when the other side does not read what it asks for. */
export function limitMuxer<Components>(
  create: MuxerFactory<Components>,
  refusals: Refusals,
): MuxerFactory<Components> {
  return components => {
    const factory = create(components)
    const createMuxer = factory.createStreamMuxer.bind(factory)
    factory.createStreamMuxer = connection => {
      limitWriting(connection, refusals)
      const muxer = createMuxer(connection)
      limitStreams(muxer, refusals)
      countSlowReaders(muxer, refusals)
      return muxer
    }
    return factory
  }
}

function limitWriting(connection: MessageStream, refusals: Refusals): void {
  connection.maxWriteBufferLength = MAX_CONNECTION_BUFFER_BYTES
  connection.addEventListener('close', event => {
    if (event.error?.name === 'StreamBufferError') refusals.count('connection_does_not_read')
  })
}

/** js yamux looks streams up in a list, so that thousands which say nothing make every frame of that connection slow. */
function limitStreams(muxer: StreamMuxer, refusals: Refusals): void {
  const state = muxer as unknown as YamuxState
  const incoming = state.incomingStream.bind(muxer)
  state.incomingStream = id => {
    if (state.numInboundStreams >= MAX_STREAMS) refusals.count('too_many_streams')
    else if (state.numInboundStreams >= MAX_UNNAMED_STREAMS && isFullOfUnnamed(muxer)) {
      refusals.count('too_many_unnamed_streams')
      state.sendFrame({ type: WINDOW_UPDATE, flag: RESET, streamID: id, length: 0 })
      return
    }
    incoming(id)
  }
}

function isFullOfUnnamed({ streams }: StreamMuxer): boolean {
  return streams.filter(({ protocol }) => protocol === '').length >= MAX_UNNAMED_STREAMS
}

function countSlowReaders(muxer: StreamMuxer, refusals: Refusals): void {
  const create = muxer.createStream.bind(muxer)
  muxer.createStream = async options => {
    const stream = await create(options)
    stream.addEventListener('close', ({ error }) => {
      if (error?.name === 'StreamBufferError') refusals.count('stream_does_not_read')
    })
    return stream
  }
}
