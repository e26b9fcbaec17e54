/**
 * The client's side of HTTP over libp2p, exported as `@ipfs-cluster/peer/libp2p-http`: connections to peers as sockets, for whatever
 * speaks HTTP on them. It lives in this room because of the private network (`private-network.ts`).
 */
import type { Duplex } from 'node:stream'
import type { Libp2p, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { webSockets } from '@libp2p/websockets'
import { yamux } from '@libp2p/yamux'
import { errorMessage, silentLogger, systemClock, type AbortOptions, type Clock } from '@ipfs-cluster/base'
import type { Multiaddr, PeerId } from '@ipfs-cluster/api'
import { parseAddress } from './addresses.ts'
import { DialWatch } from './dial-error.ts'
import { NetworkError } from './errors.ts'
import { HTTP_PROTOCOL } from './http-protocol.ts'
import { tls } from './lazy-tls.ts'
import { libp2pLogger } from './libp2p-logger.ts'
import { muxerOptions } from './muxer-limits.ts'
import { connectionProtector } from './private-network.ts'
import { StreamSocket } from './stream-socket.ts'
import { createLibp2p, type Libp2pOptions } from 'libp2p'

/** A busy peer may answer pings late. */
const PING_TIMEOUT_MS = 15_000

export interface HttpDialerConfig {
  /** 32 bytes: dials into the private network of this cluster secret. Without it only endpoints without one can be reached. */
  readonly secret?: Uint8Array
  readonly clock?: Clock
  /** Resolves /dnsaddr; that of the system by default. */
  readonly dns?: NonNullable<Libp2pOptions['dns']>
}

export interface HttpDialer extends AsyncDisposable {
  /**
   * A new stream to the peer at `address` (with /p2p, or a /dnsaddr that leads to such), over the connection there is or a new one.
   *
   * @throws NetworkError `NET_BAD_ADDRESS`, `NET_UNREACHABLE`, `NET_WRONG_SECRET`, `NET_WRONG_PEER`, `NET_NO_HTTP`; the signal's reason.
   */
  connect(address: Multiaddr, options?: AbortOptions): Promise<Duplex>
}

/**
 * Starts a libp2p host that listens nowhere, with an identity of the moment. TCP and WebSocket.
 *
 * @throws NetworkError `NET_BAD_SECRET`
 */
export async function createHttpDialer({
  secret,
  clock = systemClock,
  dns,
}: HttpDialerConfig = {}): Promise<HttpDialer> {
  const protector = secret === undefined ? undefined : connectionProtector(secret, silentLogger)
  const libp2p = await createLibp2p({
    addresses: { listen: [] },
    logger: libp2pLogger(silentLogger),
    transports: [tcp(), webSockets()],
    connectionEncrypters: [noise(), tls()],
    streamMuxers: [yamux(muxerOptions)],
    ...(protector === undefined ? {} : { connectionProtector: protector }),
    ...(dns === undefined ? {} : { dns }),
    connectionMonitor: { pingTimeout: { minTimeout: PING_TIMEOUT_MS } },
    services: { ping: ping() },
  })
  return {
    async connect(address, options = {}) {
      const { stream, peer } = await openStream(libp2p, address, options)
      return new StreamSocket(stream, { clock, peer, onDestroy: 'reset' })
    },
    [Symbol.asyncDispose]: async () => await libp2p.stop(),
  }
}

async function openStream(
  libp2p: Libp2p,
  address: Multiaddr,
  { signal }: AbortOptions,
): Promise<{ readonly stream: Stream; readonly peer: PeerId }> {
  const target = parseAddress(address)
  const watch = new DialWatch(address)
  const options = signal === undefined ? {} : { signal }
  let connection
  try {
    connection = await libp2p.dial(target, { ...options, onProgress: watch.onProgress })
  } catch (error) {
    signal?.throwIfAborted()
    throw dialError(address, watch.error(error))
  }
  try {
    const stream = await connection.newStream(HTTP_PROTOCOL, {
      ...options,
      maxOutboundStreams: muxerOptions.maxOutboundStreams,
    })
    return { stream, peer: connection.remotePeer.toString() }
  } catch (error) {
    signal?.throwIfAborted()
    const refused = error instanceof Error && error.name === 'UnsupportedProtocolError'
    throw new NetworkError(
      refused
        ? `${address} does not serve its API over libp2p; take the address of an endpoint that does (restapi.libp2p_listen_multiaddress)`
        : `${address} took the connection, but no request (${errorMessage(error)}); try again`,
      { code: refused ? 'NET_NO_HTTP' : 'NET_UNREACHABLE', target: address },
      { cause: error },
    )
  }
}

/** Who dials an API may have taken a private peer for an endpoint, or the other way round. */
function dialError(address: Multiaddr, error: NetworkError): NetworkError {
  if (error.code !== 'NET_WRONG_SECRET') return error
  return new NetworkError(
    `${address} answers, but no secure channel comes up (${errorMessage(error.cause)}): a peer of a private network takes only ` +
      'who has its cluster secret, an endpoint of its own (restapi.libp2p_listen_multiaddress) only who comes without one',
    { code: 'NET_WRONG_SECRET', target: address },
    { cause: error },
  )
}
