/** Replicas end in the same state when there is much of everything. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toHex, utf8, utf8Text } from '@ipfs-cluster/base'
import { encodeBroadcast } from './delta.ts'
import { createNode, decodeNode, linkOf } from './node.ts'
import { put, settle, TestNetwork, type Replica, until } from './test-support.ts'
import type { Crdt, CrdtOp } from './types.ts'

const TURNS = 50_000

async function content(crdt: Crdt): Promise<Map<string, string>> {
  const entries = new Map<string, string>()
  for await (const [key, value] of crdt.entries()) entries.set(key, toHex(value))
  return entries
}

function deliverAll(network: TestNetwork): void {
  for (const replica of network.replicas) while (replica.inbox.length > 0) network.deliver(replica)
}

const headsOf = ({ crdt }: Replica) => crdt.stats().heads.map(({ cid }) => cid.toString())

async function allHaveTheSame(network: TestNetwork): Promise<Map<string, string>> {
  const [first, ...others] = network.replicas
  assert.ok(first)
  await until(
    () =>
      others.every(
        other => headsOf(other).join() === headsOf(first).join() && other.crdt.stats().frontier === 0,
      ),
    'all have the same heads, and what is below',
    TURNS,
  )
  const expected = await content(first.crdt)
  for (const { crdt } of others) assert.deepEqual(await content(crdt), expected)
  return expected
}

test('three writers with thousands of elements at once, above 1 MiB a node, with re-pins and deletions', async () => {
  const network = new TestNetwork(3)
  const config = { maxDeltaBytes: 3 * 1024 * 1024 }
  const replicas = [await network.add(config), await network.add(config), await network.add(config)]
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      replicas.map(async ({ crdt }, writer) => {
        const ops: CrdtOp[] = Array.from({ length: 2_000 }, (_, i) =>
          put(`/${(i * 7 + writer * 500) % 3_000}`, `${round} ${writer} `.padEnd(600, 'v')),
        )
        // Its own deletions, of keys that the others write at the same time.
        for (let i = writer; i < 3_000; i += 10) ops.push({ type: 'delete', key: `/${i}` })
        await crdt.commit(ops)
        await crdt.commit([put(`/again-${writer}`, String(round)), put('/all', `${round} ${writer}`)])
      }),
    )
    await settle(round)
    deliverAll(network)
  }
  await settle()
  deliverAll(network)
  const entries = await allHaveTheSame(network)
  assert.ok(entries.size > 1_000)
  assert.equal(entries.get('/all'), toHex(utf8('2 2')), 'the highest, then the greatest')
  const sizes = replicas.flatMap(({ store }) =>
    store.batches.flat().map(op => (op.type === 'put' ? op.value.length : 0)),
  )
  assert.ok(Math.max(...sizes) > 1024 * 1024)
  await network.close()
})

test('500 heads at once are merged by all and joined by the next write', async () => {
  const network = new TestNetwork(4)
  const [a, b] = [await network.add(), await network.add()]
  const nodes = Array.from({ length: 500 }, (_, i) =>
    createNode(
      {
        elements: [{ key: `/${i % 100}`, id: '', value: utf8(`${i}`.padStart(3, '0')) }],
        tombstones: [],
        priority: 1 + (i % 7),
      },
      [],
    ),
  )
  const blocks = new Map(nodes.map(({ id, data }) => [id, data]))
  const stored = a.crdt.block.bind(a.crdt)
  a.crdt.block = async cid => (await stored(cid)) ?? blocks.get(linkOf(cid)?.id ?? '')
  const data = encodeBroadcast(nodes.map(({ cid }) => cid))
  const original = b.crdt.block.bind(b.crdt)
  b.crdt.block = async cid => (await original(cid)) ?? blocks.get(linkOf(cid)?.id ?? '')
  for (const { handler } of [a, b]) handler?.({ data, from: 'others', forwarder: 'others' })
  await until(() => [a, b].every(({ crdt }) => crdt.stats().heads.length === 500), 'all heads', TURNS)
  assert.deepEqual(headsOf(a), headsOf(b))
  for (let key = 0; key < 100; key++) {
    const best = nodes
      .filter((_, i) => i % 100 === key)
      .toSorted((x, y) => y.delta.priority - x.delta.priority || Buffer.compare(valueOf(y), valueOf(x)))[0]
    assert.deepEqual(await a.crdt.get(`/${key}`), valueOf(best))
  }
  await a.crdt.commit([put('/joined', '1')])
  const own = a.crdt.stats().heads[0] ?? assert.fail()
  const node = decodeNode(linkOf(own.cid) ?? assert.fail(), (await stored(own.cid)) ?? assert.fail())
  assert.equal(node.links.length, 500)
  assert.equal(own.height, 8)
  await settle()
  deliverAll(network)
  await allHaveTheSame(network)
  await network.close()
})

const valueOf = (node: ReturnType<typeof createNode> | undefined) =>
  node?.delta.elements[0]?.value ?? assert.fail('a node with an element')

test('a replica that was away while 5,000 nodes were written and wrote itself has everything afterwards', async () => {
  const network = new TestNetwork(5)
  const [a, b, away] = [
    await network.add({ maxCommitOps: 2 }),
    await network.add({ maxCommitOps: 2 }),
    await network.add(),
  ]
  await a.crdt.commit([put('/before', '1')])
  await settle()
  deliverAll(network)
  await allHaveTheSame(network)
  for (let round = 0; round < 10; round++) {
    for (const [i, { crdt }] of [a, b].entries()) {
      const ops = Array.from({ length: 1_000 }, (_, n): CrdtOp => {
        const key = `/${(n * 3 + i) % 700}`
        return n % 5 === 4 ? { type: 'delete', key } : put(`${key}-${n % 2}`, `${round} ${i} ${n}`)
      })
      await crdt.commit(ops)
    }
    await settle()
    for (const replica of [a, b]) while (replica.inbox.length > 0) network.deliver(replica)
    await until(
      () => headsOf(a).join() === headsOf(b).join() && a.crdt.stats().frontier === 0,
      'a and b agree',
      TURNS,
    )
  }
  assert.ok(a.crdt.stats().nodesMerged >= 5_000, `${a.crdt.stats().nodesMerged} nodes`)
  // Every announcement in the meantime is lost.
  away.inbox.length = 0
  await away.crdt.commit([put('/away', '1'), { type: 'delete', key: '/before' }])
  await settle()
  network.fetches = 0
  const written = a.crdt.stats().nodesMerged - 1
  away.handler?.({
    data: encodeBroadcast(a.crdt.stats().heads.map(({ cid }) => cid)),
    from: a.name,
    forwarder: a.name,
  })
  deliverAll(network)
  const entries = await allHaveTheSame(network)
  assert.equal(utf8Text(Buffer.from(entries.get('/away') ?? '', 'hex')), '1')
  assert.ok(!entries.has('/before'))
  assert.ok(network.fetches <= written + 2, `each node once: ${network.fetches} fetches of ${written}`)
  await network.close()
})
