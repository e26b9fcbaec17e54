import type { RequestOptions } from 'node:http'

export type NodeAddress = Pick<RequestOptions, 'host' | 'port' | 'family' | 'socketPath'>

/**
 * Where to connect for a multiaddr of the daemon's RPC: `/ip4|ip6|dns|dns4|dns6/<host>/tcp/<port>` or `/unix/<path>`.
 *
 * @throws RangeError for anything else.
 */
export function parseNodeAddress(multiaddress: string): NodeAddress {
  const tcp = /^\/(ip4|ip6|dns|dns4|dns6)\/([^/]+)\/tcp\/(\d{1,5})(?:\/http)?\/?$/.exec(multiaddress)
  if (tcp !== null) {
    const [, kind, host = '', port] = tcp
    const family = kind === 'dns4' ? { family: 4 } : kind === 'dns6' ? { family: 6 } : {}
    return { host, port: Number(port), ...family }
  }
  const unix = /^\/unix\/(.+?)\/?$/.exec(multiaddress)
  if (unix !== null) {
    const path = unix[1] as string
    // Multiaddr texts write the path with or without its slashes escaped.
    return { socketPath: path.includes('%2F') ? decodeURIComponent(path) : `/${path.replace(/^\/+/, '')}` }
  }
  throw new RangeError(
    `not an address of an IPFS daemon: ${JSON.stringify(multiaddress)}; use /ip4/127.0.0.1/tcp/5001, /dns4/… or /unix/…`,
  )
}
