import { setImmediate } from 'node:timers/promises'
import type { PeerId } from '@ipfs-cluster/api'
import { EMPTY_BYTES, type AbortOptions, type Refusals } from '@ipfs-cluster/base'
import { decodeNode, linkOf, type CrdtNode, type NodeLink } from '@ipfs-cluster/crdt'
import type { CID } from 'multiformats/cid'
import type { BlocksReply, BlocksRequest } from '../net/index.ts'
import { CONCURRENT_READS, MAX_AHEAD, MAX_AHEAD_BYTES, MAX_CALLS_PER_PEER, MAX_WANTS } from './bulk-limits.ts'
import { ConsensusError } from './errors.ts'
import type { NodeId } from './prefetched.ts'

export interface BulkServerComponents {
  /** A stored node. */
  readonly block: (cid: CID) => Promise<Uint8Array | undefined>
  readonly refusals: Refusals
}

/**
 * Answers `Consensus.Blocks`: the wanted nodes and then, unasked, what is below them, the highest first and none twice on a call.
 */
export class BulkServer {
  readonly #components: BulkServerComponents
  readonly #calls = new Map<PeerId, number>()

  constructor(components: BulkServerComponents) {
    this.#components = components
  }

  /**
   * @param requests the first is answered.
   * @throws ConsensusError `CONSENSUS_BLOCKS_LIMIT`.
   */
  async *serve(
    peer: PeerId,
    requests: AsyncIterable<BlocksRequest>,
    options: AbortOptions = {},
  ): AsyncGenerator<BlocksReply> {
    const calls = this.#calls.get(peer) ?? 0
    if (calls >= MAX_CALLS_PER_PEER) throw this.#refuse('too_many_calls', calls, MAX_CALLS_PER_PEER)
    this.#calls.set(peer, calls + 1)
    try {
      for await (const request of requests) {
        if (request.wants.length > MAX_WANTS)
          throw this.#refuse('too_many_wants', request.wants.length, MAX_WANTS)
        yield* this.#answer(request, options)
        break
      }
    } finally {
      const left = (this.#calls.get(peer) ?? 1) - 1
      if (left > 0) this.#calls.set(peer, left)
      else this.#calls.delete(peer)
    }
  }

  async *#answer(request: BlocksRequest, { signal }: AbortOptions): AsyncGenerator<BlocksReply> {
    const below = new Descendants(limited(request.ahead, MAX_AHEAD))
    for await (const { cid, link, data } of this.#wanted(request.wants)) {
      signal?.throwIfAborted()
      yield { cid, data: data ?? EMPTY_BYTES }
      if (link !== undefined && data !== undefined) below.follow(decodeNode(link, data))
    }
    let bytes = limited(request.aheadBytes, MAX_AHEAD_BYTES)
    for (let group = below.next(); group.length > 0; group = below.next()) {
      // Stores that answer at once would keep the thread otherwise.
      await setImmediate()
      const read = await this.#read(group)
      const nodes = read.flatMap(({ link, data }) => (data === undefined ? [] : [decodeNode(link, data)]))
      for (const node of nodes.sort((a, b) => b.delta.priority - a.delta.priority)) {
        signal?.throwIfAborted()
        if (!below.isNext(node)) continue
        bytes -= node.data.length
        if (bytes < 0) return
        yield { cid: node.cid, data: node.data }
        below.follow(node)
      }
    }
  }

  async *#wanted(wants: readonly CID[]) {
    const seen = new Set<NodeId>()
    const links: NodeLink[] = []
    for (const cid of wants) {
      const link = linkOf(cid)
      if (link === undefined) yield { cid }
      else if (!seen.has(link.id)) links.push(link)
      seen.add(link?.id ?? '')
    }
    for (let at = 0; at < links.length; at += CONCURRENT_READS) {
      for (const { link, data } of await this.#read(links.slice(at, at + CONCURRENT_READS))) {
        yield { cid: link.cid, link, data }
      }
    }
  }

  async #read(links: readonly NodeLink[]) {
    const { block } = this.#components
    return await Promise.all(links.map(async link => ({ link, data: await block(link.cid) })))
  }

  #refuse(reason: string, count: number, limit: number): ConsensusError {
    this.#components.refusals.count(reason)
    return new ConsensusError(`Consensus.Blocks: ${reason.replaceAll('_', ' ')}, ${count} of ${limit}`, {
      code: 'CONSENSUS_BLOCKS_LIMIT',
      reason,
      limit,
    })
  }
}

interface Descendant {
  readonly link: NodeLink
  /** Its height, or before it has been read, one less than the lowest that links to it. */
  readonly height: number
}

/**
 * What to send next. By height, as links may skip far down: a client has what they lead to long before what lies between, and should get that without
 * gaps.
 */
class Descendants {
  readonly #seen = new Set<NodeId>()
  /** Lowest first. */
  readonly #queue: Descendant[] = []
  #left: number

  /** @param limit how many to send. */
  constructor(limit: number) {
    this.#left = limit
  }

  /** A node is being sent: it is not to be sent again, and what it links to is a candidate. */
  follow(node: CrdtNode): void {
    this.#seen.add(node.id)
    for (const link of node.links) {
      if (this.#seen.has(link.id) || this.#queue.length >= this.#left) continue
      this.#seen.add(link.id)
      this.#insert({ link, height: node.delta.priority - 1 })
    }
  }

  /** Those to read now, as many as can be read at once. */
  next(): readonly NodeLink[] {
    const count = Math.min(CONCURRENT_READS, this.#left, this.#queue.length)
    return this.#queue.splice(this.#queue.length - count).map(({ link }) => link)
  }

  /** Whether it is its turn; it comes back later otherwise. */
  isNext(node: CrdtNode): boolean {
    const highest = this.#queue.at(-1)
    const height = node.delta.priority
    if (highest !== undefined && highest.height > height) {
      this.#insert({ link: node, height })
      return false
    }
    this.#left--
    return true
  }

  #insert(descendant: Descendant): void {
    let low = 0
    let high = this.#queue.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#queue[middle]?.height ?? 0) < descendant.height) low = middle + 1
      else high = middle
    }
    this.#queue.splice(low, 0, descendant)
  }
}

function limited(value: number, limit: number): number {
  return Math.max(0, Math.min(value, limit))
}
