import type { PeerId } from '@ipfs-cluster/api'
import { anySignal, errorMessage, type Clock, type Logger, type TaskScope } from '@ipfs-cluster/base'
import type { Bitswap, BitswapSession } from '@ipfs-cluster/bitswap'
import { linkOf, type CrdtBlocks } from '@ipfs-cluster/crdt'
import type { CID } from 'multiformats/cid'
import type { Network } from '../net/index.ts'
import type { BulkBlocks } from './bulk-blocks.ts'
import { MAX_ANNOUNCED, NARROW_WALK } from './bulk-limits.ts'
import type { NodeId } from './prefetched.ts'

/** Pause before the same peer is dialled again, in milliseconds. */
const REDIAL_MS = 10_000

/** Deadline of dialling a peer over all its addresses, in milliseconds. */
const DIAL_TIMEOUT_MS = 30_000

/** Peers whose last dial is remembered. */
const MAX_REMEMBERED_DIALS = 1_000

export interface ExchangeBlocksComponents {
  readonly network: Pick<Network, 'peerId' | 'connectedPeers' | 'addressesOf' | 'connect'>
  readonly bitswap: Pick<Bitswap, 'notify' | 'session'>
  readonly bulk: Pick<BulkBlocks, 'take' | 'get'>
  readonly clock: Clock
  readonly logger: Logger
  readonly scope: TaskScope
}

/**
 * The CRDT's nodes: in bulk from peers that can where a walk would go from one node to the next, and over the network's bitswap otherwise. Heads that
 * were just announced come over bitswap: who is in sync knows what they link to, and one node comes in a third of the time (0.6 ms against 2.1 ms).
 *
 * The author of an announcement is asked besides the peer that handed it on, which often does not
 * have the node yet (interop.md 3.6); it is dialled for that when it is not connected.
 */
export class ExchangeBlocks implements CrdtBlocks, Disposable {
  readonly #components: ExchangeBlocksComponents
  /** One for all nodes: who delivered some is likely to have the others. */
  readonly #session: BitswapSession
  readonly #dials = new Map<PeerId, number>()
  readonly #announced = new Set<NodeId>()
  #fetching = 0

  constructor(components: ExchangeBlocksComponents) {
    this.#components = components
    this.#session = components.bitswap.session()
  }

  /** These are about to be fetched as heads. */
  announced(heads: readonly CID[]): void {
    for (const head of heads) {
      const id = linkOf(head)?.id
      if (id === undefined) continue
      const [oldest] = this.#announced
      if (oldest !== undefined && this.#announced.size >= MAX_ANNOUNCED) this.#announced.delete(oldest)
      this.#announced.add(id)
    }
  }

  get: CrdtBlocks['get'] = async (cid, { signal, providers = [] }) => {
    const { network, bulk } = this.#components
    const link = linkOf(cid)
    const prefetched = link && bulk.take(link)
    if (prefetched !== undefined) return prefetched
    const others = providers.filter(peer => peer !== network.peerId)
    for (const peer of others) this.#dialIfNeeded(peer)
    const isNarrow = this.#fetching < NARROW_WALK
    this.#fetching++
    try {
      if (link !== undefined && isNarrow && !this.#announced.has(link.id)) {
        const data = await bulk.get(link, { signal, providers: others })
        if (data !== undefined) return data
      }
      return await this.#session.get(cid, { signal, providers: others })
    } finally {
      this.#fetching--
    }
  }

  notify: CrdtBlocks['notify'] = blocks => {
    this.#components.bitswap.notify(blocks)
  };

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]()
  }

  /** In the background: the block may come from somebody else first, and bitswap asks the peer as soon as it is connected. */
  #dialIfNeeded(peer: PeerId): void {
    const { network, clock, scope } = this.#components
    const now = clock.monotonic()
    const last = this.#dials.get(peer)
    if (last !== undefined && now - last < REDIAL_MS) return
    if (network.connectedPeers().includes(peer)) return
    this.#dials.delete(peer)
    const [oldest] = this.#dials.keys()
    if (oldest !== undefined && this.#dials.size >= MAX_REMEMBERED_DIALS) this.#dials.delete(oldest)
    this.#dials.set(peer, now)
    scope.run('crdt dial', signal => this.#dial(peer, signal))
  }

  async #dial(peer: PeerId, stopped: AbortSignal): Promise<void> {
    const { network, clock, logger } = this.#components
    const signal = anySignal(stopped, clock.timeout(DIAL_TIMEOUT_MS))
    try {
      for (const address of await network.addressesOf(peer)) {
        try {
          await network.connect(address, { signal })
          return
        } catch (error) {
          signal?.throwIfAborted()
          logger.debug({ peer, address }, `an author cannot be reached: ${errorMessage(error)}`)
        }
      }
    } catch (error) {
      if (stopped.aborted) throw error
      // The node may come from others, and the next announcement dials again.
      logger.debug({ peer }, `an author cannot be reached: ${errorMessage(error)}`)
    }
  }
}
