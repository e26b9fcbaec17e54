import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { concatBytes } from '@ipfs-cluster/base'
import fc from 'fast-check'
import { createChunker } from './chunker.ts'
import { balancedLayout, trickleLayout, type StoreParent } from './file-layout.ts'
import { hasherNamed } from './hashing.ts'
import { piecesOf, testBytes } from './test-content.ts'
import type { DagNode } from './unixfs.ts'

const CONTENT = testBytes(2_000_000)

async function cut(specification: string, pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  return await Array.fromAsync(createChunker(specification)(pieces), concatBytes)
}

describe('chunkers', () => {
  for (const specification of [
    'size-1',
    'size-100',
    'size-4096',
    'rabin-16-40-100',
    'rabin-3000',
    'buzhash',
  ]) {
    it(`${specification} cuts the same, however the content arrives, and loses nothing`, async () => {
      const length = specification === 'size-1' ? 2000 : specification === 'buzhash' ? 2_000_000 : 50_000
      const content = CONTENT.subarray(0, length)
      const expected = await cut(specification, piecesOf(content, length))
      assert.ok(expected.length > 1)
      assert.ok(Buffer.from(concatBytes(expected)).equals(content))
      const sizes = expected.map(chunk => chunk.length)
      await fc.assert(
        fc.asyncProperty(fc.array(fc.integer({ min: 0, max: length }), { maxLength: 60 }), async cuts => {
          const chunks = await cut(specification, splitAt(content, cuts))
          assert.deepEqual(
            chunks.map(chunk => chunk.length),
            sizes,
          )
          assert.ok(Buffer.from(concatBytes(chunks)).equals(content))
        }),
        { numRuns: 15 },
      )
    })
  }

  it('take content byte by byte', async () => {
    const chunks = await cut('size-1000', piecesOf(CONTENT.subarray(0, 2500), 1))
    assert.deepEqual(
      chunks.map(chunk => chunk.length),
      [1000, 1000, 500],
    )
    assert.ok(Buffer.from(concatBytes(chunks)).equals(CONTENT.subarray(0, 2500)))
  })

  it('make no chunk of nothing', async () => {
    for (const specification of ['', 'size-10', 'rabin', 'buzhash']) {
      assert.deepEqual(await cut(specification, piecesOf(new Uint8Array(0))), [])
    }
  })
})

describe('file layouts', () => {
  for (const [name, layoutOf] of Object.entries({ balancedLayout, trickleLayout })) {
    it(`${name} keeps the order of the leaves`, async () => {
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 1, max: 200_000 }), async count => {
          const below = new Map<DagNode, readonly DagNode[]>()
          const cid = {} as DagNode['cid']
          const store: StoreParent = children => {
            assert.ok(children.length > 0)
            const node = { cid, cumulativeSize: 0, fileSize: -1 }
            below.set(node, children)
            return Promise.resolve(node)
          }
          const layout = layoutOf(store)
          for (let i = 0; i < count; i++) await layout.add({ cid, cumulativeSize: 0, fileSize: i })
          const root = await layout.finish()
          let next = 0
          const walk = (node: DagNode): void => {
            const children = below.get(node)
            if (children === undefined) assert.equal(node.fileSize, next++)
            else for (const child of children) walk(child)
          }
          walk(root as DagNode)
          assert.equal(next, count)
        }),
        { numRuns: 8 },
      )
    })
  }
})

describe('specifications of chunkers', () => {
  for (const bad of ['-', 'default-1', 'buzhash1', 'Size-1', 'fancy']) {
    it(`${bad} is none`, () => {
      assert.throws(() => createChunker(bad), { message: `unrecognized chunker option: ${bad}` })
    })
  }
})

describe('hashers', () => {
  it('ignore the case of their names', () => {
    assert.equal(hasherNamed('SHA2-256').code, 0x12)
  })

  it('do not mistake properties of objects for names', () => {
    assert.throws(() => hasherNamed('constructor'), { code: 'ADD_UNSUPPORTED' })
  })
})

async function* splitAt(content: Uint8Array, cuts: readonly number[]): AsyncGenerator<Uint8Array> {
  let at = 0
  for (const next of [...cuts, content.length].sort((a, b) => a - b)) {
    yield content.subarray(at, next)
    at = next
  }
}
