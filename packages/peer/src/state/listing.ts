/** Which entries of the pinset a listing shows, from the range that costs least. */
import {
  ANY_PIN,
  decodePin,
  isAnyPin,
  pinFacts,
  PIN_TYPE_BITS,
  pinInfoMatcher,
  pinMatcher,
  pinOrder,
  type Pin,
  type PinCursor,
  type PinFilter,
} from '@ipfs-cluster/api'
import {
  compareBytes,
  equalBytes,
  prefixRange,
  utf8,
  utf8Text,
  type AbortOptions,
  type StoreRange,
  type StoreReader,
} from '@ipfs-cluster/base'
import type { Crdt, CrdtSnapshot } from '@ipfs-cluster/crdt'
import {
  cidBytesOfName,
  cidBytesOfTime,
  keyOfType,
  nameRange,
  nameRow,
  namesFrom,
  TIME_PREFIX,
  timeRow,
  typeRow,
} from './layout.ts'
import type { PinIndexes } from './pin-indexes.ts'
import { pinKey } from './pin-key.ts'
import { ANY_CID, indexedType, indexRow, type PinIndex } from './projection.ts'
import type { PinListOptions } from './types.ts'

const NS_PER_S = 1_000_000_000n
/** Pins read through an index at a time: few at first, so that whoever wants little reads little. */
const FIRST_CHUNK = 32
const LAST_CHUNK = 512

/** A key and the stored bytes of its pin. */
export type Entry = readonly [key: string, value: Uint8Array]

export interface ListingComponents {
  readonly entries: Pick<Crdt, 'chunks' | 'snapshot'>
  readonly indexes: PinIndexes
}

/**
 * Entries that match, in chunks; those that cannot be read as a pin may be among them. Costs its result when the filter has an exact name or the
 * beginning of one, or a time, or when only one type other than plain data is wanted; otherwise all entries are looked at.
 */
export async function* matchingEntries(
  { entries, indexes }: ListingComponents,
  { filter = ANY_PIN, types, cursor = null, signal }: PinListOptions,
): AsyncGenerator<readonly Entry[]> {
  const isShown = entryMatcher(filter, types)
  const index = indexOf(filter, types, cursor)
  if (index === undefined) {
    const range = cursor === null ? {} : { gt: utf8(pinKey(cursor.cid)) }
    for await (const chunk of entries.chunks(range, { signal })) {
      yield isShown === undefined ? chunk : chunk.filter(([, value]) => isShown(value))
    }
    return
  }
  await indexes.complete({ signal })
  using snapshot = entries.snapshot()
  yield* indexedEntries(snapshot, index, isShown ?? (() => true), { signal })
}

/** A range of an index. */
export interface IndexRange {
  readonly by: PinIndex
  readonly range: StoreRange
}

/** `undefined`: no index has what the filter asks for. */
function indexOf(
  filter: PinFilter,
  types: number | undefined,
  cursor: PinCursor | null,
): IndexRange | undefined {
  const order = pinOrder(filter)
  const name = utf8(filter.name)
  if (filter.name !== '' && filter.match === 'exact') {
    const after = cursor === null ? undefined : nameRow(name, cursor.cid.bytes).key
    return { by: 'name', range: behind(nameRange(name), after) }
  }
  if (order === 'name') {
    const after = cursor === null ? undefined : nameRow(utf8(cursor.name), cursor.cid.bytes).key
    return { by: 'name', range: behind(prefixRange(namesFrom(name)), after) }
  }
  if (order === 'created') {
    const { createdAfter, createdBefore } = filter
    const after = cursor === null ? undefined : timeRow(secondsAfter(cursor.created), cursor.cid.bytes)
    const all = prefixRange(TIME_PREFIX)
    const last = createdBefore === null ? undefined : { lt: timeRow(wholeSeconds(createdBefore) + 1) }
    return {
      by: 'created',
      range: behind({ ...all, gte: timeRow(secondsAfter(createdAfter)), ...last }, after),
    }
  }
  // The order is that of all entries.
  const type = types === undefined ? undefined : indexedType(Math.log2(types))
  if (type === undefined || !Number.isInteger(type)) return undefined
  const after = cursor === null ? undefined : typeRow(type, pinKey(cursor.cid))
  return { by: 'type', range: behind(prefixRange(typeRow(type)), after) }
}

/** The part of `range` behind `row`. */
function behind(range: StoreRange, row: Uint8Array | undefined): StoreRange {
  if (row === undefined || (range.gte !== undefined && compareBytes(row, range.gte) < 0)) return range
  return { ...(range.lt === undefined ? {} : { lt: range.lt }), gt: row }
}

/** The first whole second at `time` or later. */
function secondsAfter(time: bigint | null): number {
  return time === null || time <= 0n ? 0 : Number((time + NS_PER_S - 1n) / NS_PER_S)
}

function wholeSeconds(time: bigint): number {
  return time <= 0n ? 0 : Number(time / NS_PER_S)
}

/** What an index has, or will have once what is queued is in a node. */
interface IndexEntry {
  readonly row: Uint8Array
  readonly entry: Entry
}

/** Entries in the order of their rows, or the other way round where the range says so; in chunks, some of them empty. */
export async function* indexedEntries(
  snapshot: CrdtSnapshot,
  { by, range }: IndexRange,
  isShown: (value: Uint8Array) => boolean,
  options: AbortOptions,
): AsyncGenerator<readonly Entry[]> {
  const hidden = new Set(snapshot.queued.map(({ key }) => key))
  const queued = queuedEntries(snapshot, by, range, isShown)
  let next = 0
  for await (const chunk of inGrowingChunks(rowsOf(snapshot.rows, by, range, options))) {
    const keys = chunk.map(({ key }) => key)
    const values = await snapshot.getMany(keys)
    const entries: Entry[] = []
    for (const [i, { row, key }] of chunk.entries()) {
      for (; next < queued.length; next++) {
        const candidate = queued[next] as IndexEntry
        if (isBehind(candidate.row, row, range)) break
        entries.push(candidate.entry)
      }
      const value = values[i]
      if (value === undefined || hidden.has(key) || !isShown(value)) continue
      const its = indexRow(by, key, value)
      if (its !== undefined && equalBytes(its, row)) entries.push([key, value])
    }
    yield entries
  }
  const rest = queued.slice(next).map(({ entry }) => entry)
  if (rest.length > 0) yield rest
}

/** What the projection has not seen yet, in the order of the rows that it will have. */
function queuedEntries(
  { queued }: CrdtSnapshot,
  by: IndexRange['by'],
  range: StoreRange,
  isShown: (value: Uint8Array) => boolean,
): IndexEntry[] {
  const { gt, gte, lt } = range
  const found: IndexEntry[] = []
  for (const op of queued) {
    if (op.type !== 'put' || !isShown(op.value)) continue
    const row = indexRow(by, op.key, op.value)
    if (row === undefined) continue
    if (gt !== undefined && compareBytes(row, gt) <= 0) continue
    if (gte !== undefined && compareBytes(row, gte) < 0) continue
    if (lt !== undefined && compareBytes(row, lt) >= 0) continue
    found.push({ row, entry: [op.key, op.value] })
  }
  return found.sort((a, b) => (isBehind(a.row, b.row, range) ? 1 : -1))
}

function isBehind(row: Uint8Array, other: Uint8Array, { reverse = false }: StoreRange): boolean {
  const order = compareBytes(row, other)
  return reverse ? order < 0 : order > 0
}

interface IndexRow {
  readonly row: Uint8Array
  readonly key: string
}

async function* rowsOf(
  rows: StoreReader,
  by: IndexRange['by'],
  range: StoreRange,
  options: AbortOptions,
): AsyncGenerator<IndexRow> {
  if (by === 'type') {
    for await (const row of rows.keys(range, options)) yield { row, key: keyOfType(row) }
  } else if (by === 'created') {
    for await (const row of rows.keys(range, options))
      yield { row, key: pinKey({ bytes: cidBytesOfTime(row) }) }
  } else {
    for await (const [row, value] of rows.entries(range, options)) {
      yield { row, key: pinKey({ bytes: cidBytesOfName(row, value) }) }
    }
  }
}

async function* inGrowingChunks<T>(items: AsyncIterable<T>): AsyncGenerator<T[]> {
  let size = FIRST_CHUNK
  let chunk: T[] = []
  for await (const item of items) {
    chunk.push(item)
    if (chunk.length < size) continue
    yield chunk
    chunk = []
    size = Math.min(size * 2, LAST_CHUNK)
  }
  if (chunk.length > 0) yield chunk
}

/**
 * Whether a stored pin is shown; `undefined`: each is. True for what cannot be read as a pin, which whoever reads it counts.
 *
 * What most pins fail by, name and time, is looked at before a pin is made of the bytes.
 */
export function entryMatcher(
  filter: PinFilter,
  types: number | undefined,
): ((value: Uint8Array) => boolean) | undefined {
  if (isAnyPin(filter)) return types === undefined ? undefined : value => isOfType(value, types)
  const matches = pinMatcher(filter)
  const matchesFacts = pinInfoMatcher({ ...filter, peer: null, metadata: {} })
  const factsDecide = filter.peer === null && Object.keys(filter.metadata).length === 0
  return value => {
    const facts = pinFacts(value)
    if (facts !== undefined) {
      const name = filter.name === '' ? '' : utf8Text(facts.name)
      const created = facts.timestamp === 0 ? null : BigInt(facts.timestamp) * NS_PER_S
      if (!matchesFacts({ name, created, metadata: null, allocations: null })) return false
      if (types !== undefined && (bitOf(facts.type) & types) === 0) return false
      if (factsDecide) return true
    }
    const pin = decoded(value)
    return (
      pin === undefined || (matches(pin) && (types === undefined || (PIN_TYPE_BITS[pin.type] & types) !== 0))
    )
  }
}

function isOfType(value: Uint8Array, types: number): boolean {
  const facts = pinFacts(value)
  if (facts !== undefined) return (bitOf(facts.type) & types) !== 0
  const pin = decoded(value)
  return pin === undefined || (PIN_TYPE_BITS[pin.type] & types) !== 0
}

/** The bit of a type is the number of its enum, and numbers beyond are bad types. */
function bitOf(type: number): number {
  return type < PIN_TYPE_COUNT ? 1 << type : PIN_TYPE_BITS['bad-type']
}

const PIN_TYPE_COUNT = Object.keys(PIN_TYPE_BITS).length

function decoded(value: Uint8Array): Pin | undefined {
  try {
    return decodePin(value, ANY_CID)
  } catch {
    // Whoever reads it next counts and logs it.
    return undefined
  }
}
