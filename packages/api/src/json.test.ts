import { utf8 } from '@ipfs-cluster/base'
import * as fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import {
  addedOutputCodec,
  addedOutputsCodec,
  alertsCodec,
  bandwidthCodec,
  connectGraphCodec,
  errorCodec,
  formatTime,
  globalPinInfoCodec,
  globalRepoGCCodec,
  idCodec,
  indentJson,
  jsonString,
  metricCodec,
  metricNamesCodec,
  newPin,
  parseJson,
  parseTime,
  peerAddBodyCodec,
  pinCodec,
  pinInfoCodec,
  pinInfoToGlobal,
  pinOptionsCodec,
  submittedPinCodec,
  tokenCodec,
  TRACKER_STATUS,
  versionCodec,
  type JsonCodec,
} from './index.ts'
import { parseLines } from './client/ndjson.ts'
import { tableCodecs } from './json/pin-codecs.ts'
import { anyGlobalPinInfo, anyPin, anyPinOptions, anyText, anyTime } from './test-arbitraries.ts'

const A = '12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'
const B = '12D3KooWAuRYCfgCKTyZpxJNuxPZ7fisG7J9eZPMDBZPESVoXFbT'
const CID_TEXT = 'QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6'
const cid = CID.parse(CID_TEXT)

/** The documents of the reference, as Go writes them: each must be read and written again to the same bytes. */
const GO_DOCUMENTS: readonly (readonly [string, JsonCodec<unknown>, string])[] = [
  [
    'pin everywhere',
    pinCodec,
    `{"replication_factor_min":-1,"replication_factor_max":-1,"name":"","mode":"recursive","shard_size":0,"user_allocations":null,"expire_at":"0001-01-01T00:00:00Z","metadata":null,"pin_update":null,"origins":[],"cid":"${CID_TEXT}","type":"pin","allocations":[],"max_depth":-1,"reference":null,"timestamp":"2026-05-11T10:00:00Z"}`,
  ],
  [
    'pin with everything',
    pinCodec,
    `{"replication_factor_min":1,"replication_factor_max":2,"name":"a\\u003cb\\u003e\\u0026\\u2028","mode":"direct","shard_size":18446744073709551615,"user_allocations":["${A}"],"expire_at":"2026-05-11T10:00:00.000000001Z","metadata":{"":"e","a":"\\"","é":"x"},"pin_update":"${CID_TEXT}","origins":["/ip4/1.2.3.4/tcp/4001/p2p/${A}"],"cid":"${CID_TEXT}","type":"meta-pin","allocations":["${A}","${B}"],"max_depth":0,"reference":"${CID_TEXT}","timestamp":"2026-05-11T10:00:00.1234Z"}`,
  ],
  [
    'submitted pin',
    submittedPinCodec,
    `{"replication_factor_min":-1,"replication_factor_max":-1,"name":"","mode":"recursive","shard_size":0,"user_allocations":null,"expire_at":"0001-01-01T00:00:00Z","metadata":{},"pin_update":null,"origins":null,"cid":"${CID_TEXT}","type":"pin","allocations":[],"max_depth":-1,"reference":null,"timestamp":"2026-05-11T10:00:00.5Z"}`,
  ],
  [
    'status',
    globalPinInfoCodec,
    `{"cid":"${CID_TEXT}","name":"x","allocations":["${A}"],"origins":[],"created":"2026-05-11T10:00:00Z","metadata":null,"peer_map":{"${A}":{"peername":"a","ipfs_peer_id":"${B}","ipfs_peer_addresses":["/ip4/1.2.3.4/tcp/4001/p2p/${B}"],"status":"pinned","timestamp":"2026-05-11T10:00:00Z","error":"","attempt_count":0,"priority_pin":false},"${B}":{"peername":"b","status":"cluster_error","timestamp":"2026-05-11T10:05:00.1234Z","error":"dial backoff","attempt_count":2,"priority_pin":true}}}`,
  ],
  [
    'status of an unknown CID',
    globalPinInfoCodec,
    `{"cid":"${CID_TEXT}","name":"","allocations":null,"origins":null,"created":"0001-01-01T00:00:00Z","metadata":null,"peer_map":{}}`,
  ],
  [
    'id with the daemon down',
    idCodec,
    `{"id":"${A}","addresses":["/ip4/127.0.0.1/tcp/9096/p2p/${A}"],"cluster_peers":["${A}"],"cluster_peers_addresses":[],"version":"1.1.6+git2182e887","commit":"","rpc_protocol_version":"/ipfscluster/1.0/rpc","error":"","ipfs":{"addresses":null,"error":"connection refused"},"peername":"a"}`,
  ],
  [
    'unreachable peer',
    idCodec,
    `{"id":"${B}","addresses":null,"cluster_peers":null,"cluster_peers_addresses":null,"version":"","commit":"","rpc_protocol_version":"","error":"dial backoff","ipfs":{"addresses":null,"error":""},"peername":""}`,
  ],
  [
    'metric',
    metricCodec,
    `{"name":"freespace","peer":"${A}","value":"9998000","expire":1778493630123456789,"valid":true,"weight":9998000,"partitionable":false,"received_at":1778493600123456789}`,
  ],
  [
    'alerts',
    alertsCodec,
    `[{"name":"ping","peer":"${A}","value":"{\\"peer_name\\":\\"a\\"}","expire":1778493630123456789,"valid":true,"weight":-9223372036854775808,"partitionable":false,"received_at":0,"triggered_at":"2026-05-11T10:00:30.5Z"}]`,
  ],
  ['no alerts', alertsCodec, '[]'],
  ['metric names', metricNamesCodec, '["ping","freespace"]'],
  ['added', addedOutputCodec, `{"name":"dir/file.txt","cid":"${CID_TEXT}","size":13,"allocations":["${A}"]}`],
  ['progress', addedOutputCodec, '{"name":"","cid":null,"bytes":262144}'],
  ['nothing added', addedOutputsCodec, 'null'],
  [
    'repo gc',
    globalRepoGCCodec,
    `{"peer_map":{"${A}":{"peer":"${A}","peername":"a","keys":[{"key":"${CID_TEXT}"},{"key":null,"error":"bad"}]},"${B}":{"peer":"${B}","peername":"b","keys":[],"error":"down"}}}`,
  ],
  [
    'bandwidth',
    bandwidthCodec,
    '{"/ipfscluster/1.0/rpc":{"total_in":10,"total_out":9223372036854775807,"rate_in":1.5,"rate_out":0}}',
  ],
  ['no bandwidth', bandwidthCodec, 'null'],
  [
    'graph',
    connectGraphCodec,
    `{"cluster_id":"${A}","id_to_peername":{"${A}":"a"},"ipfs_links":{"${B}":["${A}"]},"cluster_links":{"${A}":[]},"cluster_trust_links":{"${A}":true},"cluster_to_ipfs":{"${A}":"${B}"}}`,
  ],
  ['version', versionCodec, '{"version":"1.1.6"}'],
  ['token', tokenCodec, '{"token":"a.b.c"}'],
  ['error', errorCodec, '{"code":404,"message":"pin is not part of the pinset"}'],
  ['peer to add', peerAddBodyCodec, `{"peer_id":"${A}"}`],
]

for (const [name, codec, text] of GO_DOCUMENTS) {
  test(`Go's document: ${name}`, () => {
    assert.equal(codec.stringify(codec.parse(parseJson(text))), text)
  })
}

test('pins round trip, and the fast writer agrees with the table', () => {
  fc.assert(
    fc.property(anyPin(), pin => {
      const text = pinCodec.stringify(pin)
      assert.equal(text, tableCodecs.pin.stringify(pin))
      assert.deepEqual(pinCodec.parse(parseJson(text)), pin)
      assert.deepEqual(submittedPinCodec.parse(parseJson(submittedPinCodec.stringify(pin))), pin)
    }),
  )
})

test('statuses round trip, and the fast writer agrees with the table', () => {
  fc.assert(
    fc.property(anyGlobalPinInfo(), info => {
      const text = globalPinInfoCodec.stringify(info)
      assert.equal(text, tableCodecs.globalPinInfo.stringify(info))
      assert.deepEqual(globalPinInfoCodec.parse(parseJson(text)), info)
      for (const [peer, { ...short }] of Object.entries(info.peerMap)) {
        const one = { ...short, cid: info.cid, name: info.name, peer, allocations: [], origins: [] }
        const pinInfo = { ...one, created: info.created, metadata: info.metadata }
        const again = pinInfoCodec.parse(parseJson(pinInfoCodec.stringify(pinInfo)))
        assert.deepEqual(again, pinInfo)
        assert.deepEqual(pinInfoToGlobal(again).peerMap, { [peer]: short })
      }
    }),
  )
})

test('pin options round trip', () => {
  fc.assert(
    fc.property(anyPinOptions(), options => {
      assert.deepEqual(pinOptionsCodec.parse(parseJson(pinOptionsCodec.stringify(options))), options)
    }),
  )
})

test('any text is a JSON string that reads back, with no character that HTML minds', () => {
  fc.assert(
    fc.property(fc.oneof(anyText(), fc.string({ unit: 'binary' })), text => {
      assert.equal(JSON.parse(jsonString(text)), text.toWellFormed())
      assert.doesNotMatch(jsonString(text), /[<>&\u2028\u2029]/)
    }),
  )
  assert.equal(jsonString('a\u0001\b\f\n\r\t"\\\u007f\ud800'), '"a\\u0001\\b\\f\\n\\r\\t\\"\\\\\u007f\ufffd"')
})

test('times round trip in any zone', () => {
  fc.assert(
    fc.property(anyTime(), fc.integer({ min: -720, max: 840 }), (time, minutes) => {
      assert.equal(parseTime(formatTime(time)), time)
      if (time === null || time < -62135510400n * 1_000_000_000n || time > 253402214400n * 1_000_000_000n)
        return
      const local = formatTime(time + BigInt(minutes) * 60_000_000_000n)
      const sign = minutes < 0 ? '-' : '+'
      const [hh, mm] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60].map(n =>
        String(n).padStart(2, '0'),
      )
      assert.equal(parseTime(local.replace('Z', `${sign}${hh}:${mm}`)), time)
    }),
  )
  assert.equal(formatTime(null), '0001-01-01T00:00:00Z')
  assert.equal(formatTime(0n), '1970-01-01T00:00:00Z')
  assert.equal(formatTime(2n ** 100n), '9999-12-31T23:59:59Z')
  assert.equal(formatTime(-1n), '1969-12-31T23:59:59.999999999Z')
  assert.equal(parseTime('0001-01-01T01:00:00+01:00'), null)
  assert.equal(parseTime('2024-02-29T00:00:00.1234567899Z'), 1709164800_123456789n)
  // Go is not strict about these.
  assert.equal(parseTime('2024-02-29T1:00:00,5Z'), 1709168400_500000000n)
  assert.equal(parseTime('2024-02-29T00:00:00+24:00'), 1709078400_000000000n)
})

const AS = 'as "2006-01-02T15:04:05Z07:00"'
const BAD_TIMES = [
  ['', `parsing time "" ${AS}: cannot parse "" as "2006"`],
  ['tomorrow', `parsing time "tomorrow" ${AS}: cannot parse "tomorrow" as "2006"`],
  ['2024-1-01T00:00:00Z', `parsing time "2024-1-01T00:00:00Z" ${AS}: cannot parse "1-01T00:00:00Z" as "01"`],
  ['2023-02-29T00:00:00Z', 'parsing time "2023-02-29T00:00:00Z": day out of range'],
  ['2024-13-01T00:00:00Z', 'parsing time "2024-13-01T00:00:00Z": month out of range'],
  ['2024-01-01T24:00:00Z', 'parsing time "2024-01-01T24:00:00Z": hour out of range'],
  ['2024-01-01T00:00:00', `parsing time "2024-01-01T00:00:00" ${AS}: cannot parse "" as "Z07:00"`],
  [
    '2024-01-01T00:00:00+25:00',
    'parsing time "2024-01-01T00:00:00+25:00": time zone offset hour out of range',
  ],
  [
    '2024-01-01T00:00:00+24:61',
    'parsing time "2024-01-01T00:00:00+24:61": time zone offset minute out of range',
  ],
  ['2024-01-01T00:00:60.5Z', 'parsing time "2024-01-01T00:00:60.5Z": second out of range'],
  ['2024-01-01T00:00:00Zx', 'parsing time "2024-01-01T00:00:00Zx": extra text: "x"'],
] as const

for (const [text, message] of BAD_TIMES) {
  test(`not a time: ${JSON.stringify(text)}`, () => {
    assert.throws(() => parseTime(text), { message })
  })
}

test('errors name the field', () => {
  const good = parseJson(pinCodec.stringify(newPin(cid))) as object
  const cases: readonly (readonly [object, string])[] = [
    [{ expire_at: 'x' }, 'pin.expire_at'],
    [{ expire_at: 5 }, 'pin.expire_at'],
    [{ allocations: [A, ''] }, 'pin.allocations.1'],
    [{ allocations: [null] }, 'pin.allocations.0'],
    [{ allocations: {} }, 'pin.allocations'],
    [{ cid: '' }, 'pin.cid'],
    [{ cid: null }, 'pin.cid'],
    [{ origins: ['nonsense'] }, 'pin.origins.0'],
    [{ metadata: { k: 5 } }, 'pin.metadata.k'],
    [{ metadata: [] }, 'pin.metadata'],
    [{ replication_factor_min: 1.5 }, 'pin.replication_factor_min'],
    [{ shard_size: -1 }, 'pin.shard_size'],
    [{ name: 5 }, 'pin.name'],
  ]
  for (const [change, field] of cases) {
    assert.throws(() => pinCodec.parse({ ...good, ...change }), {
      code: 'API_BAD_JSON',
      data: { code: 'API_BAD_JSON', field },
    })
  }
  assert.throws(() => pinCodec.parse([]), { code: 'API_BAD_JSON' })
  assert.throws(() => parseJson('{"a":'), { code: 'API_BAD_JSON' })
  assert.throws(
    () => metricCodec.parse({ valid: 1 }),
    /metric\.valid: true or false expected, found a number/,
  )
})

test("missing fields are Go's zero values", () => {
  const pin = pinCodec.parse({ cid: CID_TEXT, something: 'else' })
  assert.deepEqual(pin, { ...newPin(cid), type: 'bad-type', maxDepth: 0 })
  assert.deepEqual(idCodec.parse({ id: A }).ipfs, { id: '', addresses: [], error: '' })
  const info = globalPinInfoCodec.parse({ cid: CID_TEXT, peer_map: { [A]: { status: 'nonsense' } } })
  assert.equal(info.peerMap[A]?.status, TRACKER_STATUS.undefined)
})

test('long integers are exact wherever they stand, and text is left alone', () => {
  const text =
    '{"a":12345678901234567890,"b":"12345678901234567890","c":[-1234567890123456],"d":0.1234567890123456,"e":"\\"12345678901234567890"}'
  assert.deepEqual(parseJson(text), {
    a: '12345678901234567890',
    b: '12345678901234567890',
    c: ['-1234567890123456'],
    d: 0.1234567890123456,
    e: '"12345678901234567890',
  })
})

test('indented as Go does', () => {
  assert.equal(
    indentJson('{"a":[],"b":{},"c":[1,"x,{}"],"d":null}'),
    '{\n    "a": [],\n    "b": {},\n    "c": [\n        1,\n        "x,{}"\n    ],\n    "d": null\n}',
  )
  assert.equal(indentJson('[]'), '[]')
  fc.assert(
    fc.property(fc.jsonValue(), value => {
      assert.equal(indentJson(JSON.stringify(value)), JSON.stringify(value, null, 4))
    }),
  )
})

test('a float beyond all numbers is refused: it could not be written again', () => {
  const text = '{"/a":{"total_in":1,"total_out":2,"rate_in":1e400,"rate_out":0.5}}'
  assert.throws(() => bandwidthCodec.parse(parseJson(text)), { code: 'API_BAD_JSON', message: /rate_in/ })
})

test('a string without an end is refused in time that grows with its length', () => {
  // Found by fuzzing: each quote was tried as the beginning of a string, hours for this text.
  const text = `[1234567890123456,"${'\\"'.repeat(500_000)}`
  assert.throws(() => parseJson(text), { code: 'API_BAD_JSON' })
  assert.throws(() => parseJson(`${text}\\`), { code: 'API_BAD_JSON' })
  assert.deepEqual(parseJson('[12345678901234567,"a\\"12345678901234567\\\\"]'), [
    '12345678901234567',
    'a"12345678901234567\\',
  ])
})

test('lines that come in many pieces are read in time that grows with their length', async () => {
  async function* body() {
    const piece = utf8('x'.repeat(16))
    yield utf8('1\n"')
    for (let i = 0; i < 100_000; i++) yield piece
    yield utf8('"\n\n2')
  }
  const [first, long, last] = await Array.fromAsync(parseLines(body()))
  assert.deepEqual([first, String(long).length, last], [1, 1_600_000, 2])
})

test('a peer that says something else of itself from one item to the next is written so', () => {
  const cid = CID.parse('QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6')
  const peer = 'QmUZ13osndQ5uL4tPWHXe3iBgBgq9gfewcBMSCAuMBsDJ6'
  const pins = { cid, name: '', allocations: [], origins: [], created: 1n, metadata: null }
  const entry = { status: 16, ts: 1n, error: '', attemptCount: 0, priorityPin: false }
  const addresses = ['/ip4/1.2.3.4/tcp/4001']
  for (const [peerName, ipfs, ipfsAddresses] of [
    ['a', '', []],
    ['b', '', []],
    ['b', peer, []],
    ['b', peer, addresses],
    ['b', peer, [...addresses, '/ip4/1.2.3.4/udp/4001/quic-v1']],
    ['b', peer, addresses],
  ] as const) {
    const info = { ...pins, peerMap: { [peer]: { ...entry, peerName, ipfs, ipfsAddresses } } }
    assert.equal(globalPinInfoCodec.stringify(info), tableCodecs.globalPinInfo.stringify(info))
  }
})
