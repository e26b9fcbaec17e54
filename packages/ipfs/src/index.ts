/**
 * The built-in IPFS node: a block store that verifies what it reads, pins with progress, garbage collection, UnixFS, CAR, a swarm of
 * its own (no cluster secret), bitswap, optional routing and a read-only gateway. Complete enough to replace Kubo beside one cluster
 * peer; it has no MFS, no IPNS publishing and no RPC port yet.
 */
export * from './types.ts'
