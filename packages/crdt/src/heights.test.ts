/** Heights that lie: nobody can make our nodes unreadable to others, or our writes without effect. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMeter, utf8, utf8Text } from '@ipfs-cluster/base'
import { encodeBroadcast } from './delta.ts'
import { nextHeight } from './heads.ts'
import { MAX_PRIORITY } from './limits.ts'
import { createNode, linkOfDigest } from './node.ts'
import { put, settle, TestNetwork, until } from './test-support.ts'

test('no node of ours is higher than the limit', () => {
  const head = (height: number) => ({ ...linkOfDigest(new Uint8Array(32)), height })
  assert.equal(nextHeight(new Map([['a', head(MAX_PRIORITY - 1)]])), MAX_PRIORITY)
  assert.equal(nextHeight(new Map([['a', head(MAX_PRIORITY)]])), MAX_PRIORITY)
})

for (const claimed of [MAX_PRIORITY, MAX_PRIORITY + 5, 2 ** 63]) {
  test(`writing goes on over a node that claims the height ${claimed}, and everybody takes it`, async () => {
    const network = new TestNetwork()
    const meter = createMeter()
    const [a, b] = [await network.add({}, { meter }), await network.add()]
    const liar = createNode(
      { elements: [{ key: '/a', id: '', value: utf8('zzz') }], tombstones: [], priority: claimed },
      [],
    )
    const original = a.crdt.block.bind(a.crdt)
    a.crdt.block = cid => (cid.equals(liar.cid) ? Promise.resolve(liar.data) : original(cid))
    b.crdt.block = cid => Promise.resolve(cid.equals(liar.cid) ? liar.data : undefined)
    a.handler?.({ data: encodeBroadcast([liar.cid]), from: 'liar', forwarder: 'liar' })
    await until(() => a.crdt.stats().nodesMerged === 1, 'the lie is merged')
    await a.crdt.commit([put('/new', '1')])
    // Less than what is there, bytewise; and more than once.
    for (const value of ['b', 'a', 'c']) {
      await a.crdt.commit([put('/a', value)])
      assert.equal(utf8Text((await a.crdt.get('/a')) ?? assert.fail()), value)
    }
    await a.crdt.commit([put('/gone', '1')])
    await a.crdt.commit([{ type: 'delete', key: '/gone' }])
    assert.deepEqual(
      a.crdt.stats().heads.map(({ height }) => height),
      [MAX_PRIORITY],
    )
    await settle()
    while (b.inbox.length > 0) network.deliver(b)
    await until(() => b.crdt.stats().nodesMerged === 7 && b.crdt.stats().frontier === 0, 'all merged')
    assert.equal(b.crdt.stats().nodesRefused, 0)
    assert.deepEqual(b.crdt.stats().heads, a.crdt.stats().heads)
    assert.equal(utf8Text((await b.crdt.get('/a')) ?? assert.fail()), 'c')
    assert.equal(await b.crdt.get('/gone'), undefined)
    const counted = meter.collect().find(({ name }) => name === 'ipfscluster_refused_total')
    assert.deepEqual(counted?.samples, [
      { labels: { protocol: 'crdt', reason: 'height_at_limit' }, value: 1 },
    ])
    await network.close()
  })
}
