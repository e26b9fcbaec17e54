/** What a batch of the CRDT means for the rows of this room: pure. */
import { decodePin, parseCid, PIN_TYPE_BITS, pinFacts, type Time } from '@ipfs-cluster/api'
import { EMPTY_BYTES, equalBytes, PRESENT, utf8, type StoreOp } from '@ipfs-cluster/base'
import type { CrdtChange } from '@ipfs-cluster/crdt'
import {
  encodeOutboxCids,
  expiryRow,
  MAX_OUTBOX_CIDS,
  nameRow,
  outboxRow,
  timeRow,
  typeRow,
} from './layout.ts'
import { cidBytesOfPinKey } from './pin-key.ts'

const NS_PER_S = 1_000_000_000n
/** Stands where a CID must be given and is not looked at. */
export const ANY_CID = parseCid('bafkqaaa')

export type PinIndex = 'name' | 'created' | 'type'

/** What of a pin is in index rows. */
interface Indexed {
  /** UTF-8. */
  readonly name: Uint8Array
  /** Unix seconds, 0 when it does not say; `undefined` where there is no pin. */
  readonly created: number | undefined
  readonly expires: bigint | undefined
  /** Of pins that are not plain data. */
  readonly type: number | undefined
  /** Not in a row: whether it is known how many bytes it has. */
  readonly isSized: boolean
}

const NOTHING: Indexed = {
  name: EMPTY_BYTES,
  created: undefined,
  expires: undefined,
  type: undefined,
  isSized: false,
}

/** Whom the projection of a batch asks and tells. */
export interface ProjectionListener {
  /** Gives the number of the last of so many changes; each is higher than all before. */
  advance(count: number): number
  /** Each time (Unix seconds) at which a changed pin expires. */
  onExpiry(seconds: bigint): void
  /** A change that is more than a new pin of unknown size, see `PinChangesBacklog`. */
  onPressing(): void
}

/**
 * The outbox and index rows of `changes`. Keys that are not of pins have none.
 */
export function projectChanges(changes: readonly CrdtChange[], listener: ProjectionListener): StoreOp[] {
  const ops: StoreOp[] = []
  const changed: Uint8Array[] = []
  for (const { key, value, previous } of changes) {
    const cid = cidBytesOfPinKey(key)
    if (cid === undefined) continue
    changed.push(cid)
    const before = indexedOf(previous)
    const after = indexedOf(value)
    if (after.expires !== undefined) listener.onExpiry(after.expires)
    if (value === undefined || previous !== undefined || after.isSized) listener.onPressing()
    indexOps(cid, before, after, ops)
    typeOps(key, before, after, ops)
  }
  for (let from = 0; from < changed.length; from += MAX_OUTBOX_CIDS) {
    const cids = changed.slice(from, from + MAX_OUTBOX_CIDS)
    ops.push({ type: 'put', key: outboxRow(listener.advance(cids.length)), value: encodeOutboxCids(cids) })
  }
  return ops
}

/** Adds the rows of a pin that is in no index but that of expiry. */
export function indexPin(key: string, value: Uint8Array, ops: StoreOp[]): void {
  const cid = cidBytesOfPinKey(key)
  if (cid === undefined) return
  const indexed = indexedOf(value)
  indexOps(cid, { ...NOTHING, expires: indexed.expires }, indexed, ops)
  typeOps(key, NOTHING, indexed, ops)
}

/** The row of a pin in an index; `undefined` when it has none there. */
export function indexRow(order: PinIndex, key: string, value: Uint8Array): Uint8Array | undefined {
  const { name, created, type } = indexedOf(value)
  if (order === 'type') return type === undefined ? undefined : typeRow(type, key)
  const cid = cidBytesOfPinKey(key)
  if (cid === undefined) return undefined
  if (order === 'name') return name.length === 0 ? undefined : nameRow(name, cid).key
  return created === undefined ? undefined : timeRow(created, cid)
}

function indexOps(cid: Uint8Array, before: Indexed, after: Indexed, ops: StoreOp[]): void {
  if (before.expires !== after.expires) {
    if (before.expires !== undefined) ops.push({ type: 'del', key: expiryRow(before.expires, cid) })
    if (after.expires !== undefined) {
      ops.push({ type: 'put', key: expiryRow(after.expires, cid), value: PRESENT })
    }
  }
  if (before.created !== after.created) {
    if (before.created !== undefined) ops.push({ type: 'del', key: timeRow(before.created, cid) })
    if (after.created !== undefined) {
      ops.push({ type: 'put', key: timeRow(after.created, cid), value: PRESENT })
    }
  }
  if (!equalBytes(before.name, after.name)) {
    if (before.name.length > 0) ops.push({ type: 'del', key: nameRow(before.name, cid).key })
    if (after.name.length > 0) ops.push({ type: 'put', ...nameRow(after.name, cid) })
  }
}

function typeOps(key: string, before: Indexed, after: Indexed, ops: StoreOp[]): void {
  if (before.type === after.type) return
  if (before.type !== undefined) ops.push({ type: 'del', key: typeRow(before.type, key) })
  if (after.type !== undefined) ops.push({ type: 'put', key: typeRow(after.type, key), value: PRESENT })
}

/** The number of a type that is indexed; plain data, of which there are millions, is not, nor what no peer may write. */
export function indexedType(type: number): number | undefined {
  return type >= FIRST_INDEXED && type <= LAST_INDEXED ? type : undefined
}

const FIRST_INDEXED = Math.log2(PIN_TYPE_BITS['meta-pin'])
const LAST_INDEXED = Math.log2(PIN_TYPE_BITS['shard-pin'])

/** Whole seconds at which a pin expires; `undefined` when it never does. Times before 1970 count as then. */
export function expirySeconds(expireAt: Time): bigint | undefined {
  if (expireAt === null || expireAt === 0n) return undefined
  return expireAt < 0n ? 0n : expireAt / NS_PER_S
}

/** Whole seconds at which a pin was created, as its row has them. */
export function createdSeconds(created: Time): number {
  if (created === null) return 0
  return created < 0n ? 0 : Math.min(Number(created / NS_PER_S), Number.MAX_SAFE_INTEGER)
}

function indexedOf(value: Uint8Array | undefined): Indexed {
  if (value === undefined) return NOTHING
  const facts = pinFacts(value)
  if (facts !== undefined) {
    const { name, timestamp, expireAt, type, size } = facts
    return {
      name,
      type: indexedType(type),
      created: timestamp,
      expires: expireAt === 0 ? undefined : BigInt(expireAt),
      isSized: size > 0,
    }
  }
  try {
    const { name, timestamp, expireAt, type, size } = decodePin(value, ANY_CID)
    return {
      name: utf8(name),
      created: createdSeconds(timestamp),
      expires: expirySeconds(expireAt),
      type: indexedType(Math.log2(PIN_TYPE_BITS[type])),
      isSized: size !== undefined && size > 0n,
    }
  } catch {
    // A pin that cannot be read is none, so it is in no index either; reading it counts and logs it.
    return NOTHING
  }
}
