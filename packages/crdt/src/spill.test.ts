import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMemoryStore, EMPTY_BYTES, prefixRange, toHex, utf8, type Store } from '@ipfs-cluster/base'
import * as fc from 'fast-check'
import { keyRow, PREFIX } from './layout.ts'
import { MAX_PRIORITY, MAX_ROW_ENTRIES } from './limits.ts'
import type { MergeNode } from './merge.ts'
import { blockIdText } from './node.ts'
import { decodeRow, rowValue } from './row.ts'
import { liveElsewhere, planMerge } from './spill.ts'
import { model } from './test-support.ts'
import type { CrdtChange } from './types.ts'

const KEYS = ['/a', '/b']
const NODES = 150
const block = (n: number) => new Uint8Array(32).fill(n)

async function merge(store: Store, nodes: readonly MergeNode[]): Promise<readonly CrdtChange[]> {
  const { ops, changes } = await planMerge(store, nodes)
  await store.batch(ops)
  return changes
}

async function count(
  store: Store,
  prefix: Uint8Array,
  isCounted: (value: Uint8Array) => boolean,
): Promise<number> {
  let found = 0
  for await (const [, value] of store.entries(prefixRange(prefix))) if (isCounted(value)) found++
  return found
}

/** What is live in the sense of the rules, by key. */
function liveOf(nodes: readonly MergeNode[], key: string): string[] {
  const dead = new Set(
    nodes.flatMap(({ delta }) => delta.tombstones.filter(each => each.key === key).map(({ id }) => id)),
  )
  return nodes
    .filter(
      ({ digest, delta }) => delta.elements.some(each => each.key === key) && !dead.has(blockIdText(digest)),
    )
    .map(({ digest }) => toHex(digest))
    .sort()
}

const values = fc
  .uint8Array({ maxLength: 3 })
  .map(bytes => bytes.map(byte => (byte % 3 === 0 ? byte % 2 : 255 - (byte % 2))))
const arbitraryNodes = fc
  .array(
    fc.record({
      priority: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.constant(MAX_PRIORITY)),
      key: fc.constantFrom(...KEYS),
      value: fc.option(values, { nil: undefined, freq: 5 }),
      dropped: fc.array(fc.nat({ max: NODES - 1 }), { maxLength: 3 }),
    }),
    { minLength: NODES, maxLength: NODES, size: 'max' },
  )
  .map(list =>
    list.map(({ priority, key, value, dropped }, n): MergeNode => ({
      digest: block(n),
      delta: {
        priority,
        elements: value === undefined ? [] : [{ key, id: '', value }],
        tombstones: dropped
          .filter(target => target !== n && target % 3 === 0)
          .map(target => ({
            key: KEYS[target % 2] ?? '',
            id: blockIdText(block(target)),
            value: EMPTY_BYTES,
          })),
      },
    })),
  )

test('keys with many elements and tombstones keep to the model, in any order and grouping', async () => {
  const cases = arbitraryNodes.chain(nodes =>
    fc.record({
      nodes: fc.constant(nodes),
      order: fc.shuffledSubarray([...nodes], { minLength: nodes.length }),
      sizes: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: NODES, maxLength: NODES }),
    }),
  )
  let spilled = 0
  await fc.assert(
    fc.asyncProperty(cases, async ({ nodes, order, sizes }) => {
      const store = createMemoryStore()
      for (let at = 0, group = 0; at < order.length; at += sizes[group++] ?? 1) {
        const changes = await merge(store, order.slice(at, at + (sizes[group] ?? 1)))
        for (const { key, value } of changes) {
          const row = await store.get(keyRow(key))
          assert.deepEqual(value, row === undefined ? undefined : rowValue(row))
        }
      }
      const expected = model(nodes)
      let elsewhere = 0
      for (const key of KEYS) {
        const row = await store.get(keyRow(key))
        if (row === undefined) continue
        const value = rowValue(row)
        assert.equal(value === undefined ? undefined : toHex(value), expected[key])
        const decoded = decodeRow(row)
        assert.ok(decoded.live.length <= MAX_ROW_ENTRIES && decoded.tombstones.length <= MAX_ROW_ENTRIES)
        const others = await liveElsewhere(store, key)
        assert.equal(others.length, decoded.elsewhere ?? 0)
        elsewhere += others.length
        const live = [...decoded.live.map(element => toHex(element.block)), ...others.map(toHex)].sort()
        assert.deepEqual(live, liveOf(nodes, key))
      }
      spilled += elsewhere
      assert.equal(await count(store, PREFIX.order, () => true), elsewhere)
      assert.equal(await count(store, PREFIX.spilled, row => toHex(row) !== 'ff'), elsewhere)
      // What is known already changes nothing.
      assert.deepEqual(await merge(store, nodes), [])
      assert.equal(await count(store, PREFIX.order, () => true), elsewhere)
    }),
    { numRuns: 40 },
  )
  assert.ok(spilled > 0, 'some keys had many')
})

test('elements elsewhere come back one group after the other, whatever their values', async () => {
  const store = createMemoryStore()
  const texts = Array.from(
    { length: 200 },
    (_, i) => 'ab'.repeat(i % 7) + String.fromCodePoint(i % 3, 255 - i),
  )
  const nodes = texts.map((text, n): MergeNode => ({
    digest: block(n),
    delta: { priority: 1, elements: [{ key: '/a', id: '', value: utf8(text) }], tombstones: [] },
  }))
  for (const node of nodes) await merge(store, [node])
  const left = nodes.map(({ digest, delta }) => ({
    digest,
    value: toHex(delta.elements[0]?.value ?? EMPTY_BYTES),
  }))
  left.sort((x, y) => (x.value < y.value ? 1 : -1))
  for (const [i, { digest, value }] of left.entries()) {
    const row = (await store.get(keyRow('/a'))) ?? assert.fail()
    assert.equal(toHex(rowValue(row) ?? assert.fail(`nothing left at ${i}`)), value)
    const tombstones = [{ key: '/a', id: blockIdText(digest), value: EMPTY_BYTES }]
    await merge(store, [{ digest: utf8('x'.repeat(32)), delta: { priority: 2, elements: [], tombstones } }])
  }
  assert.equal(rowValue((await store.get(keyRow('/a'))) ?? assert.fail()), undefined)
})
