/** Valid arguments and replies of the RPC methods: recorded ones, zero values, and some of each type that was not recorded. */
import { TRACKER_STATUS } from '@ipfs-cluster/api'
import { encodeObject, MsgpackReader, type RpcMethod } from '@ipfs-cluster/gorpc'
import * as arbitrary from '../../../packages/api/src/test-arbitraries.ts'
import { response, serviceId } from '../../../packages/gorpc/src/protocol.ts'
import * as codecs from '../../../packages/peer/src/net/rpc/codecs.ts'
import { RPC, RPC_METHODS } from '../../../packages/peer/src/net/rpc/index.ts'
import { ADDRESSES, CIDS, fixture, PEER, recorded, RSA_PEER, samples } from '../corpus.ts'

export const methodName = ({ service, method }: { readonly service: string; readonly method: string }) =>
  `${service}.${method}`

const recordings = [
  fixture('peer/src/net/rpc/fixtures/gorpc.json'),
  fixture('peer/src/net/rpc/fixtures/gorpc-go-client.json'),
]

/** All that a client ever sent, and all that a server answered. */
export const REQUESTS: readonly Uint8Array[] = recordings.flatMap(document =>
  recorded(document, 'request_hex'),
)
export const RESPONSES: readonly Uint8Array[] = recordings.flatMap(document => [
  ...recorded(document, 'response_hex'),
  ...recorded(document, 'reply_given_hex'),
])
export const METRICS: readonly Uint8Array[] = recorded(
  fixture('peer/src/net/rpc/fixtures/metrics.json'),
  'payload_hex',
)

/** The objects behind a service id or a response. */
function objectsIn(bytes: Uint8Array, what: 'args' | 'replies'): Map<string, Uint8Array[]> {
  const found = new Map<string, Uint8Array[]>()
  const reader = new MsgpackReader(bytes)
  let name = ''
  const object = () => {
    const start = reader.offset
    reader.skip()
    return bytes.slice(start, reader.offset)
  }
  if (what === 'args') name = methodName(serviceId.decode(reader))
  while (reader.remaining > 0) {
    let failed = false
    if (what === 'replies') {
      const head = response.decode(reader)
      name = methodName(head.service)
      failed = head.error !== ''
    }
    if (reader.remaining === 0) break
    const body = object()
    if (!failed) found.set(name, [...(found.get(name) ?? []), body])
  }
  return found
}

function collect(streams: readonly Uint8Array[], what: 'args' | 'replies'): Map<string, Uint8Array[]> {
  const all = new Map<string, Uint8Array[]>()
  for (const bytes of streams) {
    for (const [name, objects] of objectsIn(bytes, what))
      all.set(name, [...(all.get(name) ?? []), ...objects])
  }
  return all
}

const ARGS = collect(REQUESTS, 'args')
const REPLIES = collect(RESPONSES, 'replies')

const metric = {
  name: 'freespace',
  peer: PEER,
  value: '9999000000',
  expire: 2n ** 62n,
  valid: true,
  weight: -5n,
  partitionable: true,
  receivedAt: 1n,
}
const ipfsId = { id: RSA_PEER, addresses: ADDRESSES.slice(0, 3), error: 'x' }
const peerId = {
  peer: PEER,
  peername: 'a',
  keys: [
    { key: CIDS[0] ?? null, error: '' },
    { key: null, error: 'e' },
  ],
  error: '',
}
const globalPins = samples(arbitrary.anyGlobalPinInfo(), 8)
const pins = samples(arbitrary.anyPin(), 12)
const [cid] = CIDS as [(typeof CIDS)[number]]

/** By the codec itself. */
const MADE = new Map<unknown, readonly unknown[]>([
  [codecs.cid, CIDS],
  [codecs.peerId, [PEER, RSA_PEER]],
  [codecs.peerIds, [[PEER, RSA_PEER], []]],
  [codecs.multiaddr, ADDRESSES],
  [codecs.pin, pins],
  [codecs.pinPath, samples(arbitrary.anyPinOptions(), 4).map(options => ({ ...options, path: '/ipfs/x/y' }))],
  [codecs.globalPinInfo, globalPins],
  [
    codecs.pinInfo,
    samples(arbitrary.anyPinInfoShort(), 6).map((short, i) => ({
      ...short,
      cid,
      name: 'n',
      peer: PEER,
      allocations: [PEER],
      origins: ADDRESSES.slice(0, i % 3),
      created: BigInt(i) * 10n ** 18n,
      metadata: i % 2 === 0 ? null : { a: 'b' },
    })),
  ],
  [codecs.trackerStatus, Object.values(TRACKER_STATUS)],
  [codecs.ipfsPinInfo, [{ cid, type: 'recursive' }]],
  [codecs.ipfsPinStatus, ['direct', 'bug']],
  [codecs.nodeWithMeta, [{ data: new Uint8Array(50), cid, cumulativeSize: 2n ** 63n }]],
  [codecs.repoGC, [peerId]],
  [codecs.globalRepoGC, [{ peerMap: { [PEER]: peerId } }]],
  [codecs.ipfsId, [ipfsId]],
  [
    codecs.id,
    [
      {
        id: PEER,
        addresses: ADDRESSES,
        clusterPeers: [PEER, RSA_PEER],
        clusterPeersAddresses: ADDRESSES,
        version: '1.1.6',
        commit: 'x',
        rpcProtocolVersion: '/ipfscluster/1.0/rpc',
        error: '',
        ipfs: ipfsId,
        peername: 'p',
      },
    ],
  ],
  [
    codecs.connectGraph,
    [
      {
        clusterId: PEER,
        idToPeername: { [PEER]: 'a' },
        ipfsLinks: { [RSA_PEER]: [PEER] },
        clusterLinks: { [PEER]: [RSA_PEER, PEER] },
        clusterTrustLinks: { [PEER]: true },
        clusterToIpfs: { [PEER]: RSA_PEER },
      },
    ],
  ],
  [
    RPC.Cluster.Alerts.reply,
    [
      [
        { ...metric, triggeredAt: 3n },
        { ...metric, triggeredAt: null },
      ],
    ],
  ],
  [
    RPC.Cluster.BandwidthByProtocol.reply,
    [{ '/a/1': { totalIn: 1n, totalOut: 2n, rateIn: 0.5, rateOut: 3 } }],
  ],
  [RPC.Consensus.Blocks.arg, [{ wants: CIDS.slice(0, 4), ahead: 9, aheadBytes: 100_000 }]],
  [RPC.Consensus.Blocks.reply, [{ cid, data: new Uint8Array(80) }]],
  [RPC.IPFSConnector.DagBlocks.arg, [{ root: cid, maxDepth: -1 }]],
  [RPC.PeerMonitor.LatestMetrics.reply, [[metric, metric]]],
  [RPC.PeerMonitor.MetricNames.reply, [['ping', 'freespace']]],
  [RPC.IPFSConnector.BlockGet.reply, [new Uint8Array(300)]],
])

export type Side = 'arg' | 'reply'

/** Values of one side of a method, in msgpack: at least one. */
export function valuesOf(method: RpcMethod<unknown, unknown>, side: Side): Uint8Array[] {
  const codec = method[side]
  const made = MADE.get(codec) ?? []
  const zero = codec.zero === undefined ? [] : [codec.zero]
  const known = (side === 'arg' ? ARGS : REPLIES).get(methodName(method)) ?? []
  return [...known, ...[...zero, ...made].map(value => encodeObject(codec, value))]
}

/** Every codec once, named after its first use. */
export const RPC_CODECS: readonly {
  readonly name: string
  readonly method: RpcMethod<unknown, unknown>
  readonly side: Side
}[] = RPC_METHODS.flatMap(method => (['arg', 'reply'] as const).map(side => ({ method, side }))).flatMap(
  ({ method, side }, i, all) => {
    const first = all.findIndex(other => other.method[other.side] === method[side])
    return first === i ? [{ name: `${methodName(method)} ${side}`, method, side }] : []
  },
)

/** All methods whose side has this codec: their recordings belong to it too. */
export function valuesOfCodec(method: RpcMethod<unknown, unknown>, side: Side): Uint8Array[] {
  const codec = method[side]
  const all = RPC_METHODS.flatMap(each =>
    (['arg', 'reply'] as const).flatMap(s => (each[s] === codec ? valuesOf(each, s) : [])),
  )
  const unique = new Map(all.map(bytes => [Buffer.from(bytes).toString('hex'), bytes]))
  return [...unique.values()]
}
