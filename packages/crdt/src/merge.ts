/**
 * The merge rules (reference wire.md 3.5): an add-wins observed-remove set whose value is that of the highest priority, between equal
 * priorities the bytewise greatest. A row is a function of the *sets* of elements and tombstones seen, so the order of merging and
 * repetition do not matter.
 *
 * A delta that holds a key twice counts as holding the last one, as Go reads it when it merges. (Go reads the bytewise greatest instead when
 * a tombstone later makes it recompute; that depends on the order of arrival, so it is not copied.)
 */
import { compareBytes, equalBytes } from '@ipfs-cluster/base'
import type { Delta } from './delta.ts'
import { MAX_ROW_BYTES, MAX_ROW_ENTRIES } from './limits.ts'
import { idOf, parseBlockId, type NodeId } from './node.ts'
import { compareElements, decodeRow, EMPTY_ROW, encodeRow, type LiveElement } from './row.ts'
import type { CrdtChange } from './types.ts'

/** What merging needs of a node. */
export interface MergeNode {
  readonly digest: Uint8Array
  readonly delta: Delta
}

export interface MergeResult {
  /** Rows that differ from those given, encoded. */
  readonly rows: ReadonlyMap<string, Uint8Array>
  /**
   * Keys whose effective element changed or lost an element, with their state after all nodes. A key that survives a deletion is among them
   * with its value, where Go announces a deletion (3.12).
   */
  readonly changes: readonly CrdtChange[]
  /** What changes outside of the rows of spilled keys. */
  readonly spilled: ReadonlyMap<string, Iterable<SpillChange>>
}

/** What is kept outside of a spilled row: an element, or the tombstone of one. */
export type SpillState = LiveElement | 'dead'

/** What is stored outside of the rows, as far as merging needs it. */
export interface Spilled {
  state(key: string, id: NodeId): SpillState | undefined
  /** The elements of highest precedence: more than the tombstones to be merged. */
  first(key: string): readonly LiveElement[]
}

export const NOTHING_SPILLED: Spilled = { state: () => undefined, first: () => [] }

export interface SpillChange {
  readonly block: Uint8Array
  /** The element stored outside until now. */
  readonly before: LiveElement | undefined
  /** `undefined`: nothing is kept outside, the element is in the row. */
  readonly after: SpillState | undefined
}

interface WorkRow {
  readonly key: string
  readonly live: LiveElement[]
  tombstones: Uint8Array[]
  /** As in `KeyRow`; meanwhile `live` may be empty although there are some elsewhere. */
  elsewhere: number | undefined
  readonly outside: Map<NodeId, SpillChange>
  readonly previous: Uint8Array | undefined
  dirty: boolean
  changed: boolean
}

/** The keys that merging `nodes` reads and writes. */
export function touchedKeys(nodes: readonly MergeNode[]): Set<string> {
  const keys = new Set<string>()
  for (const { delta } of nodes) {
    for (const { key } of delta.tombstones) keys.add(key)
    for (const { key } of delta.elements) keys.add(key)
  }
  return keys
}

/** Merges `nodes` into `rows`, which holds the encoded row of every touched key that has one; `spilled` what spilled ones keep elsewhere. */
export function mergeNodes(
  rows: ReadonlyMap<string, Uint8Array | undefined>,
  nodes: readonly MergeNode[],
  spilled: Spilled = NOTHING_SPILLED,
): MergeResult {
  const work = new Map<string, WorkRow>()
  const open = (key: string) => {
    let row = work.get(key)
    if (row === undefined) {
      row = openRow(key, rows.get(key))
      work.set(key, row)
    }
    return row
  }
  for (const { digest, delta } of nodes) {
    for (const tombstone of delta.tombstones) {
      const block = parseBlockId(tombstone.id)
      if (block !== undefined) addTombstone(open(tombstone.key), block, spilled)
    }
    for (const [key, value] of lastValues(delta)) {
      addElement(open(key), { block: digest, priority: delta.priority, value }, spilled)
    }
  }
  const changedRows = new Map<string, Uint8Array>()
  const changes: CrdtChange[] = []
  const outside = new Map<string, Iterable<SpillChange>>()
  for (const [key, row] of work) {
    refill(row, spilled)
    if (row.outside.size > 0) outside.set(key, row.outside.values())
    if (row.dirty) changedRows.set(key, encodeRow(row))
    if (row.changed) changes.push({ key, value: row.live[0]?.value, previous: row.previous })
  }
  return { rows: changedRows, changes, spilled: outside }
}

function openRow(key: string, bytes: Uint8Array | undefined): WorkRow {
  const { live, tombstones, elsewhere } = bytes === undefined ? EMPTY_ROW : decodeRow(bytes)
  return {
    key,
    live: [...live],
    tombstones: [...tombstones],
    elsewhere,
    outside: new Map(),
    previous: live[0]?.value,
    dirty: false,
    changed: false,
  }
}

function lastValues(delta: Delta): Map<string, Uint8Array> {
  const values = new Map<string, Uint8Array>()
  for (const { key, value } of delta.elements) values.set(key, value)
  return values
}

function addTombstone(row: WorkRow, block: Uint8Array, spilled: Spilled): void {
  if (row.elsewhere === undefined) {
    const at = tombstoneIndex(row.tombstones, block)
    if (equalsAt(row.tombstones, at, block)) return
    row.tombstones.splice(at, 0, block)
    row.dirty = true
  } else {
    const id = idOf(block)
    const state = outsideOf(row, id, spilled)
    if (state === 'dead') return
    setOutside(row, id, { block, before: state, after: 'dead' })
    if (state !== undefined) {
      row.elsewhere--
      row.dirty = true
    }
  }
  const element = row.live.findIndex(candidate => equalBytes(candidate.block, block))
  if (element >= 0) {
    row.live.splice(element, 1)
    row.dirty = true
    row.changed = true
  }
  if (row.tombstones.length > MAX_ROW_ENTRIES) spill(row)
}

function addElement(row: WorkRow, element: LiveElement, spilled: Spilled): void {
  if (equalsAt(row.tombstones, tombstoneIndex(row.tombstones, element.block), element.block)) return
  if (row.live.some(candidate => equalBytes(candidate.block, element.block))) return
  if (row.elsewhere !== undefined && outsideOf(row, idOf(element.block), spilled) !== undefined) return
  const found = row.live.findIndex(candidate => compareElements(element, candidate) < 0)
  const at = found < 0 ? row.live.length : found
  row.dirty = true
  if (at === row.live.length && row.elsewhere !== undefined && row.elsewhere > 0) {
    moveOut(row, element)
    return
  }
  row.live.splice(at, 0, element)
  row.changed ||= at === 0
  if (isFull(row.live)) {
    spill(row)
    for (const lower of row.live.splice(Math.ceil(row.live.length / 2))) moveOut(row, lower)
  }
}

function isFull(live: readonly LiveElement[]): boolean {
  if (live.length > MAX_ROW_ENTRIES) return true
  let bytes = 0
  for (const { value } of live) bytes += value.length
  return live.length > 1 && bytes > MAX_ROW_BYTES
}

/** From now on tombstones are kept outside of the row, and elements may be. */
function spill(row: WorkRow): void {
  if (row.elsewhere !== undefined) return
  row.elsewhere = 0
  for (const block of row.tombstones) {
    row.outside.set(idOf(block), { block, before: undefined, after: 'dead' })
  }
  row.tombstones = []
}

function moveOut(row: WorkRow, element: LiveElement): void {
  row.elsewhere = (row.elsewhere ?? 0) + 1
  setOutside(row, idOf(element.block), { block: element.block, before: undefined, after: element })
}

/** What is kept outside of the row for that node. */
function outsideOf({ key, outside }: WorkRow, id: NodeId, spilled: Spilled): SpillState | undefined {
  const change = outside.get(id)
  return change === undefined ? spilled.state(key, id) : change.after
}

/** Remembers a change; what was stored before the first one stays `before`. */
function setOutside({ outside }: WorkRow, id: NodeId, change: SpillChange): void {
  const earlier = outside.get(id)
  outside.set(id, earlier === undefined ? change : { ...change, before: earlier.before })
}

/** A row without elements gets those of highest precedence that are elsewhere. */
function refill(row: WorkRow, spilled: Spilled): void {
  if (row.live.length > 0 || row.elsewhere === undefined || row.elsewhere === 0) return
  const stored = spilled.first(row.key).filter(({ block }) => !row.outside.has(idOf(block)))
  const added: LiveElement[] = []
  for (const { after } of row.outside.values()) if (after !== undefined && after !== 'dead') added.push(after)
  const inStore = new Set(stored)
  const first = [...stored, ...added].sort(compareElements).slice(0, MAX_ROW_ENTRIES / 2)
  while (first.length > 1 && isFull(first)) first.length = Math.ceil(first.length / 2)
  for (const element of first) {
    const before = inStore.has(element) ? element : undefined
    setOutside(row, idOf(element.block), { block: element.block, before, after: undefined })
  }
  row.live.push(...first)
  row.elsewhere -= first.length
  row.dirty = true
  row.changed = true
}

/** Where `block` is or would be in the sorted list. */
function tombstoneIndex(tombstones: readonly Uint8Array[], block: Uint8Array): number {
  let low = 0
  let high = tombstones.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareBytes(tombstones[middle] as Uint8Array, block) < 0) low = middle + 1
    else high = middle
  }
  return low
}

function equalsAt(tombstones: readonly Uint8Array[], at: number, block: Uint8Array): boolean {
  const found = tombstones[at]
  return found !== undefined && equalBytes(found, block)
}
