import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  createMemoryStore,
  prefixRange,
  seededRandom,
  silentLogger,
  systemClock,
  utf8,
  utf8Text,
  type JournaledStore,
} from '@ipfs-cluster/base'
import { createCrdt, defaultCrdtConfig } from './crdt.ts'
import { digestRow, keyRow, PREFIX, REFUSED, WANTED } from './layout.ts'
import { createNode, type CrdtNode, linkOf } from './node.ts'
import {
  createOfflineCrdt,
  dotOfCrdt,
  isCrdtDirty,
  markCrdt,
  repairCrdt,
  summarizeCrdt,
  type CrdtRepair,
} from './offline.ts'
import type { CrdtChange, CrdtOp } from './types.ts'

const openOn = (store: JournaledStore, config = defaultCrdtConfig) =>
  createOfflineCrdt({ store, clock: systemClock, random: seededRandom(1), logger: silentLogger }, config)

const put = (key: string, value: string): CrdtOp => ({ type: 'put', key: `/${key}`, value: utf8(value) })

async function commitTo(store: JournaledStore, ...commits: readonly (readonly CrdtOp[])[]) {
  await using crdt = await openOn(store)
  for (const ops of commits) await crdt.commit(ops)
}

async function entriesOf(store: JournaledStore): Promise<Record<string, string>> {
  await using crdt = await openOn(store)
  const entries = await Array.fromAsync(crdt.entries())
  return Object.fromEntries(entries.map(([key, value]) => [key, utf8Text(value)]))
}

const rowsBelow = async (store: JournaledStore, prefix: Uint8Array) =>
  (await Array.fromAsync(store.keys(prefixRange(prefix)))).length

const dotText = async (store: JournaledStore) => (await Array.fromAsync(dotOfCrdt(store))).join('')

/** Three nodes in a row: two keys, one of them deleted, one put anew. */
async function threeNodes() {
  const store = createMemoryStore()
  await commitTo(
    store,
    [put('A', '1'), put('B', '1')],
    [{ type: 'delete', key: '/A' }],
    [put('B', '2'), put('C', '3')],
  )
  const first = createNode(
    {
      elements: [put('A', '1'), put('B', '1')].map(asElement),
      tombstones: [],
      priority: 1,
    },
    [],
  )
  return { store, first, last: await onlyHead(store) }
}

function asElement(op: CrdtOp) {
  return { key: op.key, id: '', value: op.type === 'put' ? op.value : new Uint8Array() }
}

async function onlyHead(store: JournaledStore) {
  const { heads } = await summarizeCrdt(store)
  const link = heads[0] && linkOf(heads[0].cid)
  assert.ok(link !== undefined && heads.length === 1)
  return link
}

test('an empty store has no heads', async () => {
  const store = createMemoryStore()
  assert.deepEqual(await summarizeCrdt(store), { heads: [], maxHeight: 0, dirty: false, wanted: 0 })
  assert.equal(await dotText(store), 'digraph CRDTDAG {\nsubgraph heads {\n}\n}\n')
})

test('what is committed alone is there at the next opening, in nodes of the configured size', async () => {
  const store = createMemoryStore()
  {
    await using crdt = await openOn(store, { ...defaultCrdtConfig, maxDeltaBytes: 1000 })
    await crdt.commit(Array.from({ length: 100 }, (_, i) => put(`K${i}`, 'x'.repeat(50))))
  }
  assert.equal(Object.keys(await entriesOf(store)).length, 100)
  const { heads, maxHeight } = await summarizeCrdt(store)
  assert.equal(heads.length, 1)
  assert.ok(maxHeight >= 6 && maxHeight <= 8, `${maxHeight} nodes`)
})

test('the DAG in the DOT language, each node once, also one that is missing', async () => {
  const { store, first, last } = await threeNodes()
  const dot = await dotText(store)
  const lines = dot.split('\n')
  assert.deepEqual(lines.slice(0, 4), ['digraph CRDTDAG {', 'subgraph heads {', `${last.cid}`, '}'])
  const labels = lines.filter(line => line.includes('label'))
  assert.deepEqual(
    labels.map(line => line.replace(/^\S+ \[label="(\d) \| ....: (.*)"\]$/, '$1 $2')),
    ['3 +2 -0', '2 +0 -1', '1 +2 -0'],
  )
  const name = `${first.cid}`
  assert.ok(
    dot.endsWith(
      `${name} [label="1 | ${name.slice(-4)}: +2 -0"]\n${name} -> {}\nsubgraph sg_${name} {\n}\n}\n`,
    ),
    dot,
  )
  assert.ok(dot.includes(` -> {${name} }\nsubgraph sg_`))
  assert.ok(dot.includes(` {\n${name}\n}\n`))

  await store.batch([{ type: 'del', key: digestRow(PREFIX.block, first.digest) }])
  assert.equal((await dotText(store)).split('label').length - 1, 2)
})

test('the mark is set, seen and taken away', async () => {
  const store = createMemoryStore()
  await markCrdt(store, true)
  assert.equal(await isCrdtDirty(store), true)
  assert.equal((await summarizeCrdt(store)).dirty, true)
  await markCrdt(store, false)
  assert.equal(await isCrdtDirty(store), false)
})

type Damage = (
  store: JournaledStore,
  nodes: { first: CrdtNode; last: { digest: Uint8Array } },
) => Promise<void>

const DAMAGES: readonly (readonly [string, Damage, CrdtRepair])[] = [
  ['nothing', async () => undefined, { nodes: 3, wanted: 0, rows: 0 }],
  [
    'a node without its bytes',
    (store, { first }) => store.batch([{ type: 'del', key: digestRow(PREFIX.block, first.digest) }]),
    { nodes: 3, wanted: 1, rows: 0 },
  ],
  [
    'a node with the bytes of another',
    (store, { first }) =>
      store.batch([{ type: 'put', key: digestRow(PREFIX.block, first.digest), value: utf8('damaged') }]),
    { nodes: 3, wanted: 1, rows: 0 },
  ],
  [
    'a node that is neither merged nor wanted',
    (store, { first }) => store.batch([{ type: 'del', key: digestRow(PREFIX.node, first.digest) }]),
    { nodes: 2, wanted: 1, rows: 0 },
  ],
  [
    'a node that was refused',
    (store, { first }) =>
      store.batch([
        { type: 'del', key: digestRow(PREFIX.node, first.digest) },
        { type: 'put', key: digestRow(PREFIX.frontier, first.digest), value: REFUSED },
      ]),
    { nodes: 2, wanted: 1, rows: 0 },
  ],
  [
    'a head without its node',
    (store, { last }) => store.batch([{ type: 'del', key: digestRow(PREFIX.node, last.digest) }]),
    { nodes: 2, wanted: 1, rows: 0 },
  ],
  [
    'keys without their rows',
    store => store.batch(['/A', '/B'].map(key => ({ type: 'del', key: keyRow(key) }))),
    { nodes: 3, wanted: 0, rows: 2 },
  ],
]

for (const [what, damage, expected] of DAMAGES) {
  test(`repair: ${what}`, async () => {
    const { store, first, last } = await threeNodes()
    const before = await summarizeCrdt(store)
    const entries = await entriesOf(store)
    await damage(store, { first, last })
    await markCrdt(store, true)
    const seen: CrdtChange[] = []
    const repaired = await repairCrdt(store, changes => {
      seen.push(...changes)
      return []
    })
    // Nodes come in the order of their digests: which rows are written, and how often, follows from that.
    assert.deepEqual({ ...repaired, rows: Math.min(repaired.rows, expected.rows) }, expected)
    assert.deepEqual(await entriesOf(store), entries)
    const after = await summarizeCrdt(store)
    assert.deepEqual(after, { ...before, wanted: expected.wanted })
    assert.equal(seen.length > 0, expected.rows > 0)
    // Nothing is left to do.
    assert.deepEqual(await repairCrdt(store, undefined), {
      nodes: 3 - expected.wanted,
      wanted: 0,
      rows: 0,
    })
    assert.equal(await rowsBelow(store, PREFIX.frontier), expected.wanted)
  })
}

test('what the projection says is written with the repaired rows', async () => {
  const { store } = await threeNodes()
  await store.batch([{ type: 'del', key: keyRow('/C') }])
  await repairCrdt(store, changes =>
    changes.map(({ key, value }) => ({ type: 'put', key: utf8(`out${key}`), value: value ?? WANTED })),
  )
  assert.equal(utf8Text((await store.get(utf8('out/C'))) ?? new Uint8Array()), '3')
})

test('a repair that is stopped leaves the mark', async () => {
  const { store } = await threeNodes()
  await markCrdt(store, true)
  await assert.rejects(repairCrdt(store, undefined, { signal: AbortSignal.abort(new Error('enough')) }), {
    message: 'enough',
  })
  assert.equal(await isCrdtDirty(store), true)
})

test('a wanted head that comes back stays a head', async () => {
  const { store, last } = await threeNodes()
  const data = (await store.get(digestRow(PREFIX.block, last.digest))) ?? new Uint8Array()
  await store.batch([{ type: 'del', key: digestRow(PREFIX.block, last.digest) }])
  await repairCrdt(store, undefined)
  const merged = Promise.withResolvers<void>()
  {
    await using crdt = await createCrdt(
      {
        store,
        clock: systemClock,
        random: seededRandom(1),
        logger: silentLogger,
        blocks: { get: () => Promise.resolve(data), notify: () => merged.resolve() },
        broadcast: {
          publish: () => Promise.resolve(),
          subscribe: () => ({ [Symbol.dispose]: () => undefined }),
        },
      },
      defaultCrdtConfig,
    )
    await merged.promise
    assert.equal(crdt.stats().frontier, 0)
  }
  assert.equal((await onlyHead(store)).id, last.id)
})
