/** The other JSON documents of the API: peers, metrics, adding, errors. As in `pin-codecs.ts`. */
import type {
  AddedOutput,
  Alert,
  Bandwidth,
  ConnectGraph,
  GlobalRepoGC,
  ID,
  IPFSID,
  IPFSRepoGC,
  Metric,
  RepoGC,
  Version,
} from '../types.ts'
import * as json from './values.ts'
import type { Fields, JsonCodec, JsonValue } from './values.ts'

const ipfsId: JsonValue<IPFSID> = json.struct<IPFSID>('IpfsId', {
  id: { name: 'id', value: json.peerId, omit: json.isEmpty },
  // Go leaves the list nil when the daemon did not answer.
  addresses: {
    name: 'addresses',
    value: json.list(json.multiaddr),
    isNull: (list, owner) => json.isEmpty(list) && owner.id === '',
  },
  error: { name: 'error', value: json.string },
})

/** Go leaves all lists nil when a peer could not be asked. */
const unasked = (list: readonly unknown[], owner: ID) => json.isEmpty(list) && owner.error !== ''

export const idCodec: JsonCodec<ID> = json.document(
  'id',
  json.struct<ID>('Id', {
    id: { name: 'id', value: json.peerId },
    addresses: { name: 'addresses', value: json.list(json.multiaddr), isNull: unasked },
    clusterPeers: { name: 'cluster_peers', value: json.list(json.peerId), isNull: unasked },
    clusterPeersAddresses: {
      name: 'cluster_peers_addresses',
      value: json.list(json.multiaddr),
      isNull: unasked,
    },
    version: { name: 'version', value: json.string },
    commit: { name: 'commit', value: json.string },
    rpcProtocolVersion: { name: 'rpc_protocol_version', value: json.string },
    error: { name: 'error', value: json.string },
    ipfs: { name: 'ipfs', value: { ...ipfsId, read: value => ipfsId.read(value ?? {}) } },
    peername: { name: 'peername', value: json.string },
  }),
)

const metricFields: Fields<Metric> = {
  name: { name: 'name', value: json.string },
  peer: { name: 'peer', value: json.peerId },
  value: { name: 'value', value: json.string },
  expire: {
    name: 'expire',
    value: json.int64,
    about: 'Nanoseconds since 1970, on the clock of the peer that made it.',
  },
  valid: { name: 'valid', value: json.boolean, about: 'Whether the peer could measure it.' },
  weight: { name: 'weight', value: json.int64, about: 'What allocation sorts by.' },
  partitionable: {
    name: 'partitionable',
    value: json.boolean,
    about: 'Whether allocation spreads copies over different values of it.',
  },
  receivedAt: {
    name: 'received_at',
    value: json.int64,
    about: 'Nanoseconds since 1970, on the clock of the peer that is asked.',
  },
}

const metric: JsonValue<Metric> = json.struct('Metric', metricFields)

export const metricCodec: JsonCodec<Metric> = json.document('metric', metric)
export const metricsCodec: JsonCodec<readonly Metric[]> = json.document('metrics', json.list(metric))
export const metricNamesCodec: JsonCodec<readonly string[]> = json.document('metrics', json.list(json.string))

const alert: JsonValue<Alert> = json.struct<Alert>('Alert', {
  ...metricFields,
  triggeredAt: { name: 'triggered_at', value: json.time },
})

export const alertsCodec: JsonCodec<readonly Alert[]> = json.document('alerts', json.list(alert))

const bandwidth: JsonValue<Bandwidth> = json.struct<Bandwidth>('Bandwidth', {
  totalIn: { name: 'total_in', value: json.int64, about: 'Bytes.' },
  totalOut: { name: 'total_out', value: json.int64, about: 'Bytes.' },
  rateIn: { name: 'rate_in', value: json.float, about: 'Bytes a second.' },
  rateOut: { name: 'rate_out', value: json.float, about: 'Bytes a second.' },
})

/** By protocol id; `null` when the peer does not measure. */
export const bandwidthCodec: JsonCodec<Readonly<Record<string, Bandwidth>> | null> = json.document(
  'bandwidth',
  json.nullable(json.record(bandwidth)),
)

const peerLists = json.record(json.list(json.peerId))

export const connectGraphCodec: JsonCodec<ConnectGraph> = json.document(
  'graph',
  json.struct<ConnectGraph>('ConnectGraph', {
    clusterId: { name: 'cluster_id', value: json.peerId },
    idToPeername: { name: 'id_to_peername', value: json.record(json.string) },
    ipfsLinks: { name: 'ipfs_links', value: peerLists },
    clusterLinks: { name: 'cluster_links', value: peerLists },
    clusterTrustLinks: { name: 'cluster_trust_links', value: json.record(json.boolean) },
    clusterToIpfs: { name: 'cluster_to_ipfs', value: json.record(json.peerId) },
  }),
)

const ipfsRepoGC: JsonValue<IPFSRepoGC> = json.struct<IPFSRepoGC>('CollectedBlock', {
  key: {
    name: 'key',
    value: json.cidOrNull,
    about: 'The block that was removed; `null` where removing one failed.',
  },
  error: { name: 'error', value: json.string, omit: json.isEmpty },
})

const repoGC: JsonValue<RepoGC> = json.struct<RepoGC>('RepoGC', {
  peer: { name: 'peer', value: json.peerId },
  peername: { name: 'peername', value: json.string },
  keys: { name: 'keys', value: json.list(ipfsRepoGC) },
  error: { name: 'error', value: json.string, omit: json.isEmpty },
})

export const globalRepoGCCodec: JsonCodec<GlobalRepoGC> = json.document(
  'repo_gc',
  json.struct<GlobalRepoGC>('GlobalRepoGC', { peerMap: { name: 'peer_map', value: json.record(repoGC) } }),
)

const isZero = (value: bigint) => value === 0n

const addedOutput: JsonValue<AddedOutput> = json.struct<AddedOutput>('AddedOutput', {
  name: { name: 'name', value: json.string },
  cid: { name: 'cid', value: json.cidOrNull },
  bytes: {
    name: 'bytes',
    value: json.uint64,
    about: 'Bytes read so far, or of all blocks of a CAR file.',
    omit: isZero,
  },
  size: {
    name: 'size',
    value: json.uint64,
    about: 'Bytes of the DAG with all that is below it.',
    omit: isZero,
  },
  allocations: { name: 'allocations', value: json.list(json.peerId), omit: json.isEmpty },
  missing: json.optional('missing', json.integer, 'Blocks of the DAG that are not in the CAR file.'),
  missingCids: json.optional('missing_cids', json.list(json.cid), 'The first of them.'),
  warnings: json.optional(
    'warnings',
    json.list(json.string),
    'With the last object: destinations that have not taken all blocks, and why.',
  ),
})

export const addedOutputCodec: JsonCodec<AddedOutput> = json.document('added', addedOutput)

/** The answer of `POST /add` with `stream-channels=false`: `null` when nothing was added. */
export const addedOutputsCodec: JsonCodec<readonly AddedOutput[]> = json.document(
  'added',
  json.list(addedOutput, 'null'),
)

export const versionCodec: JsonCodec<Version> = json.document(
  'version',
  json.struct<Version>('Version', { version: { name: 'version', value: json.string } }),
)

/** A JSON Web Token for the `Authorization: Bearer` header. */
export interface Token {
  readonly token: string
}

export const tokenCodec: JsonCodec<Token> = json.document(
  'token',
  json.struct<Token>('Token', { token: { name: 'token', value: json.string } }),
)

/** The body of an answer with a status of 400 or more. */
export interface ErrorBody {
  /** HTTP status. */
  readonly code: number
  readonly message: string
}

const errorValue: JsonValue<ErrorBody> = json.struct<ErrorBody>('Error', {
  code: { name: 'code', value: json.integer, about: 'The HTTP status.' },
  message: { name: 'message', value: json.string },
})

export const errorCodec: JsonCodec<ErrorBody> = json.document('error', errorValue)

/** What became of a line of `POST /pins` or `DELETE /pins`. */
export interface BulkAnswer {
  /** As given where it cannot be read; empty where the line has none. */
  readonly cid: string
  /** As the request for this CID alone would be answered; `null`: it is done, and durable. */
  readonly error: ErrorBody | null
}

export const bulkAnswerCodec: JsonCodec<BulkAnswer> = json.document(
  'answer',
  json.struct<BulkAnswer>('BulkAnswer', {
    cid: { name: 'cid', value: json.string, about: 'As given where it cannot be read.' },
    error: {
      name: 'error',
      value: json.nullable(errorValue),
      about: 'Why this line was refused. Absent: the change is made, and durable.',
      omit: error => error === null,
    },
  }),
)

/** The body of `POST /peers`. */
export interface PeerAddBody {
  /** Text that need not be a peer id; the route checks it. */
  readonly peerId: string
}

export const peerAddBodyCodec: JsonCodec<PeerAddBody> = json.document(
  'peer',
  json.struct<PeerAddBody>('PeerAdd', { peerId: { name: 'peer_id', value: json.string } }),
)

/** An OpenAPI document, as it stands. */
export const openApiCodec: JsonCodec<Readonly<Record<string, unknown>>> = json.document(
  'openapi',
  json.object,
)
