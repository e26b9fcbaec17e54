import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMeter } from '@ipfs-cluster/base'
import { put, settle, TestNetwork, until } from './test-support.ts'

test('what happens is told to the meter', async () => {
  const network = new TestNetwork()
  const meter = createMeter()
  const a = await network.add({ batching: { maxOps: 2, maxAgeMs: 5_000 } }, { meter })
  const value = (name: string) => meter.collect().find(metric => metric.name === name)?.samples
  await a.crdt.commit([put('/a', '1')])
  assert.deepEqual(value('ipfscluster_crdt_ops_queued'), [{ labels: {}, value: 1 }])
  await a.crdt.commit([put('/b', '1')])
  await until(() => a.crdt.stats().heads.length === 1, 'a node')
  await settle()
  network.deliver(a)
  assert.deepEqual(value('ipfscluster_crdt_ops_queued'), [{ labels: {}, value: 0 }])
  assert.deepEqual(value('ipfscluster_crdt_heads'), [{ labels: {}, value: 1 }])
  assert.deepEqual(value('ipfscluster_crdt_frontier'), [{ labels: {}, value: 0 }])
  assert.deepEqual(value('ipfscluster_crdt_nodes_merged_total'), [{ labels: {}, value: 1 }])
  assert.deepEqual(value('ipfscluster_crdt_broadcasts_total'), [
    { labels: { direction: 'sent' }, value: 1 },
    { labels: { direction: 'received' }, value: 1 },
  ])
  const count = (name: string) => value(name)?.find(({ suffix }) => suffix === '_count')?.value
  assert.equal(count('ipfscluster_crdt_commit_duration_seconds'), 2)
  assert.equal(count('ipfscluster_crdt_commit_ops'), 2)
  assert.deepEqual(value('ipfscluster_crdt_last_merge_timestamp_seconds'), [
    { labels: {}, value: network.clock.now() / 1000 },
  ])
  await network.close()
})
