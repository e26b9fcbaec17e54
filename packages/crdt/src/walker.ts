import type { Clock, Logger, Random, Refusals, TaskScope } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { InvalidNodeError, type InvalidReason } from './errors.ts'
import { Fetcher, Job } from './fetcher.ts'
import type { NodeStatus } from './ledger.ts'
import {
  MAX_ANNOUNCED,
  MAX_ANNOUNCED_OF_PEER,
  MAX_FRONTIER_IN_MEMORY,
  MAX_HEAD_ATTEMPTS,
  MAX_HELD_BYTES,
  MAX_PRIORITY,
  MAX_PROVIDERS,
  MAX_REFUSED_IN_MEMORY,
  MAX_RETRY_MS,
} from './limits.ts'
import type { Merger } from './merger.ts'
import { decodeNode, linkOf, matchesDigest, type CrdtNode, type NodeId, type NodeLink } from './node.ts'
import type { CrdtBlocks, CrdtConfig } from './types.ts'

export interface WalkerComponents {
  readonly blocks: Pick<CrdtBlocks, 'get'>
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly scope: TaskScope
  readonly refusals: Refusals
  readonly statuses: (links: readonly NodeLink[]) => Promise<NodeStatus[]>
  /** Wanted nodes in the store, behind `after`; fewer than `limit` only at the end. */
  readonly wanted: (after: Uint8Array | undefined, limit: number) => Promise<NodeLink[]>
  /** Takes fetched nodes. */
  readonly merger: Pick<Merger, 'add' | 'isFull' | 'room'>
  readonly refuse: (link: NodeLink) => Promise<void>
}

/** The source of nodes that the store remembers: nobody knows who led us there. */
const STORE = ''

/** A node that is being seen to. */
class Entry extends Job {
  /** A merged node, or one about to be, links to it: never given up. */
  linked: boolean

  constructor(link: NodeLink, source: string, providers: readonly string[], linked: boolean) {
    super(link, source, providers)
    this.linked = linked
  }
}

interface Origin {
  readonly linked: boolean
  readonly source: string
  readonly providers: readonly string[]
}

/**
 * Finds the nodes that this peer misses: announced heads and everything below them, many at once, each with its own deadline, so that one that
 * cannot be had holds up no other (reference wire.md 3.12). A node in `#entries` is reserved: nobody else fetches it.
 *
 * At most `MAX_FRONTIER_IN_MEMORY` nodes below merged ones are kept here, and `MAX_ANNOUNCED` others. The store knows every missing node below a
 * merged one; those without an entry are read from there when there is room again.
 */
export class Walker {
  readonly #components: WalkerComponents
  readonly #fetcher: Fetcher<Entry>
  readonly #entries = new Map<NodeId, Entry>()
  /** Those of the entries that are not linked, oldest first; and how many of each source. */
  readonly #announced = new Set<Entry>()
  readonly #announcedOf = new Map<string, number>()
  readonly #refused = new Set<NodeId>()
  #unchecked: Entry[] = []
  #checking = false
  #held = 0
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
    const { blocks, clock, random, logger, scope, merger } = components
    this.#components = components
    this.#fetcher = new Fetcher(
      {
        blocks,
        clock,
        random,
        logger,
        scope,
        isPaused: () => merger.isFull,
        onData: (entry, data) => this.#delivered(entry, data),
        onFailure: entry => this.#failed(entry),
      },
      config,
    )
  }

  get nodesRefused(): number {
    return this.#refusedCount
  }

  /** Announced nodes under way that no merged node links to. */
  get unlinked(): number {
    return this.#announced.size
  }

  /** Resumes the walk that the store remembers. */
  start(): void {
    this.#pump()
  }

  /** Sees to it that announced heads get here. `providers` are the peers to ask first, the author before others. */
  announce(heads: readonly CID[], providers: readonly string[]): void {
    const { refusals, logger } = this.#components
    const [source = STORE] = providers
    const fresh: NodeLink[] = []
    for (const head of heads) {
      const link = linkOf(head)
      if (link === undefined) {
        refusals.count('not_a_node')
        logger.debug({ cid: head }, 'announced head is no node of a CRDT')
        continue
      }
      const entry = this.#entries.get(link.id)
      if (entry === undefined) {
        fresh.push(link)
        continue
      }
      entry.providers = mergeProviders(providers, entry.providers)
      // A new announcement is a reason to believe that it can be had now, and from somebody else.
      this.#fetcher.hurry(entry)
      this.#fetcher.addSource(entry, source)
    }
    if (fresh.length > 0) this.#reserve(fresh, { linked: false, source, providers })
  }

  /** Nodes have been merged: they are no longer missing, and `missing` is what they need. */
  merged(nodes: readonly NodeLink[], missing: readonly NodeLink[]): void {
    for (const { id } of nodes) {
      const entry = this.#entries.get(id)
      if (entry !== undefined) this.#forget(entry)
    }
    for (const link of missing) {
      const entry = this.#entries.get(link.id)
      if (entry !== undefined) this.#setLinked(entry)
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

  #setLinked(entry: Entry): void {
    if (entry.linked) return
    entry.linked = true
    this.#uncountAnnounced(entry)
  }

  #uncountAnnounced(entry: Entry): void {
    if (!this.#announced.delete(entry)) return
    const left = (this.#announcedOf.get(entry.source) ?? 0) - 1
    if (left > 0) this.#announcedOf.set(entry.source, left)
    else this.#announcedOf.delete(entry.source)
  }

  #forget(entry: Entry): void {
    this.#entries.delete(entry.link.id)
    this.#uncountAnnounced(entry)
    this.#fetcher.drop(entry)
  }

  #reserve(links: readonly NodeLink[], { linked, source, providers }: Origin): void {
    for (const link of links) {
      if (this.#refused.has(link.id)) continue
      const known = this.#entries.get(link.id)
      if (known !== undefined) {
        if (linked) this.#setLinked(known)
        continue
      }
      if (!(linked ? this.#makeRoom() : this.#makeAnnouncedRoom(source))) continue
      const entry = new Entry(link, source, providers, linked)
      this.#entries.set(link.id, entry)
      this.#unchecked.push(entry)
      if (linked) continue
      this.#announced.add(entry)
      this.#announcedOf.set(source, (this.#announcedOf.get(source) ?? 0) + 1)
    }
    if (this.#unchecked.length === 0 || this.#checking) return
    this.#checking = true
    this.#components.scope.run('crdt walk', () => this.#check())
  }

  /** None that has to go is lost: a child gets a row in the store when its parent is merged. */
  #makeRoom(): boolean {
    if (this.#entries.size - this.#announced.size < MAX_FRONTIER_IN_MEMORY) return true
    const entry = this.#fetcher.leastPromising()
    this.#setOverflow()
    if (entry === undefined) return false
    this.#forget(entry)
    return true
  }

  /** A head is announced again. */
  #makeAnnouncedRoom(source: string): boolean {
    if ((this.#announcedOf.get(source) ?? 0) >= MAX_ANNOUNCED_OF_PEER) {
      this.#components.refusals.count('too_many_announced')
      return false
    }
    const [oldest] = this.#announced
    if (oldest !== undefined && this.#announced.size >= MAX_ANNOUNCED) {
      this.#components.refusals.count('too_many_announced')
      this.#forget(oldest)
    }
    return true
  }

  /** Drops those that are merged or refused already. The reservation came first, so none becomes known unnoticed. */
  async #check(): Promise<void> {
    try {
      while (this.#unchecked.length > 0) {
        const entries = this.#unchecked
        this.#unchecked = []
        const statuses = await this.#statusesOf(entries)
        for (const [i, entry] of entries.entries()) {
          if (this.#entries.get(entry.link.id) !== entry) continue
          const status = statuses[i]
          if (status === 'known' || status === 'refused') {
            this.#forget(entry)
            continue
          }
          if (status === 'wanted') this.#setLinked(entry)
          this.#fetcher.add(entry)
        }
        this.#pump()
      }
    } finally {
      this.#checking = false
    }
  }

  async #statusesOf(entries: readonly Entry[]): Promise<NodeStatus[]> {
    try {
      return await this.#components.statuses(entries.map(({ link }) => link))
    } catch (error) {
      for (const entry of entries) this.#forget(entry)
      this.#setOverflow()
      throw error
    }
  }

  #pump(): void {
    this.#fetcher.pump()
    this.#refill()
  }

  async #delivered(entry: Entry, data: Uint8Array): Promise<void> {
    const { merger, refusals, logger } = this.#components
    const { link, providers } = entry
    if (!matchesDigest(link, data)) {
      // Its bytes were exchanged on the way; the node itself may be all right.
      refusals.count('wrong_hash')
      logger.debug(
        { cid: link.cid, providers, bytes: data.length },
        'delivered bytes do not belong to the node',
      )
      this.#fetcher.failed(entry)
      return
    }
    if (merger.isFull && !(await this.#waitForRoom(entry, data.length))) return
    if (this.#entries.get(link.id) !== entry) return
    let node: CrdtNode
    try {
      node = decodeNode(link, data)
    } catch (error) {
      if (!(error instanceof InvalidNodeError)) throw error
      await this.#refuse(entry, error)
      return
    }
    if (node.delta.priority === MAX_PRIORITY) refusals.count('height_at_limit')
    // Parents are handed over before their children are fetched, so a node is never merged before the one that links to it.
    merger.add(node)
    this.#reserve(node.links, { linked: true, source: entry.source, providers: entry.providers })
  }

  /** Keeps the bytes of a node until it may be decoded; false when there are too many such already. */
  async #waitForRoom(entry: Entry, bytes: number): Promise<boolean> {
    if (this.#held + bytes > MAX_HELD_BYTES) {
      this.#fetcher.add(entry)
      return false
    }
    this.#held += bytes
    try {
      await this.#components.merger.room()
    } finally {
      this.#held -= bytes
    }
    return true
  }

  async #refuse(entry: Entry, error: InvalidNodeError): Promise<void> {
    const { link, providers } = entry
    const { logger, refusals, refuse } = this.#components
    this.#refusedCount++
    refusals.count(NODE_REASONS[error.data.reason])
    logger.debug({ cid: link.cid, providers }, `node refused: ${error.message}`)
    const [oldest] = this.#refused
    if (oldest !== undefined && this.#refused.size >= MAX_REFUSED_IN_MEMORY) this.#refused.delete(oldest)
    this.#refused.add(link.id)
    this.#forget(entry)
    await refuse(link)
  }

  /** Whether to try again. */
  #failed(entry: Entry): boolean {
    const giveUp = !entry.linked && entry.attempts >= MAX_HEAD_ATTEMPTS
    // The store knows it, and others wait there: let them have the place.
    const yieldPlace = entry.linked && this.#overflow && this.#entries.size >= MAX_FRONTIER_IN_MEMORY / 2
    if (giveUp || yieldPlace) this.#forget(entry)
    return !giveUp && !yieldPlace
  }

  /** Reads wanted nodes from the store when few are left here. */
  #refill(): void {
    if (!this.#overflow || this.#refilling) return
    if (this.#entries.size - this.#announced.size > MAX_FRONTIER_IN_MEMORY / 2) return
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
    this.#reserve(links, { linked: true, source: STORE, providers: [] })
    if (fromStart && atEnd && overflows === this.#overflows) this.#overflow = false
  }
}

/** Reasons under which refused nodes are counted. */
const NODE_REASONS: Readonly<Record<InvalidReason, string>> = {
  malformed: 'malformed_node',
  too_large: 'node_too_large',
  too_many_links: 'too_many_links',
  too_many_elements: 'too_many_elements',
  too_many_heads: 'malformed_node',
}

/** Newest first. */
function mergeProviders(first: readonly string[], rest: readonly string[]): readonly string[] {
  return [...new Set([...first, ...rest])].slice(0, MAX_PROVIDERS)
}
