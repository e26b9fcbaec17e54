import type { AllocatorConfig } from '../allocator/index.ts'
import type { ClusterConfig } from '../cluster/index.ts'
import type { CrdtConsensusConfig } from '../consensus/index.ts'
import type { InformerConfig } from '../informer/index.ts'
import type { IpfsHttpConfig } from '../ipfsconn/index.ts'
import type { MonitorConfig } from '../monitor/index.ts'
import type { HttpHostConfig, NetworkConfig } from '../net/index.ts'
import type { PinTrackerConfig } from '../pintracker/index.ts'
import type { TracingConfig } from '../tracing/index.ts'
import type { Multiaddr } from '@ipfs-cluster/api'
import type { IpfsNodeConfig } from '@ipfs-cluster/ipfs'
import type { MetricsServerConfig } from '../http/metrics/index.ts'
import type { HttpUpstreamConfig, IpfsProxyConfig } from '../http/proxy/index.ts'
import type { HttpApiConfig } from '../http/rest/index.ts'

/** Which IPFS daemon serves this peer. */
export type IpfsChoice =
  | { readonly kind: 'ipfshttp'; readonly config: IpfsHttpConfig }
  | {
      readonly kind: 'embedded'
      readonly config: IpfsNodeConfig & {
        readonly pinTimeoutMs: number
        readonly unpinDisable: boolean
        /** Of the node's own RPC, past the cluster; none: it is reached through the IPFS proxy only. */
        readonly rpcListen?: readonly Multiaddr[]
      }
    }

/** Everything a peer is composed from, complete and validated. Holds the secret: log `describeConfig` of it, never itself. */
export interface PeerConfig {
  /** The config folder. */
  readonly folder: string
  readonly cluster: ClusterConfig
  readonly network: NetworkConfig
  readonly consensus: CrdtConsensusConfig
  readonly ipfs: IpfsChoice
  readonly tracker: PinTrackerConfig
  readonly monitor: MonitorConfig
  readonly allocator: AllocatorConfig
  readonly informers: InformerConfig
  /** `undefined`: the REST API is not started. */
  readonly restapi: HttpApiConfig | undefined
  /** Its endpoint over libp2p; `undefined`: none. */
  readonly restHost?: HttpHostConfig
  /** `undefined`: no Pinning Service API. */
  readonly pinsvcapi?: HttpApiConfig | undefined
  /** Its endpoint over libp2p; `undefined`: none. */
  readonly pinsvcHost?: HttpHostConfig
  /** `undefined`: no IPFS proxy. */
  readonly ipfsproxy?: IpfsProxyConfig & HttpUpstreamConfig
  /** `undefined`: no Prometheus endpoint. */
  readonly metrics?: MetricsServerConfig
  /** `undefined`: nothing is traced. */
  readonly tracing?: TracingConfig
  /** Folder of the durable store. */
  readonly storePath: string
}
