/** Which pins keep a block: pins themselves, and those whose DAG it is in. */
import type { AbortOptions } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { RpcNode } from '../details.ts'
import { FingerprintSet } from '../blocks/fingerprint-set.ts'
import { isFailure } from '../errors.ts'
import { isKnownLeaf, linksOf } from '../links.ts'
import { walkDag } from '../pins/walk.ts'

/** Blocks read at a time. */
const WALK_CONCURRENCY = 8

export interface PinWalk extends AbortOptions {
  readonly node: RpcNode
  readonly cidText: (cid: CID) => string
}

/**
 * Why each of `cids` must stay, in Kubo's words (`pinned: recursive`, `pinned via <root>`); nothing for one that no pin needs. Walks the DAGs
 * of the recursive pins until all are found.
 */
export async function reasonsOf(
  cids: readonly CID[],
  { node, signal, cidText }: PinWalk,
): Promise<(cid: CID) => string | undefined> {
  const reasons = new Map<string, string>()
  const sought = new Map(cids.map(cid => [keyOf(cid), cid]))
  const found = (cid: CID, reason: string) => {
    if (!sought.delete(keyOf(cid))) return
    reasons.set(keyOf(cid), reason)
  }
  // The pins themselves first: theirs is the plainer reason.
  for await (const { cid, kind } of node.pins.ls({ signal })) found(cid, `pinned: ${kind}`)
  const seen = new FingerprintSet()
  if (sought.size > 0) {
    for await (const { cid: root, kind } of node.pins.ls({ signal })) {
      if (kind !== 'recursive') continue
      await walkHere(root, seen, { node, signal }, cid => found(cid, `pinned via ${cidText(root)}`))
      if (sought.size === 0) break
    }
  }
  return cid => reasons.get(keyOf(cid))
}

/** Visits the blocks below a root that are not in `seen`, as far as they are here, and adds them. */
export async function walkHere(
  root: CID,
  seen: FingerprintSet,
  { node, signal }: Pick<PinWalk, 'node' | 'signal'>,
  visit: (cid: CID) => void | Promise<void>,
): Promise<void> {
  using here = node.details.session({ signal, fetch: false })
  await walkDag(
    root,
    async (cid, _turn, stop) => {
      await visit(cid)
      if (isKnownLeaf(cid, { leaf: false })) return []
      try {
        return linksOf(cid, await here.get(cid, { signal: stop }))
      } catch (error) {
        // What is missing or unreadable leads to nothing that is here.
        if (isFailure(error, 'IPFS_BLOCK_MISSING', 'IPFS_BLOCK_CORRUPT', 'IPFS_UNKNOWN_CODEC')) return []
        throw error
      }
    },
    { concurrency: WALK_CONCURRENCY, seen, signal },
  )
}

/** Blocks are kept by their hash, whatever the CID says of their format. */
function keyOf(cid: CID): string {
  return cid.multihash.bytes.toHex()
}
