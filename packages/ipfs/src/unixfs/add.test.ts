import assert from 'node:assert/strict'
import { createCipheriv } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { createMemoryStore, silentLogger } from '@ipfs-cluster/base'
import { openBlockStore, type BlockStore } from '../blocks/block-store.ts'
import type { AddEntry, AddOptions } from '../types.ts'
import { addFiles, type AddedEntry } from './add.ts'

/** Repeatable bytes that do not compress or repeat: an AES key stream. */
function content(name: string, length: number): Uint8Array {
  const key = Buffer.alloc(16)
  key.write(name)
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length))
}

async function* pieces(data: Uint8Array, size = 100_000): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < data.length; start += size) yield data.subarray(start, start + size)
}

function file(path: string, data: Uint8Array | string): AddEntry {
  return { path, content: pieces(typeof data === 'string' ? new TextEncoder().encode(data) : data) }
}

async function tempStore(t: TestContext, storageMax = 2 ** 40): Promise<BlockStore> {
  const folder = await mkdtemp(join(tmpdir(), 'add-'))
  const blocks = await openBlockStore(
    { store: createMemoryStore(), logger: silentLogger, diskFree: async () => 2 ** 50 },
    { folder, storageMax },
  )
  t.after(async () => {
    await blocks[Symbol.asyncDispose]()
    await rm(folder, { recursive: true })
  })
  return blocks
}

async function added(
  t: TestContext,
  entries: Iterable<AddEntry>,
  options?: AddOptions,
): Promise<AddedEntry[]> {
  return await Array.fromAsync(addFiles(await tempStore(t), entries, options))
}

async function rootOf(t: TestContext, entries: Iterable<AddEntry>, options?: AddOptions): Promise<string> {
  const root = (await added(t, entries, options)).at(-1)
  return root?.cid.toString() ?? 'nothing'
}

const digits = (number: number, width: number) => number.toString().padStart(width, '0')

function* mixed(): Generator<AddEntry> {
  yield { path: 'mixed/small' }
  for (let i = 0; i < 2000; i++) yield file(`mixed/small/f${digits(i, 4)}`, content(`f${i}`, (i * 37) % 5000))
  yield file('mixed/big.bin', content('big', 30_000_000))
  yield file('mixed/a/b/c/d.txt', 'deep\n')
  yield file('mixed/a/b/ünï 日本.txt', 'unicode\n')
  yield file('mixed/empty', '')
  yield { path: 'mixed/emptydir' }
  yield file('mixed/exact', content('exact', 262144))
  yield file('mixed/exact1', content('exact1', 262145))
  yield { path: 'mixed/a/b' }
}

function* manyFiles(): Generator<AddEntry> {
  for (let i = 0; i < 6500; i++) yield file(`hamt/${'long-name-'.repeat(5)}${digits(i, 6)}.txt`, `entry ${i}`)
}

function* manyDirectories(): Generator<AddEntry> {
  for (let i = 0; i < 3000; i++) yield file(`hamtdirs/${'directory-'.repeat(8)}${digits(i, 6)}/x`, `dir ${i}`)
}

/** Each link counts 64 bytes towards the limit above which a directory is sharded. */
function* limit(count: number): Generator<AddEntry> {
  for (let i = 0; i < count; i++) yield file(`limit/${digits(i, 30)}`, 'same')
}

// Expected CIDs: Kubo 0.44, `ipfs add -r -n -Q [--cid-version 1] …` with its default configuration.
test('a mixed folder gets the CID that Kubo gives it', async t => {
  assert.equal(await rootOf(t, mixed()), 'QmXNpEFhsUqmKbDZazPkb5repS4qNMJYhDMBteQqd2sQY2')
  assert.equal(
    await rootOf(t, mixed(), { cidVersion: 1 }),
    'bafybeibpj2oqf3sdcu2gmupds77kydkfyw7kz5g54inqvgsdxdndefrmoa',
  )
})

test('raw leaves may be chosen apart from the version', async t => {
  assert.equal(
    await rootOf(t, mixed(), { cidVersion: 1, rawLeaves: false }),
    'bafybeifgjiqzxys6ptnbpijvib4cysljm6oqjh7gtez2jflgrl3ii7ihsa',
  )
})

test('large directories are sharded as Kubo does it', async t => {
  assert.equal(await rootOf(t, manyFiles()), 'QmRibdG13WoRNUYxza7bVWLVQMhCM8TtkarMRtd82a6FyU')
  assert.equal(
    await rootOf(t, manyDirectories(), { cidVersion: 1 }),
    'bafybeicm2q7mnzzi6b4abfen7tdjnr7tsyjidb6cbuiohyvfcb5siqdv7u',
  )
})

test('the limit of a flat directory is the same to the byte', async t => {
  assert.equal(await rootOf(t, limit(4096)), 'QmZkjF5ttiNJewc784LcQ6n4Q84vxbAhFYPpBufT2jedtt')
  assert.equal(await rootOf(t, limit(4097)), 'QmR1y3h3ZAPdducRDjvc6cyn5UZE54FzZAm3r4Tzqf8LDa')
})

test('chunk size, and a file of more than one level', async t => {
  const deep = [file('deep.bin', content('deep', 64 * (174 * 3 + 5)))]
  assert.equal(
    await rootOf(t, deep, { chunker: 'size-64' }),
    'QmZ4qhH5w43XhtbYJmmX2tB5MV2NCWxDRY4CSfDhx6LC6F',
  )
  for (const chunker of ['size-0', 'size-9999999', 'size', 'rabin', 'buzhash', 'x']) {
    await assert.rejects(added(t, [], { chunker }), { code: 'IPFS_BAD_OPTION' }, chunker)
  }
})

test('every entry is yielded, directories after what is in them, the root last', async t => {
  const entries = [file('/top/b/x', 'x'), file('top/a', 'a'), { path: 'top/none/' }]
  const paths = (await added(t, entries)).map(({ path }) => path)
  assert.deepEqual(paths.toSorted(), ['top', 'top/a', 'top/b', 'top/b/x', 'top/none'])
  assert.ok(paths.indexOf('top/b/x') < paths.indexOf('top/b'))
  assert.equal(paths.at(-1), 'top')
})

test('wrapping puts everything below one unnamed directory', async t => {
  assert.equal(
    await rootOf(t, [file('empty', '')], { wrap: true }),
    'QmbdP9yu6ssyZSzgZnuiEWpb7eB62RwjBxMq1XHZsLN9bR',
  )
  const two = await added(t, [file('a', 'a'), file('b', 'b')], { wrap: true })
  assert.deepEqual(two.map(({ path }) => path).toSorted(), ['', 'a', 'b'])
  const loose = await added(t, [file('a', 'a'), file('b', 'b')])
  assert.deepEqual(loose.map(({ path }) => path).toSorted(), ['a', 'b'])
})

test('paths that cannot be are refused', async t => {
  await assert.rejects(added(t, [file('a/../b', '')]), { code: 'IPFS_BAD_PATH' })
  await assert.rejects(added(t, [file('a', ''), file('a/b', '')]), { code: 'IPFS_BAD_PATH' })
  await assert.rejects(added(t, [file('a/b', ''), file('a', '')]), { code: 'IPFS_BAD_PATH' })
})

test('an add that does not fit fails, and an aborted one stops reading', async t => {
  const blocks = await tempStore(t, 1_000_000)
  const big = [file('big', content('big', 2_000_000))]
  await assert.rejects(Array.fromAsync(addFiles(blocks, big)), { code: 'IPFS_REPO_FULL' })

  const controller = new AbortController()
  const endless: AddEntry = {
    path: 'endless',
    content: (async function* () {
      for (let i = 0; ; i++) {
        if (i === 10) controller.abort()
        yield content('x', 1000)
      }
    })(),
  }
  const adding = Array.fromAsync(addFiles(await tempStore(t), [endless], { signal: controller.signal }))
  await assert.rejects(adding, { name: 'AbortError' })
})

test('everything yielded is in the store', async t => {
  const blocks = await tempStore(t)
  for await (const { cid } of addFiles(blocks, [...manyFiles()].slice(0, 600), { cidVersion: 1 })) {
    assert.ok(await blocks.info(cid))
  }
})
