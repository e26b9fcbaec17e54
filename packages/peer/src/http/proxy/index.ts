/**
 * The IPFS proxy (Go: `api/ipfsproxy`; reference api.md 2): Kubo's RPC API with a cluster behind it. `routes.ts` is the table of what the cluster answers
 * (pins, adds, repositories); everything else the daemon does, by `Upstream`.
 *
 * It knows no logins and no TLS: as before a daemon's own RPC, whoever reaches it may do everything.
 */
export * from './types.ts'
export { ProxyError, type ProxyFailure } from './errors.ts'
export { createIpfsProxy, proxyRouteOf, type IpfsProxyComponents } from './proxy.ts'
export { createHandlerUpstream } from './handler-upstream.ts'
export { createHttpUpstream, type HttpUpstreamComponents, type HttpUpstreamConfig } from './http-upstream.ts'
