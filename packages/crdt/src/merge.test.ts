import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EMPTY_BYTES, toHex, utf8, utf8Text } from '@ipfs-cluster/base'
import * as fc from 'fast-check'
import { foldOps, planDeltas } from './commit-plan.ts'
import { elementSize, encodeDelta, type Delta } from './delta.ts'
import { advanceHeads, nextHeight, type Heads } from './heads.ts'
import { mergeNodes, touchedKeys, type MergeNode } from './merge.ts'
import { blockIdText, linkOfDigest } from './node.ts'
import { compareElements, decodeRow, encodeRow, rowValue } from './row.ts'
import { model } from './test-support.ts'
import type { CrdtOp } from './types.ts'

const block = (n: number) => new Uint8Array(32).fill(n)
const put = (key: string, value: string) => ({ key, id: '', value: utf8(value) })
const drop = (key: string, n: number) => ({ key, id: blockIdText(block(n)), value: EMPTY_BYTES })
const node = (n: number, priority: number, delta: Partial<Delta>): MergeNode => ({
  digest: block(n),
  delta: { elements: [], tombstones: [], priority, ...delta },
})

/** Merges `groups` one batch after the other; gives the values of all keys and the changes of the last batch. */
function run(...groups: MergeNode[][]) {
  const rows = new Map<string, Uint8Array>()
  let changes: (readonly [string, string | undefined, string | undefined])[] = []
  for (const group of groups) {
    const result = mergeNodes(rows, group)
    for (const [key, row] of result.rows) rows.set(key, row)
    changes = result.changes.map(({ key, value, previous }) => [key, text(value), text(previous)])
  }
  return {
    rows,
    changes,
    values: Object.fromEntries([...rows].map(([key, row]) => [key, text(rowValue(row))])),
  }
}

const text = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : utf8Text(bytes))

test('the higher priority wins, between equal ones the bytewise greater value', () => {
  const low = node(1, 1, { elements: [put('/a', 'z')] })
  const high = node(2, 2, { elements: [put('/a', 'a')] })
  const tie = node(3, 2, { elements: [put('/a', 'b')] })
  assert.deepEqual(run([low], [high]).values, { '/a': 'a' })
  assert.deepEqual(run([high], [low]).values, { '/a': 'a' })
  assert.deepEqual(run([high], [tie], [low]).values, { '/a': 'b' })
  assert.deepEqual(run([high], [low]).changes, [], 'a loser changes nothing')
})

test('within a delta the last occurrence of a key wins', () => {
  const twice = node(1, 1, { elements: [put('/a', 'z'), put('/b', 'x'), put('/a', 'a')] })
  assert.deepEqual(run([twice]).values, { '/a': 'a', '/b': 'x' })
})

test('tombstones come before elements, so a delta may delete and put', () => {
  const first = node(1, 1, { elements: [put('/a', 'old')] })
  const both = node(2, 2, { tombstones: [drop('/a', 1)], elements: [put('/a', 'new')] })
  const result = run([first], [both])
  assert.deepEqual(result.values, { '/a': 'new' })
  assert.deepEqual(result.changes, [['/a', 'new', 'old']])
})

test('an element deleted before it arrives stays dead', () => {
  const element = node(1, 5, { elements: [put('/a', 'x')] })
  const tombstone = node(2, 6, { tombstones: [drop('/a', 1)] })
  assert.deepEqual(run([tombstone], [element]).values, { '/a': undefined })
  assert.deepEqual(run([tombstone], [element]).changes, [])
  assert.deepEqual(run([element], [tombstone]).changes, [['/a', undefined, 'x']])
})

test('a key that survives a deletion is announced with its value', () => {
  const older = node(1, 1, { elements: [put('/a', 'older')] })
  const newer = node(2, 2, { elements: [put('/a', 'newer')] })
  const remove = (n: number) => node(9, 3, { tombstones: [drop('/a', n)] })
  assert.deepEqual(run([older, newer], [remove(2)]).changes, [['/a', 'older', 'newer']])
  assert.deepEqual(run([older, newer], [remove(1)]).changes, [['/a', 'newer', 'newer']])
})

test('a re-put of the same bytes is announced', () => {
  const first = node(1, 1, { elements: [put('/a', 'x')] })
  const again = node(2, 2, { elements: [put('/a', 'x')] })
  assert.deepEqual(run([first], [again]).changes, [['/a', 'x', 'x']])
  assert.deepEqual(run([first], [first]).changes, [], 'merging a node twice is not a change')
})

test('tombstones with ids that no node can have are without effect', () => {
  const element = node(1, 1, { elements: [put('/a', 'x')] })
  const odd = node(2, 2, { tombstones: [{ key: '/a', id: '/nonsense', value: EMPTY_BYTES }] })
  assert.deepEqual(run([element], [odd]).values, { '/a': 'x' })
})

const KEYS = ['/a', '/b', '/c']
const arbitraryNodes = fc
  .array(
    fc.record({
      priority: fc.integer({ min: 1, max: 4 }),
      elements: fc.array(fc.tuple(fc.constantFrom(...KEYS), fc.string({ maxLength: 2 })), { maxLength: 3 }),
      tombstones: fc.array(fc.tuple(fc.constantFrom(...KEYS), fc.integer({ min: 0, max: 9 })), {
        maxLength: 3,
      }),
    }),
    { minLength: 1, maxLength: 10 },
  )
  .map(list =>
    list.map(({ priority, elements, tombstones }, n) =>
      node(n, priority, {
        elements: elements.map(([key, value]) => put(key, value)),
        // A node cannot know its own id.
        tombstones: tombstones.filter(([, target]) => target !== n).map(([key, target]) => drop(key, target)),
      }),
    ),
  )

test('any order, grouping and repetition of nodes gives the rows of the model, byte for byte the same', () => {
  const cases = arbitraryNodes.chain(nodes =>
    fc.record({
      nodes: fc.constant(nodes),
      order: fc.shuffledSubarray([...nodes, ...nodes], { minLength: nodes.length * 2 }),
      cuts: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 20, maxLength: 20 }),
    }),
  )
  fc.assert(
    fc.property(cases, ({ nodes, order, cuts }) => {
      const groups: MergeNode[][] = []
      for (let at = 0; at < order.length;) {
        const size = cuts[groups.length] ?? 1
        groups.push(order.slice(at, at + size))
        at += size
      }
      const { rows, values } = run(...groups)
      const live = Object.entries(values).filter(([, value]) => value !== undefined)
      assert.deepEqual(
        Object.fromEntries(live.map(([key, value]) => [key, toHex(utf8(value ?? ''))]).sort()),
        model(nodes),
      )
      const reference = run(nodes).rows
      assert.deepEqual(
        [...rows].map(([key, row]) => [key, toHex(row)]).sort(),
        [...reference].map(([key, row]) => [key, toHex(row)]).sort(),
      )
    }),
    { numRuns: 500 },
  )
})

test('rows are read back as they were written, and one element costs 35 bytes more than its value', () => {
  const elements = fc.record({
    block: fc.uint8Array({ minLength: 32, maxLength: 32 }),
    priority: fc.nat({ max: 2 ** 48 }),
    value: fc.uint8Array({ maxLength: 200 }),
  })
  const rows = fc.record({
    live: fc.array(elements, { maxLength: 3 }).map(list => list.sort(compareElements)),
    tombstones: fc.array(fc.uint8Array({ minLength: 32, maxLength: 32 }), { maxLength: 3 }),
  })
  const plain = ({ live, tombstones }: ReturnType<typeof decodeRow>) => [
    live.map(({ block, priority, value }) => [toHex(block), priority, toHex(value)]),
    tombstones.map(toHex),
  ]
  fc.assert(
    fc.property(rows, row => {
      const bytes = encodeRow(row)
      assert.deepEqual(plain(decodeRow(bytes)), plain(row))
      assert.deepEqual(text(rowValue(bytes)), text(row.live[0]?.value))
    }),
  )
  const single = { live: [{ block: block(1), priority: 1000, value: utf8('value') }], tombstones: [] }
  assert.equal(encodeRow(single).length, 'value'.length + 35)
})

test('a damaged row is an error of the store', () => {
  for (const bytes of [EMPTY_BYTES, Uint8Array.of(9), Uint8Array.of(2, 1, 5), Uint8Array.of(2, 0, 5)]) {
    assert.throws(() => decodeRow(bytes), { code: 'CRDT_STORE_CORRUPT' })
  }
  assert.throws(() => rowValue(Uint8Array.of(2, 1, 5)), { code: 'CRDT_STORE_CORRUPT' })
})

test('heads are the nodes that no known node links to, in whatever groups they become known', () => {
  // A DAG whose node n links to some nodes below n; a walk makes a node known after, or together with, one that links to it.
  const dags = fc.array(fc.array(fc.nat(), { maxLength: 3 }), { minLength: 1, maxLength: 12 })
  fc.assert(
    fc.property(dags, fc.infiniteStream(fc.integer({ min: 1, max: 4 })), (dag, sizes) => {
      const nodes = dag.map((links, n) => ({
        ...linkOfDigest(block(n)),
        height: n + 1,
        links: n === 0 ? [] : [...new Set(links.map(target => target % n))].map(t => linkOfDigest(block(t))),
      }))
      const remaining = nodes.toReversed()
      let heads: Heads = new Map()
      const linked = new Set<string>()
      while (remaining.length > 0) {
        const group = remaining.splice(0, sizes.next().value ?? 1)
        heads = advanceHeads(
          heads,
          group.map(node => ({ ...node, linked: linked.has(node.id) })),
        ).heads
        for (const { links } of group) for (const { id } of links) linked.add(id)
      }
      const expected = nodes.filter(({ id }) => !linked.has(id)).map(({ id }) => id)
      assert.deepEqual([...heads.keys()].sort(), expected.sort())
      assert.equal(nextHeight(heads), dag.length + 1)
    }),
  )
})

test('operations fold to their net effect, and deltas respect their limits', () => {
  const ops: CrdtOp[] = [
    { type: 'put', key: '/a', value: utf8('1') },
    { type: 'put', key: '/b', value: utf8('2') },
    { type: 'delete', key: '/b' },
    { type: 'put', key: '/a', value: utf8('3') },
    { type: 'delete', key: '/c' },
    { type: 'put', key: '/c', value: utf8('4') },
    { type: 'delete', key: '/d' },
  ]
  const rows = run([node(1, 1, { elements: [put('/b', 'b'), put('/c', 'c')] })]).rows
  const limits = { maxDeltaBytes: 1000, maxCommitOps: 100 }
  assert.deepEqual(planDeltas(foldOps(ops), rows, 2, limits), [
    {
      elements: [put('/a', '3'), put('/c', '4')],
      tombstones: [drop('/b', 1), drop('/c', 1)],
      priority: 2,
    },
  ])
  const many: CrdtOp[] = Array.from({ length: 100 }, (_, i) => ({
    type: 'put',
    key: `/${i}`,
    value: utf8('x'.repeat(100)),
  }))
  const split = planDeltas(foldOps(many), new Map(), 5, { maxDeltaBytes: 2000, maxCommitOps: 1000 })
  assert.equal(
    split.reduce((sum, { elements }) => sum + elements.length, 0),
    100,
  )
  assert.deepEqual(
    split.map(({ priority }) => priority),
    split.map((_, i) => 5 + i),
  )
  for (const delta of split) {
    const size = encodeDelta(delta).length
    assert.ok(
      size <= 2000 &&
        size + elementSize(put('/99', 'x'.repeat(100))) > (delta === split.at(-1) ? 0 : 2000 - 11),
    )
  }
  const byCount = planDeltas(foldOps(many), new Map(), 1, { maxDeltaBytes: 1e6, maxCommitOps: 30 })
  assert.deepEqual(
    byCount.map(({ elements }) => elements.length),
    [30, 30, 30, 10],
  )
  assert.deepEqual(planDeltas(foldOps([{ type: 'delete', key: '/x' }]), new Map(), 1, limits), [])
  assert.deepEqual([...touchedKeys([node(1, 1, { tombstones: [drop('/q', 2)] })])], ['/q'])
})
