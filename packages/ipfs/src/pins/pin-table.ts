import {
  concatBytes,
  prefixRange,
  utf8,
  utf8Text,
  type AbortOptions,
  type Store,
  type StoreOp,
} from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import type { PinKind } from '../types.ts'

const PREFIX = utf8('p')
const RECURSIVE = 1
const DIRECT = 2
const ANY_DEPTH = 0xffffffff

export interface Pin {
  readonly kind: PinKind
  /** Of a recursive pin: links followed from the root; absent without limit. */
  readonly maxDepth?: number
  readonly name?: string
}

/** The pins, by CID as it was given: CIDs of different version or codec are different pins, as in Kubo. */
export interface PinTable {
  get(cid: CID): Promise<Pin | undefined>
  /** One durable batch. */
  change(set: readonly (readonly [CID, Pin])[], remove?: readonly CID[]): Promise<void>
  entries(options?: AbortOptions): AsyncIterable<readonly [CID, Pin]>
}

export function createPinTable(store: Store): PinTable {
  return {
    async get(cid) {
      const row = await store.get(keyOf(cid))
      return row === undefined ? undefined : decode(row)
    },
    async change(set, remove = []) {
      const ops: StoreOp[] = [
        ...remove.map(cid => ({ type: 'del' as const, key: keyOf(cid) })),
        ...set.map(([cid, pin]) => ({ type: 'put' as const, key: keyOf(cid), value: encode(pin) })),
      ]
      await store.batch(ops, { sync: true })
    },
    async *entries(options) {
      for await (const [key, row] of store.entries(prefixRange(PREFIX), options)) {
        yield [CID.decode(key.subarray(PREFIX.length)), decode(row)]
      }
    },
  }
}

function keyOf(cid: CID): Uint8Array {
  return concatBytes([PREFIX, cid.bytes])
}

const FIXED_BYTES = 5

/** Kind (1 byte), depth (u32, all ones for no limit), the name in what is left. */
function encode({ kind, maxDepth = ANY_DEPTH, name = '' }: Pin): Uint8Array {
  const text = utf8(name)
  const row = new Uint8Array(FIXED_BYTES + text.length)
  row.set(text, FIXED_BYTES)
  row[0] = kind === 'recursive' ? RECURSIVE : DIRECT
  new DataView(row.buffer).setUint32(1, Math.min(maxDepth, ANY_DEPTH))
  return row
}

function decode(row: Uint8Array): Pin {
  const name = row.length > FIXED_BYTES ? { name: utf8Text(row.subarray(FIXED_BYTES)) } : {}
  if (row[0] === DIRECT) return { kind: 'direct', ...name }
  const maxDepth = new DataView(row.buffer, row.byteOffset, row.byteLength).getUint32(1)
  return { kind: 'recursive', ...(maxDepth === ANY_DEPTH ? {} : { maxDepth }), ...name }
}
