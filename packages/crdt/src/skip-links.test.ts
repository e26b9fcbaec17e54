import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8, utf8Text } from '@ipfs-cluster/base'
import { decodeBroadcast, encodeBroadcast } from './delta.ts'
import { createNode, decodeNode, linkOf, linkOfDigest, type CrdtNode, type NodeId } from './node.ts'
import { isAnchor, NO_ANCHORS, skipLinks, withAnchor } from './skip-links.ts'
import { settle, TestNetwork, until } from './test-support.ts'
import type { Crdt, CrdtOp } from './types.ts'

const put = (key: string, value: string): CrdtOp => ({ type: 'put', key, value: utf8(value) })

/** Every node below the heads, by id. */
async function dagOf(crdt: Crdt): Promise<Map<NodeId, CrdtNode>> {
  const nodes = new Map<NodeId, CrdtNode>()
  const open = crdt.stats().heads.map(({ cid }) => linkOf(cid) ?? assert.fail())
  for (let link = open.pop(); link !== undefined; link = open.pop()) {
    if (nodes.has(link.id)) continue
    const node = decodeNode(link, (await crdt.block(link.cid)) ?? assert.fail('a node is missing'))
    nodes.set(node.id, node)
    open.push(...node.links)
  }
  return nodes
}

/** Links on the shortest way from a head to the node that is farthest: the round trips of who fetches everything at once. */
function depthOf(crdt: Crdt, nodes: ReadonlyMap<NodeId, CrdtNode>): number {
  let round = crdt.stats().heads.map(({ cid }) => linkOf(cid)?.id ?? assert.fail())
  const seen = new Set(round)
  let depth = -1
  for (; round.length > 0; depth++) {
    const links = round.flatMap(id => nodes.get(id)?.links ?? [])
    round = [...new Set(links.map(({ id }) => id))].filter(id => !seen.has(id))
    for (const id of round) seen.add(id)
  }
  assert.equal(seen.size, nodes.size)
  return depth
}

test('every 16th height is an anchor that links to the one before, every 8th anchor also 8 anchors back', () => {
  let anchors = NO_ANCHORS
  const linked = new Map<number, number[]>()
  for (let height = 1; height <= 300; height++) {
    const links = skipLinks(anchors, height)
    if (links.length > 0)
      linked.set(
        height,
        links.map(link => link.height),
      )
    anchors = withAnchor(anchors, { ...linkOfDigest(new Uint8Array(32).fill(height)), height })
  }
  const steps = Array.from({ length: 18 }, (_, i) => 17 + 16 * i)
  assert.deepEqual(
    [...linked],
    steps.map(height => [height, (height - 1) % 128 === 0 ? [height - 16, height - 128] : [height - 16]]),
  )
  // Others wrote most of what lies between: the heights are further apart, the links are as many.
  assert.equal(isAnchor(anchors, 304), false)
  assert.deepEqual(
    skipLinks(anchors, 10_000).map(({ height }) => height),
    [289],
  )
})

test('a chain of 2,000 nodes is fetched in few rounds; nodes between anchors are what they always were', async () => {
  const network = new TestNetwork()
  const a = await network.add()
  const length = 2_000
  for (let i = 0; i < length; i++) await a.crdt.commit([put(`/${i % 100}`, String(i))])
  const [head, ...others] = a.crdt.stats().heads
  assert.deepEqual(others, [])
  assert.equal(head?.height, length)
  const nodes = await dagOf(a.crdt)
  assert.equal(nodes.size, length)
  const byHeight = [...nodes.values()].sort((x, y) => x.delta.priority - y.delta.priority)
  for (const [i, node] of byHeight.entries()) {
    const previous = byHeight[i - 1]
    assert.ok(previous === undefined || node.links.some(({ id }) => id === previous.id))
    assert.equal(new Set(node.links.map(({ id }) => id)).size, node.links.length, 'no link twice')
    assert.ok(node.links.length <= 3)
    if (i % 16 === 0) continue
    const plain = createNode(node.delta, previous === undefined ? [] : [previous])
    assert.deepEqual(node.data, plain.data, 'nodes without an anchor have the same bytes as before')
  }
  const depth = depthOf(a.crdt, nodes)
  assert.ok(depth <= 64, `depth ${depth}`)
  const b = await network.add()
  b.handler?.({ data: encodeBroadcast([head.cid]), from: a.name, forwarder: a.name })
  await until(() => b.crdt.stats().nodesMerged === length && b.crdt.stats().frontier === 0, 'all merged')
  assert.deepEqual(b.crdt.stats().heads, a.crdt.stats().heads)
  for (let i = 0; i < 100; i++)
    assert.equal(utf8Text((await b.crdt.get(`/${i}`)) ?? assert.fail()), String(1900 + i))
  await network.close()
})

test('writers that take turns keep one head each time, with skip-links of all of them', async () => {
  const network = new TestNetwork(7)
  const replicas = [await network.add(), await network.add(), await network.add()]
  for (let i = 0; i < 150; i++) {
    const writer = replicas[i % 3] ?? assert.fail()
    await writer.crdt.commit([put(`/${i}`, 'x')])
    await settle(2)
    for (const replica of replicas) while (replica.inbox.length > 0) network.deliver(replica)
    await until(() => replicas.every(({ crdt }) => crdt.stats().heads[0]?.height === i + 1), 'merged by all')
    for (const { crdt } of replicas) assert.equal(crdt.stats().heads.length, 1)
  }
  const nodes = await dagOf((replicas[0] ?? assert.fail()).crdt)
  assert.ok([...nodes.values()].filter(({ links }) => links.length > 1).length >= 20)
  await network.close()
})

test('an anchor that is still a head is linked to once', async () => {
  const network = new TestNetwork()
  const a = await network.add()
  await a.crdt.commit([put('/a', '1')])
  const [own] = a.crdt.stats().heads
  const far = createNode(
    { elements: [{ key: '/far', id: '', value: utf8('x') }], tombstones: [], priority: 500 },
    [],
  )
  const b = await network.add()
  b.crdt.block = cid => Promise.resolve(cid.equals(far.cid) ? far.data : undefined)
  a.handler?.({ data: encodeBroadcast([far.cid]), from: b.name, forwarder: b.name })
  await until(() => a.crdt.stats().heads.length === 2, 'two heads')
  await a.crdt.commit([put('/b', '2')])
  const [head] = a.crdt.stats().heads
  assert.equal(head?.height, 501)
  const node = decodeNode(linkOf(head.cid) ?? assert.fail(), (await a.crdt.block(head.cid)) ?? assert.fail())
  assert.deepEqual(
    node.links.map(({ cid }) => cid.toString()).sort(),
    [far.cid.toString(), own?.cid.toString()].sort(),
  )
  await network.close()
})

test('what was not written is no anchor, and a commit of many nodes has them inside', async () => {
  const network = new TestNetwork()
  const a = await network.add({ maxCommitOps: 1 })
  a.store.failNext()
  await assert.rejects(a.crdt.commit(Array.from({ length: 40 }, (_, i) => put(`/${i}`, 'lost'))))
  await a.crdt.commit(Array.from({ length: 400 }, (_, i) => put(`/${i}`, 'v')))
  const nodes = await dagOf(a.crdt)
  assert.equal(nodes.size, 400, 'every link leads to a node that was written')
  assert.ok(depthOf(a.crdt, nodes) <= 40)
  assert.equal(a.crdt.stats().frontier, 0)
  await settle()
  assert.equal(decodeBroadcast(a.published.at(-1) ?? assert.fail()).length, 1)
  await network.close()
})
