/** Operations that were acknowledged before they are in a delta: records of the store's journal, and what reading makes of them. */
import {
  compareBytes,
  prefixRange,
  utf8,
  type AppendOptions,
  type Journal,
  type JournaledStore,
  type StoreOp,
  type StoreRange,
} from '@ipfs-cluster/base'
import { CrdtError, InvalidNodeError } from './errors.ts'
import { decodeNumbers, encodeNumbers, PREFIX } from './layout.ts'
import { ProtoReader, ProtoWriter, textSize, varintSize } from './protobuf.ts'
import type { CrdtOp } from './types.ts'

/**
 * A record: for each operation its length (varint), then for a put `1 · key length varint · key · value`, for a delete
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
      'acknowledged operations in the journal cannot be read; restore the store from a copy',
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
  /** Of the record; `undefined` where an earlier version made a row. */
  readonly number: number | undefined
  readonly ops: readonly CrdtOp[]
}

/** The acknowledged operations in order, and the effective value of each of their keys. */
export class Wal {
  readonly #journal: Journal
  readonly #groups: WalGroup[] = []
  readonly #latest = new Map<string, CrdtOp>()
  /** Rows of an earlier version, until they are in a node. */
  #rows: StoreOp[] = []
  #size = 0
  #bytes = 0

  private constructor(journal: Journal) {
    this.#journal = journal
  }

  /** Reads what an earlier process left. @throws StoreError, CrdtError `CRDT_STORE_CORRUPT` */
  static async open(store: JournaledStore): Promise<Wal> {
    const wal = new Wal(store.journal)
    for await (const [key, value] of store.entries(prefixRange(PREFIX.wal))) {
      wal.#add({ number: undefined, ops: decodeOps(value) })
      wal.#rows.push({ type: 'del', key })
    }
    const done = await store.get(PREFIX.journal)
    store.journal.release(done === undefined ? 0 : (decodeNumbers(done, 1)[0] as number))
    for (const { number, payload } of store.journal.left) wal.#add({ number, ops: decodeOps(payload) })
    return wal
  }

  /** Operations. */
  get size(): number {
    return this.#size
  }

  get bytes(): number {
    return this.#bytes
  }

  /** Durable when it resolves. One at a time. @throws StoreError */
  async append(ops: readonly CrdtOp[], options: AppendOptions): Promise<void> {
    this.#add({ number: await this.#journal.append(encodeOps(ops), options), ops })
  }

  /** All operations in order, and what to write with the nodes that they are in: that they are needed no more. */
  contents(): { readonly ops: readonly CrdtOp[]; readonly rows: readonly StoreOp[] } {
    const number = this.#groups.at(-1)?.number
    const rows = [...this.#rows]
    if (number !== undefined) rows.push({ type: 'put', key: PREFIX.journal, value: encodeNumbers(number) })
    return { ops: this.#groups.flatMap(({ ops }) => ops), rows }
  }

  /** Forgets the first `count` operations, whole groups of them, once the rows that `contents` gave with them are written. */
  drop(count: number): void {
    this.#rows = []
    let left = count
    let released: number | undefined
    while (left > 0) {
      const group = this.#groups.shift()
      if (group === undefined) break
      left -= group.ops.length
      this.#size -= group.ops.length
      for (const op of group.ops) {
        this.#bytes -= opBytes(op)
        if (this.#latest.get(op.key) === op) this.#latest.delete(op.key)
      }
      released = group.number
    }
    if (released !== undefined) this.#journal.release(released)
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
