/** Operations that were acknowledged before they are in a delta: their rows, and what reading makes of them. */
import {
  compareBytes,
  EMPTY_BYTES,
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

/** Row values: `put` is `1 · key length varint · key · value`, `delete` is `2 · key length varint · key`. */
const PUT = 1
const DELETE = 2

const text = new TextDecoder()

export interface WalOp {
  readonly sequence: number
  readonly op: CrdtOp
}

export function encodeOp(op: CrdtOp): Uint8Array {
  const keySize = textSize(op.key)
  const value = op.type === 'put' ? op.value : EMPTY_BYTES
  const writer = new ProtoWriter(1 + varintSize(keySize) + keySize + value.length)
  writer.varint(op.type === 'put' ? PUT : DELETE)
  writer.varint(keySize)
  writer.text(op.key)
  writer.raw(value)
  return writer.finish()
}

/** @throws CrdtError `CRDT_STORE_CORRUPT` */
export function decodeOp(bytes: Uint8Array): CrdtOp {
  try {
    const reader = new ProtoReader(bytes)
    const kind = reader.varint()
    const key = text.decode(reader.view())
    if (kind === PUT) return { type: 'put', key, value: bytes.slice(reader.position) }
    if (kind === DELETE) return { type: 'delete', key }
    throw new InvalidNodeError(`operation ${kind}`)
  } catch (cause) {
    // The reader knows bytes of the network only; bytes of our own store are another matter.
    throw new CrdtError(
      'a row of the write-ahead table cannot be read; restore the store from a copy',
      { code: 'CRDT_STORE_CORRUPT', row: 'wal' },
      { cause },
    )
  }
}

export function opBytes(op: CrdtOp): number {
  return textSize(op.key) + (op.type === 'put' ? op.value.length : 0)
}

/** The acknowledged operations in order, and the effective value of each of their keys. */
export class Wal {
  readonly #ops: WalOp[] = []
  readonly #latest = new Map<string, WalOp>()
  #sequence = 0
  #bytes = 0

  /** Reads what an earlier process left. */
  static async open(store: Store): Promise<Wal> {
    const wal = new Wal()
    for await (const [key, value] of store.entries(prefixRange(PREFIX.wal))) {
      wal.#add({ sequence: walSequence(key), op: decodeOp(value) })
    }
    wal.#sequence = wal.#ops.at(-1)?.sequence ?? 0
    return wal
  }

  get size(): number {
    return this.#ops.length
  }

  get bytes(): number {
    return this.#bytes
  }

  get ops(): readonly WalOp[] {
    return this.#ops
  }

  /** Numbers `ops` and says what to write; `add` them when it is written. */
  prepare(ops: readonly CrdtOp[]): { readonly added: readonly WalOp[]; readonly rows: readonly StoreOp[] } {
    const added = ops.map(op => ({ sequence: ++this.#sequence, op }))
    return {
      added,
      rows: added.map(({ sequence, op }) => ({ type: 'put', key: walRow(sequence), value: encodeOp(op) })),
    }
  }

  add(added: readonly WalOp[]): void {
    for (const op of added) this.#add(op)
  }

  /** Forgets the first `count` operations: they are in a node, or have no effect. */
  drop(count: number): void {
    for (const walOp of this.#ops.splice(0, count)) {
      this.#bytes -= opBytes(walOp.op)
      if (this.#latest.get(walOp.op.key) === walOp) this.#latest.delete(walOp.op.key)
    }
  }

  /** The last operation on `key`. */
  latest(key: string): CrdtOp | undefined {
    return this.#latest.get(key)?.op
  }

  /** The last operation on each key inside `range` (bounds are UTF-8 of keys), in the order of a scan. */
  latestInRange({ gt, gte, lt, lte, reverse }: StoreRange = {}): { key: Uint8Array; op: CrdtOp }[] {
    const found: { key: Uint8Array; op: CrdtOp }[] = []
    for (const { op } of this.#latest.values()) {
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

  #add(walOp: WalOp): void {
    this.#ops.push(walOp)
    this.#latest.set(walOp.op.key, walOp)
    this.#bytes += opBytes(walOp.op)
  }
}
