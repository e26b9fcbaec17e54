/** Content for the adder's tests, the same on every machine: Kubo added the same to make `fixtures/kubo-add.json`. */
import { createHash } from 'node:crypto'
import { utf8 } from '@ipfs-cluster/base'
import type { AddPart } from './types.ts'

export interface TestEntry {
  readonly path: string
  readonly kind: AddPart['kind']
  readonly data: Uint8Array
}

/** Bytes that look random: a chain of SHA-256 hashes from `seed`. */
export function testBytes(length: number, seed = 'seed'): Uint8Array {
  const out = new Uint8Array(length)
  let block: Uint8Array = utf8(seed)
  for (let at = 0; at < length; at += 32) {
    block = createHash('sha256').update(block).digest()
    out.set(block.subarray(0, length - at), at)
  }
  return out
}

export function file(path: string, data: Uint8Array | string): TestEntry {
  return { path, kind: 'file', data: typeof data === 'string' ? utf8(data) : data }
}

export function directory(path: string): TestEntry {
  return { path, kind: 'directory', data: new Uint8Array(0) }
}

/** A folder with a bit of everything, in the order in which `ipfs add -r` sends it. */
export function sampleFolder(): TestEntry[] {
  return [
    directory('sample'),
    file('sample/.hidden', 'hidden\n'),
    file('sample/B', 'upper case sorts first\n'),
    file('sample/a', 'a\n'),
    directory('sample/dir'),
    directory('sample/dir/deep'),
    file('sample/dir/deep/empty', ''),
    file('sample/dir/same', 'a\n'),
    directory('sample/empty dir'),
    { path: 'sample/link', kind: 'symlink', data: utf8('dir/same') },
    file('sample/three-chunks', testBytes(600_000)),
    file('sample/zeros', new Uint8Array(1_000_000)),
    file('sample/é文😀', 'names beyond ASCII\n'),
  ]
}

/** A folder of so many empty files that its links weigh more than 256 KiB: Kubo shards it. */
export function largeFolder(files: number): TestEntry[] {
  const names = Array.from({ length: files }, (_, i) => `large/file number ${i}`).sort()
  return [directory('large'), ...names.map(name => file(name, ''))]
}

/** A folder whose links weigh exactly 256 KiB with CIDs of version 0, or a byte more: the most that is not sharded, and the least that is. */
export function boundaryFolder(extraBytes: 0 | 1): TestEntry[] {
  const names = Array.from({ length: 4096 }, (_, i) => `${i}`.padStart(30, '-'))
  if (extraBytes === 1) names[0] = `-${names[0]}`
  return [directory('boundary'), ...names.sort().map(name => file(`boundary/${name}`, ''))]
}

/** The entries as an upload, in pieces of 64 KiB. */
export async function* partsOf(entries: Iterable<TestEntry>): AsyncGenerator<AddPart> {
  for (const { path, kind, data } of entries) yield { path, kind, content: piecesOf(data) }
}

export async function* piecesOf(data: Uint8Array, size = 65_536): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < data.length; at += size) yield data.subarray(at, at + size)
}
