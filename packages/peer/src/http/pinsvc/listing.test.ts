import * as fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ANY_PIN, pinMatcher, TRACKER_STATUS, type Pin } from '@ipfs-cluster/api'
import { listingTime } from '../../state/index.ts'
import { listPins } from './listing.ts'
import { pinStatusOf } from './status.ts'
import { cidOf, createWorld, pinAt, type World } from './test-service.ts'
import { NAME_STRATEGIES, PIN_STATUSES, type ListQuery } from './types.ts'

const { pinned, pinning, pin_queued, pin_error } = TRACKER_STATUS
const SMALL = { countMax: 6, unsettledMax: 4, newestMax: 5 }
const QUERY: ListQuery = {
  cids: [],
  name: '',
  match: 'exact',
  metadata: {},
  statuses: new Set(['pinned']),
  before: null,
  after: null,
  limit: 10,
}

const list = (world: World, query: Partial<ListQuery>) =>
  listPins(world.components, { ...QUERY, ...query }, {})
const idsOf = (found: readonly { readonly pin: Pin }[]) => found.map(({ pin }) => pin.cid.toString())

/** As a client does: the time of the last one is the next `before`, until as many are counted as are there. */
async function pages(world: World, query: Partial<ListQuery>): Promise<string[]> {
  const ids: string[] = []
  let { before = null } = query
  while (true) {
    const { found, count } = await list(world, { ...query, before })
    ids.push(...idsOf(found))
    assert.ok(count >= found.length)
    if (count === found.length) return ids
    const last = found.at(-1)
    assert.ok(last, 'there are more, and there is nothing to go on from')
    before = listingTime(last.pin)
  }
}

const anyStatus = fc.constantFrom(pinned, pinned, pinning, pin_queued, pin_error)
const anyPins = fc.array(
  fc.record({
    // Few seconds, so that many are of the same; slots of a second are few enough to be shared, too.
    seconds: fc.constantFrom(0, 5, 5, 5, 6, 7),
    name: fc.constantFrom('', 'a', 'ab', 'B'),
    app: fc.constantFrom('x', 'y'),
    type: fc.constantFrom('pin' as const, 'pin' as const, 'meta-pin' as const, 'shard-pin' as const),
    status: anyStatus,
  }),
  { maxLength: 40 },
)
const anyQuery = fc.record({
  name: fc.constantFrom('', '', 'a', 'b', 'AB'),
  match: fc.constantFrom(...NAME_STRATEGIES),
  metadata: fc.constantFrom<Record<string, string>>({}, {}, { app: 'x' }),
  statuses: fc.subarray([...PIN_STATUSES], { minLength: 1 }).map(names => new Set(names)),
  before: fc.constantFrom(null, null, 6_000_000_000n, 5_500_000_000n, 5_500_000_001n),
  after: fc.constantFrom(null, null, 5_000_000_000n, 5_250_000_000n),
  limit: fc.constantFrom(1, 2, 3, 7, 1000),
})

test('pages have each pin that matches once, newest first, whatever way they come about', () =>
  fc.assert(
    fc.asyncProperty(anyPins, anyQuery, fc.boolean(), async (given, query, small) => {
      await using world = await createWorld(small ? { bounds: SMALL } : {})
      const matches = pinMatcher({ ...ANY_PIN, ...query })
      const expected: Pin[] = []
      for (const [n, { seconds, name, app, type, status }] of given.entries()) {
        const pin = pinAt(n, seconds, { name, metadata: { app }, type })
        await world.put([pin], status)
        const time = listingTime(pin)
        const isTime =
          (query.before === null || time < query.before) && (query.after === null || time > query.after)
        const isStatus = query.statuses.has(pinStatusOf(pin, [status]))
        if (isTime && isStatus && type !== 'shard-pin' && matches(pin)) expected.push(pin)
      }
      const seen = await pages(world, query)
      assert.deepEqual(seen.toSorted(), idsOf(expected.map(pin => ({ pin }))).toSorted())
      const times = new Map(expected.map(pin => [pin.cid.toString(), listingTime(pin)]))
      const inOrder = seen.map(id => times.get(id) ?? 0n)
      assert.deepEqual(
        inOrder,
        inOrder.toSorted((a, b) => (a < b ? 1 : a > b ? -1 : 0)),
      )
    }),
    { numRuns: 150 },
  ))

test('the count is exact up to its bound', async () => {
  await using world = await createWorld()
  for (let n = 0; n < 30; n++) {
    await world.put([pinAt(n, n, { name: n % 2 === 0 ? 'even' : 'odd' })], n < 20 ? pinned : pin_queued)
  }
  const countOf = async (query: Partial<ListQuery>) => (await list(world, { limit: 1, ...query })).count
  assert.equal(await countOf({}), 20)
  assert.equal(await countOf({ statuses: new Set(['queued']) }), 10)
  assert.equal(await countOf({ statuses: new Set(['failed']) }), 0)
  assert.equal(await countOf({ statuses: new Set(PIN_STATUSES) }), 30)
  assert.equal(await countOf({ name: 'even' }), 10)
  assert.equal(await countOf({ name: 'e', match: 'partial', statuses: new Set(PIN_STATUSES) }), 15)
  assert.equal(await countOf({ before: 10_000_000_000n }), 10)
  assert.equal(await countOf({ cids: [cidOf(1), cidOf(2), cidOf(25), cidOf(99)] }), 2)
  const bounded = { ...world.components, bounds: SMALL }
  const of = async (query: Partial<ListQuery>) => (await listPins(bounded, { ...QUERY, ...query }, {})).count
  assert.equal(await of({ name: 'even', limit: 1 }), 6)
  assert.equal(await of({ name: 'even', limit: 9 }), 10, 'one more than is shown')
  assert.equal(await of({ limit: 1 }), 24, 'of all pins, but for the first of those that are not pinned')
})

test('what is asked of the peers follows what is shown, not what there is', async () => {
  await using world = await createWorld()
  for (let n = 0; n < 400; n += 100) {
    await world.put(
      Array.from({ length: 100 }, (_, i) => pinAt(n + i, n + i, { name: `${n + i}` })),
      pinned,
    )
  }
  await world.put([pinAt(1_000, 3)], pin_error)
  assert.equal((await list(world, {})).found.length, 10)
  assert.ok(world.asked.statuses <= 12, `${world.asked.statuses} statuses`)
  world.asked.statuses = 0
  assert.equal((await list(world, { statuses: new Set(['failed']) })).found.length, 1)
  assert.equal((await list(world, { name: '7' })).found.length, 1)
  assert.ok(world.asked.statuses <= 2, `${world.asked.statuses} statuses`)
  assert.ok(world.asked.listed <= 4)
})

test('many pins of the same second come in pages that hardly exceed the limit', async () => {
  await using world = await createWorld()
  const pins = Array.from({ length: 600 }, (_, n) => pinAt(n, 5))
  await world.put(pins, pinned)
  const { found } = await list(world, { limit: 100 })
  assert.ok(found.length >= 100 && found.length < 110, `${found.length}`)
  assert.equal(new Set(await pages(world, { limit: 100 })).size, 600)
  const times = found.map(({ pin }) => listingTime(pin))
  assert.ok(
    times.every(time => time % 1_000_000n === 0n),
    'whole milliseconds: some clients keep no more',
  )
})

test('what leaves and what comes while a client reads pages does not touch the others', async () => {
  await using world = await createWorld()
  for (let n = 0; n < 30; n++) await world.put([pinAt(n, n < 25 ? 5 : n)], pinned)
  const first = (await list(world, { limit: 10 })).found
  for (const { pin } of first) await world.remove(pin.cid)
  await world.put([pinAt(100, 50)], pinned)
  const last = first.at(-1)
  assert.ok(last)
  const rest = await pages(world, { limit: 10, before: listingTime(last.pin) })
  assert.equal(new Set([...idsOf(first), ...rest]).size, 30)
  assert.equal(rest.length + first.length, 30)
})
