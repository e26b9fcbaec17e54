/**
 * The CRDT's rows in the root store. All of them start with `c/`, then:
 *
 * | row | value |
 * |---|---|
 * | `k` + key (UTF-8) | the key's elements and tombstones (`row.ts`) |
 * | `b` + digest | a DAG node's bytes |
 * | `s` + sha2-256 of a key + digest | part of a key's elements and tombstones, when there are many (`spill.ts`) |
 * | `o` + sha2-256 of a key + precedence + digest | the same elements in order of precedence |
 * | `n` + digest | the node is merged: height varint, size varint |
 * | `h` + digest | the node is a head: height varint |
 * | `f` + digest | a merged node links to this one, which is not merged: `0` wanted, `1` refused as invalid |
 * | `j` | number of the last record of the store's journal whose operations are in a node (`wal.ts`): varint |
 * | `w` + sequence (8 bytes, big-endian) | as a record of the journal: written by versions that did not have one |
 *
 * A digest is the 32 bytes of the node's sha2-256. Invariant, kept by writing all effects of a node in one batch: every link of a merged
 * node is merged itself or has an `f` row.
 */
import { concatBytes, prefixRange, utf8, type StoreRange } from '@ipfs-cluster/base'
import { ProtoReader, ProtoWriter, textSize, varintSize } from './protobuf.ts'

/** The prefix of every row of the CRDT in the root store. */
export const CRDT_PREFIX: Uint8Array = utf8('c/')

const prefixOf = (letter: string) => concatBytes([CRDT_PREFIX, utf8(letter)])

export const PREFIX = {
  key: prefixOf('k'),
  block: prefixOf('b'),
  node: prefixOf('n'),
  head: prefixOf('h'),
  frontier: prefixOf('f'),
  journal: prefixOf('j'),
  wal: prefixOf('w'),
  spilled: prefixOf('s'),
  order: prefixOf('o'),
} as const

export const WANTED: Uint8Array = Uint8Array.of(0)
export const REFUSED: Uint8Array = Uint8Array.of(1)

export function isRefused(frontierRow: Uint8Array): boolean {
  return frontierRow[0] === REFUSED[0]
}

export function keyRow(key: string): Uint8Array {
  const writer = new ProtoWriter(PREFIX.key.length + textSize(key))
  writer.raw(PREFIX.key)
  writer.text(key)
  return writer.finish()
}

export function digestRow(prefix: Uint8Array, digest: Uint8Array): Uint8Array {
  return concatBytes([prefix, digest])
}

export function encodeNumbers(...numbers: readonly number[]): Uint8Array {
  const writer = new ProtoWriter(numbers.reduce((size, number) => size + varintSize(number), 0))
  for (const number of numbers) writer.varint(number)
  return writer.finish()
}

/** Reads the first `count` numbers. */
export function decodeNumbers(bytes: Uint8Array, count: number): number[] {
  const reader = new ProtoReader(bytes)
  return Array.from({ length: count }, () => reader.varint())
}

/** The rows of keys inside `range`, whose bounds are the UTF-8 of keys; its limit is left out. */
export function keyRange(range: StoreRange = {}): StoreRange {
  const { gt, gte, lt, lte, reverse } = range
  const all = prefixRange(PREFIX.key)
  const full = (bound: Uint8Array) => concatBytes([PREFIX.key, bound])
  return {
    ...(gt !== undefined ? { gt: full(gt) } : gte !== undefined ? { gte: full(gte) } : { gte: PREFIX.key }),
    ...(lt !== undefined
      ? { lt: full(lt) }
      : lte !== undefined
        ? { lte: full(lte) }
        : all.lt !== undefined
          ? { lt: all.lt }
          : {}),
    ...(reverse === undefined ? {} : { reverse }),
  }
}
