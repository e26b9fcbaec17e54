/** Turns operations into deltas: pure. */
import { EMPTY_BYTES } from '@ipfs-cluster/base'
import { elementSize, type Delta, type DeltaElement } from './delta.ts'
import { MAX_PRIORITY } from './limits.ts'
import { blockIdText } from './node.ts'
import { decodeRow } from './row.ts'
import type { CrdtOp } from './types.ts'

/** The net effect of some operations on a key. */
export interface KeyEffect {
  /** The elements visible before are to be deleted. */
  readonly remove: boolean
  /** The new value, if it has one afterwards. */
  readonly value: Uint8Array | undefined
}

/** Only the last put of a key counts; a delete removes the earlier elements whatever follows (wire.md 3.7). In the order of the last ops. */
export function foldOps(ops: Iterable<CrdtOp>): Map<string, KeyEffect> {
  const effects = new Map<string, KeyEffect>()
  for (const op of ops) {
    const remove = op.type === 'delete' || effects.get(op.key)?.remove === true
    effects.delete(op.key)
    effects.set(op.key, { remove, value: op.type === 'put' ? op.value : undefined })
  }
  return effects
}

export interface DeltaLimits {
  readonly maxDeltaBytes: number
  /** Elements and tombstones of one delta. */
  readonly maxCommitOps: number
}

/**
 * The deltas that bring about `effects`, each within the limits unless a single entry is larger; priorities count up from `height`. None when
 * there is nothing to do. Tombstones name every live element in `rows`, which holds the row of every key of `effects`, and of `elsewhere`: the nodes
 * whose elements have rows of their own, for keys that `isRemoved`.
 */
export function planDeltas(
  effects: ReadonlyMap<string, KeyEffect>,
  rows: ReadonlyMap<string, Uint8Array | undefined>,
  height: number,
  limits: DeltaLimits,
  elsewhere: ReadonlyMap<string, readonly Uint8Array[]> = new Map(),
): Delta[] {
  const deltas: Delta[] = []
  let elements: DeltaElement[] = []
  let tombstones: DeltaElement[] = []
  let size = 0
  const cut = () => {
    if (elements.length + tombstones.length > 0) {
      deltas.push({ elements, tombstones, priority: Math.min(height + deltas.length, MAX_PRIORITY) })
    }
    elements = []
    tombstones = []
    size = PRIORITY_BYTES
  }
  const add = (list: 'elements' | 'tombstones', entry: DeltaElement) => {
    const bytes = elementSize(entry)
    if (size + bytes > limits.maxDeltaBytes || elements.length + tombstones.length >= limits.maxCommitOps)
      cut()
    ;(list === 'elements' ? elements : tombstones).push(entry)
    size += bytes
  }
  cut()
  for (const [key, effect] of effects) {
    const { value } = effect
    if (isRemoved(effect, height + deltas.length)) {
      for (const id of liveIds(rows.get(key), elsewhere.get(key)))
        add('tombstones', { key, id, value: EMPTY_BYTES })
    }
    if (value !== undefined) add('elements', { key, id: '', value })
  }
  cut()
  return deltas
}

/**
 * Whether what the key has is to be deleted by a node at `height`. At `MAX_PRIORITY` a put cannot be higher than what is there, so it takes its place by
 * deleting it.
 */
export function isRemoved({ remove }: KeyEffect, height: number): boolean {
  return remove || height >= MAX_PRIORITY
}

/** Bytes of the priority field at most. */
const PRIORITY_BYTES = 11

/** Ids of the live elements in a row, in the order of Go's datastore. */
function liveIds(row: Uint8Array | undefined, elsewhere: readonly Uint8Array[] = []): string[] {
  if (row === undefined) return []
  const blocks = [...decodeRow(row).live.map(({ block }) => block), ...elsewhere]
  return blocks.map(blockIdText).sort()
}
