import type { tls as Tls } from '@libp2p/tls'
import type { ConnectionEncrypter } from '@libp2p/interface'

const PROTOCOL = '/tls/1.0.0'

/**
 * libp2p's TLS, loaded with the first connection that wants it: nearly all choose noise, and the certificate libraries are a sixth of what a
 * peer would load to start.
 */
export function tls(): (components: Parameters<ReturnType<typeof Tls>>[0]) => ConnectionEncrypter {
  return components => {
    let loading: Promise<ConnectionEncrypter> | undefined
    const loaded = () => (loading ??= import('@libp2p/tls').then(library => library.tls()(components)))
    return {
      protocol: PROTOCOL,
      secureInbound: async (connection, options) => await (await loaded()).secureInbound(connection, options),
      secureOutbound: async (connection, options) =>
        await (await loaded()).secureOutbound(connection, options),
    }
  }
}
