/**
 * Additional links to older ancestors, so that others need not fetch a chain one node after the other: a Go peer takes 22 ms a node, and 8 times
 * less with these (interop.md 5). A node links to all heads, so that every node merged before is its ancestor, and a link to one more of them says
 * nothing new: neither heads nor values depend on it.
 *
 * Every node of ours that is `SKIP` higher than the last *anchor* is an anchor, and links to that one; every `SKIP_FAR`th anchor also to the one
 * `SKIP_FAR` before. Nothing of it is stored: the first node of a process is its first anchor.
 */
import type { Head } from './heads.ts'

/** Heights from one anchor to the next, at least. */
const SKIP = 16

/** Anchors from one far link to the next, and so 8 × 16 heights. */
const SKIP_FAR = 8

export interface Anchors {
  /** The last `SKIP_FAR`, oldest first. */
  readonly last: readonly Head[]
  readonly count: number
}

export const NO_ANCHORS: Anchors = { last: [], count: 0 }

/** Whether the next node of ours, at `height`, is an anchor. */
export function isAnchor({ last }: Anchors, height: number): boolean {
  const previous = last.at(-1)
  return previous === undefined || height >= previous.height + SKIP
}

/** Ancestors that our node at `height` links to besides the heads; two at most. */
export function skipLinks(anchors: Anchors, height: number): readonly Head[] {
  const near = anchors.last.at(-1)
  if (near === undefined || !isAnchor(anchors, height)) return []
  const far = anchors.count % SKIP_FAR === 0 ? anchors.last[0] : undefined
  return far === undefined ? [near] : [near, far]
}

/** The anchors once our `node` is written. */
export function withAnchor(anchors: Anchors, node: Head): Anchors {
  if (!isAnchor(anchors, node.height)) return anchors
  return { last: [...anchors.last, node].slice(-SKIP_FAR), count: anchors.count + 1 }
}
