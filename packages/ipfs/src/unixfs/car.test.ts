import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { concatBytes, lend, piecesOf } from '@ipfs-cluster/base'
import { CarReader } from '@ipld/car/reader'
import * as dagCbor from '@ipld/dag-cbor'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { identity } from 'multiformats/hashes/identity'
import { block } from '../test-node.ts'
import type { Block } from '../types.ts'
import { dagBlocks, writeCar, type DagOptions } from './car.ts'
import { readCar } from './car-reader.ts'

async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

async function read(bytes: Uint8Array, pieceBytes = 7) {
  const car = await readCar(inPieces(bytes, pieceBytes))
  return { ...car, blocks: await Array.fromAsync(car.blocks) }
}

async function* streamOf(blocks: readonly Block[]): AsyncGenerator<Block> {
  yield* blocks
}

async function carOf(root: CID, blocks: readonly Block[]): Promise<Uint8Array> {
  return concatBytes(await Array.fromAsync(writeCar(root, streamOf(blocks))))
}

interface V2 {
  readonly padding?: number
  readonly index?: Uint8Array
  readonly offset?: bigint
  readonly size?: bigint
  readonly indexAt?: bigint
}

/** A CARv2 around a CARv1 (https://ipld.io/specs/transport/car/carv2). */
function inV2(v1: Uint8Array, { padding = 0, index = new Uint8Array(0), ...wrong }: V2 = {}): Uint8Array {
  const header = new DataView(new ArrayBuffer(40))
  const end = 51 + padding + v1.length
  header.setBigUint64(16, wrong.offset ?? BigInt(51 + padding), true)
  header.setBigUint64(24, wrong.size ?? BigInt(v1.length), true)
  header.setBigUint64(32, wrong.indexAt ?? BigInt(index.length === 0 ? 0 : end), true)
  const pragma = Uint8Array.fromHex('0aa16776657273696f6e02')
  return concatBytes([pragma, new Uint8Array(header.buffer), new Uint8Array(padding), v1, index])
}

const leaves = ['a', 'b', 'c'].map(text => block(text))
const [a, b, c] = leaves.map(({ cid }) => cid) as [CID, CID, CID]
const node = (...links: CID[]) => block(dagCbor.encode(links), dagCbor.code)
const inner = node(b, c)
const root = node(a, inner.cid, a)
const all = [root, ...leaves, inner]
const texts = (blocks: readonly Block[]) => blocks.map(({ cid }) => `${cid}`)

async function walk(from: CID, known: readonly Block[], options?: DagOptions) {
  const byCid = new Map(known.map(({ cid, data }) => [`${cid}`, data]))
  const reads: string[] = []
  const blocks = await Array.fromAsync(
    dagBlocks(
      from,
      async cid => {
        reads.push(`${cid}`)
        return byCid.get(`${cid}`) ?? assert.fail(`${cid}`)
      },
      options,
    ),
  )
  return { blocks, reads }
}

describe('walking a DAG', () => {
  it('gives each block once, depth first in the order of links', async () => {
    const { blocks } = await walk(root.cid, all)
    assert.deepEqual(texts(blocks), [root.cid, a, inner.cid, b, c].map(String))
  })

  it('follows as many links as it is told, by the nearest way', async () => {
    const at = async (maxDepth: number) => texts((await walk(top.cid, [top, ...all], { maxDepth })).blocks)
    // `inner` is two links away through the root, and one through the top itself.
    const top = node(root.cid, inner.cid)
    assert.deepEqual(await at(0), [`${top.cid}`])
    assert.deepEqual(await at(1), [top.cid, root.cid, inner.cid].map(String))
    assert.deepEqual(await at(2), [top.cid, root.cid, a, inner.cid, b, c].map(String))
  })

  it('does not take a block for the same bytes in another codec', async () => {
    const bytes = dagCbor.encode([c])
    const [raw, cbor] = [block(bytes), block(bytes, dagCbor.code)]
    const top = node(raw.cid, cbor.cid)
    const { blocks } = await walk(top.cid, [top, raw, cbor, ...leaves])
    assert.deepEqual(texts(blocks), texts([top, raw, cbor, leaves[2] as Block]))
  })

  it('passes through blocks that are their own CIDs', async () => {
    const own = CID.createV1(dagCbor.code, identity.digest(dagCbor.encode([b])))
    const top = node(own, a)
    assert.deepEqual(texts((await walk(top.cid, [top, ...leaves])).blocks), [top.cid, b, a].map(String))
    assert.deepEqual(texts((await walk(own, leaves)).blocks), [own, b].map(String))
  })

  it('reads 60 diamonds in a row as often as it has links', async () => {
    let below = leaves[0] as Block
    const known = [below]
    for (let i = 0; i < 60; i++) known.push((below = node(below.cid, below.cid)))
    const { blocks, reads } = await walk(below.cid, known)
    assert.equal(blocks.length, 61)
    assert.ok(reads.length <= 121, `${reads.length} reads`)
  })
})

const v1 = await carOf(root.cid, all)

describe('a CAR', () => {
  it('is read as it was written, by ourselves and by @ipld/car', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.uint8Array({ maxLength: 40 }).map(data => block(data)),
          { maxLength: 20 },
        ),
        fc.nat(3).map(scale => 17_000 * scale),
        fc.integer({ min: 1, max: 100 }),
        async (small, large, pieceBytes) => {
          const blocks = [...small, block(new Uint8Array(large).fill(1)), ...small]
          const bytes = await carOf(a, blocks)
          const car = await read(bytes, pieceBytes + large)
          assert.deepEqual([car.version, car.roots.map(String)], [1, [`${a}`]])
          assert.deepEqual(texts(car.blocks), texts(blocks))
          assert.deepEqual(
            car.blocks.map(({ data }) => Buffer.from(data)),
            blocks.map(({ data }) => Buffer.from(data)),
          )
          const theirs = await CarReader.fromBytes(bytes)
          assert.deepEqual((await theirs.getRoots()).map(String), [`${a}`])
        },
      ),
      { numRuns: 50 },
    )
  })

  it('is read to its end though what was lent of it is given back before', async () => {
    const blocks = [1, 2, 3].map(fill => block(new Uint8Array(70_000 * fill).fill(fill)))
    const bytes = await carOf(a, blocks)
    for (const whole of [bytes, inV2(bytes), inV2(bytes, { index: new Uint8Array(70_000) })]) {
      for (const pieceBytes of [5_000, 21_000, 65_536]) {
        const lent: Uint8Array[] = []
        const source = async function* () {
          for await (const piece of inPieces(whole, pieceBytes)) {
            lent.push(piece.slice())
            lend(lent.at(-1) as Uint8Array)
            yield lent.at(-1) as Uint8Array
          }
        }
        const read: Buffer[] = []
        for await (const piece of (await readCar(source())).blocks) {
          read.push(Buffer.concat(piecesOf(piece)))
          piece.giveBack?.()
        }
        assert.deepEqual(
          read,
          blocks.map(({ data }) => Buffer.from(data)),
        )
        assert.ok(lent.filter(({ length }) => length === 0).length > 1)
      }
    }
  })

  it('of version 2 is read by its sections, whatever lies around them', async () => {
    for (const parts of [{}, { padding: 1413 }, { index: new Uint8Array(99).fill(7) }]) {
      const bytes = inV2(v1, parts)
      const car = await read(bytes)
      assert.equal(car.version, 2)
      assert.deepEqual(texts(car.blocks), texts(all))
      // The archive is one to others, too.
      const theirs = await Array.fromAsync((await CarReader.fromBytes(bytes)).blocks())
      assert.deepEqual(theirs.map(String).length, all.length)
    }
  })

  it('that breaks off is refused at every byte but between two blocks', async () => {
    const ends = new Set<number>()
    for (let count = 0; count < all.length; count++) {
      ends.add((await carOf(root.cid, all.slice(0, count))).length)
    }
    for (let length = 0; length < v1.length; length++) {
      if (ends.has(length)) await read(v1.subarray(0, length), 50)
      else await assert.rejects(read(v1.subarray(0, length), 50), { code: 'BAD_CAR' })
    }
    const v2 = inV2(v1, { padding: 20 })
    for (let length = 0; length < v2.length; length++) {
      await assert.rejects(read(v2.subarray(0, length), 50), { code: 'BAD_CAR' }, `cut at ${length}`)
    }
  })

  const refused: [string, Uint8Array, RegExp][] = [
    ['a CARv2 in a CARv2', inV2(inV2(v1)), /a CARv2 has to hold a CARv1/],
    ['data among the header', inV2(v1, { offset: 50n }), /invalid header: the data/],
    ['data beyond the end', inV2(v1, { size: 10_000n }), /unexpected EOF/],
    ['data that end in a section', inV2(v1, { size: BigInt(v1.length - 1) }), /goes beyond the data/],
    ['data of 2^63 bytes', inV2(v1, { size: 2n ** 63n }), /invalid header: the data/],
    ['data that were never finished', inV2(v1, { size: 0n }), /not finished/],
    ['an index among the data', inV2(v1, { indexAt: 60n }), /the index lies among the data/],
    [
      'a header of 10 GB',
      Uint8Array.of(0x80, 0xc8, 0xaf, 0xa0, 0x25),
      /a header of 10000000000 bytes.*at most 65536/,
    ],
    [
      'a block of 10 GB',
      concatBytes([v1, Uint8Array.of(0x80, 0xc8, 0xaf, 0xa0, 0x25)]),
      /a section of 10000000000 bytes, at byte \d+; at most 33554432 are allowed/,
    ],
    [
      'a length of ten bytes',
      concatBytes([v1, new Uint8Array(9).fill(0xff), Uint8Array.of(1)]),
      /invalid length/,
    ],
    ['a length with zeros', concatBytes([v1, Uint8Array.of(0x81, 0)]), /invalid length/],
    ['a section of no bytes', concatBytes([v1, Uint8Array.of(0)]), /a section of no bytes/],
    ['a section without a CID', concatBytes([v1, Uint8Array.of(1, 1)]), /a block without a CID/],
    ['roots that are none', Uint8Array.fromHex('11a265726f6f7473f66776657273696f6e01'), /no roots/],
  ]
  for (const [name, bytes, message] of refused) {
    it(`with ${name} is refused`, async () => {
      await assert.rejects(read(bytes, 1000), { code: 'BAD_CAR', message })
    })
  }

  it('is not buffered beyond what has come', async () => {
    const { arrayBuffers } = process.memoryUsage()
    // A section of 32 MB of which nothing comes.
    const claimed = concatBytes([v1, Uint8Array.of(0xff, 0xff, 0xff, 0x0f)])
    await assert.rejects(read(claimed, 1000), /unexpected EOF/)
    assert.ok(process.memoryUsage().arrayBuffers - arrayBuffers < 8 * 1024 * 1024)
  })

  it('that comes byte by byte takes no more than its bytes', async () => {
    const large = block(new Uint8Array(3_000_000).fill(5))
    const bytes = await carOf(large.cid, [large])
    const before = process.memoryUsage().rss
    const car = await read(bytes, 1)
    assert.deepEqual(texts(car.blocks), [`${large.cid}`])
    assert.ok(process.memoryUsage().rss - before < 150 * 1024 * 1024)
  })

  it('fails as its source does', async () => {
    const source = async function* () {
      yield v1
      throw new RangeError('the source broke')
    }
    const { blocks } = await readCar(source())
    await assert.rejects(Array.fromAsync(blocks), { message: 'the source broke' })
  })
})
