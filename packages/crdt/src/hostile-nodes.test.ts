/** Neighbours whose nodes are as large, as many-sided or as broken as they can be. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EMPTY_BYTES, utf8, utf8Text } from '@ipfs-cluster/base'
import * as fc from 'fast-check'
import { encodeDelta } from './delta.ts'
import {
  commitIsFast,
  element,
  honestHeadArrives,
  nodeWith,
  openVictim,
  soon,
  type Victim,
} from './hostile-support.ts'
import {
  MAX_NODE_BYTES,
  MAX_NODE_ELEMENTS,
  MAX_NODE_LINKS,
  MAX_ROW_BYTES,
  MAX_ROW_ENTRIES,
} from './limits.ts'
import { blockIdText, createNode, parseBlockId, type CrdtNode } from './node.ts'
import { linkOfData, nodeOf } from './test-support.ts'

const idText = (n: number) => {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(0, n)
  return blockIdText(digest)
}
const tombstone = (key: string, n: number) => ({ key, id: idText(n), value: EMPTY_BYTES })

async function merge(victim: Victim, nodes: readonly CrdtNode[], seconds = 30): Promise<void> {
  const before = victim.crdt.stats().nodesMerged
  for (const { id, data } of nodes) victim.deliverable.set(id, data)
  victim.say(
    'mallory',
    nodes.map(({ cid }) => cid),
  )
  await soon(() => victim.crdt.stats().nodesMerged >= before + nodes.length, 'merged', seconds)
}

test('a node of 4 MiB with 100,000 elements holds up neither writes nor other heads for long', async () => {
  await using victim = await openVictim()
  const elements = Array.from({ length: 100_000 }, (_, i) => element(`/key-${i}`, 'some value here'))
  const node = nodeWith({ elements })
  assert.ok(node.data.length < MAX_NODE_BYTES && node.data.length > MAX_NODE_BYTES / 2)
  victim.deliverable.set(node.id, node.data)
  victim.say('mallory', [node.cid])
  await commitIsFast(victim, '/mine', 10)
  await honestHeadArrives(victim, 'alice', 'a')
  await soon(async () => (await victim.crdt.get('/key-99999')) !== undefined, 'merged', 30)
})

test('more elements than any writer can mean are refused before they are in memory', async () => {
  await using victim = await openVictim()
  const bomb = nodeOf(Buffer.alloc(MAX_NODE_BYTES - 100, Uint8Array.of(0x0a, 0x00)))
  assert.ok(bomb.data.length / 2 > MAX_NODE_ELEMENTS)
  victim.deliverable.set(bomb.id, bomb.data)
  victim.say('mallory', [bomb.cid])
  await soon(() => victim.refused('too_many_elements') === 1, 'refused')
  await honestHeadArrives(victim, 'alice', 'a')
})

test('tombstones of one key cost what they are long, however many there are already', async () => {
  await using victim = await openVictim()
  const perNode = 20_000
  const costs: number[] = []
  for (let i = 0; i < 4; i++) {
    const tombstones = Array.from({ length: perNode }, (_, n) => tombstone('/key', i * perNode + n))
    const before = victim.written
    await merge(victim, [nodeWith({ tombstones, priority: i + 1 })])
    costs.push(victim.written - before)
  }
  const [first = 0] = costs
  assert.ok(
    costs.every(cost => cost < 1.2 * first),
    `bytes written: ${costs.join(', ')}`,
  )
  // One more, and writes of our own, are as cheap as with any other key.
  const before = victim.written
  await merge(victim, [nodeWith({ tombstones: [tombstone('/key', -1)], priority: 9 })])
  await victim.crdt.commit([{ type: 'put', key: '/key', value: utf8('mine') }])
  assert.equal(utf8Text((await victim.crdt.get('/key')) ?? assert.fail()), 'mine')
  await victim.crdt.commit([{ type: 'delete', key: '/key' }])
  assert.equal(await victim.crdt.get('/key'), undefined)
  assert.ok(victim.written - before < 5_000, `${victim.written - before} bytes`)
})

test('elements of one key cost what they are long, and all of them are there when others are deleted', async () => {
  await using victim = await openVictim()
  const puts = Array.from({ length: 3_000 }, (_, i) =>
    nodeWith({ elements: [element('/key', `${i}`.padStart(1_000, ' '))], priority: 1 + (i % 1_000) }),
  )
  let before = victim.written
  await merge(victim, puts)
  const bytes = puts.reduce((sum, { data }) => sum + data.length, 0)
  assert.ok(victim.written - before < 4 * bytes, `${victim.written - before} bytes for ${bytes}`)
  // Each time the effective one is deleted, the next is there.
  const order = puts.toSorted(
    (a, b) => b.delta.priority - a.delta.priority || Buffer.compare(valueOf(b), valueOf(a)),
  )
  before = victim.written
  for (let at = 0; at < 100; at += 5) {
    assert.equal(textOf(await victim.crdt.get('/key')), textOf(valueOf(order[at])))
    const tombstones = order
      .slice(at, at + 5)
      .map(({ digest }) => ({ key: '/key', id: blockIdText(digest), value: EMPTY_BYTES }))
    await merge(victim, [nodeWith({ tombstones, priority: 5_000 + at })])
  }
  assert.ok(victim.written - before < 20 * (2 * MAX_ROW_BYTES + 10_000))
  assert.equal(textOf(await victim.crdt.get('/key')), textOf(valueOf(order[100])))
  await victim.crdt.commit([{ type: 'delete', key: '/key' }])
  assert.equal(await victim.crdt.get('/key'), undefined, 'a delete knows of all of them')
  await merge(victim, [nodeWith({ elements: [element('/key', 'x')], priority: 7_000 })])
  assert.equal(utf8Text((await victim.crdt.get('/key')) ?? assert.fail()), 'x')
  assert.ok(puts.length > MAX_ROW_ENTRIES)
})

const textOf = (value: Uint8Array | undefined) => utf8Text(value ?? assert.fail()).trim()
const valueOf = (node: CrdtNode | undefined) => node?.delta.elements[0]?.value ?? assert.fail()

test('keys of a megabyte, links to the same node 20,000 times, and slashes without end are merely large', async () => {
  await using victim = await openVictim()
  const long = `/${'k'.repeat(1024 * 1024)}`
  const child = nodeWith({ elements: [element('/child', '1')] })
  victim.deliverable.set(child.id, child.data)
  const nodes = [
    nodeWith({ elements: [element(long, '1'), element(`${long}k`, '2')] }),
    createNode(
      { elements: [], tombstones: [], priority: 3 },
      Array.from({ length: MAX_NODE_LINKS }, () => child),
    ),
    nodeWith({ tombstones: [{ key: '/a', id: `${'/'.repeat(3_000_000)}x`, value: EMPTY_BYTES }] }),
    nodeWith({ elements: [element(`/${'a/../'.repeat(500_000)}b`, '1')] }),
  ]
  const start = performance.now()
  await merge(victim, nodes)
  await soon(async () => (await victim.crdt.get('/child')) !== undefined, 'the child')
  assert.equal(utf8Text((await victim.crdt.get(`${long}k`)) ?? assert.fail()), '2')
  await honestHeadArrives(victim, 'alice', 'a')
  await commitIsFast(victim, '/mine')
  assert.ok(performance.now() - start < 20_000)
  assert.equal(victim.crdt.stats().frontier, 0)
  assert.equal(parseBlockId(`//${idText(1)}//`)?.length, 32)
})

test('nodes beyond the limits are refused under the name of the limit, those that link to them are merged', async () => {
  await using victim = await openVictim()
  const large = nodeOf(new Uint8Array(MAX_NODE_BYTES))
  const wide = createNode(
    { elements: [], tombstones: [], priority: 1 },
    Array.from({ length: MAX_NODE_LINKS + 1 }, () => large),
  )
  const top = createNode({ elements: [element('/top', '1')], tombstones: [], priority: 2 }, [large, wide])
  for (const { id, data } of [large, wide, top]) victim.deliverable.set(id, data)
  victim.say('mallory', [top.cid])
  await soon(() => victim.crdt.stats().nodesRefused === 2, 'refused')
  await soon(() => victim.crdt.stats().nodesMerged === 1, 'the node above is merged')
  assert.equal(victim.refused('node_too_large'), 1)
  assert.equal(victim.refused('too_many_links'), 1)
  assert.equal(utf8Text((await victim.crdt.get('/top')) ?? assert.fail()), '1')
  await soon(() => victim.crdt.stats().frontier === 0, 'nothing is asked for any more')
  assert.deepEqual(
    victim.crdt.stats().heads.map(({ cid }) => cid.toString()),
    [top.cid.toString()],
  )
})

test('nodes broken in any place are merged or refused, and harm nothing else', async () => {
  await using victim = await openVictim()
  const base = nodeWith(
    {
      elements: [element('/a', '1'), element('/b', '2')],
      tombstones: [tombstone('/c', 1)],
      priority: 7,
    },
    [],
  )
  const flips = fc.array(fc.tuple(fc.nat({ max: base.data.length - 1 }), fc.nat({ max: 255 })), {
    minLength: 1,
    maxLength: 4,
  })
  const cuts = fc.nat({ max: base.data.length })
  const seeds = fc.sample(fc.tuple(flips, cuts, fc.boolean()), { numRuns: 600, seed: 5 })
  const links = seeds.map(([flip, cut, isCut]) => {
    const data = base.data.slice(0, isCut ? cut : undefined)
    for (const [at, byte] of flip) if (at < data.length) data[at] = byte
    const link = linkOfData(data)
    victim.deliverable.set(link.id, data)
    return link
  })
  victim.say(
    'mallory',
    links.map(({ cid }) => cid),
  )
  const distinct = new Set(links.map(({ id }) => id)).size
  await soon(() => {
    const { nodesMerged, nodesRefused = 0 } = victim.crdt.stats()
    return nodesMerged + nodesRefused === distinct
  }, 'all of them are seen to')
  assert.ok(victim.refused('malformed_node') > 100)
  assert.deepEqual(victim.errors, [])
  await honestHeadArrives(victim, 'alice', 'a')
  await commitIsFast(victim, '/mine')
  for await (const [key] of victim.crdt.entries()) assert.ok(key.startsWith('/'))
  // Refused once, they are not fetched again.
  const { all } = victim.fetches
  victim.say(
    'mallory',
    links.map(({ cid }) => cid),
  )
  await honestHeadArrives(victim, 'bob', 'b')
  assert.equal(victim.fetches.all, all + 2)
})

test('an empty delta, and one without a height, are nodes as in Go', async () => {
  await using victim = await openVictim()
  const empty = nodeOf(encodeDelta({ elements: [], tombstones: [], priority: 0 }))
  victim.deliverable.set(empty.id, empty.data)
  victim.say('mallory', [empty.cid])
  await soon(() => victim.crdt.stats().nodesMerged === 1, 'merged')
  await commitIsFast(victim, '/mine')
  assert.equal(victim.crdt.stats().heads[0]?.height, 1)
})
