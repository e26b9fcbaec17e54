import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as dagPb from '@ipld/dag-pb'
import fc from 'fast-check'
import { UnixFS } from 'ipfs-unixfs'
import type { CID } from 'multiformats/cid'
import { block } from '../test-node.ts'
import type { Block } from '../types.ts'
import { readFile } from './read-file.ts'

interface Part extends Block {
  readonly length: number
}

const leafOf = (data: Uint8Array): Part => ({ ...block(data), length: data.length })

/** An inner node, which may have bytes of its own before those of its children. */
function inner(
  children: readonly Part[],
  own = new Uint8Array(0),
  sizes = children.map(({ length }) => length),
): Part {
  const unixfs = new UnixFS({ type: 'file', ...(own.length > 0 ? { data: own } : {}) })
  for (const size of sizes) unixfs.addBlockSize(BigInt(size))
  const Links = children.map(({ cid, length }) => ({ Name: '', Tsize: length, Hash: cid }))
  const node = block(dagPb.encode(dagPb.prepare({ Data: unixfs.marshal(), Links })), dagPb.code)
  return { ...node, length: sizes.reduce((sum, size) => sum + size, own.length) }
}

function reader(parts: readonly Part[]) {
  const known = new Map(parts.map(({ cid, data }) => [cid.toString(), data]))
  const signals: AbortSignal[] = []
  return {
    signals,
    read: async (cid: CID, signal: AbortSignal) => {
      signals.push(signal)
      return known.get(cid.toString()) ?? assert.fail(`${cid} was asked for`)
    },
  }
}

const text = (from: number, length: number) => Uint8Array.from({ length }, (_, i) => (from + i) % 251)

/** Two levels, bytes at each of them: 0-9 in the root, then five nodes of 7 own bytes and 30 in leaves. */
function tree() {
  let position = 10
  const take = (length: number) => {
    position += length
    return text(position - length, length)
  }
  const all: Part[] = []
  const middle = Array.from({ length: 5 }, () => {
    const own = take(7)
    const leaves = [leafOf(take(20)), leafOf(take(10))]
    const node = inner(leaves, own)
    all.push(...leaves, node)
    return node
  })
  const root = inner(middle, text(0, 10))
  return { root, all: [...all, root], whole: text(0, position) }
}

test('any range is read as from the whole', async () => {
  const { root, all, whole } = tree()
  assert.equal(root.length, whole.length)
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length + 5), fc.nat(whole.length + 5), async (from, to) => {
      const { read } = reader(all)
      const pieces = await Array.fromAsync(readFile({ cid: root.cid, size: root.length }, from, to, read))
      assert.deepEqual(Buffer.concat(pieces), Buffer.from(whole.subarray(from, to)))
      assert.ok(pieces.every(({ length }) => length > 0))
    }),
  )
})

test('only blocks of the range are read', async () => {
  const { root, all } = tree()
  const { read, signals } = reader(all)
  await Array.fromAsync(readFile({ cid: root.cid, size: root.length }, 10 + 37 + 8, 10 + 37 + 9, read))
  // Root, second node, first leaf of it.
  assert.equal(signals.length, 3)
})

test('a bounded number of blocks is read ahead, and no more once the consumer has left', async () => {
  const leaves = Array.from({ length: 100 }, (_, i) => leafOf(text(i, 50 + i)))
  const root = inner(leaves)
  const { read, signals } = reader([root, ...leaves])
  for await (const _piece of readFile({ cid: root.cid, size: root.length }, 0, root.length, read)) break
  assert.ok(signals.length <= 18, `${signals.length} blocks were read for one piece`)
  assert.ok(signals.every(({ aborted }) => aborted))
})

test('a DAG that contradicts itself is refused', async () => {
  const leaf = leafOf(text(0, 10))
  const cases: [string, Part][] = [
    ['a wrong size of a leaf', inner([leaf], undefined, [11])],
    ['sizes are missing', inner([leaf, leaf], undefined, [10])],
    [
      'a directory',
      {
        ...block(dagPb.encode({ Data: new UnixFS({ type: 'directory' }).marshal(), Links: [] }), dagPb.code),
        length: 5,
      },
    ],
    ['not UnixFS', { ...block(dagPb.encode({ Links: [] }), dagPb.code), length: 5 }],
    ['another size than said', { ...inner([leaf]), length: 20 }],
    ['another codec', { ...block('{}', 0x0129), length: 2 }],
  ]
  for (const [what, root] of cases) {
    const { read } = reader([leaf, root])
    const reading = Array.fromAsync(readFile({ cid: root.cid, size: root.length }, 0, root.length, read))
    await assert.rejects(reading, { code: 'IPFS_NOT_UNIXFS' }, what)
  }
})
