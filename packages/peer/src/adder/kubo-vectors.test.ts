import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { DEFAULT_ADD_PARAMS, type AddedOutput, type AddParams } from '@ipfs-cluster/api'
import { silentLogger, systemClock } from '@ipfs-cluster/base'
import vectors from './fixtures/kubo-add.json' with { type: 'json' }
import { createAdder } from './index.ts'
import {
  boundaryFolder,
  file,
  largeFolder,
  partsOf,
  sampleFolder,
  testBytes,
  type TestEntry,
} from './test-content.ts'

const drain = async (_peer: string, blocks: AsyncIterable<unknown>) => {
  for await (const _ of blocks);
}

const adder = createAdder({
  self: 'self',
  allocate: () => Promise.resolve(['self']),
  putBlocks: drain,
  pin: () => Promise.resolve(),
  clock: systemClock,
  logger: silentLogger,
})

/** The parameters of a vector are a part of the real ones; JSON cannot say so. */
async function add(entries: readonly TestEntry[], params: object): Promise<AddedOutput[]> {
  const all: AddParams = { ...DEFAULT_ADD_PARAMS, ...params }
  return await Array.fromAsync(adder.add(partsOf(entries), all))
}

async function rootOf(entries: readonly TestEntry[], params: object): Promise<string> {
  const outputs = await add(entries, params)
  return String(outputs.at(-1)?.cid)
}

describe('added files have the CIDs of Kubo', () => {
  const content = testBytes(1_200_000)
  for (const vector of vectors.files) {
    it(`ipfs add ${vector.args}`, async () => {
      assert.equal(await rootOf([file('file', content)], vector.params), vector.file)
      assert.equal(await rootOf([file('empty', '')], vector.params), vector.empty)
      assert.equal(await rootOf([file('one', 'x')], vector.params), vector.one)
    })
  }
})

describe('added folders have the CIDs, names, order and sizes of Kubo', () => {
  for (const vector of vectors.folders) {
    it(`ipfs add -r ${vector.args}`, async () => {
      const outputs = await add(sampleFolder(), vector.params)
      // The command line says nothing for an empty name, where this says nothing after the blank.
      const lines = outputs.map(({ name, cid }) => `${cid} ${name}`.trim())
      assert.deepEqual(lines, vector.added)
      const sizes = Object.fromEntries(outputs.map(({ cid, size }) => [String(cid), Number(size)]))
      assert.deepEqual(sizes, vector.sizes)
    })

    if (vector.large === undefined) continue
    it(`ipfs add -r ${vector.args}, sharded`, async () => {
      const root = (await add(largeFolder(6500), vector.params)).at(-1)
      assert.equal(String(root?.cid), vector.large)
      assert.equal(Number(root?.size), vector.largeSize)
    })
  }

  it('are sharded from the same size on', async () => {
    assert.deepEqual(
      [await rootOf(boundaryFolder(0), {}), await rootOf(boundaryFolder(1), {})],
      vectors.boundary,
    )
  })
})
