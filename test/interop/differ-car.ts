/** CAR files, good and bad, as Latin-1 text. */
import { createHash } from 'node:crypto'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagPb from '@ipld/dag-pb'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'
import { varint } from 'multiformats'

const DAG_JSON = 0x0129
const DAG_PB = dagPb.code

interface Block {
  readonly cid: CID
  readonly bytes: Uint8Array
}

export type CarKind =
  | 'good'
  | 'two roots'
  | 'no roots'
  | 'bad hash'
  | 'missing root'
  | 'cbor'
  | 'json'
  | 'version 2'
  | 'for shards'

const text = (value: string) => new TextEncoder().encode(value)

function block(codec: number, bytes: Uint8Array): Block {
  const digest = create(0x12, createHash('sha256').update(bytes).digest())
  return { cid: CID.createV1(codec, digest), bytes }
}

export function carOf(kind: CarKind): string {
  const leaf = block(0x55, text('a leaf in a CAR'))
  const node = block(
    DAG_PB,
    dagPb.encode(dagPb.prepare({ Data: new Uint8Array([8, 1]), Links: [{ Name: 'leaf', Hash: leaf.cid }] })),
  )
  switch (kind) {
    case 'good':
      return write([node.cid], [node, leaf])
    case 'two roots':
      return write([node.cid, leaf.cid], [node, leaf])
    case 'no roots':
      return write([], [node, leaf])
    case 'bad hash':
      return write([node.cid], [node, { ...leaf, bytes: text('something else') }])
    case 'missing root':
      return write([node.cid], [leaf])
    case 'cbor': {
      const map = block(dagCbor.code, dagCbor.encode({ leaf: leaf.cid }))
      return write([map.cid], [map, leaf])
    }
    case 'json': {
      const json = block(DAG_JSON, text('{"a":1}'))
      return write([json.cid], [json])
    }
    case 'for shards': {
      const leaves = Array.from({ length: 30 }, (_, i) => block(0x55, text(`leaf ${i} of content in shards`)))
      const map = block(dagCbor.code, dagCbor.encode(leaves.map(({ cid }) => cid)))
      return write([map.cid], [...leaves, map])
    }
    case 'version 2':
      return write([node.cid], [node, leaf], 2)
  }
}

function write(roots: readonly CID[], blocks: readonly Block[], version = 1): string {
  const sections = [
    dagCbor.encode({ version, roots }),
    ...blocks.map(({ cid, bytes }) => Buffer.concat([cid.bytes, bytes])),
  ]
  return Buffer.concat(sections.flatMap(section => [length(section.length), section])).toString('latin1')
}

function length(value: number): Uint8Array {
  return varint.encodeTo(value, new Uint8Array(varint.encodingLength(value)))
}
