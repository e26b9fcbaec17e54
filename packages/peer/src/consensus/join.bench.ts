/**
 * `node packages/peer/src/consensus/join.bench.ts`: how fast an empty peer gets the pinset of another, each on its own thread, the one that comes with a
 * store on disk, over loopback and over a proxy that delays. Prints one line of JSON per figure.
 */
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { encodePin, newPin } from '@ipfs-cluster/api'
import { silentLogger, silentMeter, refusalsOf, systemClock, systemRandom } from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import { createNode, encodeBroadcast, type CrdtNode } from '@ipfs-cluster/crdt'
import { streamingHandler } from '@ipfs-cluster/gorpc'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { createIdentity } from '../identity/index.ts'
import { createNetwork, defaultNetworkConfig, RPC } from '../net/index.ts'
import { pinKey } from '../state/index.ts'
import { BulkServer } from './bulk-server.ts'
import { createCrdtConsensus } from './crdt-consensus.ts'
import { topicOf } from './topic.ts'

interface Scenario {
  readonly name: string
  readonly nodes: number
  readonly pinsPerNode: number
  /** Links to older ancestors, as peers of this implementation write them; Go writes none. */
  readonly skipLinks: boolean
  /** Round trip, milliseconds. */
  readonly rttMs: number
  /** Without it the method is not served, as by a Go peer. */
  readonly bulk: boolean
}

const CLUSTER_NAME = 'bench'

const SCENARIOS: readonly Scenario[] = [
  { name: 'single pins of a Go peer', nodes: 5000, pinsPerNode: 1, skipLinks: false, rttMs: 0 },
  { name: 'single pins of ours', nodes: 5000, pinsPerNode: 1, skipLinks: true, rttMs: 0 },
  { name: 'batches', nodes: 100, pinsPerNode: 500, skipLinks: false, rttMs: 0 },
  { name: 'single pins of a Go peer', nodes: 1000, pinsPerNode: 1, skipLinks: false, rttMs: 20 },
  { name: 'single pins of ours', nodes: 5000, pinsPerNode: 1, skipLinks: true, rttMs: 20 },
  { name: 'batches', nodes: 100, pinsPerNode: 500, skipLinks: false, rttMs: 20 },
].flatMap(scenario => [
  { ...scenario, bulk: false },
  { ...scenario, bulk: true },
])

function elementOf(n: number) {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(0, Math.imul(n, 2_654_435_761))
  const cid = CID.createV1(0x55, Digest.create(0x12, digest))
  const pin = newPin(cid, { name: `pin ${n}`, replicationFactorMin: -1, replicationFactorMax: -1 })
  return { key: pinKey(cid), id: '', value: encodePin(pin) }
}

/** Head last. */
function dagOf({ nodes, pinsPerNode, skipLinks }: Scenario): CrdtNode[] {
  const dag: CrdtNode[] = []
  for (let i = 0; i < nodes; i++) {
    const elements = Array.from({ length: pinsPerNode }, (_, n) => elementOf(i * pinsPerNode + n))
    const back = skipLinks ? [1, ...(i % 16 === 0 ? [16] : []), ...(i % 128 === 0 ? [128] : [])] : [1]
    const links = back.map(steps => dag[i - steps]).filter(node => node !== undefined)
    dag.push(createNode({ elements, tombstones: [], priority: i + 1 }, links))
  }
  return dag
}

async function start(stack: AsyncDisposableStack) {
  const folder = await mkdtemp(join(tmpdir(), 'join-bench-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const network = stack.use(
    await createNetwork(
      { identity: await createIdentity(), clock: systemClock, random: systemRandom, logger: silentLogger },
      {
        ...defaultNetworkConfig,
        listen: ['/ip4/127.0.0.1/tcp/0'],
        secret: new Uint8Array(32).fill(1),
        mdns: false,
        peerstorePath: join(folder, 'peerstore'),
      },
    ),
  )
  return { folder, network }
}

/** Forwards to `port`, each way `delayMs` late. */
async function delayed(stack: AsyncDisposableStack, port: number, delayMs: number): Promise<number> {
  const pipe = (from: Socket, to: Socket) => {
    from.setNoDelay(true)
    from.on('data', data => void setTimeout(() => to.write(data), delayMs))
    from.on('close', () => void setTimeout(() => to.destroy(), delayMs))
    from.on('error', () => undefined)
  }
  const server = createServer(inbound => {
    const outbound = connect(port, '127.0.0.1')
    pipe(inbound, outbound)
    pipe(outbound, inbound)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  stack.defer(() => void server.close())
  return (server.address() as AddressInfo).port
}

async function serve(scenario: Scenario): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const { network } = await start(stack)
  const dag = dagOf(scenario)
  const blocks = new Map(dag.map(({ cid, data }) => [cid.toString(), data]))
  const block = (cid: CID) => Promise.resolve(blocks.get(cid.toString()))
  await network.exchange({ get: block, size: async cid => (await block(cid))?.length })
  const topic = topicOf(CLUSTER_NAME)
  const announcement = encodeBroadcast(dag.slice(-1).map(({ cid }) => cid))
  network.subscribe(topic, () => undefined, {
    onPeer: () => void setTimeout(() => void network.publish(topic, announcement), 500),
  })
  let calls = 0
  let sent = 0
  if (scenario.bulk) {
    const server = new BulkServer({ block, refusals: refusalsOf(silentMeter, 'bulk') })
    const handler = streamingHandler(RPC.Consensus.Blocks, async function* (requests, { peer, signal }) {
      calls++
      for await (const reply of server.serve(peer, requests, { signal })) {
        sent++
        yield reply
      }
    })
    network.serve([handler], () => true)
  }
  const [address = ''] = network.addresses()
  const port = Number(/\/tcp\/(\d+)/.exec(address)?.[1])
  const reached = scenario.rttMs === 0 ? port : await delayed(stack, port, scenario.rttMs / 2)
  parentPort?.postMessage(address.replace(`/tcp/${port}`, `/tcp/${reached}`), [])
  if (parentPort !== null) await once(parentPort, 'message')
  parentPort?.postMessage({ calls, sent }, [])
}

async function measure(scenario: Scenario): Promise<void> {
  const worker = new Worker(new URL(import.meta.url), { workerData: scenario })
  const [address] = (await once(worker, 'message')) as [string]
  await using stack = new AsyncDisposableStack()
  const { folder, network } = await start(stack)
  const store = stack.use(await openLevelStore(join(folder, 'store')))
  const consensus = stack.use(
    await createCrdtConsensus(
      { store, network, clock: systemClock, random: systemRandom, logger: silentLogger },
      {
        clusterName: CLUSTER_NAME,
        trustedPeers: 'all',
        batching: { maxBatchSize: 0, maxBatchAgeMs: 0, maxQueueSize: 0 },
        rebroadcastIntervalMs: 60_000,
      },
    ),
  )
  await network.connect(address)
  while (consensus.stats().nodesMerged === 0) await systemClock.sleep(1)
  const first = performance.now()
  while (consensus.stats().nodesMerged < scenario.nodes) await systemClock.sleep(1)
  const seconds = (performance.now() - first) / 1000
  worker.postMessage('done', [])
  const [served] = (await once(worker, 'message')) as [object]
  const nodesPerSecond = Math.round(scenario.nodes / seconds)
  console.log(JSON.stringify({ ...scenario, seconds: Number(seconds.toFixed(2)), nodesPerSecond, ...served }))
  await once(worker, 'exit')
}

if (isMainThread) for (const scenario of SCENARIOS) await measure(scenario)
else await serve(workerData as Scenario)
