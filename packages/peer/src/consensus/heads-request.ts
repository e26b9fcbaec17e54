import { newPin, type PeerId } from '@ipfs-cluster/api'
import {
  errorMessage,
  shuffled,
  utf8,
  concatBytes,
  type Clock,
  type Logger,
  type Random,
  type TaskScope,
} from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { identity } from 'multiformats/hashes/identity'
import { RPC, type Network } from '../net/index.ts'

/** Peers of this implementation greet who comes with their heads in less than a second; a Go peer never does. Milliseconds. */
const PATIENCE_MS = 3_000

/** Peers asked for their version, to find one to ask for its heads. */
const MAX_CANDIDATES = 4

/** What is behind the `+` in the version of a peer of this implementation. */
const OUR_BUILD = /\+ts\./

const RAW = 0x55

export interface HeadsRequestComponents {
  readonly network: Pick<Network, 'connectedPeers' | 'rpc'>
  readonly isTrusted: (peer: PeerId) => boolean
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly scope: TaskScope
}

export interface HeadsNews {
  /** Somebody else has announced heads since we started. */
  readonly heard: boolean
  /** A peer was asked since we started. */
  readonly asked: boolean
  /** Peers that listen to the topic. */
  readonly listeners: ReadonlySet<PeerId>
}

/** Peers to ask for their heads, once all that greet had time to do so; none when there is nothing to ask for. */
export function candidates(
  { heard, asked, listeners }: HeadsNews,
  connected: readonly PeerId[],
  isTrusted: (peer: PeerId) => boolean,
): readonly PeerId[] {
  if (heard || asked) return []
  return connected.filter(peer => listeners.has(peer) && isTrusted(peer))
}

/** Is this the version of a peer that announces its heads to newcomers by itself? */
export function greets(version: string): boolean {
  return OUR_BUILD.test(version)
}

/**
 * Gets a Go peer to announce its heads now rather than with its next rebroadcast, up to two minutes later: its protocol knows no question for
 * them, but a peer with `batching` publishes a node, which links to all its heads, when it is told to unpin what nobody has pinned. Without batching it does
 * nothing at all (docs/decisions/0009-asking-go-for-heads.md).
 *
 * Once a start, of one trusted peer, and only when nobody has announced anything by then.
 */
export class HeadsRequest {
  readonly #components: HeadsRequestComponents
  readonly #listeners = new Set<PeerId>()
  #heard = false
  #asked = false
  #waiting = false

  constructor(components: HeadsRequestComponents) {
    this.#components = components
  }

  onHeads(): void {
    this.#heard = true
    this.#listeners.clear()
  }

  onPeer(peer: PeerId): void {
    if (this.#heard || this.#asked) return
    this.#listeners.add(peer)
    if (this.#waiting) return
    this.#waiting = true
    const { scope, clock } = this.#components
    scope.run('crdt heads request', async signal => {
      await clock.sleep(PATIENCE_MS, { signal })
      this.#waiting = false
      await this.#askOne(signal)
    })
  }

  async #askOne(signal: AbortSignal): Promise<void> {
    const { network, isTrusted, random } = this.#components
    const connected = network.connectedPeers()
    const peers = shuffled(candidates(this.#news, connected, isTrusted), random)
    for (const peer of this.#listeners) if (!connected.includes(peer)) this.#listeners.delete(peer)
    for (const peer of peers.slice(0, MAX_CANDIDATES)) {
      if (await this.#mayAsk(peer, signal)) {
        await this.#ask(peer, signal)
        return
      }
    }
  }

  get #news(): HeadsNews {
    return { heard: this.#heard, asked: this.#asked, listeners: this.#listeners }
  }

  async #mayAsk(peer: PeerId, signal: AbortSignal): Promise<boolean> {
    const { network, logger } = this.#components
    try {
      const { version } = await network.rpc.call(peer, RPC.Cluster.Version, {}, { signal })
      if (!greets(version)) return !this.#heard && !this.#asked
    } catch (error) {
      signal.throwIfAborted()
      logger.debug({ peer }, `no version of a peer: ${errorMessage(error)}`)
    }
    this.#listeners.delete(peer)
    return false
  }

  async #ask(peer: PeerId, signal: AbortSignal): Promise<void> {
    const { network, random, logger } = this.#components
    this.#asked = true
    this.#listeners.clear()
    const pin = newPin(unpinnedCid(random), {})
    try {
      await network.rpc.call(peer, RPC.Consensus.LogUnpin, pin, { signal })
      logger.debug({ peer }, 'asked a Go peer to announce its heads')
    } catch (error) {
      signal.throwIfAborted()
      // Its next rebroadcast tells us, as it would have without this.
      logger.debug({ peer }, `a Go peer does not announce its heads when asked: ${errorMessage(error)}`)
    }
  }
}

/** Nobody can have pinned it: it is random. What it says is for whoever finds it in a log. */
function unpinnedCid(random: Random): CID {
  const content = concatBytes([utf8('ipfs-cluster-ts asks for heads '), random.bytes(16)])
  return CID.createV1(RAW, identity.digest(content))
}
