/**
 * The way to the IPFS daemon beside this peer: Kubo over its HTTP RPC, or the built-in node in this process. One port, two adapters,
 * one conformance suite (Go: `ipfsconn/ipfshttp`; reference wire.md 10).
 *
 * It knows nothing of the pinset: what is pinned when, and again, is the tracker's business.
 */
export * from './types.ts'
export { IpfsError, type IpfsFailure } from './errors.ts'
export {
  createEmbeddedConnector,
  type EmbeddedConnectorComponents,
  type EmbeddedConnectorConfig,
} from './embedded-connector.ts'
export { createKuboConnector, type KuboConnectorComponents } from './kubo-connector.ts'
export { listedLinks, readShard, type ShardBlocks } from './shard-list.ts'
export { parseIpfsPath, type IpfsPath } from './ipfs-path.ts'
export { parseNodeAddress, type NodeAddress } from './node-address.ts'
