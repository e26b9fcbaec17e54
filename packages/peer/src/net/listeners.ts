import type { Server, Socket } from 'node:net'
import type { Transport } from '@libp2p/interface'
import type { Multiaddr as Libp2pMultiaddr } from '@multiformats/multiaddr'
import { errorMessage, type Clock, type Logger, type Refusals } from '@ipfs-cluster/base'
import type { Multiaddr } from '@ipfs-cluster/api'
import { NetworkError } from './errors.ts'
import type { ConnectionLimits } from './types.ts'

type TransportFactory<Components> = (components: Components) => Transport

/** The server behind a listener of TCP or WebSocket, which their types keep to themselves. */
interface ServerOwner {
  readonly server?: Server
}

export interface SocketLimits {
  readonly limits: ConnectionLimits
  readonly clock: Pick<Clock, 'timeout'>
  readonly refusals: Refusals
}

/**
 * A transport whose listeners take no more sockets than `limits.inbound` and `limits.pending` together, and drop those that
 * say nothing, or do not end their HTTP request. The other limits begin only where libp2p sees a connection: for WebSocket
 * after that request.
 */
export function limitSockets<Components>(
  factory: TransportFactory<Components>,
  { limits, clock, refusals }: SocketLimits,
): TransportFactory<Components> {
  return components => {
    const transport = factory(components)
    const createListener = transport.createListener.bind(transport)
    transport.createListener = options => {
      const listener = createListener(options)
      const { server } = listener as ServerOwner
      if (server === undefined) return listener
      if (Number.isFinite(limits.inbound)) server.maxConnections = limits.inbound + limits.pending
      server.on('drop', () => refusals.count('too_many_sockets'))
      server.on('connection', socket =>
        dropSilent(socket, clock.timeout(limits.handshakeTimeoutMs), refusals),
      )
      return listener
    }
    return transport
  }
}

/** A socket of Node's HTTP server, whose parser goes away with the upgrade to WebSocket. */
interface HttpSocket extends Socket {
  readonly parser?: object | null
}

function dropSilent(socket: HttpSocket, timeout: AbortSignal, refusals: Refusals): void {
  const onTimeout = () => {
    const inRequest = socket.parser !== undefined && socket.parser !== null
    if (socket.destroyed || (socket.bytesRead > 0 && !inRequest)) return
    refusals.count('silent_socket')
    socket.destroy()
  }
  timeout.addEventListener('abort', onTimeout, { once: true })
  socket.once('close', () => timeout.removeEventListener('abort', onTimeout))
}

/** Why addresses could not be listened on; libp2p itself only logs it when it may not be fatal. */
export class ListenFailures {
  readonly #failures = new Map<Multiaddr, unknown>()

  /** A transport whose failures to listen are recorded. */
  watch<Components>(factory: TransportFactory<Components>): TransportFactory<Components> {
    return components => {
      const transport = factory(components)
      const createListener = transport.createListener.bind(transport)
      transport.createListener = options => {
        const listener = createListener(options)
        const listen = listener.listen.bind(listener)
        listener.listen = async address => {
          try {
            await listen(address)
          } catch (error) {
            this.#failures.set(address.toString(), error)
            throw error
          }
        }
        return listener
      }
      return transport
    }
  }

  /**
   * Logs the addresses that failed.
   *
   * @param key the key of the configuration that names the addresses.
   * @throws NetworkError `NET_LISTEN_FAILED` when none of `wanted` is listened on.
   */
  check(
    wanted: readonly Multiaddr[],
    listening: readonly Libp2pMultiaddr[],
    logger: Logger,
    key = 'cluster.listen_multiaddress',
  ): void {
    if (listening.length === 0 && wanted.length > 0) {
      const reasons = wanted.map(address => `${address}: ${this.#reason(address)}`)
      throw new NetworkError(
        `cannot listen on any address of ${key} (${reasons.join('; ')}); ` +
          'choose a free port and an address of this machine, over tcp or ws',
        { code: 'NET_LISTEN_FAILED', addresses: wanted },
        { cause: new AggregateError([...this.#failures.values()]) },
      )
    }
    for (const [address, error] of this.#failures) {
      logger.warn({ address, err: error }, `cannot listen on this address: ${errorMessage(error)}`)
    }
  }

  #reason(address: Multiaddr): string {
    return this.#failures.has(address) ? errorMessage(this.#failures.get(address)) : 'no transport for it'
  }
}
