/**
 * The built-in IPFS node: a block store that verifies what it reads, pins with progress, garbage collection, UnixFS, CAR, a swarm of
 * its own (no cluster secret), bitswap, optional routing and a read-only gateway. Complete enough to replace Kubo beside one cluster
 * peer; it has no MFS and no IPNS.
 *
 * Rooms: `blocks/` (segment files, index, protection from collection), `pins/` (DAG walks, pins, garbage collection), `unixfs/` (add, read,
 * CAR), `swarm/` (libp2p, bitswap, routing; alone imports libp2p at run time), `gateway/` (HTTP), `rpc/` (Kubo's RPC API).
 */
export { defaultIpfsNodeConfig } from './config.ts'
export { IpfsNodeError, type IpfsNodeFailure } from './errors.ts'
export { createIpfsNode, type IpfsNodeComponents } from './node.ts'
export type { RpcNode } from './details.ts'
export * from './rpc/index.ts'
export * from './types.ts'
