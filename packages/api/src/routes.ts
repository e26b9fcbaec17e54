/**
 * The one table of the REST API (Go: `api/rest/restapi.go`): server, client and ctl are derived from it. An entry says how a
 * request is written (client) and read (server) and what the answer is made of; the order is that of registration, where the first
 * match wins.
 */
import type { CID } from 'multiformats/cid'
import { badParameter } from './api-error.ts'
import { cidText, parseCid } from './cid.ts'
import { parseContentPath } from './content-path.ts'
import * as json from './json/index.ts'
import type { JsonCodec } from './json/index.ts'
import { parsePeerId } from './peer-id.ts'
import {
  ALL_PINS,
  pinListingFromQuery,
  pinListingToQuery,
  type PinListing,
  type PinListingArgs,
} from './pin-filter.ts'
import {
  addParamsFromQuery,
  addParamsToQuery,
  attempt,
  localParam,
  pinOptionsFromQuery,
  pinOptionsToQuery,
} from './query.ts'
import type { Route, RouteKind, RouteRequest } from './route.ts'
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
import {
  DEFAULT_ADD_PARAMS,
  DEFAULT_PIN_OPTIONS,
  type AddParams,
  type PeerId,
  type PinOptions,
} from './types.ts'

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

type StatusAllArgs = Partial<Omit<StatusAllInput, 'listing'>> & { readonly listing?: PinListingArgs }

interface Definition<Kind extends RouteKind, Args, Input, Output> {
  readonly method: Route<Kind, Args, Input, Output>['method']
  readonly path: string
  readonly kind: Kind
  readonly output: Route<Kind, Args, Input, Output>['output']
  readonly encode: Route<Kind, Args, Input, Output>['encode']
  readonly decode: Route<Kind, Args, Input, Output>['decode']
}

function route<Kind extends RouteKind, Args, Input, Output>(
  definition: Definition<Kind, Args, Input, Output>,
): Route<Kind, Args, Input, Output> {
  return definition
}

/** A GET without parameters. */
function get<Output>(path: string, output: JsonCodec<Output>): Route<'json', NoInput, NoInput, Output> {
  return route({ method: 'GET', path, kind: 'json', output, encode: () => ({ path }), decode: () => ({}) })
}

const localQuery = (args: Partial<LocalInput>) => new URLSearchParams({ local: String(args.local ?? false) })
const segment = encodeURIComponent
const decodePin = (request: RouteRequest): PinInput<CidInput> => ({
  cid: attempt('error decoding Cid', () => parseCid(request.params['hash'] ?? '')),
  options: pinOptionsFromQuery(request.query, request.nowNs),
})
/** Go reads the pin options, and refuses wrong ones, of every request that names a CID. */
const decodeCid = (request: RouteRequest): CidInput => ({ cid: decodePin(request).cid })
const decodeLocal = (request: RouteRequest): LocalInput => ({ local: localParam(request.query) })
const decodeCidLocal = (request: RouteRequest): CidInput & LocalInput => ({
  ...decodeCid(request),
  local: localParam(request.query),
})

type PinArgs<T> = T & { readonly options?: Partial<PinOptions> }
type PinInput<T> = T & { readonly options: PinOptions }

const encodeOptions = (options: Partial<PinOptions> | undefined) =>
  pinOptionsToQuery({ ...DEFAULT_PIN_OPTIONS, ...options })

/** As the Go client: what is no path by itself is one below `/ipfs/`. */
function encodePath(path: string): string {
  const full = path.startsWith('/') ? parseContentPath(path) : parseContentPath(`/ipfs/${path}`)
  return `/pins${full.split('/').map(segment).join('/')}`
}

const decodePinPath = ({ params, query, nowNs }: RouteRequest): PinInput<PathInput> => ({
  path: attempt('error parsing path', () =>
    parseContentPath(`/${params['keyType'] ?? ''}/${params['path'] ?? ''}`),
  ),
  options: pinOptionsFromQuery(query, nowNs),
})

export const ROUTES = {
  id: get('/id', json.idCodec),
  version: get('/version', json.versionCodec),
  peers: route({
    method: 'GET',
    path: '/peers',
    kind: 'stream',
    output: json.idCodec,
    encode: () => ({ path: '/peers' }),
    decode: (): NoInput => ({}),
  }),
  peerAdd: route({
    method: 'POST',
    path: '/peers',
    kind: 'json',
    output: json.idCodec,
    encode: (args: { readonly peer: PeerId }) => ({
      path: '/peers',
      body: json.peerAddBodyCodec.stringify({ peerId: args.peer }),
    }),
    decode: request => ({ peer: decodePeerAdd(request.body) }),
  }),
  peerRemove: route({
    method: 'DELETE',
    path: '/peers/{peer}',
    kind: 'empty',
    output: null,
    encode: (args: { readonly peer: PeerId }) => ({ path: `/peers/${segment(args.peer)}` }),
    decode: request => ({
      peer: attempt('error decoding Peer ID', () => parsePeerId(request.params['peer'] ?? '')),
    }),
  }),
  add: route({
    method: 'POST',
    path: '/add',
    kind: 'add',
    output: json.addedOutputCodec,
    encode: (args: { readonly params?: Partial<AddParams> }) => ({
      path: '/add',
      query: addParamsToQuery({ ...DEFAULT_ADD_PARAMS, ...args.params }),
    }),
    decode: request => ({ params: addParamsFromQuery(request.query, request.nowNs) }),
  }),
  allocations: route({
    method: 'GET',
    path: '/allocations',
    kind: 'stream',
    output: json.pinCodec,
    encode: (args: { readonly typeBits?: number; readonly listing?: PinListingArgs }) => ({
      path: '/allocations',
      query: new URLSearchParams([
        ['filter', pinTypesText(args.typeBits ?? PIN_TYPE_ALL)],
        ...pinListingToQuery(args.listing ?? {}),
      ]),
    }),
    decode: ({ query }) => ({
      typeBits: pinTypesParam(query.get('filter') ?? ''),
      listing: pinListingFromQuery(query),
    }),
  }),
  allocation: route({
    method: 'GET',
    path: '/allocations/{hash}',
    kind: 'json',
    output: json.pinCodec,
    encode: (args: CidInput) => ({ path: `/allocations/${cidText(args.cid)}` }),
    decode: decodeCid,
  }),
  /** Ours: what the pin keeps, as a CARv1. */
  exportCar: route({
    method: 'GET',
    path: '/allocations/{hash}/car',
    kind: 'car',
    output: null,
    encode: (args: CidInput) => ({ path: `/allocations/${cidText(args.cid)}/car` }),
    decode: decodeCid,
  }),
  statusAll: route({
    method: 'GET',
    path: '/pins',
    kind: 'stream',
    output: json.globalPinInfoCodec,
    encode: (args: StatusAllArgs) => ({
      path: '/pins',
      query: new URLSearchParams([
        ['local', String(args.local ?? false)],
        ['filter', statusFilterText(args.filter ?? 0)],
        ['cids', (args.cids ?? []).map(cidText).join(',')],
        ...pinListingToQuery(args.listing ?? {}, statusOrder(args.filter ?? 0)),
      ]),
    }),
    decode: decodeStatusAll,
  }),
  /** Ours, as the next: `POST /pins/{hash}` for many CIDs. The query has the options of lines that have none of their own. */
  pinMany: route({
    method: 'POST',
    path: '/pins',
    kind: 'bulk',
    output: json.bulkAnswerCodec,
    encode: (args: { readonly options?: Partial<PinOptions> }) => ({
      path: '/pins',
      query: encodeOptions(args.options),
    }),
    decode: ({ query, nowNs }) => ({ options: pinOptionsFromQuery(query, nowNs) }),
  }),
  unpinMany: route({
    method: 'DELETE',
    path: '/pins',
    kind: 'bulk',
    output: json.bulkAnswerCodec,
    encode: () => ({ path: '/pins' }),
    decode: (): NoInput => ({}),
  }),
  recover: route({
    method: 'POST',
    path: '/pins/{hash}/recover',
    kind: 'json',
    output: json.globalPinInfoCodec,
    encode: (args: CidInput & Partial<LocalInput>) => ({
      path: `/pins/${cidText(args.cid)}/recover`,
      query: localQuery(args),
    }),
    decode: decodeCidLocal,
  }),
  recoverAll: route({
    method: 'POST',
    path: '/pins/recover',
    kind: 'stream',
    output: json.globalPinInfoCodec,
    encode: (args: Partial<LocalInput>) => ({ path: '/pins/recover', query: localQuery(args) }),
    decode: decodeLocal,
  }),
  status: route({
    method: 'GET',
    path: '/pins/{hash}',
    kind: 'json',
    output: json.globalPinInfoCodec,
    encode: (args: CidInput & Partial<LocalInput>) => ({
      path: `/pins/${cidText(args.cid)}`,
      query: localQuery(args),
    }),
    decode: decodeCidLocal,
  }),
  pin: route({
    method: 'POST',
    path: '/pins/{hash}',
    kind: 'json',
    output: json.submittedPinCodec,
    encode: (args: PinArgs<CidInput>) => ({
      path: `/pins/${cidText(args.cid)}`,
      query: encodeOptions(args.options),
    }),
    decode: decodePin,
  }),
  pinPath: route({
    method: 'POST',
    path: '/pins/{keyType:ipfs|ipns|ipld}/{path:.*}',
    kind: 'json',
    output: json.submittedPinCodec,
    encode: (args: PinArgs<PathInput>) => ({
      path: encodePath(args.path),
      query: encodeOptions(args.options),
    }),
    decode: decodePinPath,
  }),
  unpin: route({
    method: 'DELETE',
    path: '/pins/{hash}',
    kind: 'json',
    output: json.pinCodec,
    encode: (args: CidInput) => ({ path: `/pins/${cidText(args.cid)}` }),
    decode: decodeCid,
  }),
  unpinPath: route({
    method: 'DELETE',
    path: '/pins/{keyType:ipfs|ipns|ipld}/{path:.*}',
    kind: 'json',
    output: json.pinCodec,
    encode: (args: PathInput) => ({ path: encodePath(args.path) }),
    decode: (request): PathInput => ({ path: decodePinPath(request).path }),
  }),
  repoGC: route({
    method: 'POST',
    path: '/ipfs/gc',
    kind: 'json',
    output: json.globalRepoGCCodec,
    encode: (args: Partial<LocalInput>) => ({ path: '/ipfs/gc', query: localQuery(args) }),
    decode: decodeLocal,
  }),
  connectGraph: get('/health/graph', json.connectGraphCodec),
  alerts: get('/health/alerts', json.alertsCodec),
  bandwidth: get('/health/bandwidth', json.bandwidthCodec),
  metrics: route({
    method: 'GET',
    path: '/monitor/metrics/{name}',
    kind: 'json',
    output: json.metricsCodec,
    encode: (args: { readonly name: string }) => {
      if (args.name === '') throw badParameter('bad metric name')
      return { path: `/monitor/metrics/${segment(args.name)}` }
    },
    decode: request => ({ name: request.params['name'] ?? '' }),
  }),
  metricNames: get('/monitor/metrics', json.metricNamesCodec),
  token: route({
    method: 'POST',
    path: '/token',
    kind: 'json',
    output: json.tokenCodec,
    encode: () => ({ path: '/token' }),
    // `null`: nobody is authenticated, because no credentials are configured.
    decode: request => ({ user: request.user ?? null }),
  }),
  /** Ours: whether all parts of the peer work; 503 names those that do not. */
  ready: route({
    method: 'GET',
    path: '/health/ready',
    kind: 'empty',
    output: null,
    encode: () => ({ path: '/health/ready' }),
    decode: (): NoInput => ({}),
  }),
  health: route({
    method: 'GET',
    path: '/health',
    kind: 'empty',
    output: null,
    encode: () => ({ path: '/health' }),
    decode: (): NoInput => ({}),
  }),
  /** Not in Go: this table, for programs and people. */
  openapi: get('/openapi.json', json.openApiCodec),
} as const

function decodePeerAdd(body: string | undefined): PeerId {
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

function pinTypesText(typeBits: number): string {
  if (typeBits === PIN_TYPE_ALL) return 'all'
  const types = Object.entries(PIN_TYPE_BITS) as [PinType, number][]
  return types
    .filter(([type, bit]) => type !== 'bad-type' && (bit & typeBits) !== 0)
    .map(([type]) => type)
    .join(',')
}

/** Only refused when no part is a type: `invalid,pin` passes. */
function pinTypesParam(text: string): number {
  const typeBits = text.split(',').reduce((bits, name) => bits | parsePinTypeBits(name), 0)
  if (typeBits === PIN_TYPE_BITS['bad-type']) throw badParameter('invalid filter value')
  return typeBits
}

function statusFilterText(filter: TrackerStatus): string {
  if (filter === 0) return ''
  const text = trackerStatusText(filter)
  if (text === '') throw badParameter('invalid filter value')
  return text
}

function decodeStatusAll({ query }: RouteRequest): StatusAllInput {
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
