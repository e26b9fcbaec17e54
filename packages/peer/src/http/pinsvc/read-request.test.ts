import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseQuery } from '@ipfs-cluster/api'
import { errorCode } from '@ipfs-cluster/base'
import { readListQuery, readPin, readRequestId } from './read-request.ts'
import { idOf } from './test-service.ts'

const CID = idOf(1)
const P2P = '/p2p/12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'
const ORIGIN = `/ip4/203.0.113.1/tcp/4001${P2P}`

const bad = (read: () => unknown, message: RegExp) =>
  assert.throws(read, (error: unknown) => {
    assert.match(String(error), message)
    return errorCode(error) === 'BAD_PARAMETER'
  })

test('a pin is read from a body; what is not there is empty, what is not known is passed over', () => {
  const whole = { cid: CID, name: 'ü', origins: [ORIGIN], meta: { app_id: '1' }, more: { of: 'it' } }
  const { cid, ...rest } = readPin(JSON.stringify(whole))
  assert.equal(cid.toString(), CID)
  assert.deepEqual(rest, { name: 'ü', origins: [ORIGIN], metadata: { app_id: '1' } })
  const least = readPin(`{"cid":"${CID}","name":null,"origins":null,"meta":null}`)
  assert.deepEqual([least.name, least.origins, least.metadata], ['', [], {}])
  assert.equal(readPin(JSON.stringify({ cid: CID, name: '💾'.repeat(255) })).name.length, 510)
  const many = Array.from({ length: 50 }, (_, i) => `/ip4/203.0.113.1/tcp/${i + 1}${P2P}`)
  assert.deepEqual(
    readPin(JSON.stringify({ cid: CID, origins: [many[0], ...many] })).origins,
    many.slice(0, 20),
  )
})

test('what is wrong with a body is told with its field', () => {
  const cases: [body: unknown, message: RegExp][] = [
    ['', /the request body cannot be read: .*JSON/],
    ['{"cid":', /the request body cannot be read: .*JSON/],
    ['[]', /the request body must be a JSON object/],
    ['null', /the request body must be a JSON object/],
    ['"x"', /the request body must be a JSON object/],
    [{}, /cid is missing/],
    [{ cid: null }, /cid is missing/],
    [{ cid: 5 }, /cid must be a string, not a number/],
    [{ cid: { '/': CID } }, /cid must be a string, not an object/],
    [{ cid: 'nope' }, /cid cannot be read/],
    [{ cid: '' }, /cid cannot be read/],
    [{ cid: 'b'.repeat(100_000) }, /cid cannot be read/],
    [{ cid: CID, name: 1 }, /name must be a string, not a number/],
    [{ cid: CID, name: 'x'.repeat(256) }, /name is longer than 255 characters/],
    [{ cid: CID, name: 'x'.repeat(100_000) }, /name is longer than 255 characters/],
    [{ cid: CID, origins: ORIGIN }, /origins must be an array, not a string/],
    [{ cid: CID, origins: [ORIGIN, 1] }, /origins\[1\] must be a string, not a number/],
    [{ cid: CID, origins: ['nope'] }, /origins\[0\] cannot be read/],
    [{ cid: CID, origins: ['/ip4/1.2.3.4/tcp/1'] }, /origins\[0\]: "\/ip4.*\/p2p/],
    [{ cid: CID, origins: Array(1_001).fill(ORIGIN) }, /origins: at most 1000/],
    [{ cid: CID, meta: [] }, /meta must be an object, not an array/],
    [{ cid: CID, meta: 'x' }, /meta must be an object, not a string/],
    [{ cid: CID, meta: { a: 1 } }, /meta\["a"\] must be a string, not a number/],
    [{ cid: CID, meta: { a: null } }, /meta\["a"\] must be a string, not null/],
    [{ cid: CID, meta: { a: 'x'.repeat(65_536) } }, /meta is larger than 65536 bytes/],
    [{ cid: CID, meta: Object.fromEntries(Array.from({ length: 1_001 }, (_, i) => [i, ''])) }, /1000 keys/],
  ]
  for (const [body, message] of cases) {
    bad(() => readPin(typeof body === 'string' ? body : JSON.stringify(body)), message)
  }
  const own = readPin(`{"cid":"${CID}","meta":{"__proto__":"x"}}`)
  assert.deepEqual(Object.keys(own.metadata), ['__proto__'])
})

const read = (query: string) => readListQuery(parseQuery(query))

test('a list is asked for with what the specification has as defaults', () => {
  const { statuses, ...rest } = read('')
  assert.deepEqual([...statuses], ['pinned'])
  assert.deepEqual(rest, {
    cids: [],
    name: '',
    match: 'exact',
    metadata: {},
    before: null,
    after: null,
    limit: 10,
  })
  for (const query of [`?cid=${CID}`, '?name=a', '?meta=%7B%22a%22%3A%22b%22%7D']) {
    assert.deepEqual([...read(query).statuses], ['queued', 'pinning', 'pinned', 'failed'], query)
  }
  assert.deepEqual([...read('?before=2026-01-02T03:04:05Z&limit=5&meta={}').statuses], ['pinned'])
  assert.deepEqual(read('?cid=&name=&match=&meta=&before=&after=&limit=&status='), read(''))
  const all = read(
    `?cid=${CID},${CID}&cid=${idOf(2)}&name=a&match=ipartial&status=queued,%20failed&status=pinned&limit=1000` +
      '&before=2026-01-02T03:04:05.678Z&after=2026-01-02T03:04:05+01:00&meta=%7B%22a%22%3A%22b%22%7D',
  )
  assert.deepEqual(
    all.cids.map(cid => cid.toString()),
    [CID, idOf(2)],
  )
  assert.deepEqual([...all.statuses], ['queued', 'failed', 'pinned'])
  assert.deepEqual([all.match, all.limit, all.metadata], ['ipartial', 1000, { a: 'b' }])
  assert.equal(all.before, 1_767_323_045_678_000_000n)
  assert.equal(all.after, 1_767_319_445_000_000_000n)
})

test('what is wrong with a query is told with its parameter', () => {
  const cases: [query: string, message: RegExp][] = [
    ['?cid=nope', /cid cannot be read/],
    [`?cid=${Array.from({ length: 11 }, (_, i) => idOf(i)).join(',')}`, /cid: at most 10/],
    [`?name=${'x'.repeat(256)}`, /name is longer than 255 characters/],
    ['?match=fuzzy', /match must be one of exact, iexact, partial, ipartial/],
    ['?status=pinned,nope', /status "nope": it must be of queued, pinning, pinned, failed/],
    ['?status=PINNED', /status "PINNED"/],
    ['?before=yesterday', /before cannot be read/],
    ['?after=2026-13-01T00:00:00Z', /after cannot be read: .*month out of range/],
    ['?limit=0', /limit must be a whole number from 1 to 1000, not "0"/],
    ['?limit=1001', /limit must be a whole number from 1 to 1000, not "1001"/],
    ['?limit=-1', /limit must be/],
    ['?limit=1e3', /limit must be/],
    ['?limit=99999999999999999999999', /limit must be/],
    [`?limit=${'9'.repeat(1000)}`, /limit must be .{0,110}…"$/],
    ['?meta=x', /meta cannot be read/],
    ['?meta=[]', /meta must be an object, not an array/],
    ['?meta=null', /meta must be an object, not null/],
    ['?meta=%7B%22a%22%3A1%7D', /meta\["a"\] must be a string, not a number/],
  ]
  for (const [query, message] of cases) bad(() => read(query), message)
})

test('a request id is a CID', () => {
  assert.equal(readRequestId(CID).toString(), CID)
  bad(() => readRequestId('nope'), /requestid cannot be read/)
})
