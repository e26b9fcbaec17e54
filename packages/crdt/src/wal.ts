/** Operations that were acknowledged before they are in a delta: their rows, and what reading makes of them. */
import {
  compareBytes,
  utf8,
  type Store,
  type StoreOp,
  type StoreRange,
  prefixRange,
} from '@ipfs-cluster/base'
import { CrdtError, InvalidNodeError } from './errors.ts'
import { PREFIX, walRow, walSequence } from './layout.ts'
import { ProtoReader, ProtoWriter, textSize, varintSize } from './protobuf.ts'
import type { CrdtOp } from './types.ts'

/**
 * A row's value: for each operation its length (varint), then for a put `1 · key length varint · key · value`, for a delete
 * `2 · key length varint · key`.
 */
const PUT = 1
const DELETE = 2

const text = new TextDecoder()

export function encodeOps(ops: readonly CrdtOp[]): Uint8Array {
  let size = 0
  for (const op of ops) {
    const bytes = encodedSize(op)
    size += varintSize(bytes) + bytes
  }
  const writer = new ProtoWriter(size)
  for (const op of ops) {
    writer.varint(encodedSize(op))
    writer.varint(op.type === 'put' ? PUT : DELETE)
    writer.varint(textSize(op.key))
    writer.text(op.key)
    if (op.type === 'put') writer.raw(op.value)
  }
  return writer.finish()
}

/** @throws CrdtError `CRDT_STORE_CORRUPT` */
export function decodeOps(bytes: Uint8Array): CrdtOp[] {
  try {
    const rows = new ProtoReader(bytes)
    const ops: CrdtOp[] = []
    while (rows.position < bytes.length) ops.push(decodeOp(rows.view()))
    return ops
  } catch (cause) {
    // The reader knows bytes of the network only; bytes of our own store are another matter.
    throw new CrdtError(
      'a row of the write-ahead table cannot be read; restore the store from a copy',
      { code: 'CRDT_STORE_CORRUPT', row: 'wal' },
      { cause },
    )
  }
}

function encodedSize(op: CrdtOp): number {
  const keySize = textSize(op.key)
  return 1 + varintSize(keySize) + keySize + (op.type === 'put' ? op.value.length : 0)
}

function decodeOp(bytes: Uint8Array): CrdtOp {
  const reader = new ProtoReader(bytes)
  const kind = reader.varint()
  const key = text.decode(reader.view())
  if (kind === PUT) return { type: 'put', key, value: bytes.slice(reader.position) }
  if (kind === DELETE && reader.position === bytes.length) return { type: 'delete', key }
  throw new InvalidNodeError(`operation ${kind}`)
}

export function opBytes(op: CrdtOp): number {
  return textSize(op.key) + (op.type === 'put' ? op.value.length : 0)
}

/** Operations written together. */
interface WalGroup {
  /** Of the first operation; the row's number. */
  readonly sequence: number
  readonly ops: readonly CrdtOp[]
}

/** The acknowledged operations in order, and the effective value of each of their keys. */
export class Wal {
  readonly #groups: WalGroup[] = []
  readonly #latest = new Map<string, CrdtOp>()
  #next = 1
  #size = 0
  #bytes = 0

  /** Reads what an earlier process left. */
  static async open(store: Store): Promise<Wal> {
    const wal = new Wal()
    for await (const [key, value] of store.entries(prefixRange(PREFIX.wal))) {
      const group = { sequence: walSequence(key), ops: decodeOps(value) }
      wal.#add(group)
      wal.#next = group.sequence + group.ops.length
    }
    return wal
  }

  /** Operations. */
  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** All operations in order, and what deletes their rows. */
  contents(): { readonly ops: readonly CrdtOp[]; readonly rows: readonly StoreOp[] } {
    return {
      ops: this.#groups.flatMap(({ ops }) => ops),
      rows: this.#groups.map(({ sequence }) => ({ type: 'del', key: walRow(sequence) })),
    }
  }

  /** Numbers `ops` and says what to write; call `written` when it is. */
  prepare(ops: readonly CrdtOp[]): { readonly row: StoreOp; written(): void } {
    const sequence = this.#next
    this.#next += ops.length
    return {
      row: { type: 'put', key: walRow(sequence), value: encodeOps(ops) },
      written: () => this.#add({ sequence, ops }),
    }
  }

  /** Forgets the first `count` operations, whole groups of them: they are in a node, or have no effect. */
  drop(count: number): void {
    let left = count
    while (left > 0) {
      const group = this.#groups.shift()
      if (group === undefined) return
      left -= group.ops.length
      this.#size -= group.ops.length
      for (const op of group.ops) {
        this.#bytes -= opBytes(op)
        if (this.#latest.get(op.key) === op) this.#latest.delete(op.key)
      }
    }
  }

  /** The last operation on `key`. */
  latest(key: string): CrdtOp | undefined {
    return this.#latest.get(key)
  }

  /** The last operation on each key inside `range` (bounds are UTF-8 of keys), in the order of a scan. */
  latestInRange({ gt, gte, lt, lte, reverse }: StoreRange = {}): { key: Uint8Array; op: CrdtOp }[] {
    const found: { key: Uint8Array; op: CrdtOp }[] = []
    for (const op of this.#latest.values()) {
      const key = utf8(op.key)
      if (gt !== undefined && compareBytes(key, gt) <= 0) continue
      if (gt === undefined && gte !== undefined && compareBytes(key, gte) < 0) continue
      if (lt !== undefined && compareBytes(key, lt) >= 0) continue
      if (lt === undefined && lte !== undefined && compareBytes(key, lte) > 0) continue
      found.push({ key, op })
    }
    found.sort((a, b) => compareBytes(a.key, b.key))
    return reverse === true ? found.toReversed() : found
  }

  #add(group: WalGroup): void {
    this.#groups.push(group)
    this.#size += group.ops.length
    for (const op of group.ops) {
      this.#latest.set(op.key, op)
      this.#bytes += opBytes(op)
    }
  }
}
