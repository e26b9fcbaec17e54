/** The built-in IPFS node: links of blocks, UnixFS, paths, ranges, and the headers of its files. */
import { utf8, utf8Text } from '@ipfs-cluster/base'
import { IpfsNodeError } from '@ipfs-cluster/ipfs'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagPb from '@ipld/dag-pb'
import { UnixFS } from 'ipfs-unixfs'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { createHash } from 'node:crypto'
import { readHeader, writeHeader } from '../../../packages/ipfs/src/blocks/record.ts'
import { blockMissing } from '../../../packages/ipfs/src/errors.ts'
import { parseRange } from '../../../packages/ipfs/src/gateway/range.ts'
import { hasNoLinks, linksOf, statedSize } from '../../../packages/ipfs/src/links.ts'
import { dagBlocks } from '../../../packages/ipfs/src/unixfs/car.ts'
import { cat, ls, resolvePath } from '../../../packages/ipfs/src/unixfs/explore.ts'
import { parseContentPath } from '../../../packages/ipfs/src/unixfs/path.ts'
import { CIDS, texts } from '../corpus.ts'
import { check, neverRefuses, refusedBy, type Target } from '../target.ts'

const MIB = 1024 * 1024
const refusal = refusedBy(IpfsNodeError)
const PB = 0x70
const RAW = 0x55
const keyOf = (cid: CID) => Buffer.from(cid.multihash.bytes).toString('latin1')
const cidOf = (code: number, data: Uint8Array) =>
  CID.createV1(code, createDigest(0x12, new Uint8Array(createHash('sha256').update(data).digest())))

const BLOCKS = new Map<string, Uint8Array>()
function put(code: number, data: Uint8Array): { readonly cid: CID; readonly data: Uint8Array } {
  const cid = cidOf(code, data)
  BLOCKS.set(keyOf(cid), data)
  return { cid, data }
}
const node = (unixfs: UnixFS | Uint8Array, links: readonly { Name: string; Hash: CID; Tsize: number }[]) =>
  put(
    PB,
    dagPb.encode(
      dagPb.prepare({ Data: unixfs instanceof UnixFS ? unixfs.marshal() : unixfs, Links: [...links] }),
    ),
  )

const raw = put(RAW, new Uint8Array(30).fill(1))
const leaf = node(new UnixFS({ type: 'file', data: new Uint8Array(20).fill(2) }), [])
const file = node(new UnixFS({ type: 'file', blockSizes: [30n, 20n] }), [
  { Name: '', Hash: raw.cid, Tsize: 30 },
  { Name: '', Hash: leaf.cid, Tsize: 28 },
])
const tree = node(new UnixFS({ type: 'file', blockSizes: [50n, 30n], mtime: { secs: 5n, nsecs: 6 } }), [
  { Name: '', Hash: file.cid, Tsize: 120 },
  { Name: '', Hash: raw.cid, Tsize: 30 },
])
const link = node(new UnixFS({ type: 'symlink', data: utf8('a') }), [])
const folder = node(new UnixFS({ type: 'directory', mode: 0o755 }), [
  { Name: 'a', Hash: tree.cid, Tsize: 300 },
  { Name: 'b', Hash: link.cid, Tsize: 10 },
])
const sharded = new UnixFS({
  type: 'hamt-sharded-directory',
  data: Uint8Array.of(0x80, 0x01),
  fanout: 256n,
  hashType: 0x22n,
})
const shard = node(sharded, [
  { Name: '10a', Hash: tree.cid, Tsize: 300 },
  { Name: '07', Hash: node(sharded, [{ Name: 'FFb', Hash: raw.cid, Tsize: 30 }]).cid, Tsize: 90 },
])
const outer = node(new UnixFS({ type: 'directory' }), [
  { Name: 'a', Hash: folder.cid, Tsize: 500 },
  { Name: 's', Hash: shard.cid, Tsize: 500 },
])
const NODES = [leaf, file, tree, link, folder, shard, outer].map(({ data }) => data)
const CBOR = [
  { a: [1, raw.cid, { b: file.cid }], c: new Uint8Array(3), d: null, e: -1.5 },
  [[]],
  'x',
  raw.cid,
].map(value => dagCbor.encode(value))
const JSONS = [`{"a":{"/":"${raw.cid}"},"b":[{"/":{"bytes":"aGk"}}]}`, `[{"/":"${file.cid}"},1,null]`]

function linksTarget(
  name: string,
  code: number,
  format: Target['format'],
  corpus: readonly Uint8Array[],
): Target {
  return {
    name: `links of ${name}`,
    format,
    corpus: () => corpus,
    refusal,
    maxBytes: 2 * MIB,
    // The decoder of CBOR recurses: what that takes is bounded by the stack, not by the input.
    allocation: { perByte: 320, constant: 8 * MIB },
    run(input) {
      const cid = CIDS.find(each => each.version === 1 && each.code === code) as CID
      const leafLike = hasNoLinks({ cid, data: input })
      const links = linksOf(cid, input)
      if (leafLike) check(links.length === 0, 'what has no links has none when read')
      const size = statedSize(cid, input)
      check(size === undefined || size >= input.length, 'a size covers the block itself')
      return true
    },
  }
}

/** The input is one block of a DAG: of the root, or of something below a folder or file. All other blocks are as they should be. */
const unixfs: Target = {
  name: 'unixfs cat, ls and resolve',
  format: 'protobuf',
  corpus: () => NODES,
  tokens: [raw.cid.bytes, leaf.cid.bytes, file.cid.bytes, folder.cid.bytes, shard.cid.bytes],
  refusal,
  maxBytes: 256 * 1024,
  allocation: { perByte: 8_000, constant: 4 * MIB },
  share: 0.3,
  async run(input, random) {
    const own = cidOf(PB, input)
    const parents = [
      dagPb.encode(
        dagPb.prepare({
          Data: new UnixFS({ type: 'directory' }).marshal(),
          Links: [{ Name: 'a', Hash: own, Tsize: 9 }],
        }),
      ),
      dagPb.encode(dagPb.prepare({ Data: new UnixFS({ type: 'file', blockSizes: [30n, BigInt(random.int(200))] }).marshal(), Links: [{ Name: '', Hash: raw.cid, Tsize: 30 }, { Name: '', Hash: own, Tsize: 9 }] })), // prettier-ignore
      dagPb.encode(dagPb.prepare({ Data: sharded.marshal(), Links: [{ Name: '10', Hash: own, Tsize: 9 }] })),
    ]
    const top = random.int(2) === 0 ? input : (parents[random.int(parents.length)] as Uint8Array)
    const root = cidOf(PB, top)
    let reads = 0
    const read = async (cid: CID) => {
      if (++reads > 2_000) throw blockMissing(cid)
      if (cid.equals(own)) return input
      if (cid.equals(root)) return top
      const known = BLOCKS.get(keyOf(cid))
      if (known === undefined) throw blockMissing(cid)
      return known
    }
    const signal = new AbortController().signal
    const limit = 10_000
    switch (random.int(4)) {
      case 0: {
        let bytes = 0
        const options = random.int(2) === 0 ? {} : { offset: random.int(60), length: random.int(60) }
        for await (const part of cat(`/ipfs/${root}`, read, options))
          if ((bytes += part.length) > 16 * MIB) break
        break
      }
      case 1: {
        let entries = 0
        for await (const { name } of ls(`/ipfs/${root}`, read, signal)) {
          check(typeof name === 'string', 'an entry has a name')
          if (++entries > limit) break
        }
        break
      }
      case 2:
        await resolvePath(
          `/ipfs/${root}/${['a', 'a/a', 'b', 's/b', 'Links/0', '07'][random.int(6)]}`,
          read,
          signal,
        )
        break
      default: {
        let blocks = 0
        for await (const _ of dagBlocks(root, read)) if (++blocks > limit) break
      }
    }
    return true
  },
}

const contentPath: Target = {
  name: 'path of the built-in node',
  format: 'text',
  corpus: () => texts(CIDS.flatMap(cid => [`/ipfs/${cid}/a/b`, `${cid}`, `/ipns/x`])),
  refusal,
  maxBytes: 64 * 1024,
  run(input) {
    const { root, names } = parseContentPath(utf8Text(input))
    const again = parseContentPath(['/ipfs', root.toString(), ...names].join('/'))
    check(again.root.equals(root) && again.names.length === names.length, 'a path is read again')
    return true
  },
}

const range: Target = {
  name: 'range header',
  format: 'text',
  corpus: () => texts(['bytes=0-99', 'bytes=-5', 'bytes=10-', 'bytes= 1 - 2 ']),
  refusal: neverRefuses,
  maxBytes: 16 * 1024,
  run(input, random) {
    const size = [0, 1, 100, 2 ** 40][random.int(4)] as number
    const found = parseRange(Buffer.from(input).toString('latin1'), size)
    if (found === undefined || found === 'unsatisfiable') return false
    check(found.from >= 0 && found.from < found.to && found.to <= size, 'a range lies inside the file')
    return true
  },
}

const HEADER = Buffer.alloc(46)
writeHeader(HEADER, 0, { multihash: raw.cid.multihash.bytes, dataLength: 30, leaf: true })

const record: Target = {
  name: 'segment record header',
  format: 'bytes',
  corpus: () => [HEADER],
  refusal: neverRefuses,
  run(input) {
    const header = readHeader(Buffer.from(input))
    if (header === undefined) return false
    const copy = Buffer.alloc(12 + header.multihash.length)
    writeHeader(copy, 0, header)
    check(readHeader(copy)?.dataLength === header.dataLength, 'a header is read again')
    return true
  },
}

export const ipfsTargets: readonly Target[] = [
  linksTarget('dag-pb', PB, 'protobuf', NODES),
  linksTarget('dag-cbor', 0x71, 'bytes', CBOR),
  linksTarget('dag-json', 0x0129, 'json', texts(JSONS)),
  unixfs,
  contentPath,
  range,
  record,
]
