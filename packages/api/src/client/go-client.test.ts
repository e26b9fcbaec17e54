/** The cases of Go's client tests (`api/rest/client`), against a backend that answers as theirs does, over both transports. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  matchesStatus,
  newPin,
  parseCid,
  TRACKER_STATUS,
  type AddedOutput,
  type GlobalPinInfo,
  type ID,
  type Metric,
  type RouteHandlers,
  type TrackerStatus,
} from '../index.ts'
import { serveRoutes } from '../test-server.ts'
import { createClient, createFetchTransport, filePart, type ClusterClient } from './index.ts'
import { createNodeTransport } from './node.ts'

const [CID1, CID2, CID3] = [
  'QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmmq',
  'QmP63DkAFEnDYNjDYBpyNDfttu1fvUw99x1brscPzpqmma',
  'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy',
].map(parseCid) as [ReturnType<typeof parseCid>, ReturnType<typeof parseCid>, ReturnType<typeof parseCid>]
const PEER1 = '12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'
const PEER2 = '12D3KooWAuRYCfgCKTyZpxJNuxPZ7fisG7J9eZPMDBZPESVoXFbT'

const ID1: ID = {
  id: PEER1,
  addresses: [],
  clusterPeers: [PEER1],
  clusterPeersAddresses: [],
  version: '0.0.mock',
  commit: '',
  rpcProtocolVersion: '/ipfscluster/1.0/rpc',
  error: '',
  ipfs: { id: '', addresses: [], error: '' },
  peername: 'mock',
}

const METRIC: Metric = {
  name: 'test',
  peer: PEER1,
  value: '0',
  expire: 1_778_493_630_123_456_789n,
  valid: true,
  weight: 0n,
  partitionable: false,
  receivedAt: 0n,
}

function info(cid: typeof CID1, status: TrackerStatus): GlobalPinInfo {
  const short = { peerName: 'mock', ipfs: '', ipfsAddresses: [], status, ts: null, error: '' }
  return {
    cid,
    name: '',
    allocations: [],
    origins: [],
    created: null,
    metadata: null,
    peerMap: { [PEER1]: { ...short, attemptCount: 0, priorityPin: false } },
  }
}

async function* from<T>(...items: T[]): AsyncGenerator<T> {
  yield* items
}

const { pinned, pinning, pin_error } = TRACKER_STATUS
const ALL = [info(CID1, pinned), info(CID2, pinning), info(CID3, pin_error)]
const LOCAL = [info(CID1, pinned), info(CID3, pin_error)]

const BACKEND: Omit<RouteHandlers, 'openapi' | 'ready' | 'pinMany' | 'unpinMany' | 'exportCar'> = {
  id: () => ID1,
  version: () => ({ version: '0.0.mock' }),
  peers: () => from(ID1),
  peerAdd: ({ peer }) => ({ ...ID1, id: peer }),
  peerRemove: () => undefined,
  async *add({ parts }): AsyncGenerator<AddedOutput> {
    for await (const { path, content } of parts) {
      for await (const _ of content);
      yield { name: path, cid: CID1, bytes: 0n, size: 0n, allocations: [] }
    }
  },
  allocations: () => from(newPin(CID1), newPin(CID2), newPin(CID3)),
  allocation: ({ cid }) => newPin(cid),
  statusAll({ filter, local, cids }) {
    const wanted = new Set(cids.map(String))
    const listed = (local ? LOCAL : ALL).filter(
      ({ cid, peerMap }) =>
        (wanted.size === 0 || wanted.has(`${cid}`)) && matchesStatus(peerMap[PEER1]?.status ?? 0, filter),
    )
    return from(...listed)
  },
  recover: ({ cid }) => info(cid, pinned),
  recoverAll: ({ local }) => (local ? from<GlobalPinInfo>() : from(...ALL)),
  status: ({ cid }) => info(cid, pinned),
  pin: ({ cid, options }) => newPin(cid, options),
  pinPath: ({ options }) => newPin(CID2, options),
  unpin: ({ cid }) => newPin(cid),
  unpinPath: () => newPin(CID2),
  repoGC: () => ({
    peerMap: { [PEER1]: { peer: PEER1, peername: '', keys: [{ key: CID1, error: '' }], error: '' } },
  }),
  connectGraph: () => ({
    clusterId: PEER1,
    idToPeername: { [PEER1]: 'mock' },
    ipfsLinks: { [PEER2]: [] },
    clusterLinks: { [PEER1]: [] },
    clusterTrustLinks: { [PEER1]: true },
    clusterToIpfs: { [PEER1]: PEER2 },
  }),
  alerts: () => [{ ...METRIC, name: 'ping', peer: PEER2, triggeredAt: null }],
  bandwidth: () => ({
    protocol1: { totalIn: 10n, totalOut: 20n, rateIn: 1, rateOut: 2 },
    protocol2: { totalIn: 30n, totalOut: 40n, rateIn: 3, rateOut: 4 },
  }),
  metrics: () => [METRIC],
  metricNames: () => ['ping', 'freespace'],
  token: () => ({ token: 'a.b.c' }),
  health: () => undefined,
}

const count = async (items: AsyncIterable<unknown>) => (await Array.fromAsync(items)).length
const OPTIONS = { name: 'n', replicationFactorMin: 1, replicationFactorMax: 2, metadata: { a: 'b' } }

const CASES: Readonly<Record<string, (client: ClusterClient) => Promise<void>>> = {
  async 'Version, ID, Peers'(client) {
    assert.equal((await client.version()).version, '0.0.mock')
    assert.deepEqual(await client.id(), ID1)
    assert.equal(await count(client.peers()), 1)
  },
  async 'PeerAdd, PeerRm'(client) {
    assert.equal((await client.peerAdd({ peer: PEER2 })).id, PEER2)
    assert.equal(await client.peerRemove({ peer: PEER2 }), undefined)
  },
  async 'Pin, Unpin'(client) {
    const pin = await client.pin({ cid: CID1, options: OPTIONS })
    assert.deepEqual(pin, { ...newPin(CID1, OPTIONS) })
    assert.ok((await client.unpin({ cid: CID1 })).cid.equals(CID1))
  },
  async 'PinPath, UnpinPath'(client) {
    const paths = [`${CID1}`, `/ipfs/${CID1}`, `/ipfs/${CID1}/a/b`, '/ipns/example.org', `/ipld/${CID1}`]
    for (const path of paths) {
      assert.deepEqual(await client.pinPath({ path, options: OPTIONS }), newPin(CID2, OPTIONS))
      assert.ok((await client.unpinPath({ path })).cid.equals(CID2))
    }
    for (const path of ['/invalid/path', '/ipfs/invalid', 'invalid', '/ipfs/', '']) {
      await assert.rejects(client.pinPath({ path }), { code: 'BAD_PARAMETER' }, path)
      await assert.rejects(client.unpinPath({ path }), { code: 'BAD_PARAMETER' }, path)
    }
  },
  async 'Allocations, Allocation'(client) {
    assert.equal(await count(client.allocations({ typeBits: 2 | 4 })), 3)
    assert.ok((await client.allocation({ cid: CID1 })).cid.equals(CID1))
  },
  async 'Status, StatusCids'(client) {
    assert.ok((await client.status({ cid: CID1 })).cid.equals(CID1))
    assert.equal(await count(client.statusAll({ cids: [CID1] })), 1)
  },
  async StatusAll(client) {
    assert.equal(await count(client.statusAll()), 3)
    assert.equal(await count(client.statusAll({ local: true })), 2)
    assert.equal(await count(client.statusAll({ filter: pinning })), 1)
    assert.equal(await count(client.statusAll({ filter: pinned | TRACKER_STATUS.error })), 2)
    // No status has this bit.
    await assert.rejects(count(client.statusAll({ filter: 1 << 25 })), { message: 'invalid filter value' })
  },
  async 'Recover, RecoverAll'(client) {
    assert.ok((await client.recover({ cid: CID1 })).cid.equals(CID1))
    assert.equal(await count(client.recoverAll()), 3)
    assert.equal(await count(client.recoverAll({ local: true })), 0)
  },
  async 'Alerts, BandwidthByProtocol, ConnectGraph'(client) {
    assert.deepEqual(
      (await client.alerts()).map(alert => alert.peer),
      [PEER2],
    )
    assert.equal((await client.bandwidth())?.['protocol2']?.totalOut, 40n)
    assert.deepEqual((await client.connectGraph()).clusterToIpfs, { [PEER1]: PEER2 })
  },
  async 'Metrics, MetricNames'(client) {
    assert.deepEqual(await client.metrics({ name: 'test' }), [METRIC])
    assert.deepEqual(await client.metricNames(), ['ping', 'freespace'])
    await assert.rejects(client.metrics({ name: '' }), { message: 'bad metric name' })
  },
  async 'AddMultiFile, RepoGC, Health, Token'(client) {
    const parts = [filePart('d/a', 'a'), filePart('d/b', 'b')]
    assert.equal(await count(client.add({ parts })), 2)
    assert.ok((await client.repoGC()).peerMap[PEER1]?.keys[0]?.key?.equals(CID1))
    assert.equal(await client.health(), undefined)
    assert.deepEqual(await client.token(), { token: 'a.b.c' })
  },
}

for (const [name, transport] of [
  ['node', createNodeTransport()],
  ['fetch', createFetchTransport()],
] as const) {
  for (const [title, run] of Object.entries(CASES)) {
    test(`${name}: ${title}`, async () => {
      await using server = await serveRoutes(BACKEND)
      await run(createClient({ hosts: [server.url] }, { transport }))
    })
  }

  test(`${name}: PeersWithError`, async () => {
    const client = createClient({ hosts: ['http://127.0.0.1:9'] }, { transport })
    await assert.rejects(count(client.peers()), { code: 'API_UNREACHABLE' })
  })

  test(`${name}: WaitForPin, WaitForUnpin`, async () => {
    const { unpinning, unpinned } = TRACKER_STATUS
    const statuses = [pinning, pinned, unpinning, unpinned]
    await using server = await serveRoutes({ status: ({ cid }) => info(cid, statuses.shift() ?? 0) })
    const client = createClient({ hosts: [server.url] }, { transport })
    const wait = { cid: CID1, checkEveryMs: 1 }
    const reached = await client.waitFor({ ...wait, target: pinned })
    assert.equal(reached.peerMap[PEER1]?.status, pinned)
    assert.equal((await client.waitFor({ ...wait, target: unpinned })).peerMap[PEER1]?.status, unpinned)
    assert.equal(server.requests.length, 4)
  })
}
