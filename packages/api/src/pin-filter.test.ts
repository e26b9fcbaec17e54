import * as fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  ANY_PIN,
  isAnyPin,
  NAME_MATCHES,
  newPin,
  parseCid,
  pinCursor,
  pinCursorText,
  pinInfoMatcher,
  pinListingFromQuery,
  pinListingToQuery,
  pinMatcher,
  pinOrder,
  type Pin,
  type PinFilter,
} from './index.ts'
import { anyCid, anyMetadata, anyPeerId, anyText } from './test-arbitraries.ts'

const A = '12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'
const B = '12D3KooWQnwEGNqcM2nAcPtRR9rAX8Hrg4k9kJLCHoTewJfHHq5d'
const S = 1_000_000_000n
const cid = parseCid('bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi')
const read = (query: string) => pinListingFromQuery(new URLSearchParams(query))
const filterOf = (query: string) => read(query).filter
const optional = <T>(values: fc.Arbitrary<T>) => fc.option(values, { nil: null })

const anyFilter: fc.Arbitrary<PinFilter> = fc
  .record({
    name: anyText(),
    match: fc.constantFrom(...NAME_MATCHES),
    metadata: anyMetadata(),
    peer: optional(anyPeerId()),
    createdAfter: optional(fc.bigInt({ min: 1n, max: 10n ** 18n })),
    later: optional(fc.bigInt({ min: 0n, max: 10n ** 18n })),
  })
  .map(({ later, match, ...filter }) => ({
    ...filter,
    match: filter.name === '' ? 'exact' : match,
    createdBefore: later === null ? null : (filter.createdAfter ?? 0n) + later + 1n,
  }))

test('a listing survives the query; the cursor has what its order needs', () => {
  const anyCursor = fc.record({
    cid: anyCid(),
    name: anyText(),
    created: fc.bigInt({ min: 1n, max: 10n ** 18n }),
  })
  fc.assert(
    fc.property(anyFilter, optional(fc.integer({ min: 1 })), optional(anyCursor), (filter, limit, cursor) => {
      const query = new URLSearchParams(pinListingToQuery({ filter, limit, cursor }).toString())
      const listing = pinListingFromQuery(query)
      assert.deepEqual({ filter: listing.filter, limit: listing.limit }, { filter, limit })
      if (cursor === null) return assert.equal(listing.cursor, null)
      const order = pinOrder(filter)
      assert.ok(listing.cursor?.cid.equals(cursor.cid))
      if (order === 'name') assert.equal(listing.cursor?.name, cursor.name)
      if (order === 'created') assert.equal(listing.cursor?.created, cursor.created)
    }),
  )
})

test('nothing given, or given empty, is no filter', () => {
  for (const query of [
    '',
    'name=&match=&meta=&peer=&after=&before=&limit=&cursor=',
    'filter=pin&local=true&x=y',
    'meta={}',
  ]) {
    assert.deepEqual(read(query), { filter: ANY_PIN, limit: null, cursor: null }, query)
  }
  assert.ok(isAnyPin(ANY_PIN))
  assert.equal(pinListingToQuery({}).toString(), '')
})

test('what is given is read', () => {
  assert.deepEqual(filterOf('name=a b&match=prefix'.replace(' ', '+')), {
    ...ANY_PIN,
    name: 'a b',
    match: 'prefix',
  })
  assert.deepEqual(
    filterOf('meta={"a":"1","__proto__":"2"}').metadata,
    Object.fromEntries([
      ['a', '1'],
      ['__proto__', '2'],
    ]),
  )
  assert.equal(filterOf(`peer=${A}`).peer, A)
  assert.equal(filterOf('after=1970-01-01T01:00:05%2B01:00').createdAfter, 5n * S)
  assert.equal(read('limit=3').limit, 3)
  assert.ok(read(`cursor=${cid}`).cursor?.cid.equals(cid))
  assert.equal(read(`name=a&match=prefix&cursor=${cid},a,b`).cursor?.name, 'a,b')
  assert.equal(read(`after=1970-01-01T00:00:05Z&cursor=${cid},1970-01-01T00:00:07Z`).cursor?.created, 7n * S)
})

test('bad input is named', () => {
  const cases: Record<string, string> = {
    'match=exact': 'parameter match needs a name',
    'name=a&match=contains': 'parameter match must be one of exact, iexact, partial, ipartial, prefix',
    'meta=x': `parameter meta cannot be read: Unexpected token 'x', "x" is not valid JSON`,
    'meta=[]': 'parameter meta must be a JSON object whose values are strings',
    'meta=null': 'parameter meta must be a JSON object whose values are strings',
    'meta="a"': 'parameter meta must be a JSON object whose values are strings',
    'meta={"a":1}': 'parameter meta must be a JSON object whose values are strings',
    'peer=nobody': 'parameter peer cannot be read: ',
    'after=yesterday':
      'parameter after cannot be read: parsing time "yesterday" as "2006-01-02T15:04:05Z07:00"',
    'before=2026-13-01T00:00:00Z': 'parameter before cannot be read: parsing time',
    'after=2026-01-02T00:00:00Z&before=2026-01-01T00:00:00Z':
      'parameter after is later than before: no pin can match',
    'limit=0': 'parameter limit must be a whole number of at least 1',
    'limit=-1': 'parameter limit must be a whole number of at least 1',
    'limit=1.5': 'parameter limit must be a whole number of at least 1',
    'limit=ten': 'parameter limit must be a whole number of at least 1',
    'limit=99999999999999999': 'parameter limit must be a whole number of at least 1',
    'cursor=last': 'parameter cursor cannot be read: invalid cid',
    [`name=a&match=prefix&cursor=${cid}`]:
      "parameter cursor cannot be read: a comma and the pin's name must follow its CID",
    [`after=2026-01-01T00:00:00Z&cursor=${cid}`]:
      "parameter cursor cannot be read: a comma and the pin's time must follow its CID",
    [`before=2026-01-01T00:00:00Z&cursor=${cid},noon`]:
      'parameter cursor cannot be read: parsing time "noon"',
  }
  for (const [query, message] of Object.entries(cases)) {
    assert.throws(
      () => read(query),
      (error: Error & { data: { code: string } }) => {
        assert.ok(error.message.startsWith(message), `${query}: ${error.message}`)
        assert.equal(error.data.code, 'BAD_PARAMETER')
        return true
      },
      query,
    )
  }
})

const pin = newPin(cid, {
  name: 'Holiday photos',
  metadata: { owner: 'ann', size: 'xl' },
  allocations: [A],
  replicationFactorMin: 1,
  replicationFactorMax: 1,
  timestamp: 100n * S,
})

function shows(filter: Partial<PinFilter>, changes: Partial<Pin> = {}): boolean {
  const item = { ...pin, ...changes }
  const shown = pinMatcher({ ...ANY_PIN, ...filter })(item)
  const { name, metadata, allocations, timestamp } = item
  assert.equal(
    pinInfoMatcher({ ...ANY_PIN, ...filter })({ name, metadata, allocations, created: timestamp }),
    shown,
  )
  return shown
}

test('names', () => {
  for (const [match, yes, no] of [
    ['exact', 'Holiday photos', 'holiday photos'],
    ['iexact', 'HOLIDAY photos', 'HOLIDAY'],
    ['partial', 'day ph', 'day PH'],
    ['ipartial', 'day PH', 'dayPH'],
    ['prefix', 'Holi', 'photos'],
  ] as const) {
    assert.ok(shows({ name: yes, match }), match)
    assert.ok(!shows({ name: no, match }), match)
  }
})

test('metadata, peers and times', () => {
  assert.ok(shows({ metadata: { owner: 'ann' } }))
  assert.ok(!shows({ metadata: { owner: 'ann', size: 'l' } }))
  assert.ok(!shows({ metadata: { toString: 'x' } }))
  assert.ok(
    !pinInfoMatcher({ ...ANY_PIN, metadata: { a: '' } })({
      name: '',
      metadata: null,
      allocations: [],
      created: null,
    }),
  )
  assert.ok(shows({ peer: A }))
  assert.ok(!shows({ peer: B }))
  assert.ok(shows({ peer: B }, { allocations: [], replicationFactorMin: -1, replicationFactorMax: -1 }))
  assert.ok(shows({ createdAfter: 100n * S, createdBefore: 100n * S }), 'both ends are inside')
  assert.ok(!shows({ createdAfter: 100n * S + 1n }))
  assert.ok(!shows({ createdBefore: 100n * S - 1n }))
  assert.ok(!shows({ createdBefore: 100n * S }, { timestamp: null }), 'no time is in no range')
  assert.ok(!shows({ name: 'Holiday photos', peer: B }), 'all must hold')
  assert.ok(shows({}))
})

test('the order follows the range that is read', () => {
  const orders: [Partial<PinFilter>, string][] = [
    [{}, 'cid'],
    [{ name: 'a' }, 'cid'],
    [{ name: 'a', createdAfter: 1n }, 'cid'],
    [{ name: 'a', match: 'prefix', createdAfter: 1n }, 'name'],
    [{ name: 'a', match: 'partial' }, 'cid'],
    [{ name: 'a', match: 'partial', createdBefore: 1n }, 'created'],
    [{ peer: A }, 'cid'],
  ]
  for (const [filter, order] of orders) assert.equal(pinOrder({ ...ANY_PIN, ...filter }), order)
  assert.equal(pinCursorText(pinCursor(pin), 'cid'), cid.toString())
  assert.equal(pinCursorText(pinCursor(pin), 'name'), `${cid},Holiday photos`)
  assert.equal(
    pinCursorText(pinCursor({ cid, name: '', created: 5n * S }), 'created'),
    `${cid},1970-01-01T00:00:05Z`,
  )
})
