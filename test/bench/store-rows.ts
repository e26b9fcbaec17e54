/** What pins are in the store of a peer: the rows of the real layout in their real sizes, in the batches in which the rooms write them. */
import { DEFAULT_PIN_OPTIONS, encodePin, type Pin } from '@ipfs-cluster/api'
import { EMPTY_BYTES, prefixOps, type StoreOp, type StoreRange } from '@ipfs-cluster/base'
import { createNode, linkOf, type CrdtNode } from '@ipfs-cluster/crdt'
import { digestRow, encodeNumbers, keyRow, PREFIX } from '../../packages/crdt/src/layout.ts'
import { encodeRow } from '../../packages/crdt/src/row.ts'
import { queueKey, rowKey, TRACKER_PREFIX } from '../../packages/peer/src/pintracker/rows.ts'
import { outboxRow } from '../../packages/peer/src/state/layout.ts'
import { pinKey } from '../../packages/peer/src/state/pin-key.ts'
import { benchCid } from './cids.ts'

/** Status, queue, generation, attempts and times (`pintracker/rows.ts`). */
const TRACKER_ROW_BYTES = 29
const NO_DIGEST = new Uint8Array(32)
/** So many children a node of the DAG has, as the CRDT bounds it. */
const NODE_PINS = 1000

/** A pin of every peer, with a name, as scripts write them. */
function samplePin(index: number): Pin {
  return {
    ...DEFAULT_PIN_OPTIONS,
    cid: benchCid('row', index),
    type: 'pin',
    allocations: [],
    maxDepth: -1,
    reference: null,
    timestamp: 1_763_700_000_000_000_000n,
    replicationFactorMin: -1,
    replicationFactorMax: -1,
    name: `dataset/part-${index}`,
  }
}

export interface PinBatches {
  /** Rows that are read before anything is written; none is there yet. */
  readonly looked: readonly Uint8Array[]
  /** What makes them durable before the answer: DAG node, key rows, outbox. */
  readonly commit: readonly StoreOp[]
  /** Taken by the tracker: its rows, queued; gone from the outbox. */
  readonly queued: readonly StoreOp[]
  /** Pinned on the daemon. */
  readonly done: readonly StoreOp[]
}

/** The batches of pins `[from, from + count)`, up to `NODE_PINS` of them. */
export function pinBatches(from: number, count: number): PinBatches {
  const pins = Array.from({ length: count }, (_, i) => samplePin(from + i))
  const elements = pins.map(pin => ({ key: pinKey(pin.cid), id: '', value: encodePin(pin) }))
  const head = linkOf(benchCid('head', from))
  const priority = 1 + Math.floor(from / NODE_PINS)
  const node = createNode({ elements, tombstones: [], priority }, head === undefined ? [] : [head])
  const commit = [...nodeOps(node, priority)]
  const queued: StoreOp[] = []
  const done: StoreOp[] = []
  const row = new Uint8Array(TRACKER_ROW_BYTES)
  pins.forEach(({ cid }, i) => {
    const value = encodeRow({
      live: [{ block: node.digest, priority, value: elements[i]?.value ?? EMPTY_BYTES }],
      tombstones: [],
    })
    commit.push(
      { type: 'put', key: keyRow(pinKey(cid)), value },
      { type: 'put', key: outboxRow(from + i), value: cid.bytes },
    )
    const queue = queueKey('normal', 1_763_700_000_000 + from + i, cid)
    queued.push(
      ...prefixOps(TRACKER_PREFIX, [
        { type: 'put', key: rowKey(cid), value: row },
        { type: 'put', key: queue, value: EMPTY_BYTES },
      ]),
      { type: 'del', key: outboxRow(from + i) },
    )
    done.push(
      ...prefixOps(TRACKER_PREFIX, [
        { type: 'put', key: rowKey(cid), value: row },
        { type: 'del', key: queue },
      ]),
    )
  })
  const looked = pins.flatMap((_, i) => [stateKey(from + i), trackerKey(from + i)])
  return { looked, commit, queued, done }
}

/** What is left of pins `[from, from + count)` once everything is done, without the steps on the way. */
export function settledPins(from: number, count: number): StoreOp[] {
  const { commit, done } = pinBatches(from, count)
  const passing = [PREFIX.head, outboxRow(0).subarray(0, -8)]
  const stays = ({ type, key }: StoreOp) =>
    type === 'put' && !passing.some(prefix => prefix.every((byte, i) => key[i] === byte))
  return [...commit, ...done].filter(stays)
}

/** Pins `[from, from + count)` gone again: tombstones, and nothing in the tracker. */
export function unpinBatch(from: number, count: number): StoreOp[] {
  const tombstones = Array.from({ length: count }, (_, i) => ({
    key: pinKey(benchCid('row', from + i)),
    id: benchCid('head', from + i).toString(),
    value: EMPTY_BYTES,
  }))
  const priority = 2 + Math.floor(from / NODE_PINS)
  const node = createNode({ elements: [], tombstones, priority }, [])
  const ops = [...nodeOps(node, priority)]
  for (let i = from; i < from + count; i++) {
    const cid = benchCid('row', i)
    ops.push(
      {
        type: 'put',
        key: keyRow(pinKey(cid)),
        value: encodeRow({ live: [], tombstones: [NO_DIGEST] }),
      },
      ...prefixOps(TRACKER_PREFIX, [{ type: 'del', key: rowKey(cid) }]),
    )
  }
  return ops
}

function* nodeOps(node: CrdtNode, height: number): Generator<StoreOp> {
  yield { type: 'put', key: digestRow(PREFIX.block, node.digest), value: node.data }
  yield {
    type: 'put',
    key: digestRow(PREFIX.node, node.digest),
    value: encodeNumbers(height, node.data.length),
  }
  yield { type: 'put', key: digestRow(PREFIX.head, node.digest), value: encodeNumbers(height) }
  for (const { digest } of node.links) yield { type: 'del', key: digestRow(PREFIX.head, digest) }
}

/** The row of a pin in the state, and in the tracker's table. */
export function stateKey(index: number): Uint8Array {
  return keyRow(pinKey(benchCid('row', index)))
}

export function trackerKey(index: number): Uint8Array {
  return (
    prefixOps(TRACKER_PREFIX, [{ type: 'del', key: rowKey(benchCid('row', index)) }])[0]?.key ?? EMPTY_BYTES
  )
}

/** All rows of pins in the state, and of the tracker's table. */
export const STATE_ROWS: StoreRange = { gte: PREFIX.key, lt: after(PREFIX.key) }
export const TRACKER_ROWS: StoreRange = { gte: TRACKER_PREFIX, lt: after(TRACKER_PREFIX) }

function after(prefix: Uint8Array): Uint8Array {
  const end = prefix.slice()
  end[end.length - 1] = (end.at(-1) ?? 0) + 1
  return end
}
