import * as fc from 'fast-check'
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import {
  ANY_PIN,
  cidText,
  encodePin,
  newPin,
  NAME_MATCHES,
  pinCodec,
  pinCursor,
  pinMatcher,
  pinOrder,
  PIN_TYPE_BITS,
  type Pin,
  type PinFilter,
} from '@ipfs-cluster/api'
import { batchesOf, compareBytes, createMemoryStore, utf8, utf8Text } from '@ipfs-cluster/base'
import { openLevelStore } from '@ipfs-cluster/base/level-store'
import { type CrdtOp } from '@ipfs-cluster/crdt'
import { CID } from 'multiformats/cid'
import * as Digest from 'multiformats/hashes/digest'
import { INDEXED_ROW, NAME_PREFIX, TIME_PREFIX } from './layout.ts'
import { cidTextOfPinKey, pinKey } from './pin-key.ts'
import { openTestState, putPin } from './test-state.ts'

const S = 1_000_000_000n
const A = '12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'
const B = '12D3KooWQnwEGNqcM2nAcPtRR9rAX8Hrg4k9kJLCHoTewJfHHq5d'
/** Keeps what is committed in the journal. */
const QUEUED = { batching: { maxOps: 1_000, maxAgeMs: 3_600_000 } }

function cidOf(n: number): CID {
  const digest = new Uint8Array(32)
  new DataView(digest.buffer).setUint32(0, Math.imul(n + 1, 0x9e3779b1) >>> 0)
  return n % 3 === 0
    ? CID.createV0(Digest.create(0x12, digest) as never)
    : CID.createV1(n % 3 === 1 ? 0x55 : 0x0129, Digest.create(0x12, digest))
}

type World = Awaited<ReturnType<typeof openTestState>>

const remove = (n: number): CrdtOp => ({ type: 'delete', key: pinKey(cidOf(n)) })
const idsOf = (pins: readonly Pin[]) => pins.map(({ cid }) => cidText(cid))

const anyName = fc.constantFrom(
  '',
  'a',
  'ab',
  'abc',
  'b',
  'a\0',
  'a\0b',
  'é',
  `${'x'.repeat(300)}1`,
  `${'x'.repeat(300)}2`,
)
const anySeconds = fc.constantFrom(null, -5n, 1n, 2n, 3n, 4n)
const anyPinOf = fc
  .record({
    n: fc.nat(11),
    name: anyName,
    timestamp: anySeconds,
    allocations: fc.subarray([A, B]),
    everywhere: fc.boolean(),
    metadata: fc.constantFrom<Record<string, string>>({}, { k: 'v' }, { k: 'w' }),
    type: fc.constantFrom('pin' as const, 'meta-pin' as const, 'shard-pin' as const, 'bad-type' as const),
  })
  .map(({ n, timestamp, everywhere, ...rest }) =>
    newPin(cidOf(n), {
      ...rest,
      timestamp: timestamp === null ? null : timestamp * S,
      ...(everywhere ? { replicationFactorMin: -1, replicationFactorMax: -1, allocations: [] } : {}),
    }),
  )
const anyChange = fc.oneof(anyPinOf.map(putPin), fc.nat(11).map(remove))
const anyFilter: fc.Arbitrary<PinFilter> = fc.record({
  name: anyName,
  match: fc.constantFrom(...NAME_MATCHES),
  metadata: fc.constantFrom<Record<string, string>>({}, {}, { k: 'v' }),
  peer: fc.constantFrom(null, null, A),
  createdAfter: fc.constantFrom(null, -10n * S, S + 1n, 2n * S, 10n * S),
  createdBefore: fc.constantFrom(null, -1n, 2n * S, 3n * S + 5n),
})

/** What a scan of everything with the predicate shows, in the order of CIDs' texts. */
async function scanned({ state }: World, filter: PinFilter, types: number | undefined): Promise<string[]> {
  const all = await Array.fromAsync(state.list())
  const matches = pinMatcher(filter)
  return idsOf(
    all.filter(pin => matches(pin) && (types === undefined || (types & PIN_TYPE_BITS[pin.type]) !== 0)),
  ).toSorted()
}

/** Where a listing in an order must have a pin: text that sorts alike. */
function assertOrder(pins: readonly Pin[], filter: PinFilter): void {
  for (const [i, pin] of pins.entries()) {
    const before = pins[i - 1]
    if (before === undefined) continue
    if (pinOrder(filter) === 'created') {
      const seconds = ({ timestamp }: Pin) => (timestamp === null || timestamp < 0n ? 0n : timestamp)
      assert.ok(seconds(before) <= seconds(pin))
    } else if (pinOrder(filter) === 'name') {
      // Behind a 0, which ends the name in its row, CIDs may decide.
      const sorted = ({ name }: Pin) => utf8(name.slice(0, 255).split('\0')[0] ?? '')
      assert.ok(compareBytes(sorted(before), sorted(pin)) <= 0)
    }
  }
}

test('a filtered listing is that of a scan, in its order, page by page, queued or stored, over restarts', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(anyChange, { minLength: 1, maxLength: 12 }), { maxLength: 4 }),
      fc.array(anyChange, { maxLength: 6 }),
      fc.array(anyFilter, { minLength: 1, maxLength: 6 }),
      fc.constantFrom(
        undefined,
        PIN_TYPE_BITS.pin,
        PIN_TYPE_BITS['bad-type'],
        PIN_TYPE_BITS['meta-pin'],
        PIN_TYPE_BITS['shard-pin'],
        PIN_TYPE_BITS['meta-pin'] | PIN_TYPE_BITS['shard-pin'],
      ),
      fc.integer({ min: 1, max: 4 }),
      async (stored, queued, filters, types, limit) => {
        const store = createMemoryStore()
        {
          await using world = await openTestState(store)
          for (const ops of stored) await world.crdt.commit(ops)
        }
        await using world = await openTestState(store, QUEUED)
        if (queued.length > 0) await world.crdt.commit(queued)
        for (const filter of filters) {
          const options = { filter, ...(types === undefined ? {} : { types }) }
          const whole = await Array.fromAsync(world.state.list(options))
          assert.deepEqual(idsOf(whole).toSorted(), await scanned(world, filter, types))
          assertOrder(whole, filter)
          const pages: Pin[] = []
          while (true) {
            const last = pages.at(-1)
            const cursor = last === undefined ? null : pinCursor(last)
            const page = await Array.fromAsync(world.state.list({ ...options, cursor, limit }))
            assert.ok(page.length <= limit)
            pages.push(...page)
            if (page.length < limit) break
          }
          assert.deepEqual(idsOf(pages), idsOf(whole))
          const lines = (await Array.fromAsync(world.state.lines(options))).map(utf8Text).join('')
          assert.equal(lines, whole.map(pin => `${pinCodec.stringify(pin)}\n`).join(''))
        }
      },
    ),
    { numRuns: 60 },
  )
})

async function withFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'pin-listing-'))
  try {
    await work(folder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

const namesOf = async (world: World, filter: Partial<PinFilter>) =>
  (await Array.fromAsync(world.state.list({ filter: { ...ANY_PIN, ...filter } }))).map(({ name }) => name)

test('a real store lists many pins in all ways, also after it is opened again', () =>
  withFolder(async folder => {
    const pins = Array.from({ length: 3_000 }, (_, i) =>
      newPin(cidOf(i), { name: `pin ${i}`, timestamp: BigInt(1_000 + i) * S, type: 'pin' }),
    )
    {
      await using store = await openLevelStore(folder)
      await using world = await openTestState(store)
      await world.crdt.commit(pins.map(putPin))
      await world.crdt.commit(pins.slice(0, 1_000).map(({ cid }) => ({ type: 'delete', key: pinKey(cid) })))
    }
    await using store = await openLevelStore(folder)
    await using world = await openTestState(store)
    const left = pins.slice(1_000)
    const listed = await Array.fromAsync(world.state.list())
    assert.deepEqual(idsOf(listed).toSorted(), idsOf(left).toSorted())
    assert.equal(
      (await Array.fromAsync(world.state.lines())).map(utf8Text).join('').split('\n').length,
      2_001,
    )
    assert.deepEqual(await namesOf(world, { name: 'pin 1234' }), ['pin 1234'])
    assert.deepEqual(await namesOf(world, { name: 'pin 12' }), [])
    assert.equal((await namesOf(world, { name: 'pin 12', match: 'prefix' })).length, 100)
    assert.deepEqual(await namesOf(world, { createdAfter: 2_500n * S, createdBefore: 2_502n * S }), [
      'pin 1500',
      'pin 1501',
      'pin 1502',
    ])
    const batches = await Array.fromAsync(batchesOf(world.state.list({ limit: 1_500 })))
    assert.equal(batches.flat().length, 1_500)
    assert.ok(batches.length < 100, 'batches, not items')
  }))

test('a listing shows one state, whatever is written meanwhile', () =>
  withFolder(async folder => {
    await using store = await openLevelStore(folder)
    await using world = await openTestState(store)
    const pins = Array.from({ length: 700 }, (_, i) =>
      newPin(cidOf(i), { name: 'same', timestamp: BigInt(1 + i) * S }),
    )
    await world.crdt.commit(pins.map(putPin))
    for (const filter of [
      ANY_PIN,
      { ...ANY_PIN, name: 'same' },
      { ...ANY_PIN, name: 'sa', match: 'prefix' as const },
      { ...ANY_PIN, createdAfter: S },
    ]) {
      const seen: Pin[] = []
      for await (const pin of world.state.list({ filter })) {
        seen.push(pin)
        if (seen.length !== 10) continue
        // All move to another place of every index, some go, one comes.
        await world.crdt.commit(pins.slice(5).map(pin => putPin({ ...pin, name: 'other', timestamp: 1n })))
        await world.crdt.commit([
          ...pins.slice(300, 500).map(({ cid }): CrdtOp => ({ type: 'delete', key: pinKey(cid) })),
          putPin(newPin(cidOf(5_000), { name: 'same', timestamp: 9n * S })),
        ])
      }
      assert.deepEqual(idsOf(seen).toSorted(), idsOf(pins).toSorted())
      assert.ok(seen.every(({ name }) => name === 'same'))
      await world.crdt.commit([remove(5_000), ...pins.map(putPin)])
    }
  }))

test('pins that were written before there were indexes get their rows once', async () => {
  const store = createMemoryStore()
  const isIndexRow = (key: Uint8Array) =>
    [NAME_PREFIX, TIME_PREFIX].some(prefix => utf8Text(key).startsWith(utf8Text(prefix)))
  const indexRows = async () => (await Array.fromAsync(store.keys())).filter(isIndexRow)
  let rows: Uint8Array[]
  {
    await using world = await openTestState(store)
    await world.crdt.commit(
      [1, 2, 3, 4].map(n => putPin(newPin(cidOf(n), { name: `n${n}`, timestamp: S * BigInt(n) }))),
    )
    rows = await indexRows()
    assert.equal(rows.length, 8)
    await store.batch(rows.map(key => ({ type: 'del', key })))
  }
  {
    await using world = await openTestState(store)
    assert.equal((await namesOf(world, {})).length, 4, 'what needs no index does not wait for one')
    assert.equal(await store.get(INDEXED_ROW), undefined)
    // Nobody has begun to build them: whoever needs them does, and waits.
    const [byName, byTime] = await Promise.all([
      namesOf(world, { name: 'n2' }),
      namesOf(world, { createdAfter: 3n * S }),
    ])
    assert.deepEqual([byName, byTime], [['n2'], ['n3', 'n4']])
    assert.deepEqual(await indexRows(), rows)
    assert.notEqual(await store.get(INDEXED_ROW), undefined)
  }
  await store.batch(rows.map(key => ({ type: 'del', key })))
  await using world = await openTestState(store)
  await world.buildIndexes()
  assert.deepEqual(await indexRows(), [], 'only once')
})

test('building stops with its signal, and can begin again', async () => {
  const store = createMemoryStore()
  await using world = await openTestState(store)
  await world.crdt.commit([putPin(newPin(cidOf(1), { name: 'a' }))])
  await assert.rejects(world.buildIndexes({ signal: AbortSignal.abort(new Error('stop')) }), /stop/)
  assert.equal(await store.get(INDEXED_ROW), undefined)
  assert.deepEqual(await namesOf(world, { name: 'a' }), ['a'])
})

test('a row that its pin has left behind is passed over', async () => {
  const store = createMemoryStore()
  await using world = await openTestState(store)
  const pin = newPin(cidOf(1), { name: 'old', timestamp: S })
  await world.crdt.commit([putPin(pin)])
  const rows = await Array.fromAsync(store.entries({ gte: NAME_PREFIX, lt: utf8('state/u') }))
  await world.crdt.commit([putPin({ ...pin, name: 'new', timestamp: 2n * S })])
  await store.batch(rows.map(([key, value]) => ({ type: 'put', key, value })))
  assert.deepEqual(await namesOf(world, { name: 'old' }), [])
  assert.deepEqual(await namesOf(world, { createdAfter: S }), ['new'])
  await world.crdt.commit([remove(1)])
  await store.batch(rows.map(([key, value]) => ({ type: 'put', key, value })))
  assert.deepEqual(await namesOf(world, { createdAfter: S }), [])
})

test('keys that only look like those of usual CIDs are left out', async () => {
  await using world = await openTestState(createMemoryStore())
  const key = pinKey(CID.parse('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku'))
  const value = encodePin(newPin(cidOf(1), { name: 'x' }))
  const odd = [
    `${key.slice(0, 20)}é${key.slice(21)}`,
    `${key.slice(0, 20)}1${key.slice(21)}`,
    `${key.slice(0, -1)}B`,
  ]
  await world.crdt.commit([key, ...odd].map(each => ({ type: 'put', key: each, value })))
  assert.equal((await Array.fromAsync(world.state.list())).length, 1)
  assert.match(utf8Text((await Array.fromAsync(world.state.lines()))[0] ?? utf8('')), /^[^\n]*\n$/)
  assert.equal(world.undecodable(), 6)
})

test('the text of a CID comes from its key', () => {
  for (let n = 0; n < 300; n++) assert.equal(cidTextOfPinKey(pinKey(cidOf(n))), cidText(cidOf(n)))
  const digests = fc.uint8Array({ minLength: 0, maxLength: 40 })
  fc.assert(
    fc.property(digests, fc.nat(0x300), fc.constantFrom(0x00, 0x12, 0x1e), (digest, codec, hash) => {
      const cid = CID.createV1(codec, Digest.create(hash, digest))
      assert.equal(cidTextOfPinKey(pinKey(cid)), cidText(cid))
    }),
  )
  for (const key of [
    '',
    '/',
    '/AFKREI',
    `${pinKey(cidOf(1))}A`,
    pinKey(cidOf(1)).toLowerCase(),
    '/something',
  ]) {
    assert.equal(cidTextOfPinKey(key), undefined, key)
  }
})
