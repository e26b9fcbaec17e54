import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagPb from '@ipld/dag-pb'
import fc from 'fast-check'
import type { CID } from 'multiformats/cid'
import { hasNoLinks, linksOf, statedSize } from './links.ts'
import { block } from './test-node.ts'

const [a, b] = [block('a').cid, block('b').cid]
const texts = (cids: readonly CID[]) => cids.map(String)

test('links in the order of the block', () => {
  const pb = block(
    dagPb.encode(
      dagPb.prepare({
        Data: new Uint8Array(3),
        Links: [
          { Name: 'b', Hash: a, Tsize: 5 },
          { Name: 'a', Hash: b, Tsize: 6 },
        ],
      }),
    ),
    dagPb.code,
  )
  assert.deepEqual(texts(linksOf(pb.cid, pb.data)), texts([b, a]))
  assert.equal(statedSize(pb.cid, pb.data), pb.data.length + 11)
  const cbor = block(dagCbor.encode({ x: [b, { y: a }], z: new Uint8Array(2), w: null }), dagCbor.code)
  // Keys of dag-cbor are sorted: w, x, z.
  assert.deepEqual(texts(linksOf(cbor.cid, cbor.data)), texts([b, a]))
  assert.equal(statedSize(cbor.cid, cbor.data), undefined)
  const json = block(
    JSON.stringify({ l: { '/': `${a}` }, m: [{ '/': { bytes: 'AA' } }, { '/': `${b}` }] }),
    0x0129,
  )
  assert.deepEqual(texts(linksOf(json.cid, json.data)), texts([a, b]))
  const raw = block('raw')
  assert.deepEqual(linksOf(raw.cid, raw.data), [])
  assert.equal(statedSize(raw.cid, raw.data), 3)
})

test('what is not of its format, or of an unknown one, is refused', () => {
  for (const codec of [dagPb.code, dagCbor.code, 0x0129]) {
    const bad = block('\xff{', codec)
    assert.throws(() => linksOf(bad.cid, bad.data), { code: 'IPFS_BLOCK_CORRUPT' })
  }
  const odd = block('?', 0x300000)
  assert.throws(() => linksOf(odd.cid, odd.data), { code: 'IPFS_UNKNOWN_CODEC' })
})

test('a dag-pb block is known to have no links only when it has none', () => {
  const { cid } = block('', dagPb.code)
  fc.assert(
    fc.property(
      fc.option(fc.uint8Array({ maxLength: 300 }), { nil: undefined }),
      fc.nat(2),
      (data, count) => {
        const node = dagPb.prepare({
          ...(data === undefined ? {} : { Data: data }),
          Links: Array.from({ length: count }, () => ({ Hash: a, Name: '', Tsize: 1 })),
        })
        assert.equal(hasNoLinks(cid, dagPb.encode(node)), count === 0)
      },
    ),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), bytes => {
      if (!hasNoLinks(cid, bytes)) return
      // Whatever passes has no links, should it decode at all.
      try {
        assert.deepEqual(linksOf(cid, bytes), [])
      } catch (error) {
        assert.ok(error instanceof Error && 'code' in error)
        assert.equal(error.code, 'IPFS_BLOCK_CORRUPT')
      }
    }),
  )
  assert.equal(hasNoLinks(a, new Uint8Array(0)), false)
})
