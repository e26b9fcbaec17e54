import assert from 'node:assert/strict'
import { mkdtemp, open, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { seededRandom, silentLogger } from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import type { Block } from '../types.ts'
import { DISK_RESERVE_BYTES, MAX_BLOCK_BYTES, openBlockStore, type BlockStore } from './block-store.ts'
import { sha256 } from './hash.ts'

const RAW = 0x55

interface Options {
  readonly storageMax?: number
  readonly segmentBytes?: number
  readonly diskFree?: () => number | Promise<number>
  readonly onStored?: (blocks: readonly Block[]) => void
}

async function tempFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'blocks-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function openAt(
  folder: string,
  options: Options = {},
): Promise<BlockStore & { close(): Promise<void> }> {
  const store = await openLevelStore(join(folder, 'index'))
  const { onStored } = options
  const blocks = await openBlockStore(
    {
      store,
      logger: silentLogger,
      diskFree: async () => (await options.diskFree?.()) ?? 2 ** 50,
      ...(onStored === undefined ? {} : { onStored }),
    },
    {
      folder,
      storageMax: options.storageMax ?? 2 ** 40,
      ...(options.segmentBytes === undefined ? {} : { segmentBytes: options.segmentBytes }),
    },
  )
  return Object.assign(blocks, {
    async close() {
      await blocks[Symbol.asyncDispose]()
      await store[Symbol.asyncDispose]()
    },
  })
}

function block(text: string | Uint8Array): Block {
  const data = typeof text === 'string' ? new TextEncoder().encode(text) : text
  return { cid: CID.createV1(RAW, sha256(data)), data }
}

async function segmentFiles(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter(name => name.endsWith('.seg')).map(name => join(folder, name))
}

test('blocks are found by multihash, counted once, and still there after reopening', async t => {
  const folder = await tempFolder(t)
  const stored: string[] = []
  const first = await openAt(folder, {
    onStored: blocks => stored.push(...blocks.map(({ cid }) => cid.toString())),
  })
  const [a, b] = [block('a'), block('b'.repeat(100_000))]
  await Promise.all([first.put([a, b]), first.put([b]), first.put([a])])
  await first.put([b])
  assert.deepEqual(stored, [a.cid.toString(), b.cid.toString()])
  assert.deepEqual(await first.get(CID.createV1(0x70, a.cid.multihash)), a.data)
  assert.deepEqual(await first.info(b.cid), { size: 100_000, leaf: false })
  const totals = first.totals()
  assert.deepEqual(totals, { count: 2, bytes: 100_001 + 2 * 46 })
  await first.close()
  await assert.rejects(first.put([block('late')]), { code: 'IPFS_REPO_CLOSED' })

  const second = await openAt(folder)
  assert.deepEqual(second.totals(), totals)
  assert.deepEqual(await second.get(b.cid), b.data)
  assert.equal(await second.get(block('c').cid), undefined)
  await second.close()
})

test('wrong, oversized and unverifiable blocks are refused, identity blocks need no space', async t => {
  const blocks = await openAt(await tempFolder(t))
  const good = block('good')
  await assert.rejects(blocks.put([good, { cid: good.cid, data: block('bad').data }]), {
    code: 'IPFS_BLOCK_CORRUPT',
  })
  const big = block(new Uint8Array(MAX_BLOCK_BYTES + 1))
  await assert.rejects(blocks.put([big]), { code: 'IPFS_BLOCK_TOO_BIG' })
  const unknown = CID.createV1(RAW, createDigest(0x1052, new Uint8Array(32)))
  await assert.rejects(blocks.put([{ cid: unknown, data: good.data }]), { code: 'IPFS_UNKNOWN_HASH' })
  const truncated = CID.createV1(RAW, createDigest(0x12, good.cid.multihash.digest.subarray(0, 19)))
  await assert.rejects(blocks.put([{ cid: truncated, data: good.data }]), { code: 'IPFS_BLOCK_CORRUPT' })
  assert.equal(blocks.totals().count, 0)
  const inline = CID.createV1(RAW, createDigest(0, good.data))
  await blocks.put([{ cid: inline, data: good.data }])
  assert.deepEqual(await blocks.get(inline), good.data)
  assert.equal(blocks.totals().count, 0)
  await blocks.close()
})

test('many bytes are written to two segments at once, which both go on after reopening', async t => {
  const folder = await tempFolder(t)
  const big = (from: number) =>
    Array.from({ length: 5 }, (_, i) => block(new Uint8Array(500_000).fill(from + i)))
  const first = await openAt(folder)
  await first.put(big(1))
  const sizes = async () =>
    (await Promise.all((await segmentFiles(folder)).map(async file => (await stat(file)).size))).toSorted(
      (a, b) => a - b,
    )
  const [less = 0, more = 0, ...none] = await sizes()
  assert.deepEqual(none, [])
  assert.ok(less >= 1_000_000 && less + more > 2_500_000, `${less} and ${more}`)
  await first.close()
  const second = await openAt(folder)
  await second.put(big(6))
  assert.equal((await sizes()).length, 2)
  for (const { cid, data } of [...big(1), ...big(6)]) assert.deepEqual(await second.get(cid), data)
  await second.close()
})

test('a damaged block is reported once, then counts as missing and can be stored anew', async t => {
  const folder = await tempFolder(t)
  const blocks = await openAt(folder)
  const [a, b] = [block('first block'), block('second block')]
  await blocks.put([a, b])
  const [file] = await segmentFiles(folder)
  const handle = await open(file as string, 'r+')
  await handle.write('X', 46 + 3)
  await handle.close()
  await assert.rejects(blocks.get(a.cid), { code: 'IPFS_BLOCK_CORRUPT' })
  assert.equal(await blocks.get(a.cid), undefined)
  assert.equal(await blocks.info(a.cid), undefined)
  assert.deepEqual(await blocks.get(b.cid), b.data)
  await blocks.put([a])
  assert.deepEqual(await blocks.get(a.cid), a.data)
  await blocks.close()
})

test('bytes behind the last committed one are cut off; a file cut short is noticed block by block', async t => {
  const folder = await tempFolder(t)
  const first = await openAt(folder)
  const [a, b] = [block('kept'), block('lost')]
  await first.put([a])
  await first.put([b])
  await first.close()
  const [file] = (await segmentFiles(folder)) as [string]
  const { size } = await stat(file)
  const torn = await open(file, 'r+')
  await torn.write('BLK1 a record that never got its row', size)
  await torn.close()
  const second = await openAt(folder)
  assert.equal((await stat(file)).size, size)
  await second.close()

  const cut = await open(file, 'r+')
  await cut.truncate(size - 1)
  await cut.close()
  const third = await openAt(folder)
  assert.deepEqual(await third.get(a.cid), a.data)
  await assert.rejects(third.get(b.cid), { code: 'IPFS_BLOCK_CORRUPT' })
  await third.put([b])
  assert.deepEqual(await third.get(b.cid), b.data)
  await third.close()
})

test('a lost index is rebuilt from the segments', async t => {
  const folder = await tempFolder(t)
  const first = await openAt(folder, { segmentBytes: 2000 })
  const all = Array.from({ length: 50 }, (_, i) => block(`${i}`.repeat(100)))
  for (const one of all) await first.put([one])
  const totals = first.totals()
  await first.close()
  assert.ok((await segmentFiles(folder)).length > 3)
  await rm(join(folder, 'index'), { recursive: true })
  const second = await openAt(folder)
  assert.deepEqual(second.totals(), totals)
  for (const { cid, data } of all) assert.deepEqual(await second.get(cid), data)
  await second.close()
})

test('what is committed while the disk is asked is not left out of account', async t => {
  const committed = Promise.withResolvers<void>()
  let asked = 0
  const diskFree = async () => {
    if (++asked === 2) await committed.promise
    return 2 ** 50
  }
  const blocks = await openAt(await tempFolder(t), { storageMax: 1000, diskFree })
  const first = blocks.put([block('f'.repeat(600))])
  const second = blocks.put([block('s'.repeat(600))])
  await first
  committed.resolve()
  await assert.rejects(second, { code: 'IPFS_REPO_FULL' })
  assert.equal(blocks.totals().count, 1)
  await blocks.close()
})

test('what does not fit is refused whole, before anything is written', async t => {
  const folder = await tempFolder(t)
  let free = 2 ** 50
  const blocks = await openAt(folder, { storageMax: 1000, diskFree: () => free })
  const small = block('s'.repeat(400))
  await blocks.put([small])
  const [c, d] = [block('c'.repeat(300)), block('d'.repeat(300))]
  await assert.rejects(blocks.put([c, d]), (error: unknown) => {
    assert.ok(error instanceof Error && 'data' in error)
    assert.deepEqual(error.data, {
      code: 'IPFS_REPO_FULL',
      needed: 692,
      available: 1000 - 446,
      limit: 'storageMax',
    })
    return true
  })
  assert.equal(await blocks.info(c.cid), undefined)
  // What is here needs no space.
  await blocks.put([small])
  await blocks.put([c])
  free = DISK_RESERVE_BYTES + 10
  await assert.rejects(blocks.put([block('e')]), { code: 'IPFS_REPO_FULL' })
  await blocks.put([small])
  await blocks.close()
})

test('removal frees the disk: dead segments go, mostly dead ones are rewritten', async t => {
  const folder = await tempFolder(t)
  const blocks = await openAt(folder, { segmentBytes: 10_000 })
  const all = Array.from({ length: 60 }, (_, i) => block(`${i} `.repeat(500).slice(0, 1000)))
  for (const one of all) await blocks.put([one])
  const diskUse = async () => {
    const sizes = await Promise.all((await segmentFiles(folder)).map(async file => (await stat(file)).size))
    return sizes.reduce((sum, size) => sum + size, 0)
  }
  assert.ok((await diskUse()) >= 60_000)
  const doomed = all.filter((_, i) => i < 30 || i % 3 !== 0)
  const removed = await blocks.remove(
    doomed.map(({ cid }) => cid.multihash.bytes),
    () => true,
  )
  assert.equal(removed.length, doomed.length)
  await blocks.compact()
  const kept = all.filter(one => !doomed.includes(one))
  assert.ok((await diskUse()) < 15_000, `${await diskUse()} bytes are still used`)
  assert.equal(blocks.totals().count, kept.length)
  for (const { cid, data } of kept) assert.deepEqual(await blocks.get(cid), data)
  for (const { cid } of doomed) assert.equal(await blocks.get(cid), undefined)
  await blocks.put(doomed)
  await blocks.close()
  const again = await openAt(folder)
  for (const { cid, data } of all) assert.deepEqual(await again.get(cid), data)
  await again.close()
})

test('readers, writers and compaction at the same time', async t => {
  const folder = await tempFolder(t)
  const blocks = await openAt(folder, { segmentBytes: 5000 })
  const all = Array.from({ length: 300 }, (_, i) => block(`${i}-`.repeat(300).slice(0, 700)))
  await blocks.put(all.slice(0, 200))
  const kept = all.filter((_, i) => i % 2 === 0)
  const gone = all.slice(0, 200).filter((_, i) => i % 2 === 1)
  await Promise.all([
    (async () => {
      for (let i = 0; i < gone.length; i += 10) {
        await blocks.remove(
          gone.slice(i, i + 10).map(({ cid }) => cid.multihash.bytes),
          () => true,
        )
        await blocks.compact()
      }
    })(),
    (async () => {
      for (const one of all.slice(200)) await blocks.put([one])
    })(),
    (async () => {
      for (let round = 0; round < 5; round++) {
        for (const { cid, data } of kept.slice(0, 100)) assert.deepEqual(await blocks.get(cid), data)
      }
    })(),
  ])
  for (const { cid, data } of kept) assert.deepEqual(await blocks.get(cid), data)
  assert.equal(blocks.totals().count, 200)
  await blocks.close()
})

test('a removal asks for permission at the last moment, and a put during it is not lost', async t => {
  const blocks = await openAt(await tempFolder(t))
  const [a, b] = [block('a'), block('b')]
  await blocks.put([a, b])
  using _held = blocks.protection.hold()
  const [removed] = await Promise.all([
    blocks.remove([a.cid.multihash.bytes, b.cid.multihash.bytes], key => !blocks.protection.protects(key)),
    blocks.put([b]),
  ])
  assert.deepEqual(removed, [a.cid.multihash.bytes])
  assert.deepEqual(await blocks.get(b.cid), b.data)
  await blocks.close()
})

type Action =
  | { readonly kind: 'put' | 'remove'; readonly ids: readonly number[] }
  | { readonly kind: 'compact' | 'reopen' }

test('behaves like a map, whatever is done to it', async t => {
  const ids = fc.array(fc.nat(30), { minLength: 1, maxLength: 6 })
  const action: fc.Arbitrary<Action> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant('put' as const), ids }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('remove' as const), ids }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('compact' as const, 'reopen' as const) }) },
  )
  const all = Array.from({ length: 31 }, (_, i) => block(seededRandom(i).bytes(1 + i * i * 50)))
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 5, maxLength: 40 }), async actions => {
      const folder = await tempFolder(t)
      let blocks = await openAt(folder, { segmentBytes: 20_000 })
      const model = new Map<number, Block>()
      for (const step of actions) {
        if (step.kind === 'put') {
          await blocks.put(step.ids.map(id => all[id] as Block))
          for (const id of step.ids) model.set(id, all[id] as Block)
        } else if (step.kind === 'remove') {
          const keys = [...new Set(step.ids)].map(id => (all[id] as Block).cid.multihash.bytes)
          await blocks.remove(keys, () => true)
          for (const id of step.ids) model.delete(id)
        } else if (step.kind === 'compact') await blocks.compact()
        else {
          await blocks.close()
          blocks = await openAt(folder, { segmentBytes: 20_000 })
        }
        const bytes = [...model.values()].reduce((sum, { data }) => sum + data.length + 46, 0)
        assert.deepEqual(blocks.totals(), { count: model.size, bytes })
      }
      for (const [id, { cid, data }] of all.entries()) {
        assert.deepEqual(await blocks.get(cid), model.has(id) ? data : undefined)
      }
      await blocks.close()
    }),
    { numRuns: 25 },
  )
})
