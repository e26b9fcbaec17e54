import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodePin, newPin } from '@ipfs-cluster/api'
import { createMemoryStore, silentLogger, systemClock, systemRandom } from '@ipfs-cluster/base'
import { createNode, encodeBroadcast, type CrdtNode } from '@ipfs-cluster/crdt'
import { streamingHandler } from '@ipfs-cluster/gorpc'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { RPC } from '../net/index.ts'
import { addressOf, createTestNetwork, until } from '../net/test-network.ts'
import { pinKey } from '../state/index.ts'
import { createCrdtConsensus } from './crdt-consensus.ts'
import { serverOf } from './test-nodes.ts'
import { topicOf } from './topic.ts'

const NODES = 5000

const cidOf = (n: number) => {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(0, n)
  return CID.createV1(0x55, Digest.create(0x12, digest))
}

/** A node of one pin on top of the last, as a Go peer writes it: nothing but bulk makes that quick. */
function addNode(dag: CrdtNode[]): void {
  const value = encodePin(newPin(cidOf(dag.length), { name: `pin ${dag.length}` }))
  const elements = [{ key: pinKey(cidOf(dag.length)), id: '', value }]
  dag.push(createNode({ elements, tombstones: [], priority: dag.length + 1 }, dag.slice(-1)))
}

/** A peer that has nothing but a DAG. */
async function startSource(stack: AsyncDisposableStack, dag: readonly CrdtNode[]) {
  const network = stack.use(await createTestNetwork())
  const bitswapped: string[] = []
  const find = (cid: CID) => dag.findLast(node => node.cid.equals(cid))?.data
  await network.exchange({
    get: cid => {
      bitswapped.push(cid.toString())
      return Promise.resolve(find(cid))
    },
    size: cid => Promise.resolve(find(cid)?.length),
  })
  const calls: string[] = []
  const handler = streamingHandler(RPC.Consensus.Blocks, (requests, { peer, signal }) => {
    calls.push(peer)
    return serverOf(dag).serve(peer, requests, { signal })
  })
  network.serve([handler], () => true)
  const topic = topicOf('test')
  const announce = () => network.publish(topic, encodeBroadcast(dag.slice(-1).map(({ cid }) => cid)))
  network.subscribe(topic, () => undefined)
  return { network, calls, bitswapped, announce }
}

test(`a fresh peer gets ${NODES} nodes of one pin in a few calls, and single news without any`, async () => {
  await using stack = new AsyncDisposableStack()
  const dag: CrdtNode[] = []
  while (dag.length < NODES) addNode(dag)
  const source = await startSource(stack, dag)
  const network = stack.use(await createTestNetwork())
  const consensus = stack.use(
    await createCrdtConsensus(
      {
        store: createMemoryStore(),
        network,
        clock: systemClock,
        random: systemRandom,
        logger: silentLogger,
      },
      {
        clusterName: 'test',
        trustedPeers: 'all',
        batching: { maxBatchSize: 0, maxBatchAgeMs: 0, maxQueueSize: 0 },
        rebroadcastIntervalMs: 60_000,
      },
    ),
  )
  await network.connect(addressOf(source.network))
  while (consensus.stats().broadcastsReceived === 0) {
    await source.announce()
    await systemClock.sleep(50)
  }
  await until(() => consensus.stats().nodesMerged === NODES, 30_000)
  assert.equal(consensus.stats().heads[0]?.height, NODES)
  assert.equal((await consensus.state.get(cidOf(0)))?.name, 'pin 0')
  assert.ok(source.calls.length >= 5 && source.calls.length < 20, `${source.calls.length} calls`)
  assert.ok(source.bitswapped.length < 100, `${source.bitswapped.length} nodes over bitswap`)

  const before = source.calls.length
  for (let i = 1; i <= 5; i++) {
    addNode(dag)
    await source.announce()
    await until(() => consensus.stats().nodesMerged === NODES + i)
  }
  assert.equal(source.calls.length, before, 'a new head comes over bitswap, which is quicker for one node')
})
