import assert from 'node:assert/strict'
import { test } from 'node:test'
import { concatBytes, fromHex, withPieces } from '@ipfs-cluster/base'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagPb from '@ipld/dag-pb'
import fc from 'fast-check'
import { UnixFS } from 'ipfs-unixfs'
import type { CID } from 'multiformats/cid'
import { hasNoLinks, linksOf, statedSize } from './links.ts'
import { block } from './test-node.ts'
import { ls } from './unixfs/explore.ts'
import { parseContentPath } from './unixfs/path.ts'

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
        const bytes = dagPb.encode(node)
        assert.equal(hasNoLinks({ cid, data: bytes }), count === 0)
        const long = withPieces({ cid }, [bytes, new Uint8Array(100_000)])
        assert.equal(hasNoLinks(long), false)
      },
    ),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), bytes => {
      if (hasNoLinks({ cid, data: bytes })) assert.deepEqual(linksOf(cid, bytes), [])
    }),
  )
  assert.equal(hasNoLinks({ cid: a, data: new Uint8Array(0) }), false)
  const leaf = dagPb.encode({ Data: new Uint8Array(100_000), Links: [] })
  assert.equal(hasNoLinks(withPieces({ cid }, [leaf.subarray(0, 20), leaf.subarray(20)])), true)
  assert.equal(hasNoLinks(withPieces({ cid }, [leaf.subarray(0, 2), leaf.subarray(2)])), false)
})

test('a block with hundreds of thousands of values is read', () => {
  const cbor = block(dagCbor.encode([...Array.from({ length: 200_000 }, () => 1), a]), dagCbor.code)
  assert.deepEqual(texts(linksOf(cbor.cid, cbor.data)), texts([a]))
  const json = block(JSON.stringify([...Array.from({ length: 200_000 }, () => 1), { '/': `${a}` }]), 0x0129)
  assert.deepEqual(texts(linksOf(json.cid, json.data)), texts([a]))
})

test('a link that is hardly a CID makes its block corrupt, at once', () => {
  // A CIDv0 of a megabyte, whose text in base58 would take minutes to read or write.
  const cid = concatBytes([fromHex('12c0843d'), new Uint8Array(1_000_000)])
  const link = concatBytes([fromHex('12c8843d0ac4843d'), cid])
  const tag = concatBytes([fromHex('d82a5a000f424500'), cid])
  const json = JSON.stringify([{ '/': `Qm${'a'.repeat(1_000_000)}` }, { '/': `z${'a'.repeat(1_000_000)}` }])
  for (const bad of [block(link, dagPb.code), block(tag, dagCbor.code), block(json, 0x0129)]) {
    assert.throws(() => linksOf(bad.cid, bad.data), { code: 'IPFS_BLOCK_CORRUPT' })
  }
  assert.throws(() => parseContentPath(`/ipfs/Qm${'a'.repeat(1_000_000)}/x`), { code: 'IPFS_BAD_PATH' })
})

test('malformed UnixFS says so, whatever the decoders make of it', async () => {
  // Found by fuzzing: an unknown wire type, an unknown type of UnixFS, a field beyond the end; also below a sharded directory.
  const bad = [
    '0a0407fb54b8',
    '0a0308c908',
    '122a0a24015512205cc7f71eb464de4bb7ad9c0356a7fe564e0a2401701220',
    '0a04080528801a',
  ].map(hex => block(fromHex(hex), dagPb.code))
  const shard = new UnixFS({
    type: 'hamt-sharded-directory',
    data: new Uint8Array(1),
    fanout: 256n,
    hashType: 0x22n,
  })
  for (const child of bad) {
    const parent = block(
      dagPb.encode(
        dagPb.prepare({ Data: shard.marshal(), Links: [{ Name: '00', Hash: child.cid, Tsize: 1 }] }),
      ),
      dagPb.code,
    )
    const known = new Map([child, parent].map(({ cid, data }) => [cid.toString(), data]))
    const read = async (cid: CID) => known.get(cid.toString()) ?? assert.fail(`${cid}`)
    const { signal } = new AbortController()
    for (const { cid } of [child, parent]) {
      await assert.rejects(Array.fromAsync(ls(`/ipfs/${cid}`, read, signal)), { code: 'IPFS_NOT_UNIXFS' })
    }
    const failing = () => Promise.reject(new Error('no network'))
    await assert.rejects(Array.fromAsync(ls(`/ipfs/${child.cid}`, failing, signal)), {
      message: 'no network',
    })
  }
})
