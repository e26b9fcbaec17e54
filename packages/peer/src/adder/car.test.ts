import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DEFAULT_ADD_PARAMS, type AddParams, type NodeWithMeta } from '@ipfs-cluster/api'
import { concatBytes, silentLogger, systemClock } from '@ipfs-cluster/base'
import { directoryBlock, rawBlock, testBlock } from '@ipfs-cluster/testkit'
import { encode } from '@ipld/dag-cbor'
import fc from 'fast-check'
import { CID } from 'multiformats/cid'
import { createAdder, type AddPart } from './index.ts'
import { encodeFileNode, encodeLeaf } from './unixfs.ts'
import { piecesOf, testBytes } from './test-content.ts'

function varint(value: number): Uint8Array {
  const out: number[] = []
  let rest = value
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) out.push((rest & 0x7f) | 0x80)
  return Uint8Array.from([...out, rest])
}

function section(data: Uint8Array): Uint8Array {
  return concatBytes([varint(data.length), data])
}

type Block = Pick<NodeWithMeta, 'cid' | 'data'>

function carOf(header: unknown, blocks: readonly Block[]): Uint8Array {
  return concatBytes([
    section(encode(header)),
    ...blocks.map(({ cid, data }) => section(concatBytes([cid.bytes, data]))),
  ])
}

const leaves = [0, 1, 2].map(i =>
  testBlock(concatBytes(encodeLeaf('file', [testBytes(1000, `${i}`)])), 0x70, 0),
)
const root = testBlock(
  encodeFileNode(leaves.map(({ cid, data }) => ({ cid, cumulativeSize: data.length, fileSize: 1000 }))),
  0x70,
  0,
)
const header = { version: 1, roots: [root.cid] }
const fileCar = carOf(header, [root, ...leaves])

function setUp() {
  const blocks: NodeWithMeta[] = []
  const pins: string[] = []
  const adder = createAdder({
    self: 'self',
    allocate: () => Promise.resolve(['a']),
    putBlocks: async (_peer, stream) => {
      for await (const block of stream) blocks.push(block)
    },
    pin: ({ cid }) => {
      pins.push(cid.toString())
      return Promise.resolve()
    },
    clock: systemClock,
    logger: silentLogger,
  })
  const add = (
    car: Uint8Array,
    params: Partial<AddParams> = {},
    pieceBytes = 1000,
    kind: AddPart['kind'] = 'file',
  ) => {
    const parts = async function* (): AsyncGenerator<AddPart> {
      yield { path: 'some.car', kind, content: piecesOf(car, pieceBytes) }
      yield { path: 'ignored', kind: 'file', content: piecesOf(car) }
    }
    return Array.fromAsync(adder.add(parts(), { ...DEFAULT_ADD_PARAMS, format: 'car', ...params }))
  }
  return { add, blocks, pins }
}

describe('adding a CAR', () => {
  it('stores its blocks, says one thing and pins the root', async () => {
    const { add, blocks, pins } = setUp()
    const outputs = await add(fileCar)
    const sum = [root, ...leaves].reduce((total, { data }) => total + data.length, 0)
    assert.deepEqual(outputs, [
      { name: 'some.car', cid: root.cid, bytes: BigInt(sum), size: 3000n, allocations: ['a'] },
    ])
    assert.deepEqual(
      blocks.map(({ cid }) => `${cid}`),
      [root, ...leaves].map(({ cid }) => `${cid}`),
    )
    assert.equal(blocks[0]?.cumulativeSize, BigInt(sum))
    assert.deepEqual(pins, [`${root.cid}`])
  })

  it('takes it in pieces of any size', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 4000 }), async pieceBytes => {
        const { add, blocks } = setUp()
        await add(fileCar, {}, pieceBytes)
        assert.equal(blocks.length, 4)
      }),
      { numRuns: 20 },
    )
  })

  it('takes raw, dag-pb and dag-cbor, and roots of any of them', async () => {
    const raw = rawBlock('raw')
    const cbor = testBlock(encode({ link: raw.cid }), 0x71)
    const folder = directoryBlock([{ name: 'raw', cid: raw.cid }])
    const sizes: bigint[] = []
    for (const rootCid of [raw.cid, cbor.cid, folder.cid]) {
      const { add, pins } = setUp()
      const [output] = await add(carOf({ version: 1, roots: [rootCid] }, [raw, cbor, folder]))
      assert.deepEqual(pins, [`${rootCid}`])
      sizes.push(output?.size ?? -1n)
    }
    assert.deepEqual(sizes, [3n, 0n, 0n])
  })

  const refused: [string, Uint8Array, RegExp][] = [
    ['no root', carOf({ version: 1, roots: [] }, [root]), /empty car, no roots/],
    [
      'two roots',
      carOf({ version: 1, roots: [root.cid, root.cid] }, [root]),
      /only CAR files with a single root/,
    ],
    ['version 3', carOf({ version: 3 }, []), /invalid car version: 3/],
    ['a header that is none', section(Uint8Array.of(0xff)), /invalid header/],
    ['nothing', new Uint8Array(0), /the CAR is empty/],
    ['no blocks', carOf(header, []), /the CAR has no blocks/],
    ['a root that is no CID', carOf({ version: 1, roots: ['x'] }, [root]), /not a CID/],
    [
      'a block that is not what its CID says',
      carOf(header, [{ ...root, data: testBytes(10) }]),
      /mismatch in content integrity/,
    ],
    [
      'a codec nobody knows',
      carOf(header, [testBlock(testBytes(3), 0x78)]),
      /no decoder registered for multicodec code 120/,
    ],
    [
      'a long header',
      carOf({ ...header, more: new Uint8Array(70_000) }, [root]),
      /at most 65536 are allowed/,
    ],
    [
      // A CIDv0 of 200 kB: its text would take minutes to write.
      'a block with a CID that is none',
      concatBytes([
        section(encode(header)),
        section(concatBytes([Uint8Array.of(0x12, 0xc0, 0x9a, 0x0c), new Uint8Array(200_010)])),
      ]),
      /a block without a CID, at byte \d+: .*more than 2048 bytes/,
    ],
    ['malformed dag-pb', carOf(header, [testBlock(Uint8Array.of(0xff, 0xff), 0x70)]), /malformed/],
    [
      'a giant block',
      concatBytes([section(encode(header)), varint(33 * 1024 * 1024)]),
      /at most 33554432 are allowed/,
    ],
    [
      'a length without end',
      concatBytes([section(encode(header)), new Uint8Array(20).fill(0x80)]),
      /invalid length/,
    ],
    [
      'a block whose hash cannot be checked',
      carOf(header, [{ cid: CID.decode(Uint8Array.of(1, 0x55, 0x22, 4, 1, 2, 3, 4)), data: testBytes(4) }]),
      /cannot verify/,
    ],
  ]
  for (const [name, car, message] of refused) {
    it(`refuses ${name}`, async () => {
      const { add, pins } = setUp()
      await assert.rejects(add(car), { code: 'ADD_BAD_CAR', message })
      assert.equal(pins.length, 0)
    })
  }

  it('refuses one that is cut short anywhere but between two blocks', async () => {
    const ends = new Set<number>()
    for (let blocks = 1; blocks <= 4; blocks++)
      ends.add(carOf(header, [root, ...leaves].slice(0, blocks)).length)
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: fileCar.length - 1 }), async length => {
        fc.pre(!ends.has(length))
        await assert.rejects(setUp().add(fileCar.subarray(0, length)), { code: 'ADD_BAD_CAR' })
      }),
      { numRuns: 50 },
    )
  })

  it('refuses to wrap it, and a part that is no file', async () => {
    const { add } = setUp()
    await assert.rejects(add(fileCar, { wrap: true }), { message: 'cannot wrap a CAR file upload' })
    await assert.rejects(add(fileCar, {}, 1000, 'directory'), {
      message: 'expected CAR file is not of type file',
    })
  })
})
