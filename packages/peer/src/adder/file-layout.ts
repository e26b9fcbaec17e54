/** How the leaves of a file become a tree. Both layouts take leaves one by one and keep only the open edge of the tree. */
import type { DagNode } from './unixfs.ts'

/** Links of an inner node. */
const MAX_LINKS = 174
/** Subtrees of one depth in a trickle node before the next depth begins. */
const TRICKLE_REPEAT = 4

/** Stores an inner node over these children. */
export type StoreParent = (children: readonly DagNode[]) => Promise<DagNode>

export interface FileLayout {
  add(leaf: DagNode): Promise<void>
  /** The root; of no leaves at all, `undefined`. */
  finish(): Promise<DagNode | undefined>
}

/** All leaves at the same depth; a single leaf is its own root. */
export function balancedLayout(store: StoreParent): FileLayout {
  const levels: DagNode[][] = []
  const push = async (level: number, node: DagNode): Promise<void> => {
    const siblings = (levels[level] ??= [])
    if (siblings.length < MAX_LINKS) {
      siblings.push(node)
      return
    }
    // A full row is closed only when more comes: exactly full, it may be the root.
    levels[level] = [node]
    await push(level + 1, await store(siblings))
  }
  return {
    add: leaf => push(0, leaf),
    async finish() {
      for (let level = 0; level < levels.length; level++) {
        const siblings = levels[level] as DagNode[]
        if (level === levels.length - 1 && siblings.length === 1) return siblings[0]
        await push(level + 1, await store(siblings))
      }
      return undefined
    },
  }
}

interface TrickleNode {
  readonly children: DagNode[]
  /** Subtrees here are less deep than this. */
  readonly depthLimit: number
  depth: number
  repeats: number
}

/** Leaves first, then ever deeper subtrees, four of each depth: the beginning of the file is near the root. */
export function trickleLayout(store: StoreParent): FileLayout {
  const node = (depthLimit: number): TrickleNode => ({ children: [], depthLimit, depth: 1, repeats: 0 })
  const edge = [node(Infinity)]
  const close = async (): Promise<DagNode> => {
    const closed = await store((edge.pop() as TrickleNode).children)
    edge.at(-1)?.children.push(closed)
    return closed
  }
  return {
    async add(leaf) {
      while (true) {
        const last = edge.at(-1) as TrickleNode
        if (last.children.length < MAX_LINKS) {
          last.children.push(leaf)
          return
        }
        if (last.repeats === TRICKLE_REPEAT) {
          last.depth++
          last.repeats = 0
        }
        if (last.depth < last.depthLimit) {
          last.repeats++
          edge.push(node(last.depth))
        } else {
          await close()
        }
      }
    },
    async finish() {
      let root: DagNode | undefined
      while (edge.length > 0) root = await close()
      return root
    },
  }
}
