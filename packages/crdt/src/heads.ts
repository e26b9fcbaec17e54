/** Which nodes are heads: those known that no known node links to (reference wire.md 3.12). New nodes link to all of them. */
import { compareBytes } from '@ipfs-cluster/base'
import { MAX_PRIORITY } from './limits.ts'
import type { NodeId, NodeLink } from './node.ts'

export interface Head extends NodeLink {
  readonly height: number
}

export type Heads = ReadonlyMap<NodeId, Head>

/** What the rule needs of a node that has just become known. */
export interface NewNode extends NodeLink {
  readonly height: number
  readonly links: readonly { readonly id: NodeId }[]
  /** A node known before links to it. */
  readonly linked: boolean
}

export interface HeadChanges {
  readonly heads: Heads
  readonly added: readonly Head[]
  readonly removed: readonly Head[]
}

/** The heads after `nodes` became known together, whatever their order. */
export function advanceHeads(heads: Heads, nodes: readonly NewNode[]): HeadChanges {
  const linked = new Set<NodeId>()
  for (const node of nodes) {
    for (const link of node.links) linked.add(link.id)
  }
  const next = new Map(heads)
  const removed: Head[] = []
  for (const id of linked) {
    const head = heads.get(id)
    if (head === undefined) continue
    next.delete(id)
    removed.push(head)
  }
  const added: Head[] = []
  for (const { id, digest, cid, height, ...node } of nodes) {
    if (node.linked || linked.has(id)) continue
    const head = { id, digest, cid, height }
    next.set(id, head)
    added.push(head)
  }
  return { heads: next, added, removed }
}

/**
 * Leaves out of `nodes`, which become known in this order, those that would make more than `limit` heads. A node that takes the place of a head is always
 * kept: who goes on writing on top of what it sees is not stopped by others' heads.
 */
export function withinLimit<N extends Omit<NewNode, 'height' | 'linked'>>(
  heads: Heads,
  nodes: readonly N[],
  isLinked: (id: NodeId) => boolean,
  limit: number,
): { readonly kept: readonly N[]; readonly tooMany: readonly N[] } {
  if (heads.size + nodes.length <= limit) return { kept: nodes, tooMany: [] }
  const kept: N[] = []
  const tooMany: N[] = []
  const linked = new Set<NodeId>()
  let count = heads.size
  for (const node of nodes) {
    const replaced = new Set(node.links.map(({ id }) => id).filter(id => heads.has(id) && !linked.has(id)))
      .size
    const isHead = !isLinked(node.id) && !linked.has(node.id)
    if (isHead && replaced === 0 && count >= limit) {
      tooMany.push(node)
      continue
    }
    kept.push(node)
    count += (isHead ? 1 : 0) - replaced
    for (const { id } of node.links) linked.add(id)
  }
  return { kept, tooMany }
}

/** Height, and so priority, of a node on top of `heads`; not above `MAX_PRIORITY`, whatever the heads claim. */
export function nextHeight(heads: Heads): number {
  let height = 0
  for (const head of heads.values()) height = Math.max(height, head.height)
  return Math.min(height + 1, MAX_PRIORITY)
}

/** In the order of their CID's bytes. */
export function sortedHeads(heads: Heads): Head[] {
  return [...heads.values()].sort((a, b) => compareBytes(a.cid.bytes, b.cid.bytes))
}
