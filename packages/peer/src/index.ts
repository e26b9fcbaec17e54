/**
 * The cluster peer as a library: `createClusterPeer(config, overrides)` starts one inside any program. See `examples/`.
 */
export {
  createClusterPeer,
  type ClusterPeer,
  type ClusterPeerConfig,
  type ClusterPeerOverrides,
} from './peer.ts'
export type { Cluster, ClusterConfig } from './cluster/index.ts'
export {
  formatServiceConfig,
  initialConfig,
  loadServiceConfig,
  parseServiceConfig,
  saveServiceConfig,
  toPeerConfig,
  type PeerConfig,
  type ServiceConfig,
} from './config/index.ts'
export { createIdentity, loadIdentity, saveIdentity, type Identity } from './identity/index.ts'
export type { IpfsConnector } from './ipfsconn/index.ts'
export { VERSION } from './version.ts'
