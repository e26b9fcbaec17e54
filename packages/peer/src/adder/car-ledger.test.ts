import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createMemoryStore } from '@ipfs-cluster/base'
import { rawBlock } from '@ipfs-cluster/testkit'
import fc from 'fast-check'
import type { CID } from 'multiformats/cid'
import { createCarLedger, type OpenScratch } from './car-ledger.ts'

/** The first of these is the root; `links[i]` leads from block i to later ones. */
interface TestDag {
  readonly links: readonly (readonly number[])[]
  /** Blocks of the archive, in its order, some perhaps twice. */
  readonly archive: readonly number[]
}

const dags: fc.Arbitrary<TestDag> = fc.integer({ min: 1, max: 25 }).chain(size => {
  const numbers = (least: number) => fc.array(fc.integer({ min: least, max: size - 1 }), { maxLength: 6 })
  return fc.record({
    links: fc.tuple(
      ...Array.from({ length: size }, (_, i) => (i + 1 < size ? numbers(i + 1) : fc.constant([]))),
    ),
    archive: fc
      .tuple(fc.subarray([...Array(size).keys()]), numbers(0))
      .chain(([some, again]) => fc.shuffledSubarray([...some, ...again], { minLength: some.length })),
  })
})

const cids = Array.from({ length: 25 }, (_, i) => rawBlock(`${i}`).cid)
const cidOf = (index: number) => cids[index] as CID

/** What of the DAG below the root is not in the archive, and cannot be known to be of it unless something in the archive says so. */
function missingOf({ links, archive }: TestDag): Set<number> {
  const missing = new Set<number>()
  const seen = new Set<number>()
  const open = [0]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (seen.has(next)) continue
    seen.add(next)
    if (archive.includes(next)) open.push(...(links[next] ?? []))
    else missing.add(next)
  }
  return missing
}

async function run(dag: TestDag, memoryBytes: number, openScratch?: OpenScratch) {
  await using ledger = createCarLedger({ memoryBytes, openScratch })
  await ledger.want([cidOf(0)])
  const came = new Set<number>()
  for (const index of dag.archive) {
    assert.equal(await ledger.arrived(cidOf(index), (dag.links[index] ?? []).map(cidOf)), !came.has(index))
    came.add(index)
  }
  const first = await ledger.firstMissing(100)
  const few = await ledger.firstMissing(2)
  return { missing: ledger.missing, first: new Set(first.map(String)), listed: first.length, few: few.length }
}

describe('the ledger of a CAR', () => {
  for (const memoryBytes of [1_000_000, 500, 0]) {
    it(`knows what is missing, with ${memoryBytes} bytes of memory`, async () => {
      await fc.assert(
        fc.asyncProperty(dags, async dag => {
          const expected = missingOf(dag)
          const found = await run(dag, memoryBytes)
          assert.equal(found.missing, expected.size)
          assert.deepEqual(found.first, new Set([...expected].map(index => `${cidOf(index)}`)))
          assert.equal(found.listed, expected.size)
          assert.equal(found.few, Math.min(2, expected.size))
        }),
        { numRuns: 300 },
      )
    })
  }

  it('gives its room on the disk back', async () => {
    let open = 0
    const openScratch: OpenScratch = async () => {
      open++
      return { ...createMemoryStore(), [Symbol.asyncDispose]: async () => void open-- }
    }
    await run({ links: [[1, 2, 3], [], [], []], archive: [0, 1, 2] }, 0, openScratch)
    assert.equal(open, 0)
    await using ledger = createCarLedger({ memoryBytes: 0, openScratch })
    await ledger.want([cidOf(0)])
    assert.equal(open, 0)
    await ledger.arrived(cidOf(0), [cidOf(1)])
    assert.equal(open, 1)
  })

  it('follows each block once, however many ways lead to it', async () => {
    await using ledger = createCarLedger()
    // 200 diamonds in a row, from the bottom up: 2^200 ways.
    const blocks = Array.from({ length: 200 }, (_, i) => rawBlock(`diamond ${i}`).cid)
    for (const [i, cid] of blocks.entries()) {
      const below = blocks[i - 1]
      await ledger.arrived(cid, below === undefined ? [] : [below, below])
    }
    await ledger.want([blocks.at(-1) as CID])
    assert.equal(ledger.missing, 0)
  })
})
