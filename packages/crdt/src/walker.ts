import {
  type Clock,
  errorMessage,
  type Logger,
  type Random,
  type TaskScope,
  isAbortError,
} from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { InvalidNodeError } from './errors.ts'
import type { NodeStatus } from './ledger.ts'
import {
  FIRST_FETCH_TIMEOUT_MS,
  MAX_FRONTIER_IN_MEMORY,
  MAX_HEAD_ATTEMPTS,
  MAX_PROVIDERS,
  MAX_REFUSED_IN_MEMORY,
  MAX_RETRY_MS,
  MIN_RETRY_MS,
} from './limits.ts'
import { decodeNode, linkOf, type CrdtNode, type NodeId, type NodeLink } from './node.ts'
import type { CrdtBlocks, CrdtConfig } from './types.ts'

export interface WalkerComponents {
  readonly blocks: Pick<CrdtBlocks, 'get'>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly scope: TaskScope
  readonly statuses: (links: readonly NodeLink[]) => Promise<NodeStatus[]>
  /** Wanted nodes in the store, behind `after`; fewer than `limit` only at the end. */
  readonly wanted: (after: Uint8Array | undefined, limit: number) => Promise<NodeLink[]>
  /** Takes a fetched node for merging; resolves when there is room for more. */
  readonly merge: (node: CrdtNode) => Promise<void>
  readonly refuse: (link: NodeLink) => Promise<void>
}

/**
 * A node that is being seen to. `checking`: is it needed? `fresh`, `due`: waits for a slot, for the first or another attempt. `fetching`.
 * `pausing` after a failed attempt. `merging`: fetched, waits for its batch.
 */
type State = 'checking' | 'fresh' | 'due' | 'fetching' | 'pausing' | 'merging'

interface Entry {
  readonly link: NodeLink
  state: State
  /** A merged node, or one about to be, links to it: never given up. */
  linked: boolean
  providers: readonly string[]
  attempts: number
}

/**
 * Fetches the nodes that this peer misses: announced heads and everything below them, many at once, each with its own deadline, so that one that
 * cannot be had holds up no other (reference wire.md 3.12). A node in `#entries` is reserved: nobody else fetches it.
 *
 * At most `MAX_FRONTIER_IN_MEMORY` nodes are kept here. The store knows every missing node below a merged one; those without an entry are read from
 * there when there is room again.
 */
export class Walker {
  readonly #components: WalkerComponents
  readonly #config: CrdtConfig
  readonly #entries = new Map<NodeId, Entry>()
  readonly #fresh: Entry[] = []
  readonly #due: Entry[] = []
  readonly #refused = new Set<NodeId>()
  #fetching = 0
  #retrying = 0
  #refusedCount = 0
  /** The store may hold wanted nodes without an entry. */
  #overflow = true
  /** Counts the times that `#overflow` was set, so that a scan knows whether it saw everything. */
  #overflows = 0
  #refilling = false
  #cursor: Uint8Array | undefined
  #roundTimer = false
  /** When a scan may begin anew without progress, by the monotonic clock. */
  #nextRound = 0

  constructor(components: WalkerComponents, config: CrdtConfig) {
    this.#components = components
    this.#config = config
  }

  get nodesRefused(): number {
    return this.#refusedCount
  }

  /** Announced nodes under way that no merged node links to. */
  get unlinked(): number {
    let count = 0
    for (const { linked } of this.#entries.values()) if (!linked) count++
    return count
  }

  /** Resumes the walk that the store remembers. */
  start(): void {
    this.#pump()
  }

  /** Sees to it that an announced head gets here. `providers` are the peers to ask first. */
  announce(head: CID, providers: readonly string[]): void {
    const link = linkOf(head)
    if (link === undefined) {
      this.#components.logger.debug({ cid: head }, 'announced head is no node of a CRDT')
      return
    }
    const entry = this.#entries.get(link.id)
    if (entry !== undefined) {
      entry.providers = mergeProviders(providers, entry.providers)
      // A new announcement is a reason to believe that it can be had now.
      if (entry.state === 'pausing') this.#queueRetry(entry)
      return
    }
    this.#reserve([link], { linked: false, providers })
  }

  /** Nodes have been merged: they are no longer missing, and `missing` is what they need. */
  merged(nodes: readonly NodeLink[], missing: readonly NodeLink[]): void {
    for (const { id } of nodes) this.#entries.delete(id)
    for (const link of missing) {
      const entry = this.#entries.get(link.id)
      if (entry !== undefined) entry.linked = true
      else if (this.#refused.has(link.id)) {
        this.#components.scope.run('crdt refuse', () => this.#components.refuse(link))
      } else this.#setOverflow()
    }
    if (nodes.length > 0) this.#nextRound = 0
    this.#pump()
  }

  #setOverflow(): void {
    this.#overflow = true
    this.#overflows++
  }

  #reserve(
    links: readonly NodeLink[],
    origin: { readonly linked: boolean; readonly providers: readonly string[] },
  ): void {
    const added: Entry[] = []
    for (const link of links) {
      if (this.#refused.has(link.id)) continue
      const entry = this.#entries.get(link.id)
      if (entry !== undefined) {
        entry.linked ||= origin.linked
        continue
      }
      // Not lost: a child gets a row in the store when its parent is merged, a head is announced again.
      if (this.#entries.size >= MAX_FRONTIER_IN_MEMORY) break
      const reserved: Entry = { link, state: 'checking', attempts: 0, ...origin }
      this.#entries.set(link.id, reserved)
      added.push(reserved)
    }
    if (added.length > 0) this.#components.scope.run('crdt walk', () => this.#check(added))
  }

  /** Drops those that are merged or refused already. The reservation came first, so none becomes known unnoticed. */
  async #check(entries: readonly Entry[]): Promise<void> {
    try {
      const statuses = await this.#components.statuses(entries.map(({ link }) => link))
      for (const [i, entry] of entries.entries()) {
        if (entry.state !== 'checking' || this.#entries.get(entry.link.id) !== entry) continue
        const status = statuses[i]
        if (status === 'known' || status === 'refused') this.#entries.delete(entry.link.id)
        else {
          entry.linked ||= status === 'wanted'
          entry.state = 'fresh'
          this.#fresh.push(entry)
        }
      }
    } catch (error) {
      for (const { link } of entries) this.#entries.delete(link.id)
      this.#setOverflow()
      throw error
    }
    this.#pump()
  }

  /** Starts what there are slots for. Repeated attempts get at most half of them, so that what never comes holds up nothing new. */
  #pump(): void {
    const { fetchConcurrency } = this.#config
    const maxRetrying = Math.max(1, Math.floor(fetchConcurrency / 2))
    while (this.#fetching < fetchConcurrency) {
      const retry = this.#retrying < maxRetrying ? this.#due.shift() : undefined
      const entry = retry ?? this.#fresh.shift()
      if (entry === undefined) break
      if (this.#entries.get(entry.link.id) === entry) this.#startFetch(entry)
    }
    this.#refill()
  }

  #startFetch(entry: Entry): void {
    const isRetry = entry.state === 'due'
    entry.state = 'fetching'
    this.#fetching++
    if (isRetry) this.#retrying++
    this.#components.scope.run('crdt fetch', async signal => {
      try {
        await this.#fetch(entry, signal)
      } finally {
        this.#fetching--
        if (isRetry) this.#retrying--
        this.#pump()
      }
    })
  }

  async #fetch(entry: Entry, signal: AbortSignal): Promise<void> {
    const { blocks, clock, logger } = this.#components
    const { link, providers } = entry
    const deadline = Math.min(this.#config.fetchTimeoutMs, FIRST_FETCH_TIMEOUT_MS * 2 ** entry.attempts)
    let data: Uint8Array
    try {
      const signals = AbortSignal.any([signal, clock.timeout(deadline)])
      data = await blocks.get(link.cid, { signal: signals, providers })
    } catch (err) {
      if (signal.aborted) return
      const reason = isAbortError(err) ? `not delivered within ${deadline} ms` : errorMessage(err)
      logger.debug({ cid: link.cid, providers, attempts: entry.attempts + 1 }, `fetching a node: ${reason}`)
      this.#failed(entry)
      return
    }
    if (this.#entries.get(link.id) !== entry) return
    await this.#fetched(entry, data)
  }

  async #fetched(entry: Entry, data: Uint8Array): Promise<void> {
    let node: CrdtNode
    try {
      node = decodeNode(entry.link, data)
    } catch (error) {
      if (!(error instanceof InvalidNodeError)) throw error
      await this.#refuse(entry, error)
      return
    }
    entry.state = 'merging'
    // Parents are handed over before their children are fetched, so a node is never merged before the one that links to it.
    await this.#components.merge(node)
    this.#reserve(node.links, { linked: true, providers: entry.providers })
  }

  async #refuse({ link, providers }: Entry, error: InvalidNodeError): Promise<void> {
    this.#refusedCount++
    this.#components.logger.debug({ cid: link.cid, providers }, `node refused: ${error.message}`)
    const [oldest] = this.#refused
    if (oldest !== undefined && this.#refused.size >= MAX_REFUSED_IN_MEMORY) this.#refused.delete(oldest)
    this.#refused.add(link.id)
    this.#entries.delete(link.id)
    await this.#components.refuse(link)
  }

  #failed(entry: Entry): void {
    entry.attempts++
    const giveUp = !entry.linked && entry.attempts >= MAX_HEAD_ATTEMPTS
    // The store knows it, and others wait there: let them have the place.
    const yieldPlace = entry.linked && this.#overflow && this.#entries.size >= MAX_FRONTIER_IN_MEMORY / 2
    if (giveUp || yieldPlace) {
      this.#entries.delete(entry.link.id)
      return
    }
    entry.state = 'pausing'
    const { attempts } = entry
    const { clock, random, scope } = this.#components
    const pause = Math.min(MAX_RETRY_MS, MIN_RETRY_MS * 2 ** (attempts - 1)) * (0.8 + 0.4 * random.float())
    scope.run('crdt retry', async signal => {
      await clock.sleep(pause, { signal })
      if (entry.state === 'pausing' && entry.attempts === attempts) this.#queueRetry(entry)
    })
  }

  #queueRetry(entry: Entry): void {
    if (this.#entries.get(entry.link.id) !== entry) return
    entry.state = 'due'
    this.#due.push(entry)
    this.#pump()
  }

  /** Reads wanted nodes from the store when few are left here. */
  #refill(): void {
    if (!this.#overflow || this.#refilling || this.#entries.size > MAX_FRONTIER_IN_MEMORY / 2) return
    const { clock, scope } = this.#components
    const wait = this.#cursor === undefined ? this.#nextRound - clock.monotonic() : 0
    if (wait > 0) {
      this.#pumpAfter(wait)
      return
    }
    this.#refilling = true
    scope.run('crdt frontier', async () => {
      try {
        await this.#readFrontier()
      } finally {
        this.#refilling = false
      }
      this.#pump()
    })
  }

  #pumpAfter(ms: number): void {
    if (this.#roundTimer) return
    this.#roundTimer = true
    this.#components.scope.run('crdt frontier', async signal => {
      await this.#components.clock.sleep(ms, { signal })
      this.#roundTimer = false
      this.#pump()
    })
  }

  async #readFrontier(): Promise<void> {
    const fromStart = this.#cursor === undefined
    // A round without any progress since the last one would only repeat what failed: see `#refill`.
    if (fromStart) this.#nextRound = this.#components.clock.monotonic() + MAX_RETRY_MS
    const overflows = this.#overflows
    const limit = MAX_FRONTIER_IN_MEMORY / 2
    const links = await this.#components.wanted(this.#cursor, limit)
    const atEnd = links.length < limit
    this.#cursor = atEnd ? undefined : links.at(-1)?.digest
    this.#reserve(links, { linked: true, providers: [] })
    if (fromStart && atEnd && overflows === this.#overflows) this.#overflow = false
  }
}

/** Newest first. */
function mergeProviders(first: readonly string[], rest: readonly string[]): readonly string[] {
  return [...new Set([...first, ...rest])].slice(0, MAX_PROVIDERS)
}
