import {
  Limiter,
  prefixRange,
  type Counter,
  utf8Text,
  type AbortOptions,
  type Store,
  type StoreOp,
  type StoreRange,
  type StoreReader,
} from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { advanceHeads, withinLimit, type HeadChanges, type Heads } from './heads.ts'
import {
  decodeNumbers,
  digestRow,
  encodeNumbers,
  isRefused,
  keyRange,
  keyRow,
  PREFIX,
  REFUSED,
  WANTED,
} from './layout.ts'
import { MAX_HEADS } from './limits.ts'
import { digestOf, linkOfDigest, type CrdtNode, type NodeId, type NodeLink } from './node.ts'
import { RecentRows } from './recent-rows.ts'
import { decodeRow, isSpilled, rowValue } from './row.ts'
import { liveElsewhere, planMerge, type KeyRows } from './spill.ts'
import type { CrdtBlocks, CrdtChange, CrdtProjection } from './types.ts'

export interface LedgerComponents {
  readonly store: Store
  readonly blocks: Pick<CrdtBlocks, 'notify'>
  readonly projection?: CrdtProjection | undefined
  readonly onChanges?: ((changes: readonly CrdtChange[]) => void) | undefined
  /** Counts merged nodes. */
  readonly merged: Pick<Counter, 'add'>
}

/** What the store knows of a node: merged, linked to by a merged node (wanted or refused), or nothing. */
export type NodeStatus = 'known' | 'wanted' | 'refused' | 'unknown'

export interface Applied {
  readonly merged: readonly CrdtNode[]
  /** Nodes that the merged ones link to and that are still missing. */
  readonly missing: readonly NodeLink[]
  /** Nodes not merged because there are `MAX_HEADS` heads and they would be one more. */
  readonly tooMany: readonly CrdtNode[]
}

/**
 * Every row of the CRDT, and the one place that writes them. Writers take turns (`exclusive`); all effects of a group of nodes are one
 * synced batch.
 *
 * Batches of nodes from others are synced like our own. They could be fetched again, but the engine writes its log in several files: a power cut may
 * keep a later synced batch and lose an earlier unsynced one, and then a node of ours would link to one that is neither merged nor wanted,
 * which nothing would ever fetch. Grouping makes the sync cheap.
 */
export class Ledger {
  readonly #components: LedgerComponents
  readonly #store: Store
  readonly #turns = new Limiter(1)
  readonly #recent: RecentRows
  #heads: Heads
  #frontier: number
  #merged = 0

  private constructor(components: LedgerComponents, heads: Heads, frontier: number) {
    this.#components = components
    this.#store = components.store
    this.#recent = new RecentRows(components.store)
    this.#heads = heads
    this.#frontier = frontier
  }

  static async open(components: LedgerComponents): Promise<Ledger> {
    const heads = new Map<NodeId, HeadChanges['added'][number]>()
    for await (const [key, value] of components.store.entries(prefixRange(PREFIX.head))) {
      const link = linkOfDigest(key.slice(PREFIX.head.length))
      heads.set(link.id, { ...link, height: decodeNumbers(value, 1)[0] as number })
    }
    let frontier = 0
    for await (const [, value] of components.store.entries(prefixRange(PREFIX.frontier))) {
      if (!isRefused(value)) frontier++
    }
    return new Ledger(components, heads, frontier)
  }

  get heads(): Heads {
    return this.#heads
  }

  /** Missing nodes that merged ones link to. */
  get frontier(): number {
    return this.#frontier
  }

  /** Nodes merged since this process began. */
  get merged(): number {
    return this.#merged
  }

  /** Runs `work` when no other writer is at it. */
  exclusive<T>(work: () => Promise<T>, options?: AbortOptions): Promise<T> {
    return this.#turns.run(work, options)
  }

  async value(key: string): Promise<Uint8Array | undefined> {
    const row = await this.#recent.get(key)
    return row === undefined ? undefined : rowValue(row)
  }

  /** @param toChange the keys are about to be written: their rows are remembered. */
  async values(keys: readonly string[], toChange: boolean): Promise<(Uint8Array | undefined)[]> {
    const rows = await (toChange ? this.#recent.getMany(keys) : this.#store.getMany(keys.map(keyRow)))
    return rows.map(row => (row === undefined ? undefined : rowValue(row)))
  }

  /** Call inside `exclusive`. */
  async rows(keys: readonly string[]): Promise<KeyRows> {
    return await this.#recent.recall(keys)
  }

  /** Nodes whose elements of `keys` are live and in no row of `rows`. */
  async liveElsewhere(keys: readonly string[], rows: KeyRows): Promise<Map<string, Uint8Array[]>> {
    const found = new Map<string, Uint8Array[]>()
    for (const key of keys) {
      const row = rows.get(key)
      if (isSpilled(row) && decodeRow(row).elsewhere !== 0)
        found.set(key, await liveElsewhere(this.#store, key))
    }
    return found
  }

  /** Live entries of one consistent state, in key order; `range.limit` is not applied. */
  entries(
    range: StoreRange | undefined,
    options: AbortOptions | undefined,
  ): AsyncIterable<readonly [string, Uint8Array]> {
    const start = PREFIX.key.length
    // By hand rather than as a generator: a third of the time of a scan of millions of rows would go into the generator.
    return {
      [Symbol.asyncIterator]: () => {
        const rows = this.#store.entries(keyRange(range), options)[Symbol.asyncIterator]()
        return {
          async next(): Promise<IteratorResult<readonly [string, Uint8Array]>> {
            while (true) {
              const { done, value: row } = await rows.next()
              if (done === true) return { done, value: undefined }
              const value = rowValue(row[1])
              if (value !== undefined) return { value: [utf8Text(row[0].subarray(start)), value] }
            }
          },
          async return(): Promise<IteratorResult<never>> {
            await rows.return?.()
            return { done: true, value: undefined }
          },
        }
      },
    }
  }

  /** As `entries`, in chunks, for listings of millions. */
  async *chunks(
    range: StoreRange | undefined,
    options: AbortOptions | undefined,
  ): AsyncGenerator<readonly (readonly [string, Uint8Array])[]> {
    const start = PREFIX.key.length
    for await (const rows of this.#store.textChunks(keyRange(range), options)) {
      const live: (readonly [string, Uint8Array])[] = []
      for (const [key, row] of rows) {
        const value = rowValue(row)
        if (value !== undefined) live.push([key.slice(start), value])
      }
      if (live.length > 0) yield live
    }
  }

  /** The whole store as it is now, and how to read values of keys from it. */
  snapshot(): Disposable & {
    readonly rows: StoreReader
    values(keys: readonly string[]): Promise<(Uint8Array | undefined)[]>
  } {
    const rows = this.#store.snapshot()
    return {
      rows,
      values: async keys =>
        (await rows.getMany(keys.map(keyRow))).map(row => (row === undefined ? undefined : rowValue(row))),
      [Symbol.dispose]: () => rows[Symbol.dispose](),
    }
  }

  async block(cid: CID): Promise<Uint8Array | undefined> {
    const digest = digestOf(cid)
    return digest === undefined ? undefined : await this.#store.get(digestRow(PREFIX.block, digest))
  }

  async blockSize(cid: CID): Promise<number | undefined> {
    const digest = digestOf(cid)
    if (digest === undefined) return undefined
    const row = await this.#store.get(digestRow(PREFIX.node, digest))
    return row === undefined ? undefined : decodeNumbers(row, 2)[1]
  }

  async statuses(links: readonly NodeLink[]): Promise<NodeStatus[]> {
    if (links.length === 0) return []
    const rows = await this.#store.getMany([
      ...links.map(({ digest }) => digestRow(PREFIX.node, digest)),
      ...links.map(({ digest }) => digestRow(PREFIX.frontier, digest)),
    ])
    return links.map((_, i) => {
      if (rows[i] !== undefined) return 'known'
      const frontier = rows[links.length + i]
      if (frontier === undefined) return 'unknown'
      return isRefused(frontier) ? 'refused' : 'wanted'
    })
  }

  /** Up to `limit` wanted nodes behind `after`, in the order of their digests; fewer only at the end. */
  async wanted(after: Uint8Array | undefined, limit: number): Promise<NodeLink[]> {
    const all = prefixRange(PREFIX.frontier)
    const gt = after === undefined ? PREFIX.frontier : digestRow(PREFIX.frontier, after)
    const links: NodeLink[] = []
    for await (const [key, value] of this.#store.entries({
      gt,
      ...(all.lt === undefined ? {} : { lt: all.lt }),
    })) {
      if (isRefused(value)) continue
      links.push(linkOfDigest(key.slice(PREFIX.frontier.length)))
      if (links.length >= limit) break
    }
    return links
  }

  /** Never asks for this node again. Only a node that merged ones link to is remembered durably. Call inside `exclusive`. */
  async refuse(link: NodeLink): Promise<void> {
    const [status] = await this.statuses([link])
    if (status !== 'wanted') return
    const key = digestRow(PREFIX.frontier, link.digest)
    await this.#store.batch([{ type: 'put', key, value: REFUSED }], { sync: true })
    this.#frontier--
  }

  /** Writes rows that no other writer writes; needs no turn. */
  async write(ops: readonly StoreOp[]): Promise<void> {
    await this.#store.batch(ops, { sync: true })
  }

  /**
   * Merges `nodes`; those already merged are passed over. Call inside `exclusive`.
   *
   * @param options.rows the rows of all keys that the nodes touch, when the caller has read them.
   * @param options.extra rows to write in the same batch.
   * @param options.own we have just made the nodes: nobody has them yet, and we have all they link to.
   * @throws StoreError when the batch could not be written; nothing has changed then.
   */
  async apply(
    nodes: readonly CrdtNode[],
    options: { readonly rows?: KeyRows; readonly extra?: readonly StoreOp[]; readonly own?: boolean } = {},
  ): Promise<Applied> {
    const distinct = new Map(nodes.map(node => [node.id, node]))
    const links = new Map<NodeId, NodeLink>()
    for (const node of nodes) for (const link of node.links) links.set(link.id, link)
    const isOutside = ({ id }: NodeLink) => !distinct.has(id) && !this.#heads.has(id)
    const asked: NodeLink[] = [...distinct.values(), ...[...links.values()].filter(isOutside)]
    const statuses =
      options.own === true
        ? asked.map(({ id }): NodeStatus => (distinct.has(id) ? 'unknown' : 'known'))
        : await this.statuses(asked)
    const status = new Map(asked.map(({ id }, i) => [id, statuses[i]]))
    const { kept: fresh, tooMany } = withinLimit(
      this.#heads,
      [...distinct.values()].filter(({ id }) => status.get(id) !== 'known'),
      id => isLinked(status.get(id)),
      MAX_HEADS,
    )
    const { extra = [] } = options
    if (fresh.length === 0) {
      if (extra.length > 0) await this.write(extra)
      return { merged: [], missing: [], tooMany }
    }
    const needed =
      tooMany.length === 0 ? links : new Map(fresh.flatMap(node => node.links).map(link => [link.id, link]))
    const keptIds = tooMany.length === 0 ? distinct : new Map(fresh.map(node => [node.id, node]))
    const outside = [...needed.values()].filter(({ id }) => !keptIds.has(id) && !this.#heads.has(id))
    const ops = await this.#plan(fresh, options.rows, outside, status)
    try {
      await this.#store.batch([...ops.ops, ...extra], { sync: true })
    } finally {
      this.#recent.changed(ops.keys)
    }
    this.#heads = ops.heads
    this.#frontier += ops.frontier
    this.#merged += fresh.length
    this.#components.merged.add({}, fresh.length)
    this.#components.blocks.notify(fresh)
    if (ops.changes.length > 0) this.#components.onChanges?.(ops.changes)
    const missing = outside.filter(({ id }) => status.get(id) === 'unknown' || status.get(id) === 'wanted')
    return { merged: fresh, missing, tooMany }
  }

  /** The batch that merges `nodes`, and what changes in memory once it is written. */
  async #plan(
    nodes: readonly CrdtNode[],
    rows: KeyRows | undefined,
    outside: readonly NodeLink[],
    status: ReadonlyMap<NodeId, NodeStatus | undefined>,
  ) {
    const merge = await planMerge(this.#store, nodes, rows)
    const heads = advanceHeads(
      this.#heads,
      nodes.map(({ id, digest, cid, links, delta }) => ({
        id,
        digest,
        cid,
        links,
        height: delta.priority,
        linked: isLinked(status.get(id)),
      })),
    )
    const ops: StoreOp[] = [...nodeOps(nodes), ...headOps(heads), ...merge.ops]
    let frontier = 0
    for (const { id, digest } of outside) {
      if (status.get(id) !== 'unknown') continue
      ops.push({ type: 'put', key: digestRow(PREFIX.frontier, digest), value: WANTED })
      frontier++
    }
    for (const { id, digest } of nodes) {
      if (!isLinked(status.get(id))) continue
      ops.push({ type: 'del', key: digestRow(PREFIX.frontier, digest) })
      if (status.get(id) === 'wanted') frontier--
    }
    if (merge.changes.length > 0) {
      for (const op of (await this.#components.projection?.(merge.changes)) ?? []) ops.push(op)
    }
    return { ops, keys: merge.keys, heads: heads.heads, frontier, changes: merge.changes }
  }
}

/** Whether a merged node links to one of that status. */
function isLinked(status: NodeStatus | undefined): boolean {
  return status === 'wanted' || status === 'refused'
}

function nodeOps(nodes: readonly CrdtNode[]): StoreOp[] {
  return nodes.flatMap(({ digest, data, delta }) => [
    { type: 'put', key: digestRow(PREFIX.block, digest), value: data },
    {
      type: 'put',
      key: digestRow(PREFIX.node, digest),
      value: encodeNumbers(delta.priority, data.length),
    },
  ])
}

function headOps({ added, removed }: HeadChanges): StoreOp[] {
  return [
    ...removed.map(({ digest }): StoreOp => ({ type: 'del', key: digestRow(PREFIX.head, digest) })),
    ...added.map(({ digest, height }): StoreOp => ({
      type: 'put',
      key: digestRow(PREFIX.head, digest),
      value: encodeNumbers(height),
    })),
  ]
}
