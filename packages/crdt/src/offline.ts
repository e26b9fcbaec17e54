/**
 * The CRDT without its network, for tools that work on the store while no peer runs: reading and writing entries, the shape of the DAG,
 * and its repair. One row more than in `layout.ts`:
 *
 * | row | value |
 * |---|---|
 * | `d` | empty: marked as dirty, `repairCrdt` is asked for |
 */
import { createHash } from 'node:crypto'
import {
  concatBytes,
  PRESENT,
  equalBytes,
  prefixRange,
  raceSignal,
  utf8,
  type AbortOptions,
  type Clock,
  type Logger,
  type Random,
  type JournaledStore,
  type Store,
  type StoreOp,
} from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import { createCrdt, defaultCrdtConfig } from './crdt.ts'
import { InvalidNodeError } from './errors.ts'
import { sortedHeads, type Head } from './heads.ts'
import { CRDT_PREFIX, decodeNumbers, digestRow, isRefused, PREFIX, WANTED } from './layout.ts'
import { MAX_MERGE_BYTES, MAX_MERGE_NODES } from './limits.ts'
import { decodeNode, linkOfDigest, type CrdtNode, type NodeId, type NodeLink } from './node.ts'
import { planMerge } from './spill.ts'
import type { Crdt, CrdtBlocks, CrdtBroadcast, CrdtConfig, CrdtProjection } from './types.ts'

export { MAX_OP_BYTES } from './limits.ts'

export interface OfflineCrdtComponents {
  /** The root store, open in no other process. */
  readonly store: JournaledStore
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly projection?: CrdtProjection | undefined
}

const DIRTY_ROW: Uint8Array = concatBytes([CRDT_PREFIX, utf8('d')])

/** Nobody delivers anything: a fetch waits until it is given up. */
const NO_BLOCKS: CrdtBlocks = {
  get: (_cid, { signal }) => raceSignal(Promise.withResolvers<Uint8Array>().promise, signal),
  notify: () => undefined,
}

/** Nobody listens; heads are announced when a peer runs on the store. */
const NO_BROADCAST: CrdtBroadcast = {
  publish: () => Promise.resolve(),
  subscribe: () => ({ [Symbol.dispose]: () => undefined }),
}

/**
 * The CRDT of a store, alone. What an earlier process acknowledged without making a node of it becomes one now, as at every start.
 *
 * @throws StoreError, CrdtError `CRDT_STORE_CORRUPT`
 */
export async function createOfflineCrdt(
  components: OfflineCrdtComponents,
  config: CrdtConfig = defaultCrdtConfig,
): Promise<Crdt> {
  return await createCrdt({ ...components, blocks: NO_BLOCKS, broadcast: NO_BROADCAST }, config)
}

export interface CrdtSummary {
  /** In the order of their CID's bytes. */
  readonly heads: readonly { readonly cid: CID; readonly height: number }[]
  /** Of the highest head; 0 without one. */
  readonly maxHeight: number
  readonly dirty: boolean
  /** Nodes that stored ones link to and that are still to be fetched. */
  readonly wanted: number
}

export async function summarizeCrdt(store: Store): Promise<CrdtSummary> {
  const heads = await readHeads(store)
  let wanted = 0
  for await (const [, value] of store.entries(prefixRange(PREFIX.frontier))) if (!isRefused(value)) wanted++
  return {
    heads: heads.map(({ cid, height }) => ({ cid, height })),
    maxHeight: heads.reduce((height, head) => Math.max(height, head.height), 0),
    dirty: await isCrdtDirty(store),
    wanted,
  }
}

/**
 * The DAG in the DOT language, in the pieces and the order of go-ds-crdt's `DotDAG`: the heads, then depth first each node with its height, the end
 * of its CID, the numbers of its elements and tombstones, and its links. A node that is not here yet appears as a link only. Keeps the id of
 * every node in memory.
 */
export async function* dotOfCrdt(store: Store, { signal }: AbortOptions = {}): AsyncGenerator<string> {
  const heads = await readHeads(store)
  yield `digraph CRDTDAG {\nsubgraph heads {\n${heads.map(({ cid }) => `${cid}\n`).join('')}}\n`
  const seen = new Set<NodeId>()
  const open: NodeLink[] = heads.toReversed()
  for (let link = open.pop(); link !== undefined; link = open.pop()) {
    if (seen.has(link.id)) continue
    seen.add(link.id)
    signal?.throwIfAborted()
    const data = await store.get(digestRow(PREFIX.block, link.digest))
    if (data === undefined) continue
    const { cid, links, delta } = decodeNode(link, data)
    const targets = links.map(target => target.cid.toString())
    yield (
      `${cid} [label="${delta.priority} | ${cid.toString().slice(-4)}: +${delta.elements.length} -${delta.tombstones.length}"]\n` +
      `${cid} -> {${targets.map(target => `${target} `).join('')}}\n` +
      `subgraph sg_${cid} {\n${targets.map(target => `${target}\n`).join('')}}\n`
    )
    for (const target of links.toReversed()) if (!seen.has(target.id)) open.push(target)
  }
  yield '}\n'
}

export async function isCrdtDirty(store: Store): Promise<boolean> {
  return (await store.get(DIRTY_ROW)) !== undefined
}

/** Asks for `repairCrdt`, or withdraws that. */
export async function markCrdt(store: Store, dirty: boolean): Promise<void> {
  const op: StoreOp = dirty
    ? { type: 'put', key: DIRTY_ROW, value: PRESENT }
    : { type: 'del', key: DIRTY_ROW }
  await store.batch([op], { sync: true })
}

export interface CrdtRepair {
  /** Stored nodes looked at. */
  readonly nodes: number
  /** Nodes that are fetched now because they were damaged, refused before, or linked to and yet not known to be missing. */
  readonly wanted: number
  /** Rows of keys that did not have what a node says. */
  readonly rows: number
}

/**
 * Looks at every merged node and makes true again what must hold: its bytes belong to its name; each of its links is merged or wanted; its
 * elements and tombstones are in the rows of their keys. A node that cannot be read is wanted anew, and so is one that was refused. The mark of dirt
 * goes last: cut off, the repair is done again.
 *
 * Call before `createCrdt`.
 *
 * @throws StoreError, CrdtError `CRDT_STORE_CORRUPT` when the row of a key cannot be read.
 */
export async function repairCrdt(
  store: Store,
  projection: CrdtProjection | undefined,
  options: AbortOptions = {},
): Promise<CrdtRepair> {
  const total = { nodes: 0, wanted: 0, rows: 0 }
  for await (const links of mergedNodes(store, options)) {
    const done = await repairNodes(store, links, projection)
    total.nodes += links.length
    total.wanted += done.wanted
    total.rows += done.rows
  }
  const ops = await wantAgain(store, options)
  await store.batch([...ops, { type: 'del', key: DIRTY_ROW }], { sync: true })
  return { ...total, wanted: total.wanted + ops.length }
}

/** Groups whose bytes fit in memory. */
async function* mergedNodes(store: Store, options: AbortOptions): AsyncGenerator<NodeLink[]> {
  let group: NodeLink[] = []
  let bytes = 0
  for await (const [row, value] of store.entries(prefixRange(PREFIX.node), options)) {
    const [, size = 0] = decodeNumbers(value, 2)
    if (group.length >= MAX_MERGE_NODES || (group.length > 0 && bytes + size > MAX_MERGE_BYTES)) {
      yield group
      group = []
      bytes = 0
    }
    group.push(linkOfDigest(row.slice(PREFIX.node.length)))
    bytes += size
  }
  if (group.length > 0) yield group
}

async function repairNodes(
  store: Store,
  links: readonly NodeLink[],
  projection: CrdtProjection | undefined,
): Promise<{ readonly wanted: number; readonly rows: number }> {
  const blocks = await store.getMany(links.map(({ digest }) => digestRow(PREFIX.block, digest)))
  const nodes: CrdtNode[] = []
  const ops: StoreOp[] = []
  const lost: NodeLink[] = []
  for (const [i, link] of links.entries()) {
    const node = readNode(link, blocks[i])
    if (node !== undefined) nodes.push(node)
    else lost.push(link)
  }
  for (const { digest } of lost) {
    ops.push({ type: 'del', key: digestRow(PREFIX.node, digest) })
    ops.push({ type: 'del', key: digestRow(PREFIX.block, digest) })
  }
  const wanted = [...lost, ...(await unknownOf(store, nodes))]
  for (const { digest } of wanted) {
    ops.push({ type: 'put', key: digestRow(PREFIX.frontier, digest), value: WANTED })
  }
  const { ops: rows, keys, changes } = await planMerge(store, nodes)
  for (const op of rows) ops.push(op)
  if (changes.length > 0) ops.push(...((await projection?.(changes)) ?? []))
  if (ops.length > 0) await store.batch(ops, { sync: true })
  return { wanted: wanted.length, rows: keys.length }
}

/** The node, unless its bytes are missing or not its own. */
function readNode(link: NodeLink, data: Uint8Array | undefined): CrdtNode | undefined {
  if (data === undefined || !equalBytes(createHash('sha256').update(data).digest(), link.digest)) {
    return undefined
  }
  try {
    return decodeNode(link, data)
  } catch (error) {
    if (error instanceof InvalidNodeError) return undefined
    throw error
  }
}

/** Links of `nodes` that are neither merged nor known to be missing. */
async function unknownOf(store: Store, nodes: readonly CrdtNode[]): Promise<NodeLink[]> {
  const links = [...new Map(nodes.flatMap(node => node.links).map(link => [link.id, link])).values()]
  const [merged, missing] = await Promise.all([
    store.getMany(links.map(({ digest }) => digestRow(PREFIX.node, digest))),
    store.getMany(links.map(({ digest }) => digestRow(PREFIX.frontier, digest))),
  ])
  return links.filter((_, i) => merged[i] === undefined && missing[i] === undefined)
}

/** What makes refused nodes wanted, and heads whose node is not here: those stay heads, new nodes may link to them. */
async function wantAgain(store: Store, options: AbortOptions): Promise<StoreOp[]> {
  const ops: StoreOp[] = []
  for await (const [key, value] of store.entries(prefixRange(PREFIX.frontier), options)) {
    if (isRefused(value)) ops.push({ type: 'put', key, value: WANTED })
  }
  for (const { digest } of await readHeads(store)) {
    const key = digestRow(PREFIX.frontier, digest)
    const [node, missing] = await store.getMany([digestRow(PREFIX.node, digest), key])
    if (node === undefined && missing === undefined) ops.push({ type: 'put', key, value: WANTED })
  }
  return ops
}

async function readHeads(store: Store): Promise<Head[]> {
  const heads = new Map<NodeId, Head>()
  for await (const [row, value] of store.entries(prefixRange(PREFIX.head))) {
    const link = linkOfDigest(row.slice(PREFIX.head.length))
    heads.set(link.id, { ...link, height: decodeNumbers(value, 1)[0] as number })
  }
  return sortedHeads(heads)
}
