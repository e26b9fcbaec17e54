import type { Server } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Clock } from '@ipfs-cluster/base'

/** Connections that come another way than through a socket of ours, such as the streams of libp2p. */
export interface ConnectionSource {
  /** Hands each connection to `accept` until disposed. One at a time. */
  onConnection(accept: (connection: Duplex) => void): Disposable
}

/**
 * Serves the connections of `source` with a `server` that does not listen: same routes, limits and time-outs as on a socket, as far as
 * the connections have what node:http needs of one (`remoteAddress`, `setTimeout`, `destroySoon`).
 *
 * @returns stops taking connections, lets requests under way end for `graceMs`, then cuts them.
 */
export function serveConnections(
  server: Server,
  source: ConnectionSource,
  { clock, graceMs }: { readonly clock: Clock; readonly graceMs: number },
): AsyncDisposable {
  const open = new Set<Duplex>()
  let onEmpty = () => {}
  // node:http begins to look for late headers and requests, and to know its connections, when it listens.
  server.emit('listening')
  const subscription = source.onConnection(connection => {
    open.add(connection)
    connection.once('close', () => {
      open.delete(connection)
      if (open.size === 0) onEmpty()
    })
    server.emit('connection', connection)
  })
  return {
    async [Symbol.asyncDispose]() {
      subscription[Symbol.dispose]()
      // Says to its call back that it was not listening; what counts here is that idle connections are closed and the checks end.
      server.close(() => undefined)
      if (open.size === 0) return
      const { promise, resolve } = Promise.withResolvers<void>()
      onEmpty = resolve
      const ended = new AbortController()
      const cut = clock.sleep(graceMs, { signal: ended.signal }).then(
        () => server.closeAllConnections(),
        () => undefined,
      )
      await promise
      ended.abort()
      await cut
    },
  }
}
