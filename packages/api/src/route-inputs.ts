/** What requests to the routes carry besides the path: read by the server (`decode…`), written by the client. */
import type { CID } from 'multiformats/cid'
import { badParameter } from './api-error.ts'
import { parseCid } from './cid.ts'
import { parseContentPath } from './content-path.ts'
import * as json from './json/index.ts'
import { parsePeerId } from './peer-id.ts'
import { ALL_PINS, pinListingFromQuery, type PinListing, type PinListingArgs } from './pin-filter.ts'
import { attempt, localParam, pinOptionsFromQuery, pinOptionsToQuery } from './query.ts'
import type { RouteRequest } from './route.ts'
import {
  PIN_TYPE_ALL,
  PIN_TYPE_BITS,
  parsePinTypeBits,
  parseTrackerStatus,
  trackerStatusText,
  type PinType,
  type TrackerStatus,
} from './status.ts'
import { statusOrder } from './status-listing.ts'
import { DEFAULT_PIN_OPTIONS, type PeerId, type PinOptions } from './types.ts'

/** For routes without parameters. */
export type NoInput = Readonly<Record<never, never>>

export interface LocalInput {
  /** Only the peer that is asked. */
  readonly local: boolean
}

export interface CidInput {
  readonly cid: CID
}

export interface PathInput {
  /** `/ipfs/<cid>[/…]`, `/ipns/…` or `/ipld/…`; the client also takes a bare CID. */
  readonly path: string
}

export interface StatusAllInput extends LocalInput {
  /** 0 for everything. Not used with `cids`. */
  readonly filter: TrackerStatus
  /** When not empty: the status of these, in any order. */
  readonly cids: readonly CID[]
  /** Which pins, and how many; in the order of `statusOrder`. Not used with `cids`. */
  readonly listing: PinListing
}

export type StatusAllArgs = Partial<Omit<StatusAllInput, 'listing'>> & { readonly listing?: PinListingArgs }

export const localQuery = (args: Partial<LocalInput>) =>
  new URLSearchParams({ local: String(args.local ?? false) })
export const segment = encodeURIComponent
export const decodePin = (request: RouteRequest): PinInput<CidInput> => ({
  cid: attempt('error decoding Cid', () => parseCid(request.params['hash'] ?? '')),
  options: pinOptionsFromQuery(request.query, request.nowNs),
})
/** Go reads the pin options, and refuses wrong ones, of every request that names a CID. */
export const decodeCid = (request: RouteRequest): CidInput => ({ cid: decodePin(request).cid })
export const decodeLocal = (request: RouteRequest): LocalInput => ({ local: localParam(request.query) })
export const decodeCidLocal = (request: RouteRequest): CidInput & LocalInput => ({
  ...decodeCid(request),
  local: localParam(request.query),
})

export type PinArgs<T> = T & { readonly options?: Partial<PinOptions> }
export type PinInput<T> = T & { readonly options: PinOptions }

export const encodeOptions = (options: Partial<PinOptions> | undefined) =>
  pinOptionsToQuery({ ...DEFAULT_PIN_OPTIONS, ...options })

/** As the Go client: what is no path by itself is one below `/ipfs/`. */
export function encodePath(path: string): string {
  const full = path.startsWith('/') ? parseContentPath(path) : parseContentPath(`/ipfs/${path}`)
  return `/pins${full.split('/').map(segment).join('/')}`
}

export const decodePinPath = ({ params, query, nowNs }: RouteRequest): PinInput<PathInput> => ({
  path: attempt('error parsing path', () =>
    parseContentPath(`/${params['keyType'] ?? ''}/${params['path'] ?? ''}`),
  ),
  options: pinOptionsFromQuery(query, nowNs),
})

export function decodePeerAdd(body: string | undefined): PeerId {
  let peer: string
  try {
    // `null` is Go's empty struct.
    peer = json.peerAddBodyCodec.parse(json.parseJson(body ?? '') ?? {}).peerId
  } catch (cause) {
    throw badParameter('error decoding request body', cause)
  }
  try {
    return parsePeerId(peer)
  } catch (cause) {
    throw badParameter('error decoding peer_id', cause)
  }
}

export function pinTypesText(typeBits: number): string {
  if (typeBits === PIN_TYPE_ALL) return 'all'
  const types = Object.entries(PIN_TYPE_BITS) as [PinType, number][]
  return types
    .filter(([type, bit]) => type !== 'bad-type' && (bit & typeBits) !== 0)
    .map(([type]) => type)
    .join(',')
}

/** Only refused when no part is a type: `invalid,pin` passes. */
export function pinTypesParam(text: string): number {
  const typeBits = text.split(',').reduce((bits, name) => bits | parsePinTypeBits(name), 0)
  if (typeBits === PIN_TYPE_BITS['bad-type']) throw badParameter('invalid filter value')
  return typeBits
}

export function statusFilterText(filter: TrackerStatus): string {
  if (filter === 0) return ''
  const text = trackerStatusText(filter)
  if (text === '') throw badParameter('invalid filter value')
  return text
}

export function decodeStatusAll({ query }: RouteRequest): StatusAllInput {
  const local = localParam(query)
  const cids = query.get('cids') ?? ''
  if (cids !== '') {
    const parsed = cids.split(',').map(text => attempt('error decoding Cid', () => parseCid(text)))
    return { local, filter: 0, cids: parsed, listing: ALL_PINS }
  }
  const text = query.get('filter') ?? ''
  const filter = parseTrackerStatus(text)
  if (filter === 0 && text !== '') throw badParameter('invalid filter value')
  return { local, filter, cids: [], listing: pinListingFromQuery(query, statusOrder(filter)) }
}
