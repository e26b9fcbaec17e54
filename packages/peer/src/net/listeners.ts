import type { Transport } from '@libp2p/interface'
import type { Multiaddr as Libp2pMultiaddr } from '@multiformats/multiaddr'
import { errorMessage, type Logger } from '@ipfs-cluster/base'
import type { Multiaddr } from '@ipfs-cluster/api'
import { NetworkError } from './errors.ts'

type TransportFactory<Components> = (components: Components) => Transport

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
   * @throws NetworkError `NET_LISTEN_FAILED` when none of `wanted` is listened on.
   */
  check(wanted: readonly Multiaddr[], listening: readonly Libp2pMultiaddr[], logger: Logger): void {
    if (listening.length === 0 && wanted.length > 0) {
      const reasons = wanted.map(address => `${address}: ${this.#reason(address)}`)
      throw new NetworkError(
        `cannot listen on any address of cluster.listen_multiaddress (${reasons.join('; ')}); ` +
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
