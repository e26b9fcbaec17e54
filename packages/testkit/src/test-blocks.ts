/** Blocks for tests, made by hand so that no codec library is needed. */
import { createHash } from 'node:crypto'
import type { NodeWithMeta } from '@ipfs-cluster/api'
import { concatBytes, utf8 } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'

const RAW = 0x55
const DAG_PB = 0x70
const SHA2_256 = 0x12

/** A block of this codec, with a CIDv1 unless version 0 is asked for. */
export function testBlock(data: Uint8Array, codec = RAW, version: 0 | 1 = 1): NodeWithMeta {
  const digest = create(SHA2_256, new Uint8Array(createHash('sha256').update(data).digest()))
  const cid = version === 0 ? CID.createV0(digest) : CID.createV1(codec, digest)
  return { cid, data, cumulativeSize: BigInt(data.length) }
}

export function rawBlock(content: string | Uint8Array): NodeWithMeta {
  return testBlock(typeof content === 'string' ? utf8(content) : content)
}

/** A UnixFS directory (dag-pb) with these entries, which must be in the order of their names. */
export function directoryBlock(
  entries: readonly { readonly name: string; readonly cid: CID }[],
  version: 0 | 1 = 1,
): NodeWithMeta {
  const links = entries.map(({ name, cid }) =>
    lengthDelimited(
      2,
      concatBytes([lengthDelimited(1, cid.bytes), lengthDelimited(2, utf8(name)), Uint8Array.of(0x18, 0)]),
    ),
  )
  const unixfsDirectory = Uint8Array.of(0x08, 0x01)
  return testBlock(concatBytes([...links, lengthDelimited(1, unixfsDirectory)]), DAG_PB, version)
}

/** Names and CIDs of the links of a dag-pb block; none of a block that is something else. */
export function linksOf(block: Uint8Array): { name: string; cid: CID }[] {
  const out: { name: string; cid: CID }[] = []
  for (const [number, link] of fields(block)) {
    if (number !== 2) continue
    let name = ''
    let cid: CID | undefined
    for (const [field, value] of fields(link)) {
      if (field === 1) cid = CID.decode(value)
      if (field === 2) name = new TextDecoder().decode(value)
    }
    if (cid !== undefined) out.push({ name, cid })
  }
  return out
}

/** Length-delimited fields of a protobuf message whose lengths are below 2^14; other fields end the reading. */
function* fields(bytes: Uint8Array): Generator<[number, Uint8Array]> {
  let at = 0
  while (at < bytes.length) {
    const tag = bytes[at++] as number
    if ((tag & 7) !== 2) return
    let length = bytes[at++] as number
    if (length >= 0x80) length = (length & 0x7f) | ((bytes[at++] as number) << 7)
    yield [tag >> 3, bytes.subarray(at, at + length)]
    at += length
  }
}

function lengthDelimited(field: number, value: Uint8Array): Uint8Array {
  const { length } = value
  const size = length < 0x80 ? [length] : [(length & 0x7f) | 0x80, length >> 7]
  return concatBytes([Uint8Array.of((field << 3) | 2, ...size), value])
}
