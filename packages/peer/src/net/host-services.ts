import { autoNAT } from '@libp2p/autonat'
import { circuitRelayServer } from '@libp2p/circuit-relay-v2'
import { dcutr } from '@libp2p/dcutr'
import { gossipsub, type GossipSub } from '@libp2p/gossipsub'
import { identify, identifyPush } from '@libp2p/identify'
import { kadDHT, passthroughMapper, removePrivateAddressesMapper } from '@libp2p/kad-dht'
import { ping } from '@libp2p/ping'
import { gossipOptions } from './gossip-options.ts'
import type { NetworkConfig } from './types.ts'

const IDENTIFY_TIMEOUT_MS = 30_000

/** Streams of one protocol that one connection may open; each runs for milliseconds. */
const MAX_SHORT_STREAMS = 32

/** Peers that may be reachable through us, and what a connection between two of them may carry, as in Go. */
const RELAY_RESERVATIONS = {
  maxReservations: 128,
  reservationTtl: 60 * 60 * 1000,
  defaultDurationLimit: 2 * 60 * 1000,
  defaultDataLimit: BigInt(128 * 1024),
}

/** `onGossip` is called with gossipsub before it starts. */
export function hostServices(config: NetworkConfig, onGossip: (gossip: GossipSub) => void) {
  const short = { maxInboundStreams: MAX_SHORT_STREAMS, maxOutboundStreams: MAX_SHORT_STREAMS }
  const createGossip = gossipsub(gossipOptions(config))
  return {
    identify: identify({ timeout: IDENTIFY_TIMEOUT_MS, ...short }),
    identifyPush: identifyPush({ timeout: IDENTIFY_TIMEOUT_MS, ...short }),
    // With a limit of one, a ping that is still out would fail the next one, and with it the connection.
    ping: ping(short),
    pubsub: (components: Parameters<typeof createGossip>[0]): GossipSub => {
      const gossip = createGossip(components)
      onGossip(gossip)
      return gossip
    },
    // As Go's dual DHT: the LAN instance always serves, the WAN instance does once we have a public address. A lookup with an
    // empty table fails at once instead of waiting for a first peer.
    dht: kadDHT({
      protocol: '/ipfs/lan/kad/1.0.0',
      clientMode: false,
      peerInfoMapper: passthroughMapper,
      allowQueryWithZeroPeers: true,
      logPrefix: 'libp2p:kad-dht:lan',
      datastorePrefix: '/dht/lan',
    }),
    wanDht: kadDHT({
      protocol: '/ipfs/kad/1.0.0',
      peerInfoMapper: removePrivateAddressesMapper,
      allowQueryWithZeroPeers: true,
      logPrefix: 'libp2p:kad-dht:wan',
      datastorePrefix: '/dht/wan',
    }),
    autoNAT: autoNAT(),
    dcutr: dcutr(),
    ...(config.enableRelayHop ? { relay: circuitRelayServer({ reservations: RELAY_RESERVATIONS }) } : {}),
  }
}
