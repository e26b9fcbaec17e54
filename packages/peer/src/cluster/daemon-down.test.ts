import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TRACKER_STATUS, type IPFSRepoGC, type PinInfo } from '@ipfs-cluster/api'
import { silentLogger, systemClock } from '@ipfs-cluster/base'
import { fakePeerId } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import type { IpfsConnector } from '../ipfsconn/index.ts'
import { createMembers, type MembersComponents } from './members.ts'
import { pingMetric } from './peer-view.ts'
import { createStatusQueries, type StatusComponents } from './status.ts'
import type { ClusterConfig } from './types.ts'

const SELF = fakePeerId(0)
const IPFS = fakePeerId(1)
const A = CID.parse('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku')
const CONFIG = { peername: 'self', monitorPingIntervalMs: 1_000 } as ClusterConfig

const fails = () => Promise.reject(new Error('nobody answers'))

function membersWith(ipfs: Partial<IpfsConnector>) {
  const ping = pingMetric(SELF, JSON.stringify({ peer_name: 'self', ipfs_id: IPFS }), 0n, 1_000)
  const monitor = { members: () => [SELF], latestOf: () => ping }
  const network = { peerId: SELF, addresses: () => [], connectedPeers: () => [] }
  const components = {
    network,
    monitor,
    ipfs,
    consensus: { isTrusted: () => true },
    clock: systemClock,
    logger: silentLogger,
    announce: () => Promise.resolve(),
  }
  return createMembers(components as unknown as MembersComponents, CONFIG)
}

/** Frees `before` blocks, then fails. */
const collecting = (before: number) => ({
  async *repoGC(): AsyncGenerator<IPFSRepoGC> {
    for (let i = 0; i < before; i++) yield { key: A, error: '' }
    await fails()
  },
})

test('garbage that a daemon does not collect fails the call for it, and is an entry in the answer of all', async () => {
  const members = membersWith(collecting(0))
  await assert.rejects(members.repoGCLocal(), /nobody answers/)
  assert.deepEqual(await members.repoGC(), {
    peerMap: { [SELF]: { peer: SELF, peername: 'self', keys: [], error: 'nobody answers' } },
  })
})

test('what was collected before a failure is told with it', async () => {
  const { keys, error } = await membersWith(collecting(2)).repoGCLocal()
  assert.deepEqual([keys.length, error], [2, 'nobody answers'])
})

test('the graph leaves out a daemon that does not answer, though the ping still names it', async () => {
  const down = await membersWith({ swarmPeers: fails }).connectGraph()
  assert.deepEqual([down.clusterToIpfs, down.ipfsLinks, down.idToPeername], [{}, {}, { [SELF]: 'self' }])
  const up = await membersWith({ swarmPeers: () => Promise.resolve([]) }).connectGraph()
  assert.deepEqual([up.clusterToIpfs, up.ipfsLinks], [{ [SELF]: IPFS }, { [IPFS]: [] }])
})

test('the local status of a CID that is not in the pinset has neither allocations nor origins', async () => {
  const info: PinInfo = {
    cid: A,
    peer: SELF,
    name: '',
    allocations: [],
    origins: [],
    created: null,
    metadata: null,
    peerName: 'self',
    ipfs: IPFS,
    ipfsAddresses: [],
    status: TRACKER_STATUS.unpinned,
    ts: 0n,
    error: '',
    attemptCount: 0,
    priorityPin: false,
  }
  const components = {
    tracker: { status: () => Promise.resolve(info) },
    consensus: { state: { get: () => Promise.resolve(undefined) } },
    network: { peerId: SELF },
    clock: systemClock,
  }
  const queries = createStatusQueries(components as unknown as StatusComponents, CONFIG)
  const { allocations, origins, created } = await queries.statusLocal(A)
  assert.deepEqual([allocations, origins, created], [null, null, null])
})
