/** What is known of the swarm: connections, addresses, who others say they are. */
import { publicKeyToProtobuf } from '@libp2p/crypto/keys'
import type { Libp2p, PeerId, Stream } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import { byteStream } from '@libp2p/utils'
import { anySignal, type AbortOptions, type Clock } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { IpfsNodeError } from '../errors.ts'
import type { Provider } from './delegated-routing.ts'
import { AGENT_VERSION } from './host.ts'

/** Of one round trip. */
const PING_TIMEOUT_MS = 10_000
/** https://github.com/libp2p/specs/blob/master/ping/ping.md */
const PING_PROTOCOL = '/ipfs/ping/1.0.0'
const PING_BYTES = 32

export interface SwarmConnection {
  readonly peer: string
  /** Without /p2p. */
  readonly address: string
  readonly direction: 'inbound' | 'outbound'
  readonly muxer: string
  /** Of the last ping; absent when there was none. */
  readonly latencyMs?: number
  /** Protocols of the open streams. */
  readonly streams: readonly string[]
}

export interface PeerDescription {
  readonly id: string
  /** Protobuf of libp2p; empty when it is not known. */
  readonly publicKey: Uint8Array
  /** With /p2p. */
  readonly addresses: readonly string[]
  readonly agentVersion: string
  readonly protocols: readonly string[]
}

export interface SwarmDetails {
  connections(): readonly SwarmConnection[]
  /** Closes the connections to a peer. False when there was none. @param peer id @throws IpfsNodeError `IPFS_DIAL_FAILED` */
  disconnect(peer: string, options: AbortOptions): Promise<boolean>
  /** Addresses of every known peer, without /p2p. */
  known(options: AbortOptions): Promise<ReadonlyMap<string, readonly string[]>>
  /** Ourselves, or a peer that is connected; dials it when it is not. @throws IpfsNodeError `IPFS_DIAL_FAILED` */
  describe(peer: string | undefined, options: AbortOptions): Promise<PeerDescription>
  /** Milliseconds of a round trip. @throws IpfsNodeError `IPFS_DIAL_FAILED` */
  ping(peer: string, options: AbortOptions): Promise<number>
  /** Who is said to have a block; nobody when no routing is configured. */
  findProviders(cid: CID, options: AbortOptions): AsyncIterable<Provider>
}

export function createSwarmDetails(
  libp2p: Libp2p,
  {
    clock,
    dial,
    findProviders,
  }: {
    readonly clock: Clock
    /** Connects, within a deadline. */
    readonly dial: (peer: string, options: AbortOptions) => Promise<string>
    readonly findProviders: ((cid: CID, options: AbortOptions) => AsyncIterable<Provider>) | undefined
  },
): SwarmDetails {
  const withSignal = (signal: AbortSignal | undefined) => (signal === undefined ? {} : { signal })
  const reach = async (peer: string, options: AbortOptions): Promise<PeerId> => {
    const id = parsePeer(peer)
    if (libp2p.getConnections(id).length > 0) return id
    try {
      await dial(peer, options)
    } catch (cause) {
      options.signal?.throwIfAborted()
      throw new IpfsNodeError(
        `failed to dial ${peer}`,
        { code: 'IPFS_DIAL_FAILED', address: peer },
        { cause },
      )
    }
    return id
  }
  return {
    connections: () =>
      libp2p.getConnections().map(({ remotePeer, remoteAddr, direction, multiplexer, rtt, streams }) => ({
        peer: remotePeer.toString(),
        address: remoteAddr.toString().replace(/\/p2p\/[^/]+$/, ''),
        direction,
        muxer: multiplexer ?? '',
        ...(rtt === undefined ? {} : { latencyMs: rtt }),
        streams: streams.map(stream => stream.protocol),
      })),
    async disconnect(peer, { signal }) {
      const id = parsePeer(peer)
      if (libp2p.getConnections(id).length === 0) return false
      await libp2p.hangUp(id, withSignal(signal))
      return true
    },
    async known({ signal }) {
      const peers = await libp2p.peerStore.all(withSignal(signal))
      const own: [string, string[]] = [
        libp2p.peerId.toString(),
        libp2p.getMultiaddrs().map(address => address.toString().replace(/\/p2p\/[^/]+$/, '')),
      ]
      const others = peers.map(({ id, addresses }): [string, string[]] => [
        id.toString(),
        addresses.map(({ multiaddr }) => multiaddr.toString()),
      ])
      return new Map([own, ...others])
    },
    async describe(peer, options) {
      if (peer === undefined || peer === libp2p.peerId.toString()) return ourselves(libp2p)
      const id = await reach(peer, options)
      const known = await libp2p.peerStore.get(id, withSignal(options.signal))
      const agent = known.metadata.get('AgentVersion')
      return {
        id: peer,
        publicKey: id.publicKey === undefined ? new Uint8Array(0) : publicKeyToProtobuf(id.publicKey),
        addresses: known.addresses.map(({ multiaddr }) => `${multiaddr}/p2p/${peer}`),
        agentVersion: agent === undefined ? '' : new TextDecoder().decode(agent),
        protocols: [...known.protocols].sort(),
      }
    },
    async ping(peer, options) {
      const id = await reach(peer, options)
      const within = withSignal(anySignal(options.signal, clock.timeout(PING_TIMEOUT_MS)))
      const stream = await libp2p.dialProtocol(id, PING_PROTOCOL, within)
      try {
        const ms = await roundTrip(stream, clock, within)
        await stream.close(within)
        return ms
      } catch (error) {
        stream.abort(new Error('ping failed', { cause: error }))
        throw error
      }
    },
    async *findProviders(cid, options) {
      if (findProviders !== undefined) yield* findProviders(cid, options)
    },
  }
}

/** libp2p's own ping counts whole milliseconds, which are 0 in a local network. */
async function roundTrip(
  stream: Stream,
  clock: Clock,
  within: { readonly signal?: AbortSignal },
): Promise<number> {
  const bytes = byteStream(stream)
  const sent = crypto.getRandomValues(new Uint8Array(PING_BYTES))
  const startMs = clock.monotonic()
  await bytes.write(sent, within)
  const received = await bytes.read({ ...within, bytes: PING_BYTES })
  const ms = clock.monotonic() - startMs
  if (Buffer.compare(sent, received.subarray()) !== 0) throw new Error('other bytes came back than were sent')
  bytes.unwrap()
  return ms
}

function ourselves(libp2p: Libp2p): PeerDescription {
  const { peerId } = libp2p
  return {
    id: peerId.toString(),
    publicKey: peerId.publicKey === undefined ? new Uint8Array(0) : publicKeyToProtobuf(peerId.publicKey),
    addresses: libp2p.getMultiaddrs().map(address => address.toString()),
    agentVersion: AGENT_VERSION,
    protocols: libp2p.getProtocols().toSorted(),
  }
}

function parsePeer(peer: string): PeerId {
  try {
    return peerIdFromString(peer)
  } catch (cause) {
    throw new IpfsNodeError('invalid peer id', { code: 'IPFS_DIAL_FAILED', address: peer }, { cause })
  }
}
