/** What CRDT peers send each other, and the rows it is kept in. */
import { utf8, utf8Text } from '@ipfs-cluster/base'
import { decodePin } from '@ipfs-cluster/api'
import { CrdtError, decodeBroadcast, encodeBroadcast, InvalidNodeError } from '@ipfs-cluster/crdt'
import { CID } from 'multiformats/cid'
import { decodeDelta, encodeDelta, type Delta } from '../../../packages/crdt/src/delta.ts'
import {
  blockIdText,
  createNode,
  decodeNode,
  linkOf,
  linkOfDigest,
  parseBlockId,
} from '../../../packages/crdt/src/node.ts'
import { decodeRow, encodeRow, rowValue } from '../../../packages/crdt/src/row.ts'
import { decodeOps, encodeOps } from '../../../packages/crdt/src/wal.ts'
import { cidOfPinKey, pinKey } from '../../../packages/peer/src/state/pin-key.ts'
import { projectChanges } from '../../../packages/peer/src/state/projection.ts'
import { CIDS, fixture, recorded, texts } from '../corpus.ts'
import { check, checkStable, neverRefuses, refusedBy, type Target } from '../target.ts'

const recordings = [
  fixture('crdt/src/fixtures/crdt-nodes.json'),
  fixture('crdt/src/fixtures/crdt-batches.json'),
]
const NODES = recordings.flatMap(document => recorded(document, 'node_hex'))
const BROADCASTS = recordings.flatMap(document => recorded(document, 'broadcast_hex'))
const link = linkOfDigest(new Uint8Array(32))
const nodes = NODES.map(bytes => decodeNode(link, bytes))
const refusal = refusedBy(InvalidNodeError)
const MIB = 1024 * 1024

/** What the peer does with an element after it has been read. */
function use(delta: Delta): void {
  for (const { id } of delta.tombstones) {
    const digest = parseBlockId(id)
    if (digest !== undefined)
      check(parseBlockId(blockIdText(digest)) !== undefined, 'block ids are read again')
  }
  projectChanges(
    delta.elements.map(({ key, value }) => ({ key, value, previous: undefined })),
    { advance: () => 1, onExpiry: () => undefined, onPressing: () => undefined },
  )
}

const tokens = ['/', '/AFKREI', '//', '/..', '/.', '\u0000'].map(utf8)

const node: Target = {
  name: 'crdt node',
  format: 'protobuf',
  corpus: () => NODES,
  tokens,
  refusal,
  maxBytes: 4 * MIB + 64 * 1024,
  run(input) {
    const { delta, links } = decodeNode(link, input)
    use(delta)
    const again = decodeNode(link, createNode(delta, links).data)
    check(again.links.length === links.length, 'the links of a node are kept')
    checkStable(again.delta, encodeDelta, decodeDelta)
    return true
  },
}

const delta: Target = {
  name: 'crdt delta',
  format: 'protobuf',
  corpus: () => nodes.map(each => encodeDelta(each.delta)),
  tokens,
  refusal,
  maxBytes: 4 * MIB + 64 * 1024,
  run(input) {
    const value = decodeDelta(input)
    use(value)
    checkStable(value, encodeDelta, decodeDelta)
    return true
  },
}

const broadcast: Target = {
  name: 'crdt broadcast',
  format: 'protobuf',
  corpus: () => [...BROADCASTS, ...CIDS.map(cid => cid.bytes), encodeBroadcast(CIDS)],
  refusal,
  maxBytes: MIB + 64 * 1024,
  run(input) {
    const heads = decodeBroadcast(input)
    for (const head of heads) linkOf(head)
    checkStable(heads, encodeBroadcast, decodeBroadcast)
    return true
  },
}

const ROWS = nodes.map(each => {
  const live = each.delta.elements
    .slice(0, 3)
    .map(({ value }, i) => ({ block: new Uint8Array(32).fill(i), priority: each.delta.priority, value }))
  return encodeRow({ live, tombstones: each.delta.tombstones.slice(0, 2).map(() => new Uint8Array(32)) })
})

const row: Target = {
  name: 'crdt row',
  format: 'bytes',
  corpus: () => ROWS,
  refusal: refusedBy(CrdtError),
  run(input) {
    const value = decodeRow(input)
    const effective = rowValue(input)
    check(
      (effective === undefined) === (value.live.length === 0),
      'the effective value is that of the first element',
    )
    // Rows are canonical as we write them; one element may also be read from the general form.
    checkStable(value, encodeRow, decodeRow)
    return true
  },
}

const wal: Target = {
  name: 'crdt write-ahead row',
  format: 'bytes',
  corpus: () => [
    encodeOps([
      { type: 'put', key: '/KEY', value: new Uint8Array(40) },
      { type: 'delete', key: '/KEY' },
    ]),
    encodeOps([{ type: 'delete', key: '/KEY' }]),
  ],
  refusal: refusedBy(CrdtError),
  run(input) {
    checkStable(decodeOps(input), encodeOps, decodeOps)
    return true
  },
}

const blockId: Target = {
  name: 'crdt block id',
  format: 'text',
  corpus: () => texts([blockIdText(new Uint8Array(32)), blockIdText(new Uint8Array(32).fill(255))]),
  refusal: neverRefuses,
  maxBytes: 4 * MIB,
  run(input) {
    const digest = parseBlockId(utf8Text(input))
    if (digest === undefined) return false
    check(digest.length === 32, 'a digest has 32 bytes')
    return true
  },
}

const pinKeys: Target = {
  name: 'pin key',
  format: 'text',
  corpus: () => texts(CIDS.map(pinKey)),
  refusal: neverRefuses,
  run(input) {
    const text = utf8Text(input)
    const cid = cidOfPinKey(text)
    if (cid === undefined) return false
    check(pinKey(cid) === text, 'a key has one spelling')
    check(CID.decode(cid.bytes).equals(cid), 'the CID of a key is one')
    return true
  },
}

/** The pins inside the nodes, as others read them. */
export const RECORDED_PINS: readonly Uint8Array[] = nodes
  .flatMap(each => each.delta.elements.map(({ value }) => value.slice()))
  .filter(value => decodePin(value) !== undefined)

export const crdtTargets: readonly Target[] = [node, delta, broadcast, row, wal, blockId, pinKeys]
