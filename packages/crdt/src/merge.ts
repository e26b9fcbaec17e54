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
import { parseBlockId } from './node.ts'
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
}

interface WorkRow {
  readonly live: LiveElement[]
  readonly tombstones: Uint8Array[]
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

/** Merges `nodes` into `rows`, which holds the encoded row of every touched key that has one. */
export function mergeNodes(
  rows: ReadonlyMap<string, Uint8Array | undefined>,
  nodes: readonly MergeNode[],
): MergeResult {
  const work = new Map<string, WorkRow>()
  const open = (key: string) => {
    let row = work.get(key)
    if (row === undefined) {
      row = openRow(rows.get(key))
      work.set(key, row)
    }
    return row
  }
  for (const { digest, delta } of nodes) {
    for (const tombstone of delta.tombstones) {
      const block = parseBlockId(tombstone.id)
      if (block !== undefined) addTombstone(open(tombstone.key), block)
    }
    for (const [key, value] of lastValues(delta)) {
      addElement(open(key), { block: digest, priority: delta.priority, value })
    }
  }
  const changedRows = new Map<string, Uint8Array>()
  const changes: CrdtChange[] = []
  for (const [key, row] of work) {
    if (row.dirty) changedRows.set(key, encodeRow(row))
    if (row.changed) changes.push({ key, value: row.live[0]?.value, previous: row.previous })
  }
  return { rows: changedRows, changes }
}

function openRow(bytes: Uint8Array | undefined): WorkRow {
  const { live, tombstones } = bytes === undefined ? EMPTY_ROW : decodeRow(bytes)
  return {
    live: [...live],
    tombstones: [...tombstones],
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

function addTombstone(row: WorkRow, block: Uint8Array): void {
  const at = tombstoneIndex(row.tombstones, block)
  if (equalsAt(row.tombstones, at, block)) return
  row.tombstones.splice(at, 0, block)
  const element = row.live.findIndex(candidate => equalBytes(candidate.block, block))
  if (element >= 0) row.live.splice(element, 1)
  row.dirty = true
  row.changed ||= element >= 0
}

function addElement(row: WorkRow, element: LiveElement): void {
  if (equalsAt(row.tombstones, tombstoneIndex(row.tombstones, element.block), element.block)) return
  if (row.live.some(candidate => equalBytes(candidate.block, element.block))) return
  const found = row.live.findIndex(candidate => compareElements(element, candidate) < 0)
  const at = found < 0 ? row.live.length : found
  row.live.splice(at, 0, element)
  row.dirty = true
  row.changed ||= at === 0
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
