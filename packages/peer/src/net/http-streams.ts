import type { Duplex } from 'node:stream'
import type { Connection, Stream } from '@libp2p/interface'
import type { Clock, Refusals } from '@ipfs-cluster/base'
import type { PeerId } from '@ipfs-cluster/api'
import { IDLE_CONNECTION_MS, MAX_HTTP_STREAMS, MAX_HTTP_STREAMS_PER_PEER } from './http-limits.ts'
import { StreamSocket } from './stream-socket.ts'

/** The inbound streams that carry HTTP, and how long each connection has carried none. */
export interface HttpStreams extends Disposable {
  opened(connection: Connection): void
  closed(connection: Connection): void
  readonly handle: (stream: Stream, connection: Connection) => void
  onConnection(accept: (connection: Duplex) => void): Disposable
  /** Ids of the connections that have been without HTTP for `IDLE_CONNECTION_MS`. */
  idle(): ReadonlySet<string>
}

interface Usage {
  readonly peer: PeerId
  readonly streams: Set<Stream>
  /** When the last stream ended, or the connection was opened. */
  idleSince: number
}

export function createHttpStreams({
  clock,
  refusals,
}: {
  readonly clock: Clock
  readonly refusals: Refusals
}): HttpStreams {
  /** By the id of the connection. */
  const usages = new Map<string, Usage>()
  let accept: ((connection: Duplex) => void) | undefined

  const usageOf = ({ id, remotePeer }: Connection): Usage => {
    let usage = usages.get(id)
    if (usage === undefined) {
      usage = { peer: remotePeer.toString(), streams: new Set(), idleSince: clock.monotonic() }
      usages.set(id, usage)
    }
    return usage
  }

  const excess = (peer: PeerId): string | undefined => {
    let [all, ofPeer] = [0, 0]
    for (const usage of usages.values()) {
      all += usage.streams.size
      if (usage.peer === peer) ofPeer += usage.streams.size
    }
    if (ofPeer >= MAX_HTTP_STREAMS_PER_PEER) return 'too_many_streams_of_peer'
    return all >= MAX_HTTP_STREAMS ? 'too_many_streams' : undefined
  }

  return {
    opened: connection => void usageOf(connection),
    closed: ({ id }) => void usages.delete(id),
    handle(stream, connection) {
      // Its end has been told already: it would be counted for good.
      if (connection.status !== 'open') return stream.abort(new Error('the connection has closed meanwhile'))
      const usage = usageOf(connection)
      const reason = excess(usage.peer)
      if (reason !== undefined) refusals.count(reason)
      if (reason !== undefined || accept === undefined) {
        stream.abort(new Error(reason ?? 'nobody serves HTTP'))
        return
      }
      usage.streams.add(stream)
      stream.addEventListener('close', () => {
        usage.streams.delete(stream)
        usage.idleSince = clock.monotonic()
      })
      accept(new StreamSocket(stream, { clock, peer: usage.peer, onDestroy: 'close' }))
    },
    onConnection(next) {
      accept = next
      return {
        [Symbol.dispose]() {
          if (accept === next) accept = undefined
        },
      }
    },
    idle() {
      const before = clock.monotonic() - IDLE_CONNECTION_MS
      const idle = [...usages].filter(
        ([, { streams, idleSince }]) => streams.size === 0 && idleSince <= before,
      )
      return new Set(idle.map(([id]) => id))
    },
    [Symbol.dispose]() {
      accept = undefined
      for (const { streams } of usages.values()) {
        for (const stream of streams) stream.abort(new Error('the endpoint is stopping'))
      }
    },
  }
}
