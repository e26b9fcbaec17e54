/**
 * The one table of the REST API (Go: `api/rest/restapi.go`): server, client and ctl are derived from it. An entry says how a
 * request is written (client) and read (server) and what the answer is made of; the order is that of registration, where the first
 * match wins.
 */
import { badParameter } from './api-error.ts'
import { cidText } from './cid.ts'
import * as json from './json/index.ts'
import type { JsonCodec } from './json/index.ts'
import { parsePeerId } from './peer-id.ts'
import { pinListingFromQuery, pinListingToQuery, type PinListingArgs } from './pin-filter.ts'
import { addParamsFromQuery, addParamsToQuery, attempt, pinOptionsFromQuery } from './query.ts'
import {
  decodeCid,
  decodeCidLocal,
  decodeLocal,
  decodePeerAdd,
  decodePin,
  decodePinPath,
  decodeStatusAll,
  encodeOptions,
  encodePath,
  localQuery,
  pinTypesParam,
  pinTypesText,
  segment,
  statusFilterText,
  type CidInput,
  type LocalInput,
  type NoInput,
  type PathInput,
  type PinArgs,
  type StatusAllArgs,
} from './route-inputs.ts'
import type { Route, RouteKind } from './route.ts'
import { PIN_TYPE_ALL } from './status.ts'
import { statusOrder } from './status-listing.ts'
import { DEFAULT_ADD_PARAMS, type AddParams, type PeerId, type PinOptions } from './types.ts'

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
