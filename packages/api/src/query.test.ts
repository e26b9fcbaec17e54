import * as fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  addParamsFromQuery,
  addParamsToQuery,
  DEFAULT_ADD_PARAMS,
  DEFAULT_PIN_OPTIONS,
  parseContentPath,
  pinOptionsFromQuery,
  pinOptionsToQuery,
} from './index.ts'
import { anyPinOptions } from './test-arbitraries.ts'

const A = '12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'
const NOW = 1_700_000_000_000_000_000n
const pinOptions = (query: string) => pinOptionsFromQuery(new URLSearchParams(query), NOW)
const addParams = (query: string) => addParamsFromQuery(new URLSearchParams(query), NOW)

test('pin options survive the query, without empty metadata keys', () => {
  fc.assert(
    fc.property(anyPinOptions(), options => {
      const query = new URLSearchParams(pinOptionsToQuery(options).toString())
      const { '': _, ...metadata } = options.metadata
      assert.deepEqual(pinOptionsFromQuery(query, NOW), { ...options, metadata })
    }),
  )
})

test('the query of default options is what the Go client sends', () => {
  assert.equal(
    pinOptionsToQuery(DEFAULT_PIN_OPTIONS).toString(),
    'mode=recursive&name=&replication-max=0&replication-min=0&shard-size=0&user-allocations=',
  )
  assert.equal(
    addParamsToQuery(DEFAULT_ADD_PARAMS).toString(),
    'chunker=size-262144&cid-version=0&format=unixfs&hash=sha2-256&hidden=false&layout=balanced&local=false&mode=recursive&name=' +
      '&no-pin=false&nocopy=false&progress=false&raw-leaves=false&recursive=false&replication-max=0&replication-min=0&shard=false' +
      '&shard-size=0&stream-channels=true&user-allocations=&wrap-with-directory=false',
  )
})

test('an empty query is the default', () => {
  assert.deepEqual(pinOptions(''), DEFAULT_PIN_OPTIONS)
  assert.deepEqual(addParams(''), DEFAULT_ADD_PARAMS)
})

test('what pin options accept', () => {
  const both = pinOptions('replication=3&replication-min=1&replication-max=9')
  assert.deepEqual([both.replicationFactorMin, both.replicationFactorMax], [3, 3])
  assert.deepEqual(pinOptions(`user-allocations=${A},nonsense,`).userAllocations, [A])
  assert.equal(pinOptions('expire-in=1h').expireAt, NOW + 3_600_000_000_000n)
  assert.equal(
    pinOptions('expire-in=1h&expire-at=2030-01-01T01:00:00%2B01:00').expireAt,
    1893456000n * 1_000_000_000n,
  )
  assert.deepEqual(pinOptions('meta-a=1&meta-a=2&meta-=x&meta=y').metadata, { a: '1' })
  assert.equal(pinOptions('mode=sideways').mode, 'recursive')
})

const BAD: readonly (readonly [string, string | RegExp])[] = [
  ['replication-min=a', 'parameter replication-min invalid'],
  ['replication-max=1.5', 'parameter replication-max invalid'],
  ['replication=0x1', 'parameter replication-min invalid'],
  ['shard-size=-1', 'parameter shard_size is invalid'],
  ['shard-size=18446744073709551616', 'parameter shard_size is invalid'],
  [
    'expire-at=x',
    'expire-at cannot be parsed: parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"',
  ],
  ['expire-in=x', 'expire-in cannot be parsed: time: invalid duration "x"'],
  ['expire-in=999ms', 'expire-in duration too short'],
  ['pin-update=x', 'error decoding update option parameter: invalid cid: cid too short'],
  ['origins=abc', /^error decoding multiaddress: failed to parse multiaddr "abc": must begin with \/$/],
  ['origins=/ip4/1.2.3.4/tcp/1', /^multiaddress does not contain peer ID: /],
]

for (const [query, message] of BAD) {
  test(`refused pin option: ${query}`, () => {
    assert.throws(() => pinOptions(query), { code: 'BAD_PARAMETER', message })
    assert.throws(() => addParams(query), { code: 'BAD_PARAMETER', message })
  })
}

const BAD_ADD = [
  ['layout=x', 'layout parameter is invalid'],
  ['format=x', 'format parameter is invalid'],
  ['local=yes', 'parameter local invalid'],
  ['no-pin=2', 'parameter no-pin invalid'],
  ['cid-version=x', 'parameter cid-version invalid'],
  ['cid-version=2', 'bad CID Version: unknown CID version: 2'],
] as const

for (const [query, message] of BAD_ADD) {
  test(`refused add parameter: ${query}`, () => {
    assert.throws(() => addParams(query), { code: 'BAD_PARAMETER', message })
  })
}

test('add parameters', () => {
  assert.equal(addParams('cid-version=1').rawLeaves, true)
  assert.equal(addParams('cid-version=1&raw-leaves=F').rawLeaves, false)
  assert.equal(addParams('local=T').local, true)
  assert.equal(addParams('stream-channels=0').streamChannels, false)
  const { pin } = addParams('mode=direct&pin-update=QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6&name=n')
  assert.deepEqual(pin, { ...DEFAULT_PIN_OPTIONS, name: 'n' })
  fc.assert(
    fc.property(
      anyPinOptions(),
      fc.record({
        layout: fc.constantFrom('balanced', 'trickle'),
        format: fc.constantFrom('unixfs', 'car'),
        cidVersion: fc.constantFrom(0, 1),
        rawLeaves: fc.boolean(),
        local: fc.boolean(),
        wrap: fc.boolean(),
        noPin: fc.boolean(),
        streamChannels: fc.boolean(),
        progress: fc.boolean(),
      }),
      (options, flags) => {
        const { '': _, ...metadata } = options.metadata
        const pin = { ...options, metadata, mode: 'recursive', pinUpdate: null } as const
        const params = { ...DEFAULT_ADD_PARAMS, ...flags, pin }
        assert.deepEqual(addParams(addParamsToQuery(params).toString()), params)
      },
    ),
  )
})

test('content paths are checked and cleaned', () => {
  const cid = 'QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6'
  assert.equal(parseContentPath(`/ipfs/${cid}/a//./b/../c/`), `/ipfs/${cid}/a/c`)
  assert.equal(parseContentPath('/ipns/example.org'), '/ipns/example.org')
  for (const bad of ['', '/', '/ipfs', '/ipfs/', '/ipfs/nonsense', '/other/x', cid, `/ipfs/../${cid}`]) {
    assert.throws(() => parseContentPath(bad), { code: 'BAD_PARAMETER' }, bad)
  }
})

test('sizes are bytes or a text, and absent unless they are given', () => {
  assert.deepEqual(pinOptions('size=1500&max-pin-size=10GB'), {
    ...DEFAULT_PIN_OPTIONS,
    size: 1500n,
    maxPinSize: 10_000_000_000n,
  })
  assert.deepEqual(pinOptions('size=&max-pin-size='), DEFAULT_PIN_OPTIONS)
  for (const query of ['size=-1', 'max-pin-size=much', 'max-pin-size=99EB'])
    assert.throws(() => pinOptions(query), { code: 'BAD_PARAMETER' }, query)
  assert.throws(() => pinOptions('max-pin-size=much'), /parameter max-pin-size invalid: "much" is not a size/)
})
