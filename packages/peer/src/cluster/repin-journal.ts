/**
 * Who has been a member, and how far the pins of those that died have been moved: kept, so that a peer that died while nobody was watching is
 * noticed, and a pass goes on after a restart.
 *
 * | row | value |
 * |---|---|
 * | `cluster/member/` + peer id (text) | a byte, or the binary CID behind which the pass over that peer's pins goes on |
 */
import { cidOfBytes, type PeerId } from '@ipfs-cluster/api'
import { PRESENT, prefixRange, utf8, utf8Text, type Store } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'

const PREFIX = 'cluster/member/'

export interface RepinJournal {
  /** Members of old, with where their pass goes on. */
  load(): Promise<ReadonlyMap<PeerId, CID | undefined>>
  /** The peer is a member; or it is dead, and its pass has come so far. */
  put(peer: PeerId, after?: CID): Promise<void>
  /** Nothing is left to be moved from this peer. */
  remove(peer: PeerId): Promise<void>
}

/** @param store the root store; the journal keeps to its prefix. */
export function createRepinJournal(store: Store): RepinJournal {
  const key = (peer: PeerId) => utf8(`${PREFIX}${peer}`)
  return {
    async load() {
      const members = new Map<PeerId, CID | undefined>()
      for await (const [row, value] of store.entries(prefixRange(utf8(PREFIX)))) {
        members.set(
          utf8Text(row).slice(PREFIX.length),
          value.length <= PRESENT.length ? undefined : cidOfBytes(value),
        )
      }
      return members
    },
    put: (peer, after) => store.batch([{ type: 'put', key: key(peer), value: after?.bytes ?? PRESENT }]),
    remove: peer => store.batch([{ type: 'del', key: key(peer) }]),
  }
}
