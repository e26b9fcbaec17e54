import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DEFAULT_ADD_PARAMS, type AddParams } from '@ipfs-cluster/api'
import { concatBytes, errorCode, errorMessage } from '@ipfs-cluster/base'
import { writeCar } from '@ipfs-cluster/ipfs/car'
import { rawBlock, testBlock } from '@ipfs-cluster/testkit'
import { encode } from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { identity } from 'multiformats/hashes/identity'
import { setUp } from './test-adder.ts'
import type { AddPart } from './index.ts'

interface TestBlock {
  readonly cid: CID
  readonly data: Uint8Array
}

const DAG_CBOR = 0x71
const node = (...links: CID[]) => testBlock(encode(links), DAG_CBOR)
const leaves = Array.from({ length: 15 }, (_, i) => rawBlock(`leaf ${i}`))
const root = node(...leaves.map(({ cid }) => cid))

async function carOf(cid: CID, blocks: Iterable<TestBlock>): Promise<Uint8Array> {
  const stream = async function* () {
    yield* blocks
  }
  return concatBytes(await Array.fromAsync(writeCar(cid, stream())))
}

async function addCar(car: Uint8Array, params: Partial<AddParams> = {}) {
  const { add, blocks, pins } = setUp()
  const parts = async function* (): AsyncGenerator<AddPart> {
    const content = async function* () {
      for (let at = 0; at < car.length; at += 65_536) yield car.subarray(at, at + 65_536)
    }
    yield { path: 'some.car', kind: 'file', content: content() }
  }
  const result = await add(parts(), { ...DEFAULT_ADD_PARAMS, format: 'car', ...params }).then(
    outputs => ({ output: outputs[0], error: undefined }),
    (error: unknown) => ({ output: undefined, error }),
  )
  return { ...result, pins, stored: [...(blocks.get('a') ?? [])].map(({ cid }) => `${cid}`) }
}

describe('a CAR that is not complete', () => {
  it('is pinned, and what is missing is told', async () => {
    const { output, pins } = await addCar(await carOf(root.cid, [root, ...leaves.slice(0, 3)]))
    assert.equal(output?.missing, 12)
    assert.equal(output.missingCids?.length, 10)
    const names = new Set(leaves.slice(3).map(({ cid }) => `${cid}`))
    for (const cid of output.missingCids) assert.ok(names.delete(`${cid}`))
    assert.equal(pins.length, 1)
  })

  it('is an error for whoever wants it whole', async () => {
    const { error, pins } = await addCar(await carOf(root.cid, [root, ...leaves.slice(1)]), {
      requireComplete: true,
    })
    const message = `the CAR is incomplete: 1 block that its DAG needs is not in it (${leaves[0]?.cid}); nothing was pinned`
    assert.equal(errorCode(error), 'ADD_INCOMPLETE_CAR')
    assert.equal(errorMessage(error), message)
    assert.equal(pins.length, 0)
  })

  it('is told from one that is, in any order and with other blocks in it', async () => {
    const other = node(rawBlock('nowhere').cid)
    const car = await carOf(root.cid, [...leaves, other, root, root, ...leaves])
    const { output, pins, stored } = await addCar(car, { requireComplete: true })
    assert.equal(output?.missing, undefined)
    assert.equal(pins.length, 1)
    // Each block once, those that nothing leads to as well.
    assert.deepEqual(
      stored,
      [...leaves, other, root].map(({ cid }) => `${cid}`),
    )
  })

  it('without its root is refused, unless it is only stored', async () => {
    const car = await carOf(root.cid, leaves)
    const { error, pins } = await addCar(car)
    assert.equal(errorCode(error), 'ADD_BAD_CAR')
    assert.match(String(error), /the root bafy\w+ is not in the CAR/)
    assert.equal(pins.length, 0)
    const stored = await addCar(car, { noPin: true })
    assert.equal(stored.output?.missing, 1)
    assert.equal(stored.stored.length, leaves.length)
  })
})

describe('a hostile CAR', () => {
  it('of diamonds, whose links lead to as many ways as there are atoms, costs what its blocks do', async () => {
    const blocks: TestBlock[] = [rawBlock('bottom')]
    for (let i = 0; i < 500; i++) {
      const { cid } = blocks.at(-1) as TestBlock
      blocks.push(node(cid, cid, cid))
    }
    const top = (blocks.at(-1) as TestBlock).cid
    for (const order of [blocks, blocks.toReversed()]) {
      const { output, stored } = await addCar(await carOf(top, order), { requireComplete: true })
      assert.equal(output?.missing, undefined)
      assert.equal(stored.length, blocks.length)
    }
  })

  it('of blocks inside CIDs is looked through to its end', async () => {
    let inside = CID.createV1(DAG_CBOR, identity.digest(encode([leaves[0]?.cid, rawBlock('gone').cid])))
    const own = node(inside, inside)
    const { output, stored } = await addCar(await carOf(own.cid, [own, leaves[0] as TestBlock]))
    assert.equal(output?.missing, 1)
    assert.equal(stored.length, 2)
    for (let depth = 0; depth < 20; depth++)
      inside = CID.createV1(DAG_CBOR, identity.digest(encode([inside])))
    const deep = node(inside)
    const refused = await addCar(await carOf(deep.cid, [deep]))
    assert.match(
      String(refused.error),
      /malformed: a CID that holds a block of \d+ bytes; at most 128 are allowed/,
    )
    assert.equal(refused.pins.length, 0)
  })

  it('whose blocks are all inside CIDs has none', async () => {
    const own = CID.createV1(0x55, identity.digest(Uint8Array.of(1, 2, 3)))
    const { error } = await addCar(await carOf(own, [{ cid: own, data: own.multihash.digest }]))
    assert.match(String(error), /the CAR has no blocks/)
    const lying = await addCar(await carOf(root.cid, [root, { cid: own, data: Uint8Array.of(1) }]))
    assert.match(String(lying.error), /mismatch in content integrity/)
    assert.equal(lying.pins.length, 0)
  })

  it('with links that are hardly CIDs is refused at once', async () => {
    // Links of a megabyte, whose text in base58 would take minutes to write: a CIDv0 and a CIDv1.
    for (const start of ['d82a5a000f42450012c0843d', 'd82a5a000f424700015512c0843d']) {
      const link = testBlock(concatBytes([Uint8Array.fromHex(start), new Uint8Array(1_000_000)]), DAG_CBOR)
      const { error, pins } = await addCar(await carOf(root.cid, [root, link]))
      assert.match(String(error), /malformed/)
      assert.equal(pins.length, 0)
    }
  })

  it('that breaks off in its blocks, or lies about one, pins nothing', async () => {
    const whole = await carOf(root.cid, [root, ...leaves])
    for (let cut = 1; cut < whole.length; cut += 61) {
      const { pins } = await addCar(whole.subarray(0, cut), { requireComplete: true })
      assert.equal(pins.length, 0, `cut at ${cut}`)
    }
    for (let at = 0; at < whole.length; at += 37) {
      const flipped = whole.slice()
      flipped[at] = (flipped[at] as number) ^ 1
      const { pins } = await addCar(flipped, { requireComplete: true })
      // In the header another root may be named, and in a CID of a raw leaf nothing is redundant but its hash.
      assert.equal(pins.length, 0, `flipped at ${at}`)
    }
  })

  it('of many tiny blocks is taken', async () => {
    const many = function* () {
      for (let i = 0; i < 20_000; i++) yield rawBlock(`${i}`)
    }
    const { output, stored } = await addCar(await carOf(root.cid, [root, ...many(), ...leaves]))
    assert.equal(output?.missing, undefined)
    assert.equal(stored.length, 20_016)
  })
})
