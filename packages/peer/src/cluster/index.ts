/**
 * The use cases: pin, unpin, update, status, recover, add, peers, re-pinning and expiry, over the rooms below (Go: `cluster.go`;
 * reference wire.md 8). HTTP and RPC are two doors to it: `rpc-service.ts` is the RPC one.
 */
export * from './types.ts'
