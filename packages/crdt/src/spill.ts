/**
 * Keys with many elements or tombstones. One row with all of them would be written anew with each, so that n of them would cost n²; and whoever has
 * made such a key could make us write megabytes with nodes of a few bytes. Beyond `MAX_ROW_ENTRIES` and `MAX_ROW_BYTES` the key's row keeps the
 * elements of highest precedence, and each of the others has rows of its own:
 *
 * | row | value |
 * |---|---|
 * | `s` + sha2-256 of the key + node digest | `ff`, or nothing: a tombstone; otherwise an element: priority varint, value |
 * | `o` + sha2-256 of the key + precedence + node digest | a byte; one for each such element, in order of precedence |
 */
import { createHash } from 'node:crypto'
import { concatBytes, equalBytes, PRESENT, prefixRange, type Store, type StoreOp } from '@ipfs-cluster/base'
import { digestRow, encodeNumbers, keyRow, PREFIX } from './layout.ts'
import { MAX_PRIORITY, MAX_ROW_ENTRIES } from './limits.ts'
import {
  mergeNodes,
  NOTHING_SPILLED,
  touchedKeys,
  type MergeNode,
  type Spilled,
  type SpillChange,
  type SpillState,
} from './merge.ts'
import { idOf, parseBlockId } from './node.ts'
import { ProtoReader } from './protobuf.ts'
import { decodeRow, guarded, isSpilled, type LiveElement } from './row.ts'
import type { CrdtChange } from './types.ts'

const DIGEST_BYTES = 32
/** Begins no varint that ends, so it is no element. */
const DEAD = Uint8Array.of(0xff)

export type KeyRows = ReadonlyMap<string, Uint8Array | undefined>

export interface MergePlan {
  /** Rows of keys that differ from what is stored. */
  readonly ops: readonly StoreOp[]
  /** Those whose row it writes. */
  readonly keys: readonly string[]
  readonly changes: readonly CrdtChange[]
}

/** What merging `nodes` writes. @param known the rows of all keys that they touch, when the caller has read them. */
export async function planMerge(
  store: Store,
  nodes: readonly MergeNode[],
  known?: KeyRows,
): Promise<MergePlan> {
  const rows = known ?? (await readRows(store, [...touchedKeys(nodes)]))
  const merge = mergeNodes(rows, nodes, await readSpilled(store, rows, nodes))
  const ops: StoreOp[] = []
  for (const [key, value] of merge.rows) ops.push({ type: 'put', key: keyRow(key), value })
  for (const [key, changes] of merge.spilled) pushSpillOps(ops, hashOf(key), changes)
  return { ops, keys: [...merge.rows.keys()], changes: merge.changes }
}

async function readRows(store: Store, keys: readonly string[]): Promise<KeyRows> {
  const rows = await store.getMany(keys.map(keyRow))
  return new Map(keys.map((key, i) => [key, rows[i]]))
}

/** Nodes whose elements of `key` are live and have rows of their own. */
export async function liveElsewhere(store: Store, key: string): Promise<Uint8Array[]> {
  const blocks: Uint8Array[] = []
  for await (const row of store.keys(prefixRange(concatBytes([PREFIX.order, hashOf(key)])))) {
    blocks.push(row.slice(-DIGEST_BYTES))
  }
  return blocks
}

/** Reads what merging `nodes` may have to know of the keys in `rows` that are spilled. */
async function readSpilled(store: Store, rows: KeyRows, nodes: readonly MergeNode[]): Promise<Spilled> {
  const spilled = new Map<
    string,
    { readonly hash: Uint8Array; readonly elsewhere: number; tombstones: number }
  >()
  for (const [key, row] of rows) {
    if (!isSpilled(row)) continue
    spilled.set(key, { hash: hashOf(key), elsewhere: decodeRow(row).elsewhere ?? 0, tombstones: 0 })
  }
  if (spilled.size === 0) return NOTHING_SPILLED
  const asked: { readonly name: string; readonly row: Uint8Array; readonly block: Uint8Array }[] = []
  const ask = (key: string, block: Uint8Array) => {
    const entry = spilled.get(key)
    if (entry === undefined) return undefined
    asked.push({ name: nameOf(key, idOf(block)), row: stateRow(entry.hash, block), block })
    return entry
  }
  for (const { digest, delta } of nodes) {
    for (const { key } of delta.elements) ask(key, digest)
    for (const { key, id } of delta.tombstones) {
      const block = spilled.has(key) ? parseBlockId(id) : undefined
      const entry = block === undefined ? undefined : ask(key, block)
      if (entry !== undefined) entry.tombstones++
    }
  }
  const stored = await store.getMany(asked.map(({ row }) => row))
  const states = new Map<string, SpillState>()
  for (const [i, { name, block }] of asked.entries()) {
    const value = stored[i]
    if (value !== undefined) states.set(name, decodeState(block, value))
  }
  const first = new Map<string, readonly LiveElement[]>()
  for (const [key, { hash, elsewhere, tombstones }] of spilled) {
    // So many that some are left whatever the tombstones hit.
    if (elsewhere > 0 && tombstones > 0) {
      first.set(key, await firstElsewhere(store, hash, MAX_ROW_ENTRIES + tombstones))
    }
  }
  return {
    state: (key, id) => states.get(nameOf(key, id)),
    first: key => first.get(key) ?? [],
  }
}

async function firstElsewhere(store: Store, hash: Uint8Array, limit: number): Promise<LiveElement[]> {
  const blocks: Uint8Array[] = []
  const range = { ...prefixRange(concatBytes([PREFIX.order, hash])), limit }
  for await (const row of store.keys(range)) blocks.push(row.slice(-DIGEST_BYTES))
  const values = await store.getMany(blocks.map(block => stateRow(hash, block)))
  return blocks.flatMap((block, i) => {
    const value = values[i]
    const state = value === undefined ? 'dead' : decodeState(block, value)
    return state === 'dead' ? [] : [state]
  })
}

function pushSpillOps(ops: StoreOp[], hash: Uint8Array, changes: Iterable<SpillChange>): void {
  for (const { block, before, after } of changes) {
    const key = stateRow(hash, block)
    if (before !== undefined) ops.push({ type: 'del', key: orderRow(hash, before) })
    if (after === undefined) ops.push({ type: 'del', key })
    else if (after === 'dead') ops.push({ type: 'put', key, value: DEAD })
    else {
      const value = concatBytes([encodeNumbers(after.priority), after.value])
      ops.push({ type: 'put', key, value }, { type: 'put', key: orderRow(hash, after), value: PRESENT })
    }
  }
}

function decodeState(block: Uint8Array, value: Uint8Array): SpillState {
  if (value.length === 0 || equalBytes(value, DEAD)) return 'dead'
  return guarded(() => {
    const reader = new ProtoReader(value)
    const priority = reader.varint()
    return { block, priority, value: value.subarray(reader.position) }
  })
}

function hashOf(key: string): Uint8Array {
  return createHash('sha256').update(key).digest()
}

function nameOf(key: string, id: string): string {
  return `${id}${key}`
}

function stateRow(hash: Uint8Array, block: Uint8Array): Uint8Array {
  return concatBytes([digestRow(PREFIX.spilled, hash), block])
}

/** Bytewise order of these is the order of precedence: the highest priority first, then the greatest value. */
function orderRow(hash: Uint8Array, { priority, value, block }: LiveElement): Uint8Array {
  const height = new Uint8Array(8)
  new DataView(height.buffer).setBigUint64(0, BigInt(MAX_PRIORITY - priority))
  return concatBytes([PREFIX.order, hash, height, descending(value), block])
}

/** Sorts the other way round, and the longer of two before its own beginning: each byte inverted, 0xff escaped, 0xff 0xff at the end. */
function descending(value: Uint8Array): Uint8Array {
  let zeros = 0
  for (const byte of value) if (byte === 0) zeros++
  const out = new Uint8Array(value.length + zeros + 2)
  let at = 0
  for (const byte of value) {
    out[at++] = 0xff - byte
    if (byte === 0) out[at++] = 0
  }
  out[at++] = 0xff
  out[at] = 0xff
  return out
}
