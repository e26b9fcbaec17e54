/** What a batch of the CRDT means for the rows of this room: pure. */
import { decodePin, parseCid, pinFacts, type Time } from '@ipfs-cluster/api'
import { EMPTY_BYTES, equalBytes, utf8, type StoreOp } from '@ipfs-cluster/base'
import type { CrdtChange } from '@ipfs-cluster/crdt'
import { encodeOutboxCids, expiryRow, MAX_OUTBOX_CIDS, nameRow, outboxRow, timeRow } from './layout.ts'
import { cidBytesOfPinKey } from './pin-key.ts'

const NS_PER_S = 1_000_000_000n
/** Stands where a CID must be given and is not looked at. */
export const ANY_CID = parseCid('bafkqaaa')

/** What of a pin is in index rows. */
interface Indexed {
  /** UTF-8. */
  readonly name: Uint8Array
  /** Unix seconds. */
  readonly created: number | undefined
  readonly expires: bigint | undefined
}

const NOTHING: Indexed = { name: EMPTY_BYTES, created: undefined, expires: undefined }

/**
 * The outbox and index rows of `changes`. Keys that are not of pins have none.
 *
 * @param advance gives the number of the last of so many changes; each is higher than all before.
 * @param onExpiry told each time (Unix seconds) at which a changed pin expires.
 */
export function projectChanges(
  changes: readonly CrdtChange[],
  advance: (count: number) => number,
  onExpiry: (seconds: bigint) => void,
): StoreOp[] {
  const ops: StoreOp[] = []
  const changed: Uint8Array[] = []
  for (const { key, value, previous } of changes) {
    const cid = cidBytesOfPinKey(key)
    if (cid === undefined) continue
    changed.push(cid)
    const after = indexedOf(value)
    if (after.expires !== undefined) onExpiry(after.expires)
    indexOps(cid, indexedOf(previous), after, ops)
  }
  for (let from = 0; from < changed.length; from += MAX_OUTBOX_CIDS) {
    const cids = changed.slice(from, from + MAX_OUTBOX_CIDS)
    ops.push({ type: 'put', key: outboxRow(advance(cids.length)), value: encodeOutboxCids(cids) })
  }
  return ops
}

/** Adds the rows of a pin that is in no index but that of expiry. */
export function indexPin(key: string, value: Uint8Array, ops: StoreOp[]): void {
  const cid = cidBytesOfPinKey(key)
  if (cid === undefined) return
  const indexed = indexedOf(value)
  indexOps(cid, { ...NOTHING, expires: indexed.expires }, indexed, ops)
}

/** The row of a pin in the index by name or by creation; `undefined` when it has none there. */
export function indexRow(
  order: 'name' | 'created',
  cid: Uint8Array,
  value: Uint8Array,
): Uint8Array | undefined {
  const { name, created } = indexedOf(value)
  if (order === 'name') return name.length === 0 ? undefined : nameRow(name, cid).key
  return created === undefined ? undefined : timeRow(created, cid)
}

function indexOps(cid: Uint8Array, before: Indexed, after: Indexed, ops: StoreOp[]): void {
  if (before.expires !== after.expires) {
    if (before.expires !== undefined) ops.push({ type: 'del', key: expiryRow(before.expires, cid) })
    if (after.expires !== undefined) {
      ops.push({ type: 'put', key: expiryRow(after.expires, cid), value: EMPTY_BYTES })
    }
  }
  if (before.created !== after.created) {
    if (before.created !== undefined) ops.push({ type: 'del', key: timeRow(before.created, cid) })
    if (after.created !== undefined) {
      ops.push({ type: 'put', key: timeRow(after.created, cid), value: EMPTY_BYTES })
    }
  }
  if (!equalBytes(before.name, after.name)) {
    if (before.name.length > 0) ops.push({ type: 'del', key: nameRow(before.name, cid).key })
    if (after.name.length > 0) ops.push({ type: 'put', ...nameRow(after.name, cid) })
  }
}

/** Whole seconds at which a pin expires; `undefined` when it never does. Times before 1970 count as then. */
export function expirySeconds(expireAt: Time): bigint | undefined {
  if (expireAt === null || expireAt === 0n) return undefined
  return expireAt < 0n ? 0n : expireAt / NS_PER_S
}

/** Whole seconds at which a pin was created, as its row has them. */
export function createdSeconds(created: Time): number | undefined {
  if (created === null) return undefined
  return created < 0n ? 0 : Math.min(Number(created / NS_PER_S), Number.MAX_SAFE_INTEGER)
}

function indexedOf(value: Uint8Array | undefined): Indexed {
  if (value === undefined) return NOTHING
  const facts = pinFacts(value)
  if (facts !== undefined) {
    const { name, timestamp, expireAt } = facts
    return {
      name,
      created: timestamp === 0 ? undefined : timestamp,
      expires: expireAt === 0 ? undefined : BigInt(expireAt),
    }
  }
  try {
    const { name, timestamp, expireAt } = decodePin(value, ANY_CID)
    return { name: utf8(name), created: createdSeconds(timestamp), expires: expirySeconds(expireAt) }
  } catch {
    // A pin that cannot be read is none, so it is in no index either; reading it counts and logs it.
    return NOTHING
  }
}
