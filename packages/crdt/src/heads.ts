/** Which nodes are heads: those known that no known node links to (reference wire.md 3.12). New nodes link to all of them. */
import { compareBytes } from '@ipfs-cluster/base'
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

/** Height, and so priority, of a node on top of `heads`. */
export function nextHeight(heads: Heads): number {
  let height = 0
  for (const head of heads.values()) height = Math.max(height, head.height)
  return height + 1
}

/** In the order of their CID's bytes. */
export function sortedHeads(heads: Heads): Head[] {
  return [...heads.values()].sort((a, b) => compareBytes(a.cid.bytes, b.cid.bytes))
}
