/** The API's types: protobuf pins, texts and bytes of CIDs, peer ids and addresses, JSON documents, queries and routes. */
import * as api from '@ipfs-cluster/api'
import { formatDurationNs, parseDurationNs, utf8, utf8Text } from '@ipfs-cluster/base'
import { parseLines } from '../../../packages/api/src/client/ndjson.ts'
import * as arbitrary from '../../../packages/api/src/test-arbitraries.ts'
import { ADDRESSES, CIDS, PEER, RSA_PEER, fixture, recorded, samples, texts } from '../corpus.ts'
import { check, checkStable, pieces, refusedBy, type Target } from '../target.ts'
import { RECORDED_PINS } from './crdt.ts'

const refusal = refusedBy(api.ApiError)
const MIB = 1024 * 1024
const pins = samples(arbitrary.anyPin(), 12)

const pin: Target = {
  name: 'pin protobuf',
  format: 'protobuf',
  corpus: () => [
    ...recorded(fixture('api/src/fixtures/go-pins.json'), 'hex'),
    ...RECORDED_PINS,
    ...pins.map(api.encodePin),
  ],
  refusal,
  maxBytes: 2 * MIB,
  run(input) {
    const value = api.decodePin(input)
    checkStable(value, api.encodePin, bytes => api.decodePin(bytes))
    // Whoever lists pins writes them.
    const json = api.pinCodec.stringify(value)
    checkStable(api.pinCodec.parse(api.parseJson(json)), api.pinCodec.stringify, text =>
      api.pinCodec.parse(api.parseJson(text)),
    )
    return true
  },
}

function bytesTarget<T>(
  name: string,
  corpus: readonly Uint8Array[],
  read: (bytes: Uint8Array) => T,
  write: (value: T) => Uint8Array,
): Target {
  return {
    name,
    format: 'bytes',
    corpus: () => corpus,
    refusal,
    maxBytes: MIB,
    run(input) {
      checkStable(read(input), write, read)
      return true
    },
  }
}

function textTarget<T>(
  name: string,
  corpus: readonly string[],
  read: (text: string) => T,
  write: (value: T) => string,
): Target {
  return {
    name,
    format: 'text',
    corpus: () => texts(corpus),
    refusal,
    maxBytes: MIB,
    run(input) {
      checkStable(read(utf8Text(input)), write, read)
      return true
    },
  }
}

const peerBytes = [PEER, RSA_PEER].map(api.peerIdBytes)
const cidTexts = CIDS.flatMap(cid => [api.cidText(cid), cid.toV1().toString()])

/** RangeErrors are these parsers' own: their callers name the field. */
const timeRefusal: Target['refusal'] = error => (error instanceof RangeError ? 'RangeError' : undefined)
const times = [
  '2026-11-21T08:10:00Z',
  '0001-01-01T00:00:00Z',
  '2024-02-29T23:59:59.123456789+05:30',
  '9999-12-31T23:59:59Z',
]
const durations = ['2m0s', '1.5s', '1h30m', '200ms', '1µs', '-3ns', '0', '.5h']

const plain: readonly Target[] = [
  bytesTarget(
    'cid bytes',
    CIDS.map(cid => cid.bytes),
    api.cidOfBytes,
    cid => cid.bytes,
  ),
  bytesTarget('peer id bytes', peerBytes, api.peerIdText, api.peerIdBytes),
  bytesTarget('multiaddr bytes', ADDRESSES.map(api.multiaddrBytes), api.multiaddrText, api.multiaddrBytes),
  textTarget('cid text', [...cidTexts, `z${CIDS[1]}`], api.parseCid, api.cidText),
  textTarget('peer id text', [PEER, RSA_PEER, `b${CIDS[5]}`, String(CIDS[5])], api.parsePeerId, id => id),
  textTarget('multiaddr text', ADDRESSES, api.parseMultiaddr, address => address),
  textTarget(
    'content path',
    [...cidTexts.map(cid => `/ipfs/${cid}/a//../b`), '/ipns/x.example/y'],
    api.parseContentPath,
    path => path,
  ),
  { ...textTarget('time text', times, api.parseTime, api.formatTime), refusal: timeRefusal },
  { ...textTarget('duration text', durations, parseDurationNs, formatDurationNs), refusal: timeRefusal },
]

function jsonTarget<T>(name: string, codec: api.JsonCodec<T>, values: readonly T[]): Target {
  const read = (text: string) => codec.parse(api.parseJson(text))
  return {
    name: `json ${name}`,
    format: 'json',
    corpus: () => texts(values.map(value => codec.stringify(value))),
    refusal,
    maxBytes: MIB,
    run(input) {
      checkStable(read(utf8Text(input)), codec.stringify, read)
      return true
    },
  }
}

const [cid = pins[0]?.cid ?? null] = CIDS
const short = samples(arbitrary.anyPinInfoShort(), 4)
const metric: api.Metric = { name: 'ping', peer: PEER, value: '{}', expire: 2n ** 62n, valid: true, weight: -5n, partitionable: true, receivedAt: 1n } // prettier-ignore
const id: api.ID = {
  id: PEER,
  addresses: ADDRESSES,
  clusterPeers: [PEER, RSA_PEER],
  clusterPeersAddresses: ADDRESSES,
  version: '1.1.6',
  commit: 'x',
  rpcProtocolVersion: '/x',
  error: '',
  ipfs: { id: RSA_PEER, addresses: ADDRESSES, error: 'down' },
  peername: 'p',
}
const graph: api.ConnectGraph = {
  clusterId: PEER,
  idToPeername: { [PEER]: 'a' },
  ipfsLinks: { [RSA_PEER]: [PEER] },
  clusterLinks: { [PEER]: [RSA_PEER] },
  clusterTrustLinks: { [PEER]: true },
  clusterToIpfs: { [PEER]: RSA_PEER },
}
const gc = {
  peer: PEER,
  peername: 'a',
  keys: [
    { key: cid, error: '' },
    { key: null, error: 'e' },
  ],
  error: 'x',
}
const added = { name: 'a', cid, bytes: 2n ** 60n, size: 5n, allocations: [PEER] }

const json: readonly Target[] = [
  jsonTarget('pin', api.pinCodec, pins),
  jsonTarget('submitted pin', api.submittedPinCodec, pins),
  jsonTarget('pin options', api.pinOptionsCodec, pins),
  jsonTarget('global pin info', api.globalPinInfoCodec, samples(arbitrary.anyGlobalPinInfo(), 8)),
  jsonTarget(
    'pin info',
    api.pinInfoCodec,
    short.map(each => ({
      ...each,
      cid: CIDS[1] as (typeof CIDS)[number],
      name: 'n',
      peer: PEER,
      allocations: [PEER],
      origins: ADDRESSES,
      created: 1n,
      metadata: { a: 'b' },
    })),
  ),
  jsonTarget('id', api.idCodec, [id, { ...id, error: 'x', addresses: [] }]),
  jsonTarget('metrics', api.metricsCodec, [[metric, metric], []]),
  jsonTarget('alerts', api.alertsCodec, [[{ ...metric, triggeredAt: 5n }]]),
  jsonTarget('bandwidth', api.bandwidthCodec, [
    { '/a': { totalIn: 1n, totalOut: 2n ** 62n, rateIn: 0.5, rateOut: 3 } },
    null,
  ]),
  jsonTarget('connect graph', api.connectGraphCodec, [graph]),
  jsonTarget('repo gc', api.globalRepoGCCodec, [{ peerMap: { [PEER]: gc } }]),
  jsonTarget('added', api.addedOutputsCodec, [[added, { ...added, cid: null }], []]),
  jsonTarget('error', api.errorCodec, [{ code: 400, message: 'no' }]),
  jsonTarget('peer add', api.peerAddBodyCodec, [{ peerId: PEER }]),
]

const ndjson: Target = {
  name: 'json lines of an answer',
  format: 'json',
  corpus: () =>
    texts([
      pins
        .slice(0, 3)
        .map(each => api.pinCodec.stringify(each))
        .join('\n'),
      '{"a":1}\n\n[2]\n',
      '"\u2028"\n',
    ]),
  refusal,
  maxBytes: MIB,
  share: 0.3,
  // A promise and a decoded text for each piece, which may be one byte.
  allocation: { perByte: 2_000, constant: 2 * MIB },
  async run(input, random) {
    async function* body() {
      yield* pieces(input, random)
    }
    for await (const value of parseLines(body())) api.pinCodec.parse(value)
    return true
  },
}

const NOW = 1_700_000_000_000_000_000n

function queryTarget<T>(
  name: string,
  corpus: readonly URLSearchParams[],
  read: (query: URLSearchParams, now: bigint) => T,
  write: (value: T) => URLSearchParams,
): Target {
  const readText = (text: string) => read(new URLSearchParams(text), NOW)
  return {
    ...textTarget(name, [], readText, value => write(value).toString()),
    corpus: () => texts(corpus.map(String)),
    tokens: [
      'expire-in=', 'expire-at=', 'meta-', 'pin-update=', 'origins=', 'user-allocations=', 'replication=', 'shard-size=', 'cid-version=', 'layout=trickle', 'hash=', 'chunker=', '1h', 'raw-leaves=', 'format=car',
    ].map(utf8), // prettier-ignore
  }
}

const params = pins.map((each): api.AddParams => ({ ...api.DEFAULT_ADD_PARAMS, pin: each, cidVersion: 1 }))
const queries: readonly Target[] = [
  queryTarget(
    'query of pin options',
    pins.map(api.pinOptionsToQuery),
    api.pinOptionsFromQuery,
    api.pinOptionsToQuery,
  ),
  queryTarget(
    'query of add',
    params.map(each => api.addParamsToQuery(each)),
    api.addParamsFromQuery,
    api.addParamsToQuery,
  ),
]

const REQUESTS = [
  `GET /pins?local=true&filter=pinned,error`,
  `GET /pins?cids=${cidTexts.slice(0, 3).join(',')}`,
  `POST /pins/${cidTexts[0]}?${api.pinOptionsToQuery(pins[0] as api.Pin)}`,
  `POST /pins/ipfs/${cidTexts[2]}/a%2Fb/c?mode=direct`,
  `DELETE /pins/ipns/x.example//y/`,
  `POST /pins/${cidTexts[1]}/recover?local=true`,
  `GET /allocations?filter=pin,meta-pin`,
  `POST /peers\n{"peer_id":"${PEER}"}`,
  `DELETE /peers/${PEER}`,
  'POST /add?layout=trickle&cid-version=1',
  'GET /monitor/metrics/freespace',
  'POST /ipfs/gc?local=false',
  'GET /health/graph',
]

/** Method, path and query on the first line, the body behind it. */
const routes: Target = {
  name: 'rest request',
  format: 'text',
  corpus: () => texts(REQUESTS),
  refusal,
  maxBytes: MIB,
  run(input) {
    const text = utf8Text(input)
    const [line = '', ...rest] = text.split('\n')
    const [method = '', target = ''] = line.split(' ')
    const at = target.indexOf('?')
    const path = at < 0 ? target : target.slice(0, at)
    const match = api.matchRoute(method, path)
    if (match.kind === 'redirect') {
      check(match.path !== path, 'a redirect leads elsewhere')
      check(!match.path.startsWith('//'), 'a redirect stays on this host')
    }
    if (match.kind !== 'route') return false
    const query = new URLSearchParams(at < 0 ? '' : target.slice(at))
    api.ROUTES[match.name].decode({ params: match.params, query, body: rest.join('\n'), nowNs: NOW })
    return true
  },
}

export const apiTargets: readonly Target[] = [pin, ...plain, ...json, ndjson, ...queries, routes]
