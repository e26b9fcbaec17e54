/**
 * Which pins a listing shows (`GET /allocations`, `GET /pins`), beside the filters that Go has: parameters of the query, and the predicate
 * behind them. They are named as in the IPFS Pinning Service API where that has them; a Go peer ignores them all.
 */
import type { CID } from 'multiformats/cid'
import { badParameter } from './api-error.ts'
import { cidText, parseCid } from './cid.ts'
import { parsePeerId } from './peer-id.ts'
import { attempt } from './query.ts'
import { formatTime, parseTime } from './time.ts'
import { isPinEverywhere, type PeerId, type Pin, type PinInfo, type Time } from './types.ts'

/** As in the Pinning Service API, where `i` ignores case and `partial` is a part of the name; `prefix` is ours. */
export const NAME_MATCHES = ['exact', 'iexact', 'partial', 'ipartial', 'prefix'] as const

export type NameMatch = (typeof NAME_MATCHES)[number]

/** All of it must hold. */
export interface PinFilter {
  /** Empty: any name. */
  readonly name: string
  readonly match: NameMatch
  /** Keys that the pin must have, with these values. */
  readonly metadata: Readonly<Record<string, string>>
  /** One of the peers that keep it. A pin that every peer keeps matches every peer. `null`: any. */
  readonly peer: PeerId | null
  /** Created at this time or later; the pinset keeps whole seconds. A pin that does not say when it was created matches no time. */
  readonly createdAfter: Time
  /** Created at this time or earlier. */
  readonly createdBefore: Time
}

export const ANY_PIN: PinFilter = {
  name: '',
  match: 'exact',
  metadata: {},
  peer: null,
  createdAfter: null,
  createdBefore: null,
}

/**
 * The order of a listing: that of the range that is read, so that a listing costs its result and can be resumed. Names are in the order of their first
 * 255 bytes. What is equal, and `cid`, is in an order of CIDs that is always the same, and not that of their text.
 */
export type PinOrder = 'cid' | 'name' | 'created'

/** Where a listing is resumed: behind this pin, whether it is still there or not. */
export interface PinCursor {
  readonly cid: CID
  /** Looked at in the order of names. */
  readonly name: string
  /** Looked at in the order of creation. */
  readonly created: Time
}

export interface PinListing {
  readonly filter: PinFilter
  /** At most this many, 1 or more; `null`: all. */
  readonly limit: number | null
  /** `null`: from the beginning. */
  readonly cursor: PinCursor | null
}

export const ALL_PINS: PinListing = { filter: ANY_PIN, limit: null, cursor: null }

/** What a predicate needs to know of an item of `GET /pins`. */
export type FilteredInfo = Pick<PinInfo, 'name' | 'created'> & {
  readonly metadata: Readonly<Record<string, string>> | null
  readonly allocations: readonly PeerId[] | null
}

/** True when every pin matches. */
export function isAnyPin(filter: PinFilter): boolean {
  return (
    filter.name === '' &&
    filter.peer === null &&
    filter.createdAfter === null &&
    filter.createdBefore === null &&
    Object.keys(filter.metadata).length === 0
  )
}

/** The order in which `GET /allocations` lists what matches `filter`. `GET /pins` is always in the order of CIDs. */
export function pinOrder(filter: PinFilter): PinOrder {
  if (filter.name !== '') {
    if (filter.match === 'exact') return 'cid'
    if (filter.match === 'prefix') return 'name'
  }
  return filter.createdAfter !== null || filter.createdBefore !== null ? 'created' : 'cid'
}

/** The predicate for pins of the pinset. */
export function pinMatcher(filter: PinFilter): (pin: Pin) => boolean {
  if (isAnyPin(filter)) return () => true
  const matches = matcher(filter)
  const { peer } = filter
  return pin =>
    matches(pin.name, pin.metadata, pin.timestamp) &&
    (peer === null || isPinEverywhere(pin) || pin.allocations.includes(peer))
}

/** The predicate for statuses of pins, where no allocations mean every peer. */
export function pinInfoMatcher(filter: PinFilter): (info: FilteredInfo) => boolean {
  if (isAnyPin(filter)) return () => true
  const matches = matcher(filter)
  const { peer } = filter
  return ({ name, metadata, created, allocations }) =>
    matches(name, metadata, created) &&
    (peer === null || allocations === null || allocations.length === 0 || allocations.includes(peer))
}

type Matcher = (name: string, metadata: Readonly<Record<string, string>> | null, created: Time) => boolean

function matcher({ name, match, metadata, createdAfter, createdBefore }: PinFilter): Matcher {
  const isName = nameMatcher(name, match)
  const pairs = Object.entries(metadata)
  const timed = createdAfter !== null || createdBefore !== null
  return (itsName, itsMetadata, created) =>
    isName(itsName) &&
    (!timed || isWithin(created, createdAfter, createdBefore)) &&
    pairs.every(
      ([key, value]) => itsMetadata !== null && Object.hasOwn(itsMetadata, key) && itsMetadata[key] === value,
    )
}

function isWithin(created: Time, after: Time, before: Time): boolean {
  return created !== null && (after === null || created >= after) && (before === null || created <= before)
}

function nameMatcher(name: string, match: NameMatch): (name: string) => boolean {
  if (name === '') return () => true
  const lower = name.toLowerCase()
  switch (match) {
    case 'exact':
      return candidate => candidate === name
    case 'iexact':
      return candidate => candidate.toLowerCase() === lower
    case 'partial':
      return candidate => candidate.includes(name)
    case 'ipartial':
      return candidate => candidate.toLowerCase().includes(lower)
    case 'prefix':
      return candidate => candidate.startsWith(name)
  }
}

/**
 * Reads `name`, `match`, `meta` (a JSON object of strings), `peer`, `after`, `before` (RFC 3339), `limit` and `cursor`; an empty value is
 * none.
 *
 * @param order of the listing that the cursor is for.
 * @throws ApiError `BAD_PARAMETER`
 */
export function pinListingFromQuery(
  query: URLSearchParams,
  order: (filter: PinFilter) => PinOrder = pinOrder,
): PinListing {
  const text = (name: string) => query.get(name) || null
  const name = text('name') ?? ''
  const match = text('match')
  if (match !== null && name === '') throw badParameter('parameter match needs a name')
  const [after, before] = [text('after'), text('before')]
  const filter: PinFilter = {
    name,
    match: parseMatch(match),
    metadata: parseMeta(text('meta')),
    peer: reading('peer', text('peer'), parsePeerId),
    createdAfter: reading('after', after, parseTime),
    createdBefore: reading('before', before, parseTime),
  }
  if (
    filter.createdAfter !== null &&
    filter.createdBefore !== null &&
    filter.createdAfter > filter.createdBefore
  ) {
    throw badParameter('parameter after is later than before: no pin can match')
  }
  return {
    filter,
    limit: parseLimit(text('limit')),
    cursor: reading('cursor', text('cursor'), cursor => parsePinCursor(cursor, order(filter))),
  }
}

/** The inverse of `pinListingFromQuery`; what is left out is not written. */
export function pinListingToQuery(
  { filter: given = {}, limit = null, cursor = null }: PinListingArgs,
  order: (filter: PinFilter) => PinOrder = pinOrder,
): URLSearchParams {
  const query = new URLSearchParams()
  const filter = { ...ANY_PIN, ...given }
  if (filter.name !== '') {
    query.set('name', filter.name)
    if (filter.match !== 'exact') query.set('match', filter.match)
  }
  if (Object.keys(filter.metadata).length > 0) query.set('meta', JSON.stringify(filter.metadata))
  if (filter.peer !== null) query.set('peer', filter.peer)
  if (filter.createdAfter !== null) query.set('after', formatTime(filter.createdAfter))
  if (filter.createdBefore !== null) query.set('before', formatTime(filter.createdBefore))
  if (limit !== null) query.set('limit', String(limit))
  if (cursor !== null) query.set('cursor', pinCursorText(cursor, order(filter)))
  return query
}

/** `PinListing` as a client's caller gives it. */
export interface PinListingArgs {
  readonly filter?: Partial<PinFilter>
  readonly limit?: number | null
  readonly cursor?: PinCursor | null
}

/** The cursor behind this pin: of the last line of a listing, to get what follows it. */
export function pinCursor(item: Pin | Pick<PinInfo, 'cid' | 'name' | 'created'>): PinCursor {
  const { cid, name } = item
  return { cid, name, created: 'created' in item ? item.created : item.timestamp }
}

/** The CID; in the order of names or of creation, a comma and the name or the time follow. */
export function pinCursorText({ cid, name, created }: PinCursor, order: PinOrder): string {
  if (order === 'cid') return cidText(cid)
  return `${cidText(cid)},${order === 'name' ? name : formatTime(created)}`
}

/** @throws ApiError `API_BAD_CID`, RangeError */
export function parsePinCursor(text: string, order: PinOrder): PinCursor {
  const comma = text.indexOf(',')
  const cid = parseCid(comma < 0 ? text : text.slice(0, comma))
  const rest = comma < 0 ? '' : text.slice(comma + 1)
  switch (order) {
    case 'cid':
      return { cid, name: '', created: null }
    case 'name':
      if (comma < 0) throw new RangeError("a comma and the pin's name must follow its CID")
      return { cid, name: rest, created: null }
    case 'created':
      if (comma < 0) throw new RangeError("a comma and the pin's time must follow its CID")
      return { cid, name: '', created: parseTime(rest) }
  }
}

function reading<T>(name: string, text: string | null, parse: (text: string) => T): T | null {
  return text === null ? null : attempt(`parameter ${name} cannot be read`, () => parse(text))
}

function parseMatch(text: string | null): NameMatch {
  if (text === null) return ANY_PIN.match
  const match = NAME_MATCHES.find(each => each === text)
  if (match === undefined) throw badParameter(`parameter match must be one of ${NAME_MATCHES.join(', ')}`)
  return match
}

function parseMeta(text: string | null): Readonly<Record<string, string>> {
  if (text === null) return {}
  const value: unknown = attempt('parameter meta cannot be read', () => JSON.parse(text))
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    const pairs = Object.entries(value)
    if (pairs.every((pair): pair is [string, string] => typeof pair[1] === 'string')) {
      return Object.fromEntries(pairs)
    }
  }
  throw badParameter('parameter meta must be a JSON object whose values are strings')
}

function parseLimit(text: string | null): number | null {
  if (text === null) return null
  const limit = /^\d{1,15}$/.test(text) ? Number(text) : 0
  if (limit < 1) throw badParameter('parameter limit must be a whole number of at least 1')
  return limit
}
