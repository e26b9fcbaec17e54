import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  concatBytes,
  createMemoryStore,
  prefixRange,
  utf8,
  type Journal,
  type JournalRecord,
  type JournaledStore,
} from '@ipfs-cluster/base'
import { PREFIX } from './layout.ts'
import { content, createCrashableStore, drop, put, settle, TestNetwork, text, until } from './test-support.ts'
import { encodeOps } from './wal.ts'

test('with batching a commit is acknowledged when it is durable, visible at once, and in a node later', async () => {
  const network = new TestNetwork()
  const config = { batching: { maxOps: 10, maxAgeMs: 5_000 } }
  const a = await network.add(config)
  await a.crdt.commit([put('/old', '1'), put('/gone', '1')])
  await network.clock.advance(5_000)
  assert.equal(a.crdt.stats().heads[0]?.height, 1)
  await a.crdt.commit([put('/a', '1')])
  await a.crdt.commit([drop('/gone'), put('/old', '2'), put('/zzz', '9')])
  await a.crdt.commit([put('/b', '1'), drop('/b')])
  assert.equal(a.crdt.stats().heads[0]?.height, 1)
  assert.equal(a.crdt.stats().opsQueued, 6)
  const expected = { '/a': '1', '/old': '2', '/zzz': '9' }
  assert.deepEqual(await content(a.crdt), expected)
  assert.deepEqual(Object.keys(await content(a.crdt, { reverse: true })), ['/zzz', '/old', '/a'])
  assert.deepEqual(await content(a.crdt, { gt: utf8('/a'), limit: 1 }), { '/old': '2' })
  assert.deepEqual((await a.crdt.getMany(['/gone', '/old'])).map(text), [undefined, '2'])
  // A crash now loses nothing that was acknowledged.
  a.store = a.store.crash()
  a.crdt = await network.open(a, config)
  assert.deepEqual(await content(a.crdt), expected)
  assert.equal(a.crdt.stats().heads[0]?.height, 2)
  assert.equal(a.crdt.stats().opsQueued, 0)
  // By size.
  await a.crdt.commit(Array.from({ length: 9 }, (_, i) => put(`/${i}`, 'v')))
  assert.equal(a.crdt.stats().heads[0]?.height, 2)
  await a.crdt.commit([put('/last', 'v')])
  await until(() => a.crdt.stats().heads[0]?.height === 3, 'a node by size')
  // What waits at the end becomes a node before closing.
  await a.crdt.commit([put('/end', 'v')])
  await a.crdt[Symbol.asyncDispose]()
  assert.equal(a.crdt.stats().heads[0]?.height, 4)
})

test('with batching many at once become a node together with what is queued, or nothing of it happens', async () => {
  const network = new TestNetwork()
  const a = await network.add({ batching: { maxOps: 10, maxAgeMs: 5_000 } })
  const many = (value: string) => Array.from({ length: 10 }, (_, i) => put(`/${i}`, value))
  await a.crdt.commit([put('/queued', '1'), put('/3', 'old')])
  a.store.failNext()
  await assert.rejects(a.crdt.commit(many('lost')))
  assert.deepEqual(await content(a.crdt), { '/3': 'old', '/queued': '1' })
  await a.crdt.commit(many('new'))
  assert.equal(a.crdt.stats().opsQueued, 0)
  assert.equal(a.crdt.stats().heads[0]?.height, 1)
  assert.equal(text(await a.crdt.get('/3')), 'new')
  assert.equal(text(await a.crdt.get('/queued')), '1')
  assert.deepEqual(a.store.journal.left, [], 'nothing is left in the journal')
  await network.close()
})

test('with batching a failed write keeps the operations for the next attempt', async () => {
  const network = new TestNetwork()
  const a = await network.add({ batching: { maxOps: 10, maxAgeMs: 5_000 }, maxQueuedOps: 2 })
  await a.crdt.commit([put('/a', '1'), put('/b', '1')])
  await assert.rejects(a.crdt.commit([put('/c', '1')]), { code: 'CRDT_QUEUE_FULL' })
  a.store.failNext()
  await network.clock.advance(5_000)
  assert.equal(a.crdt.stats().opsQueued, 2)
  await network.clock.advance(5_000)
  assert.equal(a.crdt.stats().opsQueued, 0)
  assert.deepEqual(Object.keys(await content(a.crdt)), ['/a', '/b'])
  await network.close()
})

test('what comes alone is a node at once; what follows within the gap shares the next, unless it is many', async () => {
  const network = new TestNetwork()
  const config = { nodeGapMs: 20 }
  const a = await network.add(config)
  const height = () => a.crdt.stats().heads[0]?.height
  await a.crdt.commit([put('/1', 'v')])
  assert.equal(height(), 1)
  await a.crdt.commit([put('/2', 'v')])
  await network.clock.advance(15)
  await a.crdt.commit([put('/3', 'v'), drop('/1')])
  assert.deepEqual([height(), a.crdt.stats().opsQueued], [1, 3])
  assert.deepEqual(await content(a.crdt), { '/2': 'v', '/3': 'v' })
  await network.clock.advance(5)
  await until(() => height() === 2, 'the gap ends')
  assert.equal(a.crdt.stats().opsQueued, 0)
  await a.crdt.commit([put('/4', 'v')])
  await a.crdt.commit(Array.from({ length: 8 }, (_, i) => put(`/many ${i}`, 'v')))
  assert.deepEqual([height(), a.crdt.stats().opsQueued], [3, 0])
  // A crash inside the gap loses nothing that was acknowledged.
  await a.crdt.commit([put('/5', 'v')])
  assert.equal(a.crdt.stats().opsQueued, 1)
  a.store = a.store.crash()
  a.crdt = await network.open(a, config)
  assert.deepEqual([height(), a.crdt.stats().opsQueued], [4, 0])
  assert.equal(text(await a.crdt.get('/5')), 'v')
  await network.clock.advance(20)
  await a.crdt.commit([put('/6', 'v')])
  assert.deepEqual([height(), a.crdt.stats().opsQueued], [5, 0])
  await network.close()
})

test('a node in the making is not waited for, unless very many would share the next one', async () => {
  const network = new TestNetwork()
  let gate = Promise.resolve()
  const memory = createMemoryStore()
  const slow: JournaledStore = {
    ...memory,
    async batch(ops, options) {
      await gate
      await memory.batch(ops, options)
    },
  }
  const a = await network.add({ nodeGapMs: 20 }, { store: createCrashableStore(slow) })
  const seen = () => [a.crdt.stats().heads[0]?.height, a.crdt.stats().opsQueued]
  await a.crdt.commit([put('/1', 'v')])
  await a.crdt.commit([put('/2', 'v')])
  const { promise, resolve } = Promise.withResolvers<void>()
  gate = promise
  await network.clock.advance(20)
  for (let n = 0; n < 142; n++)
    await a.crdt.commit(Array.from({ length: 7 }, (_, i) => put(`/${n}/${i}`, 'v')))
  assert.deepEqual(seen(), [1, 1 + 142 * 7])
  let isWritten = false
  const last = a.crdt
    .commit(Array.from({ length: 7 }, (_, i) => put(`/last/${i}`, 'v')))
    .then(() => (isWritten = true))
  await settle()
  assert.ok(!isWritten)
  resolve()
  await last
  assert.deepEqual(seen(), [3, 0])
  assert.equal(Object.keys(await content(a.crdt)).length, 2 + 143 * 7)
  await network.close()
})

test('closing makes a node of what came while one was made', async () => {
  const network = new TestNetwork()
  let gate = Promise.resolve()
  const memory = createMemoryStore()
  const slow: JournaledStore = {
    ...memory,
    async batch(ops, options) {
      await gate
      await memory.batch(ops, options)
    },
  }
  const config = { nodeGapMs: 20 }
  const a = await network.add(config, { store: createCrashableStore(slow) })
  await a.crdt.commit([put('/1', 'v')])
  await a.crdt.commit([put('/2', 'v')])
  const { promise, resolve } = Promise.withResolvers<void>()
  gate = promise
  await network.clock.advance(20)
  await a.crdt.commit([put('/3', 'v')])
  const closed = a.crdt[Symbol.asyncDispose]()
  resolve()
  await closed
  assert.deepEqual(memory.journal.left.length, 0)
})

test('while nodes cannot be made whoever writes is told why, and what was acknowledged before is kept', async () => {
  const network = new TestNetwork()
  const config = { batching: { maxOps: 10, maxAgeMs: 5_000 } }
  const a = await network.add(config)
  await a.crdt.commit([put('/a', '1')])
  a.store.failNext()
  await network.clock.advance(5_000)
  a.store.failNext()
  await assert.rejects(a.crdt.commit([put('/b', '1')]), /no space left/)
  assert.deepEqual(await content(a.crdt), { '/a': '1' })
  await a.crdt.commit([put('/c', '1')])
  assert.equal(a.crdt.stats().opsQueued, 0, 'it works again')
  await a.crdt.commit([put('/d', '1')])
  assert.equal(a.crdt.stats().opsQueued, 1)
  assert.deepEqual(await content(a.crdt), { '/a': '1', '/c': '1', '/d': '1' })
  await network.close()
})

/** As a journal in files is: a record is found until the next process has released it. */
function withRecord(journal: Journal, record: JournalRecord): Journal {
  let found: JournalRecord[] = [record]
  return {
    get left() {
      return [...found, ...journal.left]
    },
    append: (payload, options) => journal.append(payload, options),
    release(number) {
      found = found.filter(each => each.number > number)
      journal.release(number)
    },
  }
}

test('a record whose operations are in a node changes nothing', async () => {
  const network = new TestNetwork()
  const config = { batching: { maxOps: 10, maxAgeMs: 5_000 } }
  const a = await network.add(config)
  await a.crdt.commit([put('/a', 'old')])
  const [record] = a.store.journal.left
  await network.clock.advance(5_000)
  await a.crdt.commit([put('/a', 'new')])
  // Killed before the record was released: it is found again.
  const store = a.store.crash()
  a.store = { ...store, journal: withRecord(store.journal, record as JournalRecord) }
  a.crdt = await network.open(a, config)
  assert.deepEqual(await content(a.crdt), { '/a': 'new' })
  await network.close()
})

test('what is found at the start is released in one go, however many records it is', async () => {
  const network = new TestNetwork()
  const store = createCrashableStore()
  for (let i = 0; i < 100; i++) await store.journal.append(encodeOps([put(`/${i}`, 'v')]))
  const released: number[] = []
  const journal: Journal = {
    get left() {
      return store.journal.left
    },
    append: (payload, options) => store.journal.append(payload, options),
    release(number) {
      released.push(number)
      store.journal.release(number)
    },
  }
  const a = await network.add({}, { store: { ...store, journal } })
  assert.equal(Object.keys(await content(a.crdt)).length, 100)
  assert.deepEqual(released, [0, 100])
  await network.close()
})

test('what an earlier version acknowledged in rows becomes a node, before what is in the journal', async () => {
  const network = new TestNetwork()
  const config = { batching: { maxOps: 10, maxAgeMs: 5_000 } }
  const store = createCrashableStore()
  const row = (sequence: number) => concatBytes([PREFIX.wal, new Uint8Array(7), Uint8Array.of(sequence)])
  await store.batch([
    { type: 'put', key: row(1), value: encodeOps([put('/a', 'old'), put('/b', '1')]) },
    { type: 'put', key: row(3), value: encodeOps([put('/a', 'older')]) },
  ])
  await store.journal.append(encodeOps([put('/a', 'new')]))
  const a = await network.add(config, { store })
  assert.deepEqual(await content(a.crdt), { '/a': 'new', '/b': '1' })
  assert.equal(a.crdt.stats().heads[0]?.height, 1)
  assert.deepEqual(await Array.fromAsync(store.keys(prefixRange(PREFIX.wal))), [])
  assert.deepEqual(store.journal.left, [])
  await network.close()
})
