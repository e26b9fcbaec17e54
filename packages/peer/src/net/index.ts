/**
 * The private network: the libp2p host behind the cluster secret, pubsub, RPC between peers, block exchange, peer addresses,
 * bootstrap and discovery. The only room that imports libp2p at run time (Go: `clusterhost.go`, `pstoremgr/`).
 *
 * Besides it, and apart from it, the endpoint of HTTP over libp2p (`http-host.ts`), and its client (`http-dialer.ts`), which is a subpath
 * of the package.
 *
 * It knows who is reachable, not who is a member (monitor) nor who is trusted (consensus; it asks through `isTrusted`).
 */
export * from './types.ts'
export * from './errors.ts'
export { createNetwork, defaultNetworkConfig, type NetworkComponents } from './network.ts'
export { createHttpHost, type HttpHost, type HttpHostComponents, type HttpHostConfig } from './http-host.ts'
export * from './rpc/index.ts'
