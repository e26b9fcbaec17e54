/** What the OpenAPI document says of each route, in words. Who adds a route to the table must add it here, or this does not compile. */
import { peerAddBodyCodec, pinOptionsCodec, type JsonSchema } from '../json/index.ts'
import type { RouteName } from '../route.ts'
import {
  ADD_PARAMETERS,
  CIDS,
  LOCAL,
  PIN_LISTING,
  PIN_PARAMETERS,
  PIN_TYPES,
  STATUS_FILTER,
  type QueryParameter,
} from './parameters.ts'

/** The groups of routes, with what they are about. */
export const TAGS = {
  pins: 'The pinset, and the status of pins on the peers.',
  adding: 'Adding content.',
  peers: 'The peers of the cluster.',
  monitoring: 'Health and metrics.',
  api: 'This API itself.',
} as const

export interface RouteDoc {
  readonly tag: keyof typeof TAGS
  /** A few words. */
  readonly summary: string
  readonly description?: string
  readonly query?: readonly QueryParameter[]
  /** Of a JSON body. */
  readonly body?: JsonSchema
  /** Of a line of an NDJSON body. */
  readonly lines?: JsonSchema
  /** Failures beside 400, 401 and 500, by status: what each means. */
  readonly failures?: Readonly<Record<number, string>>
  /** Changes the pinset, and is told to wait (429) when too many changes are under way. */
  readonly writes?: true
  /** Needs no credentials, ever. */
  readonly open?: true
}

/** Parameters of paths by their name in the table. */
export const PATH_PARAMETERS: Readonly<Record<string, string>> = {
  hash: 'A CID.',
  peer: 'ID of a peer.',
  name: 'Name of a metric.',
  keyType: 'The namespace.',
  path: 'The rest of the path: `<cid or name>[/…]`. Slashes may stand as they are.',
}

const cidLineSchema: JsonSchema = {
  anyOf: [{ type: 'string' }, { type: 'object', required: ['cid'], properties: { cid: { type: 'string' } } }],
}

const pinLineSchema: JsonSchema = {
  anyOf: [
    { type: 'string' },
    {
      type: 'object',
      required: ['cid'],
      properties: { cid: { type: 'string' }, ...pinOptionsCodec.schema.properties },
    },
  ],
}

const NOT_PINNED = 'The CID is not in the pinset.'

export const ROUTE_DOCS: Readonly<Record<RouteName, RouteDoc>> = {
  id: { tag: 'peers', summary: 'Who the peer is', description: 'Trouble with IPFS is told in `ipfs.error`.' },
  version: { tag: 'peers', summary: 'The version of the peer' },
  peers: {
    tag: 'peers',
    summary: 'List the peers',
    description: 'Asks every peer. One that does not answer is listed with its `id` and `error` alone.',
  },
  peerAdd: {
    tag: 'peers',
    summary: 'Add a peer',
    description: 'Contacts the peer. (With CRDT, whoever has the secret is a member without it.)',
    body: peerAddBodyCodec.schema,
  },
  peerRemove: {
    tag: 'peers',
    summary: 'Remove a peer',
    description: 'CRDT clusters have no list to remove a peer from: it fails.',
  },
  add: {
    tag: 'adding',
    summary: 'Add files and folders, or a CAR file',
    description:
      'The parts of the form are read one after the other and streamed to the peers that shall keep them; folders come before what is in ' +
      'them. The file name of a part is its path, escaped as in a query; its `Content-Type` is `application/x-directory` for a folder and ' +
      '`application/symlink` for a symlink, whose content is the target. Every file and folder is told; the last is the root, which is pinned.',
    query: ADD_PARAMETERS,
    writes: true,
  },
  allocations: {
    tag: 'pins',
    summary: 'List the pinset',
    description:
      'Of one moment, those that match all that is given. In the order of names with `match=prefix`, else of times with `after` or `before` (unless ' +
      '`name` is exact), and in a fixed order of CIDs that is not that of their text. An exact name, the beginning of one and times cost what they ' +
      'show; other parameters make the peer look at every pin.',
    query: [PIN_TYPES, ...PIN_LISTING],
  },
  allocation: { tag: 'pins', summary: 'A pin of the pinset', failures: { 404: NOT_PINNED } },
  exportCar: {
    tag: 'pins',
    summary: 'The content of a pin as a CAR file',
    description:
      'What the pin keeps: all of its DAG, as far down as it is limited, or one block when it is direct; of sharded content all. From the IPFS daemon ' +
      'of the peer that is asked, from a peer that keeps it, or from wherever that daemon finds it. Depth first in the order of links, each block ' +
      'once and verified. HEAD tells whether it is pinned.',
    failures: { 404: NOT_PINNED },
  },
  statusAll: {
    tag: 'pins',
    summary: 'Status of pins on all peers',
    description:
      'Asks every peer; one that does not answer in time has status `cluster_error`. With `cids`, of these alone, pinned or not; else of those that ' +
      'match all that is given. In the order of CIDs with a `filter` that names neither `pinned` nor `remote`, else in that of `GET /allocations`.',
    query: [LOCAL, STATUS_FILTER, CIDS, ...PIN_LISTING],
  },
  pinMany: {
    tag: 'pins',
    summary: 'Pin many CIDs',
    description:
      'One line of the body is a CID in quotes, or an object with a `cid` and the fields of pin options, which go before those of the query. ' +
      'The n-th line of the answer belongs to the n-th line that is not blank; it comes when that pin is durable, while the body is still ' +
      'read: whoever sends must read at the same time. A line that is refused has an `error`, and the others go on. When the answer breaks ' +
      'off, send again what has no answer.',
    query: PIN_PARAMETERS,
    lines: pinLineSchema,
    writes: true,
  },
  unpinMany: {
    tag: 'pins',
    summary: 'Unpin many CIDs',
    description: 'Like pinning many; of an object only the `cid` counts.',
    lines: cidLineSchema,
    writes: true,
  },
  recover: {
    tag: 'pins',
    summary: 'Try a failed pin again',
    query: [LOCAL],
    failures: { 404: `With \`local=true\`: ${NOT_PINNED}` },
  },
  recoverAll: {
    tag: 'pins',
    summary: 'Try all failed pins again',
    description: 'Lists those that are tried.',
    query: [LOCAL],
  },
  status: {
    tag: 'pins',
    summary: 'Status of a pin on all peers',
    description: 'A CID that is not in the pinset is `unpinned` everywhere.',
    query: [LOCAL],
  },
  pin: {
    tag: 'pins',
    summary: 'Pin a CID',
    description: 'Answers when the pin is in the pinset; the peers then fetch the content.',
    query: PIN_PARAMETERS,
    failures: { 404: 'The pin named by `pin-update` does not exist.' },
    writes: true,
  },
  pinPath: {
    tag: 'pins',
    summary: 'Pin what a path leads to',
    description: 'Resolves the path once, and pins the CID.',
    query: PIN_PARAMETERS,
    failures: { 404: 'The pin named by `pin-update` does not exist.' },
    writes: true,
  },
  unpin: {
    tag: 'pins',
    summary: 'Unpin a CID',
    description: 'Answers with the pin as it was.',
    failures: { 404: NOT_PINNED },
    writes: true,
  },
  unpinPath: {
    tag: 'pins',
    summary: 'Unpin what a path leads to',
    description: 'Answers with the pin as it was.',
    failures: { 404: 'What the path leads to is not in the pinset.' },
    writes: true,
  },
  repoGC: {
    tag: 'monitoring',
    summary: 'Collect garbage on the IPFS daemons',
    description: 'One peer after the other; what goes wrong stands beside the peer.',
    query: [LOCAL],
  },
  connectGraph: { tag: 'monitoring', summary: 'Who is connected with whom' },
  alerts: {
    tag: 'monitoring',
    summary: 'Metrics of peers that ran out',
    description: 'The youngest first.',
  },
  bandwidth: {
    tag: 'monitoring',
    summary: 'Traffic by protocol',
    description: '`null` when the peer does not measure it.',
  },
  metrics: {
    tag: 'monitoring',
    summary: 'A metric of all peers',
    description: 'The latest of each peer that still holds. Empty for a name that nobody has sent.',
  },
  metricNames: { tag: 'monitoring', summary: 'Names of metrics' },
  token: {
    tag: 'api',
    summary: 'Get a token',
    description:
      'A JSON Web Token for the user of the request. Answers 401 when no credentials are configured.',
  },
  ready: {
    tag: 'monitoring',
    summary: 'Do all parts of the peer work?',
    description: 'Exercises the store, the pinset, pubsub, RPC and the IPFS daemon within five seconds.',
    failures: { 503: 'No: the message names the parts that failed.' },
  },
  health: { tag: 'monitoring', summary: 'Is the API there?', open: true },
  openapi: { tag: 'api', summary: 'This document' },
}
