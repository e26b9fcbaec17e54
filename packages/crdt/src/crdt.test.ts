import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8, type StoreOp } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { decodeBroadcast, encodeBroadcast } from './delta.ts'
import { CrdtError } from './errors.ts'
import { MAX_FRONTIER_IN_MEMORY } from './limits.ts'
import { createNode, decodeNode, linkOf } from './node.ts'
import { content, drop, nodeOf, put, settle, TestNetwork, text, until } from './test-support.ts'
import type { Crdt, CrdtChange } from './types.ts'

const headsOf = (crdt: Crdt) => crdt.stats().heads.map(({ cid }) => cid.toString())

test('a committed value is there, a deleted one is not, and each commit is announced', async () => {
  const network = new TestNetwork()
  const peer = await network.add()
  await peer.crdt.commit([put('/a', '1'), put('/b', '2')])
  assert.equal(text(await peer.crdt.get('/a')), '1')
  await peer.crdt.commit([put('/a', '3'), drop('/b')])
  assert.deepEqual((await peer.crdt.getMany(['/b', '/a', '/c'])).map(text), [undefined, '3', undefined])
  assert.deepEqual(await content(peer.crdt), { '/a': '3' })
  await settle()
  assert.equal(peer.published.length, 2)
  assert.deepEqual(peer.published.slice(-1).flatMap(decodeBroadcast).map(String), headsOf(peer.crdt))
  const [head] = peer.crdt.stats().heads
  assert.equal(head?.height, 2)
  const block = await peer.crdt.block(head?.cid ?? assert.fail())
  assert.equal(await peer.crdt.blockSize(head.cid), block?.length)
  assert.deepEqual(await peer.crdt.block(CID.createV0(head.cid.multihash as never)), block, 'by any CID')
  await network.close()
})

test('deleting what is not there publishes nothing; bad keys, big values and a closed CRDT are errors', async () => {
  const network = new TestNetwork()
  const { crdt, store } = await network.add()
  await crdt.commit([drop('/x')])
  await crdt.commit([put('/y', '1'), drop('/y')])
  assert.deepEqual(crdt.stats().heads, [])
  assert.equal(store.batches.length, 0)
  for (const key of ['a', '/', '/a/', '//a', '/a/../b', '/\ud800']) {
    await assert.rejects(crdt.commit([put(key, '1')]), { code: 'CRDT_BAD_KEY' })
  }
  await assert.rejects(crdt.commit([{ type: 'put', key: '/a', value: new Uint8Array(3_000_000) }]), {
    code: 'CRDT_OP_TOO_LARGE',
  })
  await crdt[Symbol.asyncDispose]()
  await crdt[Symbol.asyncDispose]()
  await assert.rejects(crdt.commit([put('/a', '1')]), { code: 'CRDT_CLOSED' })
})

test('commits that arrive while one is written share the next node', async () => {
  const network = new TestNetwork()
  const { crdt, store } = await network.add()
  const first = crdt.commit([put('/first', '1')])
  await settle(1)
  const rest = Array.from({ length: 100 }, (_, i) => crdt.commit([put(`/${i}`, String(i))]))
  await Promise.all([first, ...rest])
  assert.equal(store.batches.length, 2)
  assert.equal(crdt.stats().heads[0]?.height, 2)
  assert.equal(Object.keys(await content(crdt)).length, 101)
  await network.close()
})

test('a commit beyond the limits of a node becomes a chain of nodes in one batch', async () => {
  const network = new TestNetwork()
  const a = await network.add({ maxCommitOps: 10 })
  const b = await network.add()
  await a.crdt.commit(Array.from({ length: 95 }, (_, i) => put(`/${i}`, 'v')))
  assert.equal(a.store.batches.length, 1)
  assert.equal(a.crdt.stats().heads[0]?.height, 10)
  assert.equal(a.crdt.stats().heads.length, 1)
  await settle()
  network.deliver(b)
  await until(async () => Object.keys(await content(b.crdt)).length === 95, 'all nodes merged')
  await network.close()
})

test('an aborted commit that waits is withdrawn; a full queue refuses; a failed batch fails its commits and no others', async () => {
  const network = new TestNetwork()
  const { crdt, store } = await network.add({ maxQueuedOps: 3 })
  const abort = new AbortController()
  const first = crdt.commit([put('/1', '1')])
  await settle(1)
  const withdrawn = crdt.commit([put('/2', '2')], { signal: abort.signal })
  abort.abort(new Error('no longer wanted'))
  await assert.rejects(withdrawn, /no longer wanted/)
  const more = crdt.commit([put('/3', '3'), put('/4', '4')])
  await assert.rejects(
    crdt.commit([put('/5', '5'), put('/6', '6')]),
    (error: unknown) => error instanceof CrdtError && error.code === 'CRDT_QUEUE_FULL',
  )
  await Promise.all([first, more])
  assert.deepEqual(Object.keys(await content(crdt)), ['/1', '/3', '/4'])
  const heads = headsOf(crdt)
  store.failNext()
  await assert.rejects(crdt.commit([put('/7', '7')]), /no space/)
  assert.deepEqual(headsOf(crdt), heads)
  await crdt.commit([put('/8', '8')])
  assert.equal(text(await crdt.get('/8')), '8')
  assert.equal(await crdt.get('/7'), undefined)
  await network.close()
})

test('entries respect range, limit and direction, and skip what is deleted', async () => {
  const network = new TestNetwork()
  const { crdt } = await network.add()
  await crdt.commit(['/a', '/b', '/c', '/d', '/e'].map(key => put(key, key)))
  await crdt.commit([drop('/b')])
  const keys = async (range: Parameters<Crdt['entries']>[0]) => Object.keys(await content(crdt, range))
  assert.deepEqual(await keys({}), ['/a', '/c', '/d', '/e'])
  assert.deepEqual(await keys({ limit: 2 }), ['/a', '/c'])
  assert.deepEqual(await keys({ limit: 0 }), [])
  assert.deepEqual(await keys({ gt: utf8('/a'), lte: utf8('/d') }), ['/c', '/d'])
  assert.deepEqual(await keys({ gte: utf8('/c'), lt: utf8('/d') }), ['/c'])
  assert.deepEqual(await keys({ reverse: true, limit: 3 }), ['/e', '/d', '/c'])
  await network.close()
})

test('rows of a projection stand or fall with the commit and see what was before', async () => {
  const seen: CrdtChange[] = []
  const row: StoreOp = { type: 'put', key: utf8('x/1'), value: utf8('mine') }
  const network = new TestNetwork()
  const { crdt, store } = await network.add(
    {},
    {
      projection: changes => {
        seen.push(...changes)
        return [row]
      },
    },
  )
  await crdt.commit([put('/a', '1')])
  await crdt.commit([put('/a', '2')])
  await crdt.commit([drop('/a')])
  assert.deepEqual(
    seen.map(({ key, value, previous }) => [key, text(value), text(previous)]),
    [
      ['/a', '1', undefined],
      ['/a', '2', '1'],
      ['/a', undefined, '2'],
    ],
  )
  assert.ok(store.batches.every(batch => batch.includes(row)))
  await network.close()
})

test('a fresh replica fetches a long chain, shows the newest first and ends with one head', async () => {
  const network = new TestNetwork()
  const a = await network.add()
  for (let i = 0; i < 300; i++) await a.crdt.commit([put(`/${i % 50}`, String(i))])
  const b = await network.add()
  b.handler?.({ data: encodeBroadcast(a.crdt.stats().heads.map(({ cid }) => cid)), from: a.name })
  await until(() => b.crdt.stats().nodesMerged === 300 && b.crdt.stats().frontier === 0, 'all merged')
  assert.deepEqual(await content(b.crdt), await content(a.crdt))
  assert.deepEqual(b.crdt.stats().heads, a.crdt.stats().heads)
  assert.equal(network.fetches, 300, 'each node is fetched once')
  await network.close()
})

test('a head whose ancestors cannot be had is adopted: local writes link to it', async () => {
  const network = new TestNetwork()
  const a = await network.add()
  for (let i = 0; i < 5; i++) await a.crdt.commit([put(`/${i}`, String(i))])
  const [head] = a.crdt.stats().heads
  assert.ok(head)
  const b = await network.add()
  const original = a.crdt.block.bind(a.crdt)
  a.crdt.block = cid => (cid.equals(head.cid) ? original(cid) : Promise.resolve(undefined))
  b.handler?.({ data: encodeBroadcast([head.cid]), from: a.name })
  await until(() => b.crdt.stats().nodesMerged === 1, 'the head is merged')
  await b.crdt.commit([put('/b', 'b')])
  const [own] = b.crdt.stats().heads
  assert.ok(own)
  assert.equal(own.height, 6)
  const node = decodeNode(linkOf(own.cid) ?? assert.fail(), (await b.crdt.block(own.cid)) ?? assert.fail())
  assert.deepEqual(
    node.links.map(({ cid }) => cid.toString()),
    [head.cid.toString()],
  )
  assert.equal(b.crdt.stats().frontier, 1)
  // A new process resumes the walk from what the store remembers, without any announcement.
  b.store = b.store.crash()
  a.crdt.block = original
  b.crdt = await network.open(b)
  await until(() => b.crdt.stats().frontier === 0, 'the rest is merged')
  assert.deepEqual(Object.keys(await content(b.crdt)), ['/0', '/1', '/2', '/3', '/4', '/b'])
  assert.deepEqual(headsOf(b.crdt), [own.cid.toString()])
  await network.close()
})

test('heads that cannot be had hold up no other, and come with the next attempt', async () => {
  const network = new TestNetwork()
  const a = await network.add()
  const b = await network.add({ fetchConcurrency: 8 })
  const hidden = createNode(
    { elements: [{ key: '/late', id: '', value: utf8('x') }], tombstones: [], priority: 1 },
    [],
  )
  const missing = Array.from({ length: 7 }, (_, i) =>
    createNode({ elements: [{ key: `/${i}`, id: '', value: utf8('x') }], tombstones: [], priority: 1 }, []),
  )
  await a.crdt.commit([put('/good', '1')])
  const heads = [...missing, hidden].map(({ cid }) => cid)
  b.handler?.({ data: encodeBroadcast(heads), from: a.name })
  await settle()
  b.handler?.({ data: encodeBroadcast(a.crdt.stats().heads.map(({ cid }) => cid)), from: a.name })
  await settle()
  assert.equal(await b.crdt.get('/good'), undefined, 'all slots are taken')
  // The first deadline passes; from now on attempts at the missing ones leave half of the slots free.
  await network.clock.advance(10_001)
  assert.equal(text(await b.crdt.get('/good')), '1')
  const original = a.crdt.block.bind(a.crdt)
  a.crdt.block = cid => (cid.equals(hidden.cid) ? Promise.resolve(hidden.data) : original(cid))
  await network.clock.advance(30_000)
  assert.equal(text(await b.crdt.get('/late')), 'x')
  // Heads that nobody links to are given up in the end.
  await network.clock.advance(1_200_000)
  assert.equal(b.crdt.stats().frontier, 0)
  await network.close()
})

test('a DAG wider than what is kept in memory is merged all the same', async () => {
  const network = new TestNetwork()
  const a = await network.add()
  const b = await network.add()
  const width = MAX_FRONTIER_IN_MEMORY + 1_000
  const leaves = Array.from({ length: width }, (_, i) =>
    createNode({ elements: [{ key: `/${i}`, id: '', value: utf8('x') }], tombstones: [], priority: 1 }, []),
  )
  const top = createNode({ elements: [], tombstones: [], priority: 2 }, leaves)
  const blocks = new Map([...leaves, top].map(({ cid, data }) => [cid.toString(), data]))
  a.crdt.block = cid => Promise.resolve(blocks.get(cid.toString()))
  b.handler?.({ data: encodeBroadcast([top.cid]), from: a.name })
  await until(() => b.crdt.stats().nodesMerged === width + 1, 'all merged', 100_000)
  assert.equal(b.crdt.stats().frontier, 0)
  assert.deepEqual(headsOf(b.crdt), [top.cid.toString()])
  await network.close()
})

test('invalid nodes are refused once and for all, over a restart too', async () => {
  const network = new TestNetwork()
  const a = await network.add()
  const b = await network.add()
  const bad = nodeOf(Uint8Array.of(0x0a, 0x7f))
  const good = createNode(
    { elements: [{ key: '/good', id: '', value: utf8('1') }], tombstones: [], priority: 2 },
    [bad],
  )
  let asked = 0
  a.crdt.block = cid => {
    if (cid.equals(bad.cid)) asked++
    return Promise.resolve(cid.equals(bad.cid) ? bad.data : cid.equals(good.cid) ? good.data : undefined)
  }
  const data = encodeBroadcast([good.cid, bad.cid])
  b.handler?.({ data, from: a.name })
  await until(() => b.crdt.stats().nodesRefused === 1, 'refused')
  await settle()
  assert.equal(text(await b.crdt.get('/good')), '1')
  b.handler?.({ data, from: a.name })
  await network.clock.advance(300_000)
  b.store = b.store.crash()
  b.crdt = await network.open(b)
  b.handler?.({ data, from: a.name })
  await network.clock.advance(300_000)
  assert.equal(asked, 1)
  assert.equal(b.crdt.stats().frontier, 0)
  await network.close()
})

test('a merge that the store refuses is repeated until it is written', async () => {
  const network = new TestNetwork()
  const a = await network.add()
  const b = await network.add()
  await a.crdt.commit([put('/a', '1')])
  await settle()
  b.store.failNext()
  network.deliver(b)
  await settle()
  assert.equal(await b.crdt.get('/a'), undefined)
  await network.clock.advance(2_000)
  assert.equal(text(await b.crdt.get('/a')), '1')
  await network.close()
})

test('heads that no other peer announced are rebroadcast in one message, those announced are not', async () => {
  const network = new TestNetwork()
  const a = await network.add()
  const b = await network.add()
  await a.crdt.commit([put('/a', '1')])
  await b.crdt.commit([put('/b', '1')])
  await settle()
  for (const replica of [a, b]) while (replica.inbox.length > 0) network.deliver(replica)
  await until(() => a.crdt.stats().heads.length === 2 && b.crdt.stats().heads.length === 2, 'both know both')
  const before = a.published.length
  const own = decodeBroadcast(a.published[0] ?? assert.fail()).map(String)
  // The other head has been announced by its author, so the first tick (42 to 78 s) says our own alone.
  await network.clock.advance(78_000)
  assert.deepEqual(decodeBroadcast(a.published[before] ?? assert.fail()).map(String), own)
  assert.equal(a.published.length, before + 1)
  await network.clock.advance(78_000)
  assert.deepEqual(decodeBroadcast(a.published[before + 1] ?? assert.fail()).map(String), headsOf(a.crdt))
  await network.close()
})

test('a peer that begins to listen is told all heads soon, several such peers at once', async () => {
  const network = new TestNetwork()
  const a = await network.add()
  await a.crdt.commit([put('/a', '1')])
  await settle()
  const before = a.published.length
  a.onPeer?.()
  a.onPeer?.()
  await settle()
  await network.clock.advance(2_000)
  assert.equal(a.published.length, before + 1)
  assert.deepEqual(decodeBroadcast(a.published[before] ?? assert.fail()).map(String), headsOf(a.crdt))
  await network.close()
})

test('announcements that cannot be read are counted', async () => {
  const network = new TestNetwork()
  const a = await network.add()
  a.handler?.({ data: utf8('nonsense'), from: 'somebody' })
  assert.equal(a.crdt.stats().broadcastsRefused, 1)
  assert.equal(a.crdt.stats().broadcastsReceived, 1)
  await network.close()
})

test('a broadcast that fails does not fail the commit, and the rebroadcast makes up for it', async () => {
  const network = new TestNetwork()
  const a = await network.add()
  const b = await network.add()
  network.mute = true
  await a.crdt.commit([put('/a', '1')])
  await settle()
  assert.equal(a.crdt.stats().broadcastsSent, 0)
  network.mute = false
  await network.clock.advance(78_000)
  network.deliver(b)
  await until(async () => text(await b.crdt.get('/a')) === '1', 'the value arrives')
  await network.close()
})
