import {
  anySignal,
  asError,
  createTaskScope,
  errorMessage,
  refusalsOf,
  silentMeter,
  type Clock,
  type Logger,
  type Meter,
  type Refusals,
  type TaskScope,
} from '@ipfs-cluster/base'
import type { Connection, PeerId, PeerUpdate, Stream } from '@libp2p/interface'
import type { MultihashHasher } from 'multiformats/hashes/interface'
import { keyOfCid, keyOfCidBytes, type BlockKey } from './cid-bytes.ts'
import { bitswapConfig, type BitswapConfig } from './config.ts'
import { badMessage, BitswapError } from './errors.ts'
import { FrameReader } from './frames.ts'
import type { Ledger } from './ledger.ts'
import { Link } from './link.ts'
import { decodeMessage, encodeFrame, type BitswapMessage } from './message.ts'
import { PeerWants } from './peer-wants.ts'
import { BITSWAP_PROTOCOLS, type BitswapHost, type BitswapVersion } from './protocols.ts'
import { Server } from './server.ts'
import { openSession } from './session.ts'
import type { Bitswap, BitswapBlocks } from './types.ts'
import { createVerifier, type Verifier } from './verify.ts'
import { createSessionState } from './want.ts'
import { WantManager } from './want-manager.ts'

/** A peer that does not speak bitswap is asked again after this, or when it says that it does. Milliseconds. */
const UNSUPPORTED_PAUSE_MS = 60_000

/** Pause after the second failure in a row to talk to a peer; doubles up to the longest. Milliseconds. */
const FAILURE_PAUSE_MS = 1_000
const MAX_FAILURE_PAUSE_MS = 30_000

/** How long what has been written may take to go out when we stop. Milliseconds. */
const CLOSE_TIMEOUT_MS = 1_000

export interface BitswapComponents {
  readonly libp2p: BitswapHost
  readonly blocks: BitswapBlocks
  readonly clock: Clock
  readonly logger: Logger
  /** Hash functions besides SHA2-256, SHA2-512 and identity, for verifying blocks. */
  readonly hashers?: readonly MultihashHasher[]
  readonly meter?: Meter
}

interface Peer {
  readonly id: string
  readonly peerId: PeerId
  readonly link: Link
  readonly wants: PeerWants
  readonly ledger: Ledger
  /** Bytes of unfinished messages. */
  partialBytes: number
}

/**
 * Starts answering bitswap on a libp2p node, and asking. The node stays the caller's: stop bitswap before it.
 *
 * @throws BitswapError `BITSWAP_BAD_CONFIG`.
 */
export async function createBitswap(
  components: BitswapComponents,
  config: Partial<BitswapConfig> = {},
): Promise<Bitswap> {
  const node = new BitswapNode(components, bitswapConfig(config))
  await node.start()
  measure(components.meter ?? silentMeter, node)
  return {
    session: options => openSession(node.manager, options),
    get: (cid, options) => node.manager.get(cid, createSessionState([], false), options),
    notify(blocks) {
      for (const block of blocks) node.manager.onLocalBlock(keyOfCid(block.cid), block)
      node.server.notify(blocks)
    },
    stats: () => ({
      blocksReceived: node.manager.blocksReceived,
      bytesReceived: node.manager.bytesReceived,
      blocksSent: node.server.blocksSent,
      bytesSent: node.server.bytesSent,
      duplicateBlocks: node.manager.duplicateBlocks,
      invalidBlocks: node.manager.invalidBlocks,
      wantsPending: node.manager.pending,
      peerWants: node.server.pending,
    }),
    [Symbol.asyncDispose]: () => node.stop(),
  }
}

function measure(meter: Meter, { manager, server }: BitswapNode): void {
  const blocks = (direction: string, read: () => number) =>
    meter.total('ipfscluster_bitswap_blocks_total', 'Blocks exchanged, by direction', read, { direction })
  const bytes = (direction: string, read: () => number) =>
    meter.total('ipfscluster_bitswap_bytes_total', 'Bytes of blocks exchanged, by direction', read, {
      direction,
    })
  blocks('received', () => manager.blocksReceived)
  blocks('sent', () => server.blocksSent)
  bytes('received', () => manager.bytesReceived)
  bytes('sent', () => server.bytesSent)
  meter.total(
    'ipfscluster_bitswap_duplicate_blocks_total',
    'Blocks received that nobody waited for any more',
    () => manager.duplicateBlocks,
  )
  meter.gauge('ipfscluster_bitswap_wants', 'Blocks that we wait for', () => manager.pending)
  meter.gauge('ipfscluster_bitswap_peer_wants', 'Blocks that other peers wait for', () => server.pending)
}

/** Peers and streams: what comes in goes to the want manager and the server, what they have to say goes out by the peers' links. */
class BitswapNode {
  readonly manager: WantManager
  readonly server: Server
  readonly #libp2p: BitswapHost
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #config: BitswapConfig
  readonly #verifier: Verifier
  readonly #refusals: Refusals
  readonly #tasks: TaskScope
  readonly #peers = new Map<string, Peer>()
  readonly #inbound = new Set<Stream>()
  #stopping: Promise<void> | undefined

  constructor(components: BitswapComponents, config: BitswapConfig) {
    const { libp2p, blocks, clock, logger, hashers = [], meter = silentMeter } = components
    const refusals = refusalsOf(meter, 'bitswap')
    this.#libp2p = libp2p
    this.#clock = clock
    this.#logger = logger
    this.#config = config
    this.#verifier = createVerifier(hashers)
    this.#refusals = refusals
    this.#tasks = createTaskScope(logger)
    this.manager = new WantManager({ clock, config, verifier: this.#verifier, tasks: this.#tasks, refusals })
    this.server = new Server({ blocks, config, logger, tasks: this.#tasks, refusals })
  }

  async start(): Promise<void> {
    const { maxStreams } = this.#config
    await this.#libp2p.handle([...BITSWAP_PROTOCOLS], this.#onStream, {
      maxInboundStreams: maxStreams,
      maxOutboundStreams: maxStreams,
    })
    this.#libp2p.addEventListener('peer:connect', this.#onConnect)
    this.#libp2p.addEventListener('peer:disconnect', this.#onDisconnect)
    this.#libp2p.addEventListener('peer:update', this.#onUpdate)
    for (const peerId of this.#libp2p.getPeers()) this.#peerOf(peerId)
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  async #stop(): Promise<void> {
    this.#libp2p.removeEventListener('peer:connect', this.#onConnect)
    this.#libp2p.removeEventListener('peer:disconnect', this.#onDisconnect)
    this.#libp2p.removeEventListener('peer:update', this.#onUpdate)
    const stopped = new BitswapError('bitswap has been stopped', { code: 'BITSWAP_STOPPED' })
    this.manager.close(stopped)
    const deadline = this.#clock.timeout(CLOSE_TIMEOUT_MS)
    const links = [...this.#peers.values()].map(peer => peer.link.close(deadline))
    await this.#libp2p.unhandle([...BITSWAP_PROTOCOLS])
    await Promise.all(links)
    for (const stream of this.#inbound) stream.abort(stopped)
    for (const peer of this.#peers.values()) this.server.reset(peer.ledger, { close: true })
    this.#peers.clear()
    await this.#tasks[Symbol.asyncDispose]()
  }

  readonly #onConnect = (event: CustomEvent<PeerId>): void => {
    this.#peerOf(event.detail)
  }

  readonly #onDisconnect = (event: CustomEvent<PeerId>): void => {
    const peer = this.#peers.get(event.detail.toString())
    if (peer === undefined) return
    this.#peers.delete(peer.id)
    this.manager.removePeer(peer.wants)
    this.server.reset(peer.ledger, { close: true })
    // The connection is gone: there is nothing to wait for.
    void peer.link.close(AbortSignal.abort())
  }

  /** A peer that did not speak bitswap may have learned it. */
  readonly #onUpdate = (event: CustomEvent<PeerUpdate>): void => {
    const { id, protocols } = event.detail.peer
    const peer = this.#peers.get(id.toString())
    if (peer?.wants.usable === false && protocols.some(protocol => BITSWAP_PROTOCOLS.includes(protocol))) {
      this.manager.addPeer(peer.wants)
    }
  }

  #peerOf(peerId: PeerId): Peer {
    const id = peerId.toString()
    const known = this.#peers.get(id)
    if (known !== undefined) return known
    const wake = () => link.wake()
    const wants = new PeerWants(id, {
      maxWantsInFlight: this.#config.maxWantsInFlight,
      now: () => this.#clock.monotonic(),
      wake,
    })
    const ledger = this.server.open(wake)
    const link = new Link({
      clock: this.#clock,
      tasks: this.#tasks,
      drainTimeoutMs: this.#config.drainTimeoutMs,
      open: signal => this.#openStream(peerId, signal),
      hasWork: () => wants.hasWork || ledger.hasAnswers,
      collect: version => this.#collect(peer, version),
      onFailure: (error, count) => this.#onLinkFailure(peer, error, count),
    })
    const peer: Peer = { id, peerId, link, wants, ledger, partialBytes: 0 }
    this.#peers.set(id, peer)
    this.manager.addPeer(wants)
    return peer
  }

  async #openStream(peerId: PeerId, signal: AbortSignal): Promise<Stream> {
    const open = this.#libp2p.getConnections(peerId).filter(connection => connection.status === 'open')
    const connection = open.find(connection => connection.limits === undefined) ?? open[0]
    if (connection === undefined) {
      throw new BitswapError(`no connection to ${peerId}`, {
        code: 'BITSWAP_PEER_UNREACHABLE',
        peer: peerId.toString(),
      })
    }
    const deadline = anySignal(signal, this.#clock.timeout(this.#config.openTimeoutMs))
    return await connection.newStream([...BITSWAP_PROTOCOLS], {
      maxOutboundStreams: this.#config.maxStreams,
      ...(deadline === undefined ? {} : { signal: deadline }),
    })
  }

  #collect(peer: Peer, version: BitswapVersion): readonly Uint8Array[] | undefined {
    const { maxOutgoingBytes } = this.#config
    const wantlist = peer.wants.take(maxOutgoingBytes, version === '1.2')
    const answers = this.server.take(peer.ledger, version, maxOutgoingBytes)
    const empty =
      wantlist.length === 0 &&
      !answers.bareBlocks?.length &&
      !answers.payload?.length &&
      !answers.presences?.length
    return empty ? undefined : encodeFrame({ wantlist, ...answers })
  }

  /** Once may be chance: say everything again on a new stream. Then leave the peer alone for a while. */
  #onLinkFailure(peer: Peer, error: Error, count: number): void {
    if (this.#stopping !== undefined || this.#peers.get(peer.id) !== peer) return
    this.#logger.debug({ peer: peer.id, failures: count }, `bitswap stream failed: ${errorMessage(error)}`)
    const unsupported = error.name === 'UnsupportedProtocolError'
    if (count === 1 && !unsupported) {
      peer.wants.resend()
      peer.link.wake()
      return
    }
    this.server.reset(peer.ledger)
    const pauseMs = Math.min(FAILURE_PAUSE_MS * 2 ** (count - 2), MAX_FAILURE_PAUSE_MS)
    this.manager.suspendPeer(peer.wants, unsupported ? UNSUPPORTED_PAUSE_MS : pauseMs)
  }

  /**
   * Go opens a new stream for each answer and closes it with the last byte, so the data may all be here already; the listener must
   * be there before this returns. Nothing is ever written on an inbound stream.
   */
  readonly #onStream = (stream: Stream, connection: Connection): void => {
    if (this.#stopping !== undefined || connection.status !== 'open') {
      stream.abort(new Error('bitswap stopped'))
      return
    }
    const peer = this.#peerOf(connection.remotePeer)
    if (!peer.wants.usable) this.manager.addPeer(peer.wants)
    this.#inbound.add(stream)
    const reader = new FrameReader(this.#config.maxMessageBytes, bytes =>
      this.#onMessage(peer, decodeMessage(bytes)),
    )
    let held = 0
    const hold = (bytes: number) => {
      peer.partialBytes += bytes - held
      held = bytes
      if (peer.partialBytes > this.#config.maxPartialBytes) throw badMessage('too many unfinished messages')
    }
    stream.addEventListener('message', ({ data }) => {
      peer.wants.lastHeardAt = this.#clock.monotonic()
      try {
        for (const chunk of data instanceof Uint8Array ? [data] : data) reader.push(plain(chunk))
        hold(reader.pendingBytes)
      } catch (error) {
        this.#refusals.count('malformed')
        this.#logger.debug({ peer: peer.id }, `bitswap stream refused: ${errorMessage(error)}`)
        stream.abort(asError(error))
      }
    })
    stream.addEventListener('close', ({ error }) => {
      this.#inbound.delete(stream)
      peer.partialBytes -= held
      // A reset may have cut off answers.
      if (error !== undefined && this.#peers.get(peer.id) === peer) peer.wants.resend()
    })
    stream.close({ signal: this.#tasks.signal }).catch((error: unknown) => {
      this.#logger.debug({ peer: peer.id }, `closing an inbound stream for writing: ${errorMessage(error)}`)
    })
  }

  #onMessage(peer: Peer, message: BitswapMessage): void {
    if (message.wantlist.length > 0 || message.full) this.server.receive(peer.ledger, message)
    for (const { prefix, data } of message.payload) {
      const key = this.#verifier.keyOf(prefix, data)
      if (key instanceof Promise) this.#onHashed(peer, key, data)
      else this.manager.onBlock(peer.wants, key, data)
    }
    for (const data of message.bareBlocks) {
      this.manager.onBlock(peer.wants, this.#verifier.keyOfBare(data), data)
    }
    for (const { cid, have } of message.presences) {
      const key = keyOfCidBytes(cid)
      if (key === undefined) continue
      if (have) this.manager.onHave(peer.wants, key)
      else this.manager.onDontHave(peer.wants, key)
    }
  }

  #onHashed(peer: Peer, hashed: Promise<BlockKey | undefined>, data: Uint8Array): void {
    this.#tasks.run('bitswap block verification', async () => {
      this.manager.onBlock(peer.wants, await hashed, data)
    })
  }
}

/** Node's buffers have their own `slice` and are not equal to plain arrays for callers that compare. */
function plain(bytes: Uint8Array): Uint8Array {
  return Buffer.isBuffer(bytes) ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) : bytes
}
