/** A peer with everything enabled that has pinned, added, failed and answered, and what its metrics endpoint says after that. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createClient, type ClusterClient } from '@ipfs-cluster/api/client'
import { createNodeTransport } from '@ipfs-cluster/api/node'
import { createMeter } from '@ipfs-cluster/base'
import {
  createClusterPeer,
  createIdentity,
  initialConfig,
  toPeerConfig,
  type ClusterPeer,
  type ClusterPeerConfig,
} from '@ipfs-cluster/peer'
import { createFakeKubo, rawBlock, waitFor, type FakeKubo } from '@ipfs-cluster/testkit'
import { processVars, reportProcess } from '../../packages/peer/src/bin/process-metrics.ts'
import { parseExposition, type ExportedMetric } from './exposition.ts'

export interface MeasuredPeer extends AsyncDisposable {
  readonly peer: ClusterPeer
  readonly client: ClusterClient
  readonly kubo: FakeKubo
  readonly metricsUrl: string
  scrape(): Promise<ReadonlyMap<string, ExportedMetric>>
}

const SECRET = new Uint8Array(32).fill(7)
const ANY_PORT = '/ip4/127.0.0.1/tcp/0'

/** Two peers, of which the first is measured. */
export async function startMeasuredPeer(): Promise<MeasuredPeer> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'metrics-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const meter = createMeter()
  stack.use(reportProcess(meter))
  const kubo = stack.use(await createFakeKubo())
  const other = stack.use(await createFakeKubo())
  const peer = stack.use(
    await createClusterPeer(await configOf(join(folder, 'a'), 'a', kubo), { meter, vars: processVars }),
  )
  const second = stack.use(
    await createClusterPeer({ ...(await configOf(join(folder, 'b'), 'b', other)), join: peer.addresses }),
  )
  await Promise.all([peer.cluster.ready, second.cluster.ready])
  const [metricsUrl, restUrl] = [peer.metricsUrls[0], peer.restUrls[0]]
  assert.ok(metricsUrl !== undefined && restUrl !== undefined)
  const client = createClient({ hosts: [restUrl] }, { transport: createNodeTransport() })
  await waitFor(async () => (await client.metrics({ name: 'ping' })).length === 2, {
    timeoutMs: 30_000,
    what: 'each peer knows the other',
  })
  const owned = stack.move()
  return {
    peer,
    client,
    kubo,
    metricsUrl,
    scrape: async () => parseExposition(await (await fetch(metricsUrl)).text()),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const EVERYWHERE = { replicationFactorMin: -1, replicationFactorMax: -1 }

/** A pin, a pin that fails, an add and a status. */
export async function exercise({ client, kubo, peer }: MeasuredPeer): Promise<void> {
  const good = rawBlock('good').cid
  await client.pin({ cid: good, options: EVERYWHERE })
  await pinned(client, good.toString(), peer.id, 'pinned')
  kubo.fail({ path: 'pin/add', kind: 'error', status: 500, message: 'no such block', times: 100 })
  const bad = rawBlock('bad').cid
  await client.pin({ cid: bad, options: EVERYWHERE })
  await pinned(client, bad.toString(), peer.id, 'pin_error')
  const content = async function* () {
    yield new TextEncoder().encode('a file of some bytes')
  }
  const file = { path: 'file.txt', kind: 'file' as const, content: content() }
  const parts = (async function* () {
    yield file
  })()
  await Array.fromAsync(client.add({ parts, params: {} }))
  await Array.fromAsync(client.statusAll({}))
  await assert.rejects(
    client.status({ cid: good, local: false }).then(() => client.allocation({ cid: rawBlock('none').cid })),
  )
}

async function pinned(client: ClusterClient, cid: string, peer: string, status: string): Promise<void> {
  const bits = { pinned: 16, pin_error: 4 } as const
  await waitFor(
    async () => {
      const all = await Array.fromAsync(client.statusAll({}))
      const found = all.find(info => info.cid.toString() === cid)?.peerMap[peer]
      return found?.status === bits[status as keyof typeof bits]
    },
    { timeoutMs: 20_000, what: `${cid} is ${status}` },
  )
}

async function configOf(folder: string, peername: string, kubo: FakeKubo): Promise<ClusterPeerConfig> {
  const initial = initialConfig({
    consensus: 'crdt',
    datastore: 'pebble',
    ipfs: 'ipfshttp',
    peername,
    secret: SECRET,
  })
  const config = toPeerConfig(initial, folder)
  assert.ok(config.restapi !== undefined && config.ipfs.kind === 'ipfshttp')
  return {
    ...config,
    identity: await createIdentity(),
    network: { ...config.network, listen: [ANY_PORT], mdns: false },
    ipfs: { kind: 'ipfshttp', config: { ...config.ipfs.config, nodeMultiaddress: kubo.api } },
    cluster: { ...config.cluster, monitorPingIntervalMs: 500 },
    consensus: { ...config.consensus, trustedPeers: 'all' },
    restapi: { ...config.restapi, listen: [ANY_PORT] },
    pinsvcapi: config.pinsvcapi && { ...config.pinsvcapi, listen: [ANY_PORT] },
    ...(config.ipfsproxy && {
      ipfsproxy: { ...config.ipfsproxy, listen: [ANY_PORT], nodeMultiaddress: kubo.api },
    }),
    metrics: { listen: [ANY_PORT] },
    tracing: {
      tracesUrl: 'http://127.0.0.1:9/v1/traces',
      headers: {},
      samplingProbability: 1,
      serviceName: 'test',
    },
  }
}
