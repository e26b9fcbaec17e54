/** What a batch of the CRDT means for the rows of this room: pure. */
import { decodePin, type Time } from '@ipfs-cluster/api'
import { EMPTY_BYTES, type StoreOp } from '@ipfs-cluster/base'
import type { CrdtChange } from '@ipfs-cluster/crdt'
import type { CID } from 'multiformats/cid'
import { encodeOutboxCids, expiryRow, MAX_OUTBOX_CIDS, outboxRow } from './layout.ts'
import { cidOfPinKey } from './pin-key.ts'

const NS_PER_S = 1_000_000_000n

/**
 * The outbox and expiry rows of `changes`. Keys that are not of pins have none.
 *
 * @param advance gives the number of the last of so many changes; each is higher than all before.
 */
export function projectChanges(
  changes: readonly CrdtChange[],
  advance: (count: number) => number,
): StoreOp[] {
  const ops: StoreOp[] = []
  const changed: Uint8Array[] = []
  for (const { key, value, previous } of changes) {
    const cid = cidOfPinKey(key)
    if (cid === undefined) continue
    changed.push(cid.bytes)
    const before = expiryOf(previous, cid)
    const after = expiryOf(value, cid)
    if (before === after) continue
    if (before !== undefined) ops.push({ type: 'del', key: expiryRow(before, cid.bytes) })
    if (after !== undefined) ops.push({ type: 'put', key: expiryRow(after, cid.bytes), value: EMPTY_BYTES })
  }
  for (let from = 0; from < changed.length; from += MAX_OUTBOX_CIDS) {
    const cids = changed.slice(from, from + MAX_OUTBOX_CIDS)
    ops.push({ type: 'put', key: outboxRow(advance(cids.length)), value: encodeOutboxCids(cids) })
  }
  return ops
}

/** Whole seconds at which a pin expires; `undefined` when it never does. Times before 1970 count as then. */
export function expirySeconds(expireAt: Time): bigint | undefined {
  if (expireAt === null || expireAt === 0n) return undefined
  return expireAt < 0n ? 0n : expireAt / NS_PER_S
}

function expiryOf(value: Uint8Array | undefined, cid: CID): bigint | undefined {
  if (value === undefined) return undefined
  try {
    return expirySeconds(decodePin(value, cid).expireAt)
  } catch {
    // A pin that cannot be read is none, so it does not expire either; reading it counts and logs it.
    return undefined
  }
}
