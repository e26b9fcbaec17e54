import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryStore, silentMeter, utf8, utf8Text } from '@ipfs-cluster/base'
import { keyRow } from './layout.ts'
import { Ledger } from './ledger.ts'
import { RecentRows } from './recent-rows.ts'

/** A store whose reads see it as it is when they begin, and end when they are told to. */
function slowStore() {
  const rows = new Map<string, Uint8Array>()
  const ends: (() => void)[] = []
  let reads = 0
  const getMany = async (keys: readonly Uint8Array[]) => {
    reads += keys.length
    const found = keys.map(key => rows.get(utf8Text(key)))
    await new Promise<void>(resolve => void ends.push(resolve))
    return found
  }
  return {
    get: async (key: Uint8Array) => (await getMany([key]))[0],
    getMany,
    reads: () => reads,
    endReads: () => ends.splice(0).forEach(end => end()),
    write: (key: string, value: string) => void rows.set(utf8Text(keyRow(key)), utf8(value)),
  }
}

async function ended<T>(store: ReturnType<typeof slowStore>, reading: Promise<T>): Promise<T> {
  store.endReads()
  return await reading
}

const texts = (rows: Iterable<Uint8Array | undefined>) =>
  [...rows].map(row => (row === undefined ? undefined : utf8Text(row)))

test('what was read is not read again, present or not', async () => {
  const store = slowStore()
  const recent = new RecentRows(store)
  store.write('/a', 'a')
  assert.deepEqual(texts(await ended(store, recent.getMany(['/a', '/b']))), ['a', undefined])
  assert.deepEqual(texts([await ended(store, recent.get('/c'))]), [undefined])
  assert.equal(store.reads(), 3)
  assert.deepEqual(texts((await recent.recall(['/c', '/a', '/b'])).values()), [undefined, 'a', undefined])
  assert.equal(store.reads(), 3)
  const some = await ended(store, recent.recall(['/d', '/a']))
  assert.deepEqual(
    [[...some.keys()], texts(some.values()), store.reads()],
    [['/d', '/a'], [undefined, 'a'], 4],
  )
})

test('what was written is read again, also by those who were reading meanwhile', async () => {
  const store = slowStore()
  const recent = new RecentRows(store)
  await ended(store, recent.get('/a'))
  const reading = recent.getMany(['/a', '/other'])
  store.write('/a', 'new')
  recent.changed(['/a'])
  assert.deepEqual(texts(await ended(store, reading)), [undefined, undefined])
  const recalled = recent.recall(['/a', '/other'])
  assert.deepEqual(texts((await ended(store, recalled)).values()), ['new', undefined])
  await ended(store, recent.get('/a'))
  assert.deepEqual(texts((await recent.recall(['/a'])).values()), ['new'])
})

test('memory stays bounded, and is right when more was written than is remembered', async () => {
  const store = slowStore()
  const recent = new RecentRows(store)
  const reading = recent.get('/a')
  store.write('/a', 'new')
  recent.changed(['/a'])
  for (let i = 0; i < 10_000; i++) recent.changed([`/${i}`])
  await ended(store, reading)
  assert.deepEqual(texts((await ended(store, recent.recall(['/a']))).values()), ['new'])

  const keys = Array.from({ length: 20_000 }, (_, i) => `/${i}`)
  await ended(store, recent.getMany(keys))
  let before = store.reads()
  await ended(store, recent.recall(keys.slice(-4_096)))
  assert.equal(store.reads(), before, 'the latest half is there')
  before = store.reads()
  await ended(store, recent.recall(keys))
  assert.ok(store.reads() - before >= keys.length - 8_192)
  store.write('/large', 'x'.repeat(1_000))
  await ended(store, recent.get('/large'))
  const again = recent.recall(['/large'])
  assert.equal(texts((await ended(store, again)).values())[0]?.length, 1_000)
})

test('whoever says that he will change keys spares the commit a read, and a listing is not remembered', async () => {
  const store = createMemoryStore()
  let reads = 0
  const counted: typeof store = {
    ...store,
    getMany: keys => {
      reads += keys.length
      return store.getMany(keys)
    },
  }
  const merged = silentMeter.counter('merged', '')
  const ledger = await Ledger.open({ store: counted, blocks: { notify: () => undefined }, merged })
  await ledger.values(['/changed', '/too'], true)
  await ledger.values(['/listed'], false)
  assert.equal(reads, 3)
  await ledger.exclusive(() => ledger.rows(['/changed', '/too']))
  assert.equal(reads, 3)
  await ledger.exclusive(() => ledger.rows(['/listed']))
  assert.equal(reads, 4)
})
