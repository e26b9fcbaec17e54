import * as fc from 'fast-check'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import { base32upper } from 'multiformats/bases/base32'
import { create } from 'multiformats/hashes/digest'
import {
  bulkAnswerCodec,
  claimedCid,
  DEFAULT_PIN_OPTIONS,
  encodePin,
  encodePins,
  newPin,
  parseCid,
  parseJson,
  parsePinLine,
  parseUnpinLine,
  pinCodec,
  pinOptionsFromQuery,
  usualCid,
  writeDone,
  writePinLine,
  type Pin,
} from './index.ts'
import { anyPin } from './test-arbitraries.ts'

const V0 = parseCid('QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6')
const V1 = parseCid('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku')
const OTHER = CID.parse('zb2rhiKhUepkTMw7oFfBUnChAN7ABAvg2hXUwmTBtZ6yxuabc')

const digests = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(bytes => create(0x12, bytes))
const usual = fc.oneof(
  digests.map(digest => CID.createV0(digest)),
  fc.tuple(fc.integer({ min: 0, max: 127 }), digests).map(([code, digest]) => CID.createV1(code, digest)),
)

test('usual CIDs are read by hand as the library reads them', () => {
  fc.assert(
    fc.property(usual, cid => {
      const read = usualCid(cid.toString())
      assert.ok(read !== null && read.equals(cid) && read.toString() === cid.toString())
      assert.deepEqual([...read.bytes], [...cid.bytes])
      assert.deepEqual([...read.multihash.digest], [...cid.multihash.digest])
    }),
  )
})

test('whatever else has the length of a usual CID is none, or the same CID as ever', () => {
  const letters = fc.constantFrom(...'123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz0OIl_ü')
  const texts = fc.oneof(
    fc.string({ unit: letters, minLength: 44, maxLength: 44 }).map(text => `Qm${text}`),
    fc.string({ unit: letters, minLength: 58, maxLength: 58 }).map(text => `b${text}`),
    usual.map(cid => cid.toString().replace(/.$/, 'z')),
    usual.map(cid => cid.toString().replace(/^(..)./, '$1z')),
  )
  fc.assert(
    fc.property(texts, text => {
      const read = usualCid(text)
      if (read !== null) assert.ok(read.equals(CID.parse(text)))
    }),
  )
  for (const text of ['', 'Q', 'b', `Qm${'1'.repeat(44)}`, `Qm${'z'.repeat(44)}`, V0.toString().slice(1)])
    assert.equal(usualCid(text), null, text)
})

const defaults = pinOptionsFromQuery(new URLSearchParams('name=d&replication=2&meta-a=b&origins='), 0n)

test('a line is a CID, or an object with one and options of its own', () => {
  for (const cid of [V0, V1, OTHER]) {
    for (const line of [`"${cid}"`, `{"cid":"${cid}"}`, ` { "cid" : "${cid}" } `, `{"cid":"${cid}","x":1}`]) {
      const read = parsePinLine(line, defaults)
      assert.ok(read.cid.equals(cid), line)
      assert.equal(read.options, defaults, line)
      assert.ok(parseUnpinLine(line).equals(cid), line)
    }
  }
  const own = parsePinLine(`{"name":"n","cid":"${V1}","metadata":{"c":"d"},"expire_at":null}`, defaults)
  assert.deepEqual(own.options, { ...defaults, name: 'n', metadata: { c: 'd' } })
  assert.equal(parsePinLine(`{"cid":"${V1}","mode":"direct"}`, defaults).options.mode, 'direct')
  const escaped = `{"cid":"\\u0062${V1.toString().slice(1)}"}`
  assert.ok(parsePinLine(escaped, defaults).cid.equals(V1))
})

test('an entry of the pinset is a line, but for parts of sharded content', () => {
  const pin = newPin(V1, { name: 'x', metadata: { a: 'b' }, allocations: [], timestamp: 5_000_000_000n })
  const { options } = parsePinLine(pinCodec.stringify(pin), DEFAULT_PIN_OPTIONS)
  assert.deepEqual(newPin(V1, options), { ...pin, timestamp: null })
  const meta = pinCodec.stringify({ ...pin, type: 'meta-pin', reference: V0 })
  assert.throws(() => parsePinLine(meta, defaults), { code: 'BAD_PARAMETER', message: /type pin.*meta-pin/ })
})

test('a line that cannot be read says why', () => {
  const bad: readonly (readonly [string, RegExp])[] = [
    ['', /error decoding the line: not valid JSON/],
    ['nothing', /error decoding the line: not valid JSON/],
    [String(V1), /error decoding the line: not valid JSON/],
    ['{"cid":', /error decoding the line: not valid JSON/],
    ['[1]', /neither a CID in quotes nor an object/],
    ['null', /neither a CID in quotes nor an object/],
    ['17', /neither a CID in quotes nor an object/],
    ['{}', /error decoding Cid: the line has no "cid"/],
    ['{"cid":17}', /error decoding Cid: the line has no "cid"/],
    ['{"cid":"x"}', /error decoding Cid: invalid cid: cid too short/],
    ['"bafy"', /error decoding Cid: invalid cid/],
    [`{"cid":"${V1}","name":7}`, /error decoding pin options: pin_options.name: a string expected/],
    [`{"cid":"${V1}","replication_factor_min":1.5}`, /replication_factor_min: an integer expected/],
    [`{"cid":"${V1}","expire_at":"soon"}`, /pin_options.expire_at/],
    [`{"cid":"${V1}","pin_update":"x"}`, /pin_options.pin_update/],
    [`{"cid":"${V1}","origins":["/ip4/1.2.3.4/tcp/1"]}`, /does not contain peer ID/],
    [`{"cid":"${V1}","user_allocations":["x"]}`, /user_allocations/],
  ]
  for (const [line, message] of bad) {
    assert.throws(() => parsePinLine(line, defaults), { code: 'BAD_PARAMETER', message }, line)
  }
  assert.throws(() => parseUnpinLine('{"cid":"x"}'), { code: 'BAD_PARAMETER' })
  assert.equal(claimedCid('{"cid":"x","name":7}'), 'x')
  assert.equal(claimedCid('"y"'), 'y')
  assert.equal(claimedCid('{"cid":{}}'), '')
  assert.equal(claimedCid('{'), '')
  assert.equal(claimedCid(`"${'x'.repeat(500)}"`).length, 128)
})

test('what the client writes, the server reads', () => {
  fc.assert(
    fc.property(anyPin(), pin => {
      const { type: _, allocations: __, maxDepth: ___, reference: ____, timestamp: _____, ...options } = pin
      const line = writePinLine(pin.cid, options)
      assert.ok(!line.includes('\n'))
      const read = parsePinLine(line, defaults)
      assert.ok(read.cid.equals(pin.cid))
    }),
  )
  assert.equal(writePinLine(V1), `{"cid":"${V1}"}`)
  assert.equal(writePinLine(V1, { name: 'ü"\n' }), `{"cid":"${V1}","name":"ü\\"\\n"}`)
})

test('answers', () => {
  const done = writeDone(V0)
  assert.equal(done, `{"cid":"${V0}"}\n`)
  assert.deepEqual(bulkAnswerCodec.parse(parseJson(done)), { cid: String(V0), error: null })
  const refused = { cid: 'x', error: { code: 400, message: 'no' } }
  assert.equal(bulkAnswerCodec.stringify(refused), '{"cid":"x","error":{"code":400,"message":"no"}}')
  assert.deepEqual(bulkAnswerCodec.parse(parseJson(bulkAnswerCodec.stringify(refused))), refused)
})

test('many pins are encoded as each alone', () => {
  const pins = fc.array(fc.tuple(anyPin(), fc.array(usual, { maxLength: 3 })), { maxLength: 5 })
  fc.assert(
    fc.property(pins, groups => {
      const all: Pin[] = groups.flatMap(([pin, cids]) => [pin, ...cids.map(cid => ({ ...pin, cid }))])
      assert.deepEqual(encodePins(all), all.map(encodePin))
    }),
  )
})

test('other spellings of a CID are read, too', () => {
  assert.ok(parsePinLine(`"${V1.toString(base32upper)}"`, defaults).cid.equals(V1))
})
