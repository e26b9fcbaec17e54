/** The backend of Go's own REST tests (Go: `test/rpc_api_mock.go`, `test/cids.go`; reference api.md 6.5): what it answers of which CID. */
import {
  matchesStatus,
  newPin,
  pinCodec,
  PIN_TYPE_BITS,
  pinInfoToGlobal,
  TRACKER_STATUS,
  type ConnectGraph,
  type GlobalPinInfo,
  type GlobalRepoGC,
  type ID,
  type Metric,
  type PeerId,
  type Pin,
  type PinInfo,
  type TrackerStatus,
} from '@ipfs-cluster/api'
import { silentLogger, systemClock, utf8 } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { createAdder } from '../../adder/index.ts'
import { ClusterError, type Cluster } from '../../cluster/index.ts'

export const CID1 = CID.parse('QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq')
export const CID2 = CID.parse('QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmma')
export const CID3 = CID.parse('QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmb')
export const CID_RESOLVED = CID.parse('zb2rhiKhUepkTMw7oFfBUnChAN7ABAvg2hXUwmTBtZ6yxuabc')
/** What the backend fails for, and what it does not know. */
export const ERROR_CID = CID.parse('QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmc')
export const NOT_FOUND_CID = CID.parse('bafyreiay3jpjk74dkckv2r74eyvf3lfnxujefay2rtuluintasq2zlapv4')
export const PEER1 = 'QmXZrtE5jQwXNqCJMfHUTQkvhQ4ZAnqMnmzFMJfLewuabc'
export const PEER2 = 'QmUZ13osndQ5uL4tPWHXe3iBgBgq9gfewcBMSCAuMBsDJ6'
export const PEER3 = 'QmPGDFvBkgWhvzEK9qaTWrWurSwqXNmhnK3hgELPdZZNPa'
export const BAD_CID_TEXT = 'this is an error cid'

const { pinned, pinning, pin_error } = TRACKER_STATUS

function check(cid: CID): void {
  if (cid.equals(ERROR_CID)) throw new Error(BAD_CID_TEXT)
  if (cid.equals(NOT_FOUND_CID)) {
    throw new ClusterError('pin is not part of the pinset', { code: 'PIN_NOT_FOUND', cid: cid.toString() })
  }
}

function status(cid: CID, state: TrackerStatus, fields: Partial<PinInfo> = {}): PinInfo {
  return {
    cid,
    name: '',
    peer: PEER1,
    allocations: [],
    origins: [],
    created: null,
    metadata: null,
    peerName: 'mock',
    ipfs: PEER3,
    ipfsAddresses: [],
    status: state,
    ts: 0n,
    error: '',
    attemptCount: 0,
    priorityPin: false,
    ...fields,
  }
}

const ALL = [
  status(CID1, pinned, { name: 'aaa' }),
  status(CID2, pinning, { name: 'bbb' }),
  status(CID3, pin_error, { name: 'ccc', metadata: { ccc: '3c' } }),
]
const LOCAL = [status(CID1, pinned), status(CID3, pin_error)]

async function* filtered(infos: readonly PinInfo[], filter: TrackerStatus): AsyncGenerator<GlobalPinInfo> {
  for (const info of infos) if (matchesStatus(info.status, filter)) yield pinInfoToGlobal(info)
}

const ID1: ID = {
  id: PEER1,
  addresses: [],
  clusterPeers: [],
  clusterPeersAddresses: [],
  version: '0.0.mock',
  commit: '',
  rpcProtocolVersion: '/ipfscluster/1.0/rpc',
  error: '',
  ipfs: { id: PEER1, addresses: ['/ip4/127.0.0.1/tcp/4001'], error: '' },
  peername: 'mock',
}

const METRIC: Metric = {
  name: 'test',
  peer: PEER1,
  value: '0',
  expire: 2n ** 62n,
  valid: true,
  weight: 0n,
  partitionable: false,
  receivedAt: 0n,
}

const GRAPH: ConnectGraph = {
  clusterId: PEER1,
  idToPeername: { [PEER1]: 'PeerName1', [PEER2]: 'PeerName2', [PEER3]: 'PeerName3' },
  ipfsLinks: { [PEER1]: [PEER2, PEER3], [PEER2]: [PEER1, PEER3], [PEER3]: [PEER1, PEER2] },
  clusterLinks: { [PEER1]: [PEER2, PEER3], [PEER2]: [PEER1, PEER3], [PEER3]: [PEER1, PEER2] },
  clusterTrustLinks: { [PEER1]: true, [PEER2]: true, [PEER3]: true },
  clusterToIpfs: { [PEER1]: PEER1, [PEER2]: PEER2, [PEER3]: PEER3 },
}

const gc = (peers: readonly PeerId[]): GlobalRepoGC => ({
  peerMap: Object.fromEntries(
    peers.map(peer => [
      peer,
      {
        peer,
        peername: '',
        keys: [CID1, CID2, CID3].map(key => ({ key, error: '' })).concat({ key: ERROR_CID, error: 'oops' }),
        error: '',
      },
    ]),
  ),
})

/** The pin that a path leads to: what is below a root is one CID, the root another. */
function resolve(path: string): CID {
  const [, , root = '', ...below] = path.split('/')
  if (root === ERROR_CID.toString()) return ERROR_CID
  if (root === NOT_FOUND_CID.toString()) return NOT_FOUND_CID
  return below.length > 0 ? CID_RESOLVED : CID2
}

const pinOf = (cid: CID, fields: Partial<Pin>): Pin => {
  check(cid)
  return newPin(cid, { ...fields, replicationFactorMin: -1, replicationFactorMax: -1 })
}

export function mockCluster(): Partial<Cluster> {
  const adder = createAdder({
    self: PEER1,
    clock: systemClock,
    logger: silentLogger,
    allocate: pin =>
      pin.replicationFactorMin > 1 ? Promise.reject(new Error('replMin too high')) : Promise.resolve([PEER1]),
    pin: () => Promise.resolve(),
    pinSharded: () => ({
      keep: () => Promise.resolve(),
      commit: () => Promise.resolve(),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    }),
    async putBlocks(_peer, blocks) {
      for await (const _block of blocks);
    },
  })
  const pins = async function* (typeBits: number) {
    for (const cid of [CID1, CID2, CID3]) if ((typeBits & PIN_TYPE_BITS.pin) !== 0) yield newPin(cid)
  }
  const once = <T>(work: () => T) => new Promise<T>(done => done(work()))
  return {
    id: () => once(() => ID1),
    version: () => ({ version: '0.0.mock' }),
    async *peers() {
      yield ID1
    },
    peerAdd: peer => once(() => ({ ...ID1, id: peer })),
    peerRemove: () => Promise.resolve(),
    exportCar: cid =>
      once(() => ({
        pin: pinOf(cid, {}),
        car: (async function* () {
          yield utf8('the CAR')
        })(),
      })),
    add: (parts, params, options) => adder.add(parts, params, options),
    pin: (cid, options) => once(() => pinOf(cid, options)),
    pinPath: (path, options) => once(() => pinOf(resolve(path), options)),
    unpin: cid => once(() => pinOf(cid, {})),
    unpinPath: path => once(() => pinOf(resolve(path), {})),
    pins,
    async *pinLines(typeBits) {
      for await (const pin of pins(typeBits)) yield utf8(`${pinCodec.stringify(pin)}\n`)
    },
    pinGet: cid => once(() => pinOf(cid, {})),
    statusAll: filter => filtered(ALL, filter),
    statusAllLocal: filter => filtered(LOCAL, filter),
    status: cid =>
      once(() => (check(cid), pinInfoToGlobal(status(cid, pinned, { metadata: { meta: 'data' } })))),
    statusLocal: cid => once(() => (check(cid), pinInfoToGlobal(status(cid, pinned, { peer: PEER2 })))),
    recover: cid => once(() => pinInfoToGlobal(status(cid, pinned))),
    recoverLocal: cid => once(() => status(cid, pinned)),
    recoverAll: () => filtered(ALL, 0),
    async *recoverAllLocal() {},
    repoGC: () => once(() => gc([PEER1])),
    repoStat: () => once(() => ({ repoSize: 1000n, storageMax: 10_000n })),
    repoGCLocal: () => once(() => gc([PEER1])),
    connectGraph: () => once(() => GRAPH),
    metrics: () => [METRIC],
    metricNames: () => ['ping', 'freespace'],
    alerts: () => [{ ...METRIC, name: 'ping', peer: PEER2, triggeredAt: 0n }],
    bandwidthByProtocol: () => ({
      protocol1: { totalIn: 10n, totalOut: 20n, rateIn: 1, rateOut: 2 },
      protocol2: { totalIn: 30n, totalOut: 40n, rateIn: 3, rateOut: 4 },
    }),
  }
}
