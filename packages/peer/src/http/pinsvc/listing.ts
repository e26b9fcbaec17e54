/**
 * `GET /pins`: the newest pins that match, and how many there are.
 *
 * Starts from what is fewer. Where `pinned` is wanted, from the pins, newest first, whose statuses are asked for until there are enough. Else from the peers'
 * lists of pins that are not settled; when those are very many, the newest pins are likely to be among them, and are looked at first.
 *
 * A page ends with all pins that have the time of its last one: whoever goes on with `before` misses none, nor gets any again.
 */
import { ANY_PIN, PIN_TYPE_BITS, pinMatcher, type GlobalPinInfo, type Pin } from '@ipfs-cluster/api'
import { batchesOf, compareBytes, type AbortOptions } from '@ipfs-cluster/base'
import type { Cluster } from '../../cluster/index.ts'
import { listingTime, type PinState } from '../../state/index.ts'
import { completedStatuses, pinStatusOf, statusesIn, UNSETTLED } from './status.ts'
import { PIN_STATUSES, type ListQuery, type PinStatusName } from './types.ts'

export interface ListingBounds {
  /** Counts end here; whatever is more is told as this, or as one more than what is shown. */
  readonly countMax: number
  /** Beyond so many pins that are not settled, the newest pins are looked at before all of those are. */
  readonly unsettledMax: number
  /** As many are looked at then. */
  readonly newestMax: number
}

export const LISTING_BOUNDS: ListingBounds = { countMax: 1_000, unsettledMax: 10_000, newestMax: 20_000 }

/** Roots of sharded content stand for their parts. */
const SHOWN_TYPES = PIN_TYPE_BITS.pin | PIN_TYPE_BITS['meta-pin']

export interface ListingComponents {
  readonly cluster: Pick<Cluster, 'statusAll' | 'statusOf'>
  readonly pins: Pick<PinState, 'getMany' | 'newest' | 'count'>
  /** Pins in the pinset. */
  readonly pinCount: () => number
  /** @default LISTING_BOUNDS */
  readonly bounds?: ListingBounds
}

export interface PinFound {
  readonly pin: Pin
  readonly info: GlobalPinInfo
  readonly status: PinStatusName
}

export interface PinPage {
  readonly found: readonly PinFound[]
  /** Exact below `countMax`; always more than are found when there are more. */
  readonly count: number
}

/** What one of the ways to a page comes to. */
interface Walked {
  readonly found: readonly PinFound[]
  /** There are, or may be, more. */
  readonly more: boolean
  /** Of all that match, when this way has seen them. */
  readonly count?: number
}

export async function listPins(
  components: ListingComponents,
  query: ListQuery,
  options: AbortOptions,
): Promise<PinPage> {
  if (query.cids.length > 0) return await pageOfCids(components, query, options)
  const { found, more, count } = query.statuses.has('pinned')
    ? ((await newestPins(components, query, Infinity, options)) ?? NOTHING)
    : await unsettledPins(components, query, options)
  if (!more) return { found, count: found.length }
  const counted = count ?? (await countPins(components, query, options))
  return { found, count: Math.max(counted, found.length + 1) }
}

const NOTHING: Walked = { found: [], more: false }

/** With their statuses, in the order of `pins`. */
export async function* withStatus(
  { cluster }: Pick<ListingComponents, 'cluster'>,
  pins: AsyncIterable<Pin> | Iterable<Pin>,
  options: AbortOptions,
): AsyncGenerator<PinFound> {
  const asked: Pin[] = []
  async function* asking() {
    for await (const pin of pins) {
      asked.push(pin)
      yield pin
    }
  }
  for await (const info of cluster.statusOf(asking(), options)) {
    const pin = asked.shift()
    if (pin === undefined) throw new Error('invariant broken: a status of a pin that was not asked for')
    yield { pin, info, status: pinStatusOf(pin, statusesIn(info)) }
  }
}

async function pageOfCids(
  components: ListingComponents,
  query: ListQuery,
  options: AbortOptions,
): Promise<PinPage> {
  const matches = pinFilter(query)
  const pins = (await components.pins.getMany(query.cids)).filter(pin => pin !== undefined && matches(pin))
  const all = (await Array.fromAsync(withStatus(components, pins as Pin[], options)))
    .filter(({ status }) => query.statuses.has(status))
    .sort((a, b) => newestFirst(a.pin, b.pin))
  const found = firstPage(all, query.limit)
  return { found, count: all.length }
}

/** @returns undefined when `looks` pins were not enough. */
async function newestPins(
  { pins, ...components }: ListingComponents,
  { name, match, metadata, statuses, before, after, limit }: ListQuery,
  looks: number,
  { signal }: AbortOptions,
): Promise<Walked | undefined> {
  const filter = { name, match, metadata }
  const newest = pins.newest({ filter, types: SHOWN_TYPES, before, after, signal })
  const found: PinFound[] = []
  let looked = 0
  for await (const each of withStatus(components, newest, { signal })) {
    if (looked++ >= looks) return undefined
    if (!statuses.has(each.status)) continue
    const last = found.at(-1)
    if (found.length >= limit && last !== undefined && !isSameTime(last.pin, each.pin)) {
      return { found, more: true }
    }
    found.push(each)
  }
  return { found, more: false }
}

/** None of the statuses wanted is `pinned`. */
async function unsettledPins(
  components: ListingComponents,
  query: ListQuery,
  options: AbortOptions,
): Promise<Walked> {
  const { unsettledMax, newestMax } = components.bounds ?? LISTING_BOUNDS
  const few = await scanUnsettled(components, query, { keep: query.limit, most: unsettledMax }, options)
  if (few.isAll) return await pageOf(components, query, few, options)
  const walked = await newestPins(components, query, newestMax, options)
  if (walked !== undefined) return { ...walked, count: few.count }
  const all = await scanUnsettled(components, query, { keep: query.limit, most: Infinity }, options)
  return await pageOf(components, query, all, options)
}

/** What has changed since the scan is left out; when nothing is left, the page behind it takes its place. */
async function pageOf(
  components: ListingComponents,
  query: ListQuery,
  { newest, count }: Unsettled,
  options: AbortOptions,
): Promise<Walked> {
  const page = firstPage(newest, query.limit)
  const pins = page.map(({ pin }) => pin)
  const found = (await Array.fromAsync(withStatus(components, pins, options))).filter(({ status }) =>
    query.statuses.has(status),
  )
  const more = count > page.length
  const last = pins.at(-1)
  if (found.length > 0 || !more || last === undefined) return { found, more, count }
  return await unsettledPins(components, { ...query, before: listingTime(last) }, options)
}

interface Unsettled {
  /** The newest that match: as many as shall be kept, and those of the same time as the last of them. */
  readonly newest: readonly { readonly pin: Pin }[]
  readonly count: number
  /** False: there are more. */
  readonly isAll: boolean
}

async function scanUnsettled(
  { cluster, pins }: ListingComponents,
  query: ListQuery,
  { keep, most }: { readonly keep: number; readonly most: number },
  { signal }: AbortOptions,
): Promise<Unsettled> {
  const { name, match, metadata, statuses } = query
  const matches = pinFilter(query)
  const listing = { filter: { ...ANY_PIN, name, match, metadata }, limit: null, cursor: null }
  let newest: { readonly pin: Pin }[] = []
  let count = 0
  const keepNewest = () => {
    newest.sort((a, b) => newestFirst(a.pin, b.pin))
    newest = firstPage(newest, keep)
  }
  for await (const infos of batchesOf(cluster.statusAll(UNSETTLED, { listing, signal }))) {
    const known = await pins.getMany(infos.map(({ cid }) => cid))
    for (const [i, info] of infos.entries()) {
      const pin = known[i]
      if (pin === undefined || !matches(pin)) continue
      if (!statuses.has(pinStatusOf(pin, completedStatuses(pin, info)))) continue
      count++
      if (keep > 0) newest.push({ pin })
    }
    if (newest.length > 2 * keep) keepNewest()
    if (count >= most) return { newest, count, isAll: false }
  }
  keepNewest()
  return { newest, count, isAll: true }
}

/** Those that match but for their status, without those of the other statuses. */
async function countPins(
  components: ListingComponents,
  query: ListQuery,
  { signal }: AbortOptions,
): Promise<number> {
  const { name, match, metadata, before, after } = query
  const { countMax } = components.bounds ?? LISTING_BOUNDS
  const isAny = name === '' && Object.keys(metadata).length === 0 && before === null && after === null
  const filter = { name, match, metadata }
  const all = isAny
    ? components.pinCount()
    : await components.pins.count({ filter, types: SHOWN_TYPES, before, after, most: countMax, signal })
  if (!isAny && all >= countMax) return countMax
  const others = new Set(PIN_STATUSES.filter(status => !query.statuses.has(status)))
  if (others.size === 0) return all
  const unwanted = { ...query, statuses: others }
  const { count } = await scanUnsettled(components, unwanted, { keep: 0, most: countMax }, { signal })
  return all - count
}

function pinFilter({ name, match, metadata, before, after }: ListQuery): (pin: Pin) => boolean {
  const matches = pinMatcher({ ...ANY_PIN, name, match, metadata })
  return pin => {
    if ((PIN_TYPE_BITS[pin.type] & SHOWN_TYPES) === 0 || !matches(pin)) return false
    const time = listingTime(pin)
    return (before === null || time < before) && (after === null || time > after)
  }
}

function isSameTime(a: Pin, b: Pin): boolean {
  return listingTime(a) === listingTime(b)
}

function newestFirst(a: Pin, b: Pin): number {
  const [left, right] = [listingTime(a), listingTime(b)]
  if (left !== right) return left > right ? -1 : 1
  return compareBytes(b.cid.bytes, a.cid.bytes)
}

/** The first `limit` of a sorted list, and those of the same time as the last of them. */
function firstPage<T extends { readonly pin: Pin }>(sorted: readonly T[], limit: number): T[] {
  let end = Math.min(limit, sorted.length)
  const last = sorted[end - 1]
  if (last === undefined) return []
  while (end < sorted.length && isSameTime(last.pin, (sorted[end] as T).pin)) end++
  return sorted.slice(0, end)
}
