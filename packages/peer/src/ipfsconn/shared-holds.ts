import type { IpfsNode } from '@ipfs-cluster/ipfs'

/** Holds of the built-in node by those who stream blocks to it, which others may share. */
export interface SharedHolds {
  /** Streams that are open. */
  readonly streams: number
  /** For a stream: from before its first block to after its last. */
  begin(): Disposable
  /** For all that the streams open now have put: it goes on where theirs end. */
  share(): Disposable
}

interface Shared {
  readonly hold: Disposable
  users: number
}

/**
 * A hold of the node protects what is put after it began. One that is to protect what a stream has put already has to be the stream's own, or
 * that of one that is older. The oldest of those open now, and not of all: else holds that overlap would keep all blocks for ever.
 */
export function createSharedHolds(node: Pick<IpfsNode, 'hold'>): SharedHolds {
  /** In the order of their beginning. */
  const open = new Set<Shared>()
  const use = (shared: Shared, ended: () => void = () => undefined): Disposable => {
    shared.users++
    let left = false
    return {
      [Symbol.dispose]() {
        if (left) return
        left = true
        ended()
        shared.users--
        if (shared.users === 0) shared.hold[Symbol.dispose]()
      },
    }
  }
  const create = (): Shared => ({ hold: node.hold(), users: 0 })
  return {
    get streams() {
      return open.size
    },
    begin() {
      const shared = create()
      open.add(shared)
      return use(shared, () => open.delete(shared))
    },
    share() {
      for (const oldest of open) return use(oldest)
      return use(create())
    },
  }
}
