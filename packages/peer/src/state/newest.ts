/** The pinset by time, newest first: what the Pinning Service API lists. */
import { ANY_PIN, type PinFilter, type Time } from '@ipfs-cluster/api'
import { compareBytes, prefixRange, utf8, type AbortOptions, type StoreRange } from '@ipfs-cluster/base'
import type { CrdtSnapshot } from '@ipfs-cluster/crdt'
import type { CID } from 'multiformats/cid'
import { createdSlot, nameRange, slotRow, TIME_PREFIX } from './layout.ts'
import { entryMatcher, indexedEntries, type Entry, type ListingComponents } from './listing.ts'
import { createdSeconds, indexRow } from './projection.ts'

const NS_PER_MS = 1_000_000n
const MS_PER_S = 1_000
const NS_PER_S = 1_000_000_000n
/** Of pins of one name, which their index has in no order of time, this many are sorted at a time. */
const ROUND = 1_000
/** Pins that are looked at to count those that match where no index has just them: some 50 ms. */
const LOOKS_MAX = 5_000

export interface NewestOptions extends AbortOptions {
  /** What of a filter is not about time or peers. @default any */
  readonly filter?: Pick<PinFilter, 'name' | 'match' | 'metadata'>
  /** Bits of `PIN_TYPE_BITS`. @default any */
  readonly types?: number
  /** Only pins whose `listingTime` is before. @default any */
  readonly before?: Time
  /** Only pins whose `listingTime` is after. @default any */
  readonly after?: Time
}

export interface CountOptions extends NewestOptions {
  /** Counts no further. */
  readonly most: number
}

/**
 * The time by which pins are listed, in nanoseconds: the second in which it was created, and a millisecond in it that follows from its CID. Pins that do
 * not say when they were created are of 1970.
 */
export function listingTime({ cid, timestamp }: { readonly cid: CID; readonly timestamp: Time }): bigint {
  return BigInt(createdSeconds(timestamp)) * NS_PER_S + BigInt(createdSlot(cid.bytes)) * NS_PER_MS
}

/** Entries in the order of their listing times, the latest first, in chunks, some of them empty. What is equal is in the order of CIDs, the last first. */
export async function* newestEntries(
  { entries, indexes }: ListingComponents,
  options: NewestOptions,
): AsyncGenerator<readonly Entry[]> {
  const { signal } = options
  await indexes.complete({ signal })
  using snapshot = entries.snapshot()
  const isShown = matcherOf(options)
  const range = timeRange(options)
  if (range === undefined) return
  if (isExactName(options.filter)) {
    yield* newestOfName(snapshot, options, { isShown, range })
  } else {
    yield* indexedEntries(snapshot, { by: 'created', range: { ...range, reverse: true } }, isShown, {
      signal,
    })
  }
}

/** How many there are, `most` at most. Fewer than there are when very many would have to be looked at. */
export async function countEntries(
  { entries, indexes }: ListingComponents,
  options: CountOptions,
): Promise<number> {
  const { signal, most } = options
  await indexes.complete({ signal })
  using snapshot = entries.snapshot()
  const range = timeRange(options)
  if (range === undefined) return 0
  const matches = matcherOf(options)
  let looks = 0
  const isShown = (value: Uint8Array) => {
    looks++
    return matches(value)
  }
  const byName = isExactName(options.filter)
  const index = byName ? nameIndex(options.filter) : { by: 'created' as const, range }
  let count = 0
  for await (const chunk of indexedEntries(snapshot, index, isShown, { signal })) {
    count += byName ? chunk.filter(entry => isIn(range, timeRowOf(entry))).length : chunk.length
    if (count >= most || looks >= LOOKS_MAX) break
  }
  return Math.min(count, most)
}

function matcherOf({ filter, types }: NewestOptions): (value: Uint8Array) => boolean {
  return entryMatcher({ ...ANY_PIN, ...filter }, types) ?? (() => true)
}

type NamedFilter = Pick<PinFilter, 'name' | 'match'>

function isExactName(filter: NamedFilter | undefined): filter is NamedFilter {
  return filter !== undefined && filter.name !== '' && filter.match === 'exact'
}

function nameIndex({ name }: NamedFilter) {
  return { by: 'name' as const, range: nameRange(utf8(name)) }
}

/** `undefined`: no time is between the two. */
function timeRange({ before = null, after = null }: NewestOptions): StoreRange | undefined {
  const all = prefixRange(TIME_PREFIX)
  const first = after === null || after < 0n ? undefined : after / NS_PER_MS + 1n
  const end = before === null ? undefined : before <= 0n ? 0n : (before + NS_PER_MS - 1n) / NS_PER_MS
  if (end !== undefined && end <= (first ?? 0n)) return undefined
  return {
    ...all,
    ...(first === undefined ? {} : { gte: millisecondRow(first) }),
    ...(end === undefined ? {} : { lt: millisecondRow(end) }),
  }
}

function millisecondRow(milliseconds: bigint): Uint8Array {
  const ms = Number(milliseconds)
  return slotRow(Math.floor(ms / MS_PER_S), ms % MS_PER_S)
}

function isIn({ gte, lt }: StoreRange, row: Uint8Array | undefined): boolean {
  return (
    row !== undefined &&
    (gte === undefined || compareBytes(row, gte) >= 0) &&
    (lt === undefined || compareBytes(row, lt) < 0)
  )
}

function timeRowOf([key, value]: Entry): Uint8Array | undefined {
  return indexRow('created', key, value)
}

interface Timed {
  readonly row: Uint8Array
  readonly entry: Entry
}

/** In rounds, each of which goes through all pins of the name and keeps the next newest, so that memory is bounded however many there are. */
async function* newestOfName(
  snapshot: CrdtSnapshot,
  { filter = ANY_PIN, signal }: NewestOptions,
  { isShown, range }: { readonly isShown: (value: Uint8Array) => boolean; readonly range: StoreRange },
): AsyncGenerator<readonly Entry[]> {
  for (let rest: StoreRange | undefined = range; rest !== undefined;) {
    const wanted: StoreRange = rest
    let newest: Timed[] = []
    let isAll = true
    const keepNewest = () => {
      newest.sort((a, b) => compareBytes(b.row, a.row))
      isAll &&= newest.length <= ROUND
      newest = newest.slice(0, ROUND)
    }
    for await (const chunk of indexedEntries(snapshot, nameIndex(filter), isShown, { signal })) {
      for (const entry of chunk) {
        const row = timeRowOf(entry)
        if (row !== undefined && isIn(wanted, row)) newest.push({ row, entry })
      }
      if (newest.length >= 2 * ROUND) keepNewest()
    }
    keepNewest()
    yield newest.map(({ entry }) => entry)
    const oldest = newest.at(-1)
    rest = isAll || oldest === undefined ? undefined : { ...wanted, lt: oldest.row }
  }
}
