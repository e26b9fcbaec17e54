import { createHash } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import type { PeerId } from '@ipfs-cluster/api'
import {
  createStallGuard,
  equalBytes,
  errorMessage,
  raceSignal,
  type AbortOptions,
  type Clock,
  type Logger,
  type Refusals,
  type TaskScope,
} from '@ipfs-cluster/base'
import { linkOf, type NodeLink } from '@ipfs-cluster/crdt'
import type { CID } from 'multiformats/cid'
import { RPC, type BlocksReply, type Network } from '../net/index.ts'
import {
  KNOWN_IN_A_ROW,
  MAX_AHEAD_BYTES,
  MAX_PREFETCHED_BYTES,
  MAX_PROVIDERS,
  MAX_WANTS,
  PREFETCH_IDLE_MS,
  STALL_MS,
} from './bulk-limits.ts'
import {
  answered,
  chooseProvider,
  failed,
  nextAhead,
  NEW_PROVIDER,
  type ProviderState,
} from './bulk-provider.ts'
import { PrefetchedNodes, type NodeId } from './prefetched.ts'

export interface BulkBlocksComponents {
  readonly network: Pick<Network, 'peerId' | 'connectedPeers' | 'rpc'>
  /** Is this node stored here? */
  readonly has: (cid: CID) => Promise<boolean>
  readonly clock: Clock
  readonly logger: Logger
  readonly scope: TaskScope
  readonly refusals: Refusals
}

interface Provider {
  readonly id: PeerId
  state: ProviderState
  /** Of what came unasked since the last call. */
  used: number
  wasted: number
  /** Wants for the next call. */
  readonly pending: Want[]
  calling: boolean
  /** Gives up the call under way. */
  leave: (reason: unknown) => void
}

interface Want {
  readonly link: NodeLink
  readonly provider: Provider
  readonly promise: Promise<Uint8Array | undefined>
  readonly settle: (data: Uint8Array | undefined) => void
}

/** What may still come unasked on a call. */
interface Credit {
  nodes: number
  bytes: number
}

/** What a peer sent that it must not. */
class BadReply extends Error {
  readonly reason: string
  constructor(reason: string) {
    super(`bad reply to Consensus.Blocks: ${reason.replaceAll('_', ' ')}`)
    this.reason = reason
  }
}

/**
 * DAG nodes from peers of this implementation: one call brings the nodes that are wanted now and many of those that the walk will ask for next, where
 * bitswap needs a round trip a node on a chain. Whatever a peer sends is checked against its hash, so that this takes no more trust than bitswap.
 *
 * One call a provider at a time; what is wanted meanwhile comes with it, most likely, or goes into the next. Who does not know the method (a Go peer), or
 * fails, is left alone for a while, and the caller falls back to bitswap.
 */
export class BulkBlocks {
  readonly #components: BulkBlocksComponents
  readonly #providers = new Map<PeerId, Provider>()
  readonly #wants = new Map<NodeId, Want>()
  readonly #prefetched = new PrefetchedNodes<Provider>(MAX_PREFETCHED_BYTES, provider => provider.wasted++)
  #lastUse = 0
  #sweeping = false

  constructor(components: BulkBlocksComponents) {
    this.#components = components
  }

  /** A node that came unasked. */
  take(link: NodeLink): Uint8Array | undefined {
    const entry = this.#prefetched.take(link.id)
    if (entry === undefined) return undefined
    entry.source.used++
    this.#lastUse = this.#components.clock.monotonic()
    return entry.data
  }

  /**
   * Asks the best provider; `undefined` when it does not have the node or there is none to ask. Nobody waits for a provider that never answered yet: what
   * it brings is there for the next.
   *
   * @throws the signal's reason; the provider is given up then, as it was too slow.
   */
  async get(
    link: NodeLink,
    { signal, providers = [] }: AbortOptions & { readonly providers?: readonly PeerId[] },
  ): Promise<Uint8Array | undefined> {
    const want = this.#wants.get(link.id) ?? this.#ask(link, providers)
    if (want === undefined || !want.provider.state.speaks) return undefined
    try {
      return await raceSignal(want.promise, signal)
    } catch (error) {
      want.provider.leave(error)
      throw error
    }
  }

  #ask(link: NodeLink, hinted: readonly PeerId[]): Want | undefined {
    const { network, clock, scope } = this.#components
    const connected = network.connectedPeers().filter(peer => peer !== network.peerId)
    const stateOf = (peer: PeerId) => this.#providers.get(peer)?.state
    const id = chooseProvider(hinted, connected, stateOf, clock.monotonic())
    if (id === undefined || scope.signal.aborted) return undefined
    const provider = this.#provider(id)
    if (provider.calling && !provider.state.speaks) return undefined
    const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>()
    const want: Want = {
      link,
      provider,
      promise,
      settle: data => {
        if (this.#wants.get(link.id) === want) this.#wants.delete(link.id)
        resolve(data)
      },
    }
    this.#wants.set(link.id, want)
    provider.pending.push(want)
    if (!provider.calling) {
      provider.calling = true
      scope.run('crdt bulk fetch', signal => this.#callWhileWanted(provider, signal))
    }
    return want
  }

  #provider(id: PeerId): Provider {
    const known = this.#providers.get(id)
    if (known !== undefined) return known
    for (const [oldest, { calling }] of this.#providers) {
      if (this.#providers.size < MAX_PROVIDERS) break
      if (!calling) this.#providers.delete(oldest)
    }
    const provider: Provider = {
      id,
      state: NEW_PROVIDER,
      used: 0,
      wasted: 0,
      pending: [],
      calling: false,
      leave: () => undefined,
    }
    this.#providers.set(id, provider)
    return provider
  }

  async #callWhileWanted(provider: Provider, signal: AbortSignal): Promise<void> {
    const { clock, logger, refusals } = this.#components
    let wants: Want[] = []
    try {
      while (provider.pending.length > 0) {
        // The walker asks for many in one turn.
        await setImmediate()
        signal.throwIfAborted()
        wants = provider.pending.splice(0, MAX_WANTS).filter(want => this.#isOpen(want))
        if (wants.length === 0) continue
        const delivered = await this.#call(provider, wants, signal)
        provider.state = answered(provider.state, delivered, clock.monotonic())
        for (const want of wants) want.settle(undefined)
        // Bitswap asks around meanwhile.
        if (delivered === 0) break
      }
    } catch (error) {
      provider.state = failed(provider.state, clock.monotonic())
      if (error instanceof BadReply) refusals.count(error.reason)
      else if (isTimeout(error)) refusals.count('stalled')
      logger.debug({ peer: provider.id }, `no nodes in bulk: ${errorMessage(error)}`)
    } finally {
      provider.calling = false
      for (const want of [...wants, ...provider.pending.splice(0)]) want.settle(undefined)
    }
  }

  #isOpen(want: Want): boolean {
    return this.#wants.get(want.link.id) === want
  }

  /** @returns how many nodes came. */
  async #call(provider: Provider, wants: readonly Want[], stopped: AbortSignal): Promise<number> {
    const { network, clock } = this.#components
    const ahead = nextAhead(provider.state.ahead, provider)
    provider.state = { ...provider.state, ahead }
    provider.used = 0
    provider.wasted = 0
    using guard = createStallGuard(clock, STALL_MS)
    const over = new AbortController()
    provider.leave = reason => over.abort(reason)
    const signal = AbortSignal.any([stopped, guard.signal, over.signal])
    const request = { wants: wants.map(({ link }) => link.cid), ahead, aheadBytes: MAX_AHEAD_BYTES }
    const owed = new Set(wants.map(({ link }) => link.id))
    const credit: Credit = { nodes: ahead, bytes: MAX_AHEAD_BYTES }
    let delivered = 0
    let knownInARow = 0
    try {
      for await (const reply of network.rpc.stream(provider.id, RPC.Consensus.Blocks, [request], {
        signal,
      })) {
        const link = verified(reply)
        provider.state = { ...provider.state, speaks: true }
        const wasOwed = owed.delete(link.id)
        if (reply.data.length === 0) {
          if (!wasOwed) throw new BadReply('not_asked_for')
          this.#wants.get(link.id)?.settle(undefined)
        } else {
          delivered++
          const isNew = wasOwed
            ? this.#settle(link, reply.data)
            : await this.#cameUnasked(provider, link, reply.data, credit)
          knownInARow = isNew ? 0 : knownInARow + 1
          const isAwaited = owed.size > 0 || provider.pending.some(want => this.#isOpen(want))
          if (knownInARow >= KNOWN_IN_A_ROW && !isAwaited) {
            // Some of the rest is on its way, for nothing.
            provider.wasted += credit.nodes
            break
          }
        }
        guard.progress()
      }
    } finally {
      // Node keeps a joined signal for as long as one of its sources may still fire.
      over.abort(new DOMException('the call is over', 'AbortError'))
    }
    return delivered
  }

  /** Hands the node to who waits for it. */
  #settle(link: NodeLink, data: Uint8Array): boolean {
    const want = this.#wants.get(link.id)
    want?.settle(data)
    return want !== undefined
  }

  /**
   * False when the node is here already.
   *
   * @throws BadReply when it is more than we offered to take.
   */
  async #cameUnasked(provider: Provider, link: NodeLink, data: Uint8Array, credit: Credit): Promise<boolean> {
    credit.nodes--
    credit.bytes -= data.length
    if (credit.nodes < 0 || credit.bytes < 0) throw new BadReply('more_than_asked')
    const isHere =
      !this.#wants.has(link.id) && (this.#prefetched.has(link.id) || (await this.#components.has(link.cid)))
    // Asked after the wait: it may have become wanted in the meantime.
    if (this.#settle(link, data)) provider.used++
    else if (isHere) provider.wasted++
    else this.#keep(provider, link, data)
    return !isHere
  }

  #keep(provider: Provider, link: NodeLink, data: Uint8Array): void {
    const { clock, scope } = this.#components
    this.#prefetched.add(link.id, data, provider)
    this.#lastUse = clock.monotonic()
    if (this.#sweeping) return
    this.#sweeping = true
    scope.run('crdt prefetched nodes', async signal => {
      for (let idle = 0; this.#prefetched.size > 0; idle = clock.monotonic() - this.#lastUse) {
        if (idle >= PREFETCH_IDLE_MS) this.#prefetched.clear()
        else await clock.sleep(PREFETCH_IDLE_MS - idle, { signal })
      }
      this.#sweeping = false
    })
  }
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError'
}

/** @throws BadReply */
function verified({ cid, data }: BlocksReply): NodeLink {
  const link = linkOf(cid)
  if (link === undefined) throw new BadReply('no_node')
  const isMissing = data.length === 0
  if (!isMissing && !equalBytes(createHash('sha256').update(data).digest(), link.digest)) {
    throw new BadReply('wrong_hash')
  }
  return link
}
