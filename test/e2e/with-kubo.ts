import type { ServiceConfig } from '@ipfs-cluster/peer'

/** @param api multiaddr of the RPC of a Kubo. */
export function withKubo(config: ServiceConfig, api: string): ServiceConfig {
  return {
    ...config,
    ipfs_connector: {
      ipfshttp: {
        node_multiaddress: api,
        connect_swarms_delay: 500,
        ipfs_request_timeout: 60_000,
        pin_timeout: 20_000,
        unpin_timeout: 20_000,
        repogc_timeout: 60_000,
        informer_trigger_interval: 0,
        unpin_disable: false,
      },
    },
  }
}
