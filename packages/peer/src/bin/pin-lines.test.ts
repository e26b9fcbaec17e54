import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import { newPin, parseCid, type Pin } from '@ipfs-cluster/api'
import { MAX_OP_BYTES } from '@ipfs-cluster/crdt'
import { pinLine, readPins, type PinOverrides } from './pin-lines.ts'

const PEER = '12D3KooWAuRYCfgCKTyZpxJNuxPZ7fisG7J9eZPMDBZPESVoXFbT'
const OTHER = 'QmPSoSaPXpyunaBwHs1rZBKYSqRV4bLRk32VGYLuvdrypL'
const CID = 'bafkreih5aznjvttude6c3wbvqeebb6rlx5wkbzyppv7garjiubll2ceym4'
const NONE: PinOverrides = { replicationMin: 0, replicationMax: 0, allocations: [] }
const NS = 1_000_000_000n

const { TZ } = process.env
afterEach(() => {
  if (TZ === undefined) delete process.env['TZ']
  else process.env['TZ'] = TZ
})

async function* input(text: string) {
  yield text
}

const read = (text: string, overrides = NONE) => Array.fromAsync(readPins(input(text), overrides))

const times = (line: string) => [
  /^.*?,"expire_at":"([^"]*)"/.exec(line)?.[1],
  /,"timestamp":"([^"]*)"}$/.exec(line)?.[1],
]

const dated = (name: string): Pin =>
  newPin(parseCid(CID), {
    type: 'pin',
    name,
    metadata: { expire_at: 'x', a: ',"timestamp":"y"' },
    expireAt: 1_940_000_000n * NS,
    timestamp: 1_700_000_000n * NS,
  })

/** Written by a Go peer in the zone of New York. */
const GO_LINE =
  '{"replication_factor_min":-1,"replication_factor_max":-1,"name":"zone","mode":"recursive","shard_size":0,"user_allocations":null,' +
  '"expire_at":"2030-12-31T19:00:00-05:00","metadata":{"B":"2","a":"1"},"pin_update":null,"origins":["/ip4/1.2.3.4/tcp/4001/p2p/' +
  `${PEER}"],"cid":"${CID}","type":"pin","allocations":["${PEER}"],"max_depth":-1,"reference":null,"timestamp":"2026-07-21T07:34:41-04:00"}`

test('a line of a Go peer comes out as it went in, in its zone', async () => {
  process.env['TZ'] = 'America/New_York'
  const [pin] = await read(GO_LINE)
  assert.equal(pin && pinLine(pin), GO_LINE)
})

test('times are in the zone of the system, with the offset of their day', () => {
  for (const [zone, expireAt, timestamp] of [
    ['UTC', '2031-06-23T16:53:20Z', '2023-11-14T22:13:20Z'],
    ['Europe/London', '2031-06-23T17:53:20+01:00', '2023-11-14T22:13:20Z'],
    ['America/New_York', '2031-06-23T12:53:20-04:00', '2023-11-14T17:13:20-05:00'],
    ['Asia/Kolkata', '2031-06-23T22:23:20+05:30', '2023-11-15T03:43:20+05:30'],
  ] as const) {
    process.env['TZ'] = zone
    for (const name of ['', ',"expire_at":"', ',"timestamp":"']) {
      assert.deepEqual(times(pinLine(dated(name))), [expireAt, timestamp], zone)
    }
    const undated = pinLine({ ...dated(''), expireAt: null, timestamp: null })
    assert.deepEqual(times(undated), ['0001-01-01T00:00:00Z', '0001-01-01T00:00:00Z'])
  }
})

test('a line is the same pin again', async () => {
  for (const zone of ['UTC', 'Asia/Kolkata']) {
    process.env['TZ'] = zone
    const pin = dated('<a> & "b" \\ \u2028 \u{1f600}')
    assert.deepEqual(await read(pinLine(pin)), [pin])
  }
})

test('missing fields are zero, as in Go; overrides replace what is there', async () => {
  const text = `{"cid":"${CID}"}\n{"cid": "${CID}",\n "allocations": ["${OTHER}"], "mode": "odd", "extra": 1}`
  const [bare, other] = await read(text)
  assert.deepEqual([bare?.type, bare?.maxDepth, bare?.replicationFactorMin], ['bad-type', 0, 0])
  assert.deepEqual([other?.allocations, other?.mode], [[OTHER], 'recursive'])
  const [changed] = await read(text, { replicationMin: 2, replicationMax: 3, allocations: [PEER] })
  assert.deepEqual(
    [changed?.replicationFactorMin, changed?.replicationFactorMax, changed?.allocations],
    [2, 3, [PEER]],
  )
  const [kept] = await read(GO_LINE, { ...NONE, replicationMin: -1 })
  assert.equal(kept?.replicationFactorMin, -1)
})

const good = `{"cid":"${CID}"}\n`
const BAD: readonly (readonly [string, RegExp])[] = [
  [`${good}{"name":"no cid"}`, /^line 2: pin\.cid: the CID is missing/],
  [`${good}\n{"cid":"nonsense"}`, /^line 3: pin\.cid: invalid cid/],
  [`${good}{"cid":"${CID}","allocations":["x"]}`, /^line 2: pin\.allocations\.0: /],
  [`${good}{"cid":"${CID}","expire_at":"soon"}`, /^line 2: pin\.expire_at: parsing time "soon"/],
  [`${good}{"cid":"${CID}","replication_factor_min":"1"}`, /^line 2: pin\.replication_factor_min: /],
  [`${good}{"cid":{"/":"${CID}"}}`, /^line 2: pin\.cid: a string expected/],
  [`${good}{\n"cid":"${CID}",\n"name" "x"\n}`, /^line 4: not valid JSON: /],
  [`${good}{"cid":"${CID}"`, /^line 2: the object that begins here does not end$/],
  [`${good}[${good}]`, /^line 2: an object expected, found "\["/],
  [
    `{"cid":"${CID}","name":"${'x'.repeat(MAX_OP_BYTES)}"}`,
    /^line 1: a pin of \d+ bytes; 2097152 are allowed$/,
  ],
]

for (const [text, message] of BAD) {
  test(`refused: ${message.source}`, async () => {
    await assert.rejects(read(text), { code: 'JSON_STREAM', message })
  })
}

test('keys match without regard to case, as in Go; those of metadata stay as they are', async () => {
  const [pin] = await read(`{"CID":"${CID}","Name":"a","metadata":{"Key":"v"},"Max_Depth":3}`)
  assert.equal(pin?.name, 'a')
  assert.deepEqual(pin?.metadata, { Key: 'v' })
  assert.equal(pin?.maxDepth, 3)
})
