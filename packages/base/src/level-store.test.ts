import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { compareBytes, utf8, utf8Text } from './bytes.ts'
import { openLevelStore } from './level-store.ts'
import { createMemoryStore } from './memory-store.ts'
import { prefixOps, prefixRange, PRESENT, subStore, type Store } from './store.ts'

const put = (key: string, value: string) => ({ type: 'put' as const, key: utf8(key), value: utf8(value) })
const texts = async (rows: AsyncIterable<readonly [Uint8Array, Uint8Array]>) =>
  (await Array.fromAsync(rows)).map(([key, value]) => `${utf8Text(key)}=${utf8Text(value)}`)

/** What every `Store` does. */
function conformance(name: string, open: () => Promise<{ store: Store; close: () => Promise<void> }>) {
  const withStore = (title: string, body: (store: Store) => Promise<void>) =>
    test(`${name}: ${title}`, async () => {
      const { store, close } = await open()
      try {
        await body(store)
      } finally {
        await close()
      }
    })

  withStore('reads what a batch wrote, in key order', async store => {
    await store.batch([put('b', '2'), put('a', '1'), put('c', '3'), { type: 'del', key: utf8('c') }], {
      sync: true,
    })
    assert.deepEqual(await texts(store.entries()), ['a=1', 'b=2'])
    assert.equal(await store.get(utf8('c')), undefined)
    const many = await store.getMany([utf8('b'), utf8('x'), utf8('a')])
    assert.deepEqual(
      many.map(value => value && utf8Text(value)),
      ['2', undefined, '1'],
    )
  })

  withStore('a batch with an empty value is refused whole', async store => {
    await assert.rejects(store.batch([put('a', '1'), put('b', '')]), TypeError)
    assert.deepEqual(await texts(store.entries()), [])
    await store.batch([{ type: 'put', key: utf8('c'), value: PRESENT }])
    assert.equal((await store.get(utf8('c')))?.length, 1)
  })

  withStore('ranges are bytewise, limited and reversible', async store => {
    await store.batch(['a', 'ab', 'b', 'ba', 'c'].map(key => put(key, key)))
    assert.deepEqual(await texts(store.entries(prefixRange(utf8('b')))), ['b=b', 'ba=ba'])
    assert.deepEqual(await texts(store.entries({ gt: utf8('a'), lte: utf8('b') })), ['ab=ab', 'b=b'])
    assert.deepEqual(await texts(store.entries({ reverse: true, limit: 2 })), ['c=c', 'ba=ba'])
    assert.deepEqual((await Array.fromAsync(store.keys({ gte: utf8('ba') }))).map(utf8Text), ['ba', 'c'])
  })

  withStore('text chunks are the rows, with keys as text, in ranges and snapshots', async store => {
    const keys = Array.from({ length: 5_000 }, (_, i) => `k/é${String(i).padStart(5, '0')}`)
    await store.batch([put('a', 'before'), ...keys.map(key => put(key, key)), put('l', 'after')])
    const range = prefixRange(utf8('k/'))
    using snapshot = store.snapshot()
    await store.batch([put('k/\u{1f600}', 'later')])
    const chunks = await Array.fromAsync(snapshot.textChunks(range))
    assert.ok(chunks.length > 2 && (chunks[0]?.length ?? 0) < 100, 'little at first')
    assert.deepEqual(
      chunks.flat().map(([key, value]) => [key, utf8Text(value)]),
      keys.map(key => [key, key]),
    )
    const keysOf = async (...args: Parameters<Store['textChunks']>) =>
      (await Array.fromAsync(store.textChunks(...args))).flat().map(([key]) => key)
    const [third = '', fourth = '', fifth = ''] = keys.slice(2, 5)
    assert.deepEqual(await keysOf({ gt: utf8(third), lte: utf8(fifth) }), [fourth, fifth])
    assert.deepEqual(await keysOf({ gte: utf8(third), lt: utf8(fifth), reverse: true }), [fourth, third])
    assert.deepEqual(await keysOf({ ...range, limit: 2 }), keys.slice(0, 2))
    const sub = subStore(store, utf8('k/'))
    assert.deepEqual((await Array.fromAsync(sub.textChunks({ limit: 1 }))).flat()[0]?.[0], keys[0]?.slice(2))
    await assert.rejects(keysOf(range, { signal: AbortSignal.abort(new Error('enough')) }), /enough/)
  })

  withStore('a snapshot does not see later writes', async store => {
    await store.batch([put('a', 'old')])
    using snapshot = store.snapshot()
    await store.batch([put('a', 'new'), put('b', 'new')])
    assert.deepEqual(await texts(snapshot.entries()), ['a=old'])
    assert.deepEqual(await texts(store.entries()), ['a=new', 'b=new'])
  })

  withStore('a sub-store sees its own rows only, without the prefix', async store => {
    const prefix = utf8('p/')
    const sub = subStore(store, prefix)
    await store.batch([put('o', 'outside'), put('q', 'outside'), ...prefixOps(prefix, [put('x', '1')])])
    await sub.batch([put('y', '2')])
    assert.deepEqual(await texts(sub.entries()), ['x=1', 'y=2'])
    assert.deepEqual(await texts(sub.entries({ gt: utf8('x') })), ['y=2'])
    assert.equal(utf8Text((await store.get(utf8('p/y'))) ?? utf8('')), '2')
  })

  withStore('a scan can be left early and aborted', async store => {
    await store.batch(Array.from({ length: 3000 }, (_, i) => put(String(i).padStart(5, '0'), 'x')))
    for await (const [key] of store.entries()) {
      assert.equal(utf8Text(key), '00000')
      break
    }
    const controller = new AbortController()
    await assert.rejects(async () => {
      for await (const key of store.keys({}, { signal: controller.signal })) {
        if (compareBytes(key, utf8('01500')) > 0) controller.abort()
      }
    }, /abort/i)
  })
}

conformance('memory store', () =>
  Promise.resolve({ store: createMemoryStore(), close: () => Promise.resolve() }),
)

conformance('level store', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'store-'))
  const store = await openLevelStore(folder)
  return {
    store,
    async close() {
      await store[Symbol.asyncDispose]()
      await rm(folder, { recursive: true })
    },
  }
})

test('level store: a folder that is open elsewhere is refused with its path', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'store-'))
  {
    await using _first = await openLevelStore(folder)
    await assert.rejects(openLevelStore(folder), { code: 'STORE_LOCKED', message: new RegExp(folder) })
  }
  await using again = await openLevelStore(folder)
  assert.equal(await again.get(utf8('x')), undefined)
  await rm(folder, { recursive: true })
})

test('an emptied log leaves everything where it was, and nothing to read at the next start', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'store-'))
  t.after(() => rm(folder, { recursive: true }))
  const logBytes = async () => {
    const logs = (await readdir(folder)).filter(name => name.endsWith('.log'))
    const sizes = await Promise.all(logs.map(async name => (await stat(join(folder, name))).size))
    return sizes.reduce((sum, size) => sum + size, 0)
  }
  {
    await using store = await openLevelStore(folder)
    await store.batch(Array.from({ length: 1_000 }, (_, i) => put(`key ${i}`, `value ${i}`)))
    assert.ok((await logBytes()) > 10_000)
    await store.emptyLog()
    assert.equal(await logBytes(), 0)
    await store.batch([put('after', 'it')])
    await store.emptyLog()
  }
  await using store = await openLevelStore(folder)
  assert.equal((await texts(store.entries())).length, 1_001)
  assert.equal(utf8Text((await store.get(utf8('key 999'))) as Uint8Array), 'value 999')
})

test('files that are mapped are given back, when nobody uses the store', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'store-'))
  try {
    await using store = await openLevelStore(join(folder, 'store'))
    const keys = Array.from({ length: 3_000 }, (_, i) => `k${String(i).padStart(5, '0')}`)
    for (let from = 0; from < keys.length; from += 100) {
      await store.batch(keys.slice(from, from + 100).map(key => put(key, key.repeat(200))))
    }
    await store.emptyLog()
    const mapped = async () =>
      (await readFile('/proc/self/maps', 'utf8')).split('\n').filter(line => line.includes(folder)).length
    assert.equal((await texts(store.entries())).length, keys.length)
    if (process.platform === 'linux') assert.ok((await mapped()) > 0, 'some are mapped')

    const listing = store.keys()[Symbol.asyncIterator]()
    await listing.next()
    assert.equal(await store.unmapFiles(), false, 'a listing is under way')
    await listing.return?.()
    const snapshot = store.snapshot()
    assert.equal(await store.unmapFiles(), false, 'a snapshot is held')
    snapshot[Symbol.dispose]()

    const unmapped = store.unmapFiles()
    while (store.property('leveldb.stats') !== '') await setImmediate()
    using early = store.snapshot()
    // Never read, and gone before it can be taken.
    store.snapshot()[Symbol.dispose]()
    const [row, , rows, again, , frozen, alone] = await Promise.all([
      store.get(utf8('k00007')),
      store.batch([put('late', '1')], { sync: true }),
      texts(store.entries()),
      store.unmapFiles(),
      store.emptyLog(),
      texts(early.entries()),
      early.get(utf8('k00007')),
    ])
    assert.ok(frozen.length >= keys.length)
    assert.deepEqual(await texts(early.entries()), frozen)
    assert.deepEqual(alone, row)
    early[Symbol.dispose]()
    assert.equal(row?.length, 1200, 'questions wait meanwhile')
    assert.ok(rows.length >= keys.length)
    assert.deepEqual([await unmapped, again], [true, false])
    assert.equal(await store.unmapFiles(), true)
    if (process.platform === 'linux') assert.equal(await mapped(), 0)
    assert.equal(utf8Text((await store.get(utf8('late'))) ?? utf8('')), '1')
  } finally {
    await rm(folder, { recursive: true })
  }
})
