/** The answers of a make-believe peer. `fixtures/go-ctl.json` holds what Go's ctl 1.1.6 printed for them. */
import {
  bulkAnswerCodec,
  cidText,
  DEFAULT_PIN_OPTIONS,
  newPin,
  parseCid,
  parsePinLine,
  type Alert,
  type GlobalPinInfo,
  type ID,
  type Metric,
  type Pin,
  type RouteHandlers,
} from '@ipfs-cluster/api'
import { HttpError } from '@ipfs-cluster/api/test-server'

export const A = '12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'
export const B = '12D3KooWAuRYCfgCKTyZpxJNuxPZ7fisG7J9eZPMDBZPESVoXFbT'
const IPFS_A = 'QmdHXJgxeCFf6qDZqYYmMesV2DbZCVPEdEhj2oVTxP1y7Y'
const IPFS_B = '12D3KooWGq61hi6pMUtjxJCWP5ggVMZ1hQtvaRCG3srwPASoJ6m8'
const ADDRESS = `/ip4/1.2.3.4/tcp/4001/p2p/${IPFS_B}`

export const V0 = parseCid('QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6')
export const V1 = parseCid('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku')
const TIME = 1_778_493_600_123_400_000n
/** So far ahead that its distance has always the same words. */
const FAR = 9_000_000_000_000_000_000n

const short = {
  peerName: 'a',
  ipfs: IPFS_B,
  ipfsAddresses: [ADDRESS],
  status: 16,
  ts: TIME,
  error: '',
  attemptCount: 0,
  priorityPin: false,
}

const failed = {
  ...short,
  peerName: '',
  status: 2,
  ipfs: '',
  ipfsAddresses: [],
  error: 'dial <backoff>',
  attemptCount: 3,
  priorityPin: true,
}

export function statusOf(cid: Pin['cid']): GlobalPinInfo {
  const peerMap = { [A]: short, [B]: failed }
  return {
    cid,
    name: 'näme <x>',
    allocations: [A],
    origins: [],
    created: TIME,
    metadata: { k: 'v' },
    peerMap,
  }
}

const everywhere = newPin(V0, {
  name: 'p1',
  replicationFactorMin: -1,
  replicationFactorMax: -1,
  timestamp: TIME,
})

const allocated = newPin(V1, {
  name: 'p2',
  replicationFactorMin: 1,
  replicationFactorMax: 2,
  allocations: [B, A],
  mode: 'direct',
  expireAt: 1_900_000_000_000_000_000n,
  metadata: { a: '<b>' },
  origins: [ADDRESS],
  reference: V0,
  type: 'meta-pin',
})

const shard = newPin(V1, { maxDepth: 2, type: 'shard-pin' })

function idOf(id: string): ID {
  const addresses = [`/ip4/127.0.0.1/tcp/9096/p2p/${id}`, `/ip4/10.0.0.1/tcp/9096/p2p/${id}`]
  const ipfs = { id: IPFS_B, addresses: [ADDRESS], error: '' }
  return {
    id,
    addresses,
    clusterPeers: [A, B],
    clusterPeersAddresses: [],
    version: '1.1.6',
    commit: '',
    rpcProtocolVersion: '/ipfscluster/1.0/rpc',
    error: '',
    ipfs,
    peername: 'pa',
  }
}

function metricOf(name: string, peer: string, weight: bigint): Metric {
  const value = '{"peer_name":"a"}'
  return { name, peer, value, expire: FAR, valid: true, weight, partitionable: false, receivedAt: TIME }
}

const alert: Alert = { ...metricOf('ping', A, 0n), expire: 1n, triggeredAt: null }

/** Everything is done but for V0, and whatever has the name `fail`. */
function answerTo(line: string | null, name: string): string {
  const { cid, options } = parsePinLine(line ?? '', { ...DEFAULT_PIN_OPTIONS, name })
  const failed = cid.equals(V0) || options.name === 'fail'
  const error = failed ? { code: 500, message: 'not enough peers' } : null
  return `${bulkAnswerCodec.stringify({ cid: cidText(cid), error })}\n`
}

/** Answers every route. */
export const handlers: RouteHandlers = {
  id: () => idOf(A),
  version: () => ({ version: '1.1.6+git' }),
  async *peers() {
    yield idOf(A)
    yield { ...idOf(B), error: 'unreachable', addresses: [], clusterPeers: [] }
    yield { ...idOf(B), ipfs: { id: '', addresses: [], error: 'connection refused' } }
  },
  peerAdd: () => idOf(A),
  peerRemove({ peer }) {
    if (peer === A) throw new HttpError(500, 'crdt consensus component cannot remove peers')
  },
  async *add({ parts }) {
    for await (const part of parts) {
      let size = 0n
      for await (const chunk of part.content) size += BigInt(chunk.length)
      // The sizes of folders would differ between machines.
      yield { name: `${part.kind} ${part.path}`, cid: V1, bytes: 0n, size, allocations: [A] }
    }
  },
  async *allocations({ typeBits }) {
    yield everywhere
    yield allocated
    yield shard
    if (typeBits === 4) throw new Error('the stream broke')
  },
  allocation({ cid }) {
    if (cid.equals(V0)) throw new HttpError(404, 'pin is not part of the pinset')
    return allocated
  },
  exportCar({ cid }) {
    if (cid.equals(V0)) throw new HttpError(404, 'pin is not part of the pinset')
    const car = async function* () {
      yield Uint8Array.of(0, 1, 0xff)
      yield new TextEncoder().encode(`CAR of ${cidText(cid)}`)
    }
    return { car: car() }
  },
  async *statusAll({ filter, cids }) {
    if (filter === 4) return
    for (const cid of cids.length > 0 ? cids : [V0, V1]) yield statusOf(cid)
  },
  recover: ({ cid }) => statusOf(cid),
  async *recoverAll({ local }) {
    if (!local) yield statusOf(V0)
  },
  status: ({ cid }) => statusOf(cid),
  pin: ({ cid, options }) => newPin(cid, options),
  pinPath: ({ path, options }) => newPin(V0, { ...options, name: options.name + path, timestamp: TIME }),
  unpin: () => everywhere,
  async *pinMany({ lines, options }) {
    for await (const group of lines) yield group.map(line => answerTo(line, options.name)).join('')
  },
  async *unpinMany({ lines }) {
    for await (const group of lines) yield group.map(line => answerTo(line, '')).join('')
  },
  unpinPath: () => allocated,
  repoGC: () => ({
    peerMap: {
      [B]: { peer: B, peername: '', keys: [], error: 'down' },
      [A]: {
        peer: A,
        peername: 'pa',
        keys: [
          { key: V0, error: '' },
          { key: null, error: 'bad' },
        ],
        error: '',
      },
    },
  }),
  connectGraph: () => ({
    clusterId: B,
    idToPeername: { [A]: 'a', [B]: 'b', [IPFS_B]: 'c' },
    ipfsLinks: { [IPFS_A]: [IPFS_B, A], [IPFS_B]: [IPFS_A] },
    clusterLinks: { [A]: [B], [B]: [A, IPFS_B], [IPFS_B]: [] },
    clusterTrustLinks: { [A]: true },
    clusterToIpfs: { [A]: IPFS_A, [B]: IPFS_B },
  }),
  alerts: () => [alert],
  bandwidth: () => ({
    '/ipfscluster/1.0/rpc': { totalIn: 10n, totalOut: 123_456_789n, rateIn: 1.5, rateOut: 0 },
    b: { totalIn: 1234n, totalOut: 99_950n, rateIn: 1e7, rateOut: 0.126 },
  }),
  metrics: ({ name }) => [metricOf(name, A, 9_998_000n), metricOf(name, B, 0n)],
  metricNames: () => ['ping', 'freespace'],
  token: () => ({ token: 't' }),
  ready: () => undefined,
  health: () => undefined,
  openapi: () => ({}),
}
