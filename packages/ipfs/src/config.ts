import type { IpfsNodeConfig } from './types.ts'

const GIB = 1024 ** 3

/** Kubo's storage limit and port; no bootstrap peers, no routing, no gateway. */
export const defaultIpfsNodeConfig: Omit<IpfsNodeConfig, 'path'> = {
  listen: ['/ip4/0.0.0.0/tcp/4001'],
  bootstrap: [],
  storageMax: 10 * GIB,
  routing: 'none',
  delegatedRouting: [],
  gatewayFetch: true,
}
