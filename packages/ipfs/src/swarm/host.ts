import type { PrivateKey } from '@libp2p/interface'
import type { Libp2p } from '@libp2p/interface'
import { identify, identifyPush } from '@libp2p/identify'
import { kadDHT, passthroughMapper, removePrivateAddressesMapper } from '@libp2p/kad-dht'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { tls } from '@libp2p/tls'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { multiaddr, type Multiaddr } from '@multiformats/multiaddr'
import { errorMessage } from '@ipfs-cluster/base'
import { createLibp2p } from 'libp2p'
import { IpfsNodeError } from '../errors.ts'
import { VERSION } from '../version.ts'

export const AGENT_VERSION = `ipfs-cluster-embedded/${VERSION}`

/** Connections kept; the oldest unneeded ones are closed above this. */
const MAX_CONNECTIONS = 300
/** Of one attempt to connect, over all addresses of the peer. */
export const DIAL_TIMEOUT_MS = 15_000
/** Streams of one connection: a Go node opens one for each bitswap answer. */
const MAX_STREAMS = 4096
/** Bytes in flight on one stream, and bytes a stream may hold unread: above the former, so that a paused reader never fails. */
const STREAM_WINDOW_BYTES = 4 * 1024 * 1024
const STREAM_BUFFER_BYTES = 2 * STREAM_WINDOW_BYTES
/** Bitswap keeps a stream for long; a dead peer shows by its pings. */
const STREAM_INACTIVITY_MS = 24 * 60 * 60 * 1000
const PING_INTERVAL_MS = 15_000

/** Parts of libp2p that its public interface does not show. */
interface Internals {
  readonly addressManager: {
    confirmObservedAddr(address: Multiaddr, options: { type: 'transport'; ttl: number }): void
  }
  readonly transportManager: { getAddrs(): Multiaddr[] }
}

export interface HostConfig {
  readonly listen: readonly string[]
  readonly bootstrap: readonly string[]
  readonly routing: 'none' | 'dhtclient'
}

export interface Host extends AsyncDisposable {
  readonly libp2p: Libp2p
}

/**
 * A libp2p host as other IPFS nodes have it: no network secret, identify, ping, and the public DHT as client when asked for.
 *
 * @throws IpfsNodeError `IPFS_BAD_OPTION` when an address cannot be listened on
 */
export async function createHost(privateKey: PrivateKey, config: HostConfig): Promise<Host> {
  const { libp2p, internals } = await startLibp2p(privateKey, config).catch((cause: unknown) => {
    // libp2p's own text has many lines and a stack; the system's reason is what the reader needs.
    const reason = /E[A-Z]{4,}[^\n]*/.exec(errorMessage(cause))?.[0] ?? errorMessage(cause).split('\n')[0]
    throw new IpfsNodeError(
      `the IPFS node cannot listen on ${config.listen.join(', ')}: ${reason}; is the port in use? ` +
        'Choose free tcp or ws addresses (swarm_listen_multiaddress)',
      { code: 'IPFS_BAD_OPTION', option: 'listen' },
      { cause },
    )
  })
  // libp2p keeps a public address to itself until several peers have dialled it back. Others announce what they listen on; so do we.
  for (const address of internals.transportManager.getAddrs()) {
    internals.addressManager.confirmObservedAddr(address, {
      type: 'transport',
      ttl: Number.POSITIVE_INFINITY,
    })
  }
  return {
    libp2p,
    async [Symbol.asyncDispose]() {
      await libp2p.stop()
      stopTimers(libp2p.services, internals)
    },
  }
}

async function startLibp2p(privateKey: PrivateKey, { listen, bootstrap, routing }: HostConfig) {
  const libp2p = await createLibp2p({
    privateKey,
    nodeInfo: { name: 'ipfs-cluster-embedded', version: VERSION, userAgent: AGENT_VERSION },
    addresses: { listen: [...listen] },
    transports: [tcp(), webSockets()],
    connectionEncrypters: [noise(), tls()],
    streamMuxers: [
      yamux({
        maxInboundStreams: MAX_STREAMS,
        maxOutboundStreams: MAX_STREAMS,
        maxEarlyStreams: MAX_STREAMS,
        streamOptions: {
          maxStreamWindowSize: STREAM_WINDOW_BYTES,
          maxReadBufferLength: STREAM_BUFFER_BYTES,
          inactivityTimeout: STREAM_INACTIVITY_MS,
        },
      }),
    ],
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      dialTimeout: DIAL_TIMEOUT_MS,
      addressDialTimeout: DIAL_TIMEOUT_MS,
    },
    connectionMonitor: { pingInterval: PING_INTERVAL_MS, pingTimeout: { minTimeout: PING_INTERVAL_MS } },
    services: {
      identify: identify({ maxInboundStreams: 32, maxOutboundStreams: 32 }),
      identifyPush: identifyPush({ maxInboundStreams: 32, maxOutboundStreams: 32 }),
      ping: ping({ maxInboundStreams: 32, maxOutboundStreams: 32 }),
      ...(routing === 'dhtclient' ? { dht: dht(bootstrap) } : {}),
      internals: ({ addressManager, transportManager }: Internals): Internals => ({
        addressManager,
        transportManager,
      }),
    },
  })
  return { libp2p, internals: libp2p.services.internals }
}

/** Private addresses lead nowhere in the public DHT; in one that is private itself they are all there is. */
function dht(bootstrap: readonly string[]) {
  const isPrivate = bootstrap.length > 0 && bootstrap.every(isPrivateAddress)
  return kadDHT({
    protocol: '/ipfs/kad/1.0.0',
    clientMode: true,
    // A lookup with an empty table fails at once instead of waiting for a first peer.
    allowQueryWithZeroPeers: true,
    peerInfoMapper: isPrivate ? passthroughMapper : removePrivateAddressesMapper,
  })
}

export function isPrivateAddress(address: string): boolean {
  return (
    /^\/ip4\/(10|127|169\.254|192\.168|172\.(1[6-9]|2\d|3[01]))\./.test(address) ||
    /^\/ip6\/(::1|f[cd][0-9a-f]{2}:|fe[89ab][0-9a-f]:)/i.test(address)
  )
}

/** @throws IpfsNodeError `IPFS_DIAL_FAILED` when it is not an address with /p2p */
export function parsePeerAddress(address: string): Multiaddr {
  const failure = { code: 'IPFS_DIAL_FAILED' as const, address }
  let parsed: Multiaddr
  try {
    parsed = multiaddr(address)
  } catch (cause) {
    throw new IpfsNodeError(`${JSON.stringify(address)} is not a multiaddr`, failure, { cause })
  }
  if (!parsed.getComponents().some(({ name }) => name === 'p2p')) {
    throw new IpfsNodeError(`${address} names no peer: end it with /p2p/<peer id>`, failure)
  }
  return parsed
}

interface Debounced {
  stop?(): void
}

/** js-libp2p 3.3 leaves these timers running after `stop()`, for up to 12 s. */
function stopTimers(services: object, internals: Internals): void {
  const { identifyPush } = services as { identifyPush?: { _push?: Debounced } }
  identifyPush?._push?.stop?.()
  const { _updatePeerStoreAddresses } = internals.addressManager as { _updatePeerStoreAddresses?: Debounced }
  _updatePeerStoreAddresses?.stop?.()
}
