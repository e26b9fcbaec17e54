import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { test } from 'node:test'
import { add, bytes, file } from '../test-node.ts'
import { startRpc } from './test-rpc.ts'

const UNKNOWN_CID = 'QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nf'

test('only POST is served; OPTIONS tells so', async t => {
  const { post } = await startRpc(t)
  for (const method of ['GET', 'PUT', 'DELETE', 'HEAD']) {
    const { status, headers, text } = await post('/version', { method })
    assert.deepEqual([status, headers['allow']], [405, 'OPTIONS, POST'])
    if (method !== 'HEAD') assert.equal(text, '405 - Method Not Allowed\n')
  }
  const { status, headers } = await post('/version', { method: 'OPTIONS' })
  assert.deepEqual([status, headers['allow']], [204, 'OPTIONS, POST'])
  const posted = await post('/version')
  assert.equal(posted.status, 200)
  assert.equal(posted.headers['content-type'], 'application/json')
  assert.equal(
    posted.headers['access-control-expose-headers'],
    'X-Stream-Output, X-Chunked-Output, X-Content-Length',
  )
  assert.equal(posted.headers['trailer'], 'X-Stream-Error')
})

test('web pages are refused, by origin, referer and browser', async t => {
  const { post } = await startRpc(t)
  const refusals: Readonly<Record<string, string>>[] = [
    { Origin: 'http://evil.example' },
    { Origin: 'null' },
    { Origin: 'http://127.0.0.1:5001' },
    { Referer: 'http://evil.example/page' },
    { Referer: 'not an address' },
    { 'User-Agent': 'Mozilla/5.0 (X11)' },
  ]
  for (const headers of refusals) {
    const { status, text } = await post('/version', { headers })
    assert.deepEqual([status, text], [403, '403 - Forbidden\n'], JSON.stringify(headers))
  }
  assert.equal((await post('/version', { headers: { 'User-Agent': 'curl/8' } })).status, 200)
  assert.equal((await post('/version', { headers: { 'User-Agent': 'Mozilla/5.0 Electron/30' } })).status, 200)
  const asked = { Origin: 'http://evil.example', 'Access-Control-Request-Method': 'POST' }
  const preflight = await post('/version', { method: 'OPTIONS', headers: asked })
  assert.deepEqual([preflight.status, preflight.headers['access-control-allow-origin']], [204, undefined])
})

test('pages of an origin that is allowed pass', async t => {
  const { post } = await startRpc(t, { allowedOrigins: ['http://good.example'] })
  const Origin = 'http://good.example'
  const answer = await post('/version', { headers: { Origin } })
  assert.deepEqual([answer.status, answer.headers['access-control-allow-origin']], [200, Origin])
  assert.equal((await post('/version', { headers: { Referer: `${Origin}/page` } })).status, 200)
  assert.equal((await post('/version', { headers: { Origin: `${Origin}.evil` } })).status, 403)
  const asked = { Origin, 'Access-Control-Request-Method': 'POST', 'Access-Control-Request-Headers': 'x' }
  const { headers } = await post('/version', { method: 'OPTIONS', headers: asked })
  assert.equal(headers['access-control-allow-origin'], Origin)
  assert.equal(headers['access-control-allow-headers'], 'x')
})

test('unknown commands, missing and wrong arguments', async t => {
  const { post, url } = await startRpc(t)
  const cases: readonly (readonly [string, number, string | RegExp])[] = [
    ['/nothing', 404, '404 page not found\n'],
    ['/pin/none', 404, '404 page not found\n'],
    ['/block', 404, '404 page not found\n'],
    ['/__proto__', 404, '404 page not found\n'],
    ['/cat/a/b', 404, '404 page not found\n'],
    ['/cat/%zz', 404, '404 page not found\n'],
    ['/../api/v0/x', 404, '404 page not found\n'],
    ['/shutdown', 404, '404 page not found\n'],
    ['/cat', 400, 'argument "ipfs-path" is required\n'],
    ['/pin/update?arg=a', 400, 'argument "to-path" is required\n'],
    ['/cat?arg=a&offset=x', 400, 'could not convert value "x" to type "int64" (for option "-offset")\n'],
    ['/cat?arg=a&o=x', 400, 'could not convert value "x" to type "int64" (for option "-offset")\n'],
    ['/cat?arg=a&offset=99999999999999999999', 400, /^could not convert value/],
    [
      '/cat?arg=a&offset=1&offset=2',
      400,
      'expected key offset to have only a single value, received [1 2]\n',
    ],
    ['/pin/ls?stream=maybe', 400, 'could not convert value "maybe" to type "bool" (for option "-stream")\n'],
    ['/version?encoding=xml', 400, /^invalid encoding: xml/],
    ['/version?timeout=soon', 400, /^timeout=soon is no duration/],
    ['/block/put', 400, "file argument 'data' is required\n"],
    ['/add', 400, "file argument 'path' is required\n"],
  ]
  for (const [path, status, text] of cases) {
    const answer = await post(path)
    assert.equal(answer.status, status, path)
    assert.equal(answer.headers['content-type'], 'text/plain; charset=utf-8')
    if (typeof text === 'string') assert.equal(answer.text, text, path)
    else assert.match(answer.text, text, path)
  }
  const outside = await fetch(`${new URL(url).origin}/webui`, { method: 'POST' })
  assert.equal(outside.status, 404)
  assert.equal((await post('/version?unknown=1&number=')).status, 200)
})

test('errors are objects with status 500, in the words of Kubo', async t => {
  const { node, post } = await startRpc(t)
  const folder = await add(node, file('d/a', 'x'))
  const cases: readonly (readonly [string, string | RegExp])[] = [
    [`/cat?arg=${folder}`, 'this dag node is a directory'],
    [`/cat?arg=${folder}/none`, `no link named "none" under ${folder}`],
    [`/cat?arg=${folder}/a/b`, /no link named "b" under Qm/],
    ['/cat?arg=nonsense', 'invalid path "nonsense": path does not have enough components'],
    ['/cat?arg=../etc/passwd', /^invalid path "\.\.\/etc\/passwd": /],
    [`/cat?arg=${folder}/../a`, /^invalid path /],
    ['/cat?arg=/etc/passwd', 'invalid path "/etc/passwd": unknown namespace'],
    ['/cat?arg=/ipfs/', 'invalid path "/ipfs/": path does not have enough components'],
    ['/cat?arg=', 'invalid path "": path does not have enough components'],
    [`/cat?arg=/ipfs/${'z'.repeat(3000)}`, /^invalid path "\/ipfs\/zzz/],
    [`/cat?arg=${folder}${'/a'.repeat(1025)}`, /more than 1024 names$/],
    ['/cat?arg=/ipns/example.org', /knows no IPNS names/],
    [`/cat?arg=${folder}/a&offset=-1`, 'cannot specify negative offset'],
    [
      `/cat?arg=${UNKNOWN_CID}&offline=true`,
      `block was not found locally (offline): ipld: could not find ${UNKNOWN_CID}`,
    ],
    [`/cat?arg=${UNKNOWN_CID}&timeout=50ms`, 'context deadline exceeded'],
    ['/id?arg=zzz', 'invalid peer id'],
    ['/swarm/connect?arg=nonsense', '"nonsense" is not a multiaddr'],
    ['/swarm/connect?arg=/ip4/127.0.0.1/tcp/1', /names no peer/],
    [`/ls?arg=${folder}&cid-base=base0`, 'unsupported multibase encoding: "base0"'],
    ['/object/get?arg=x', "removed, use 'ipfs dag' or 'ipfs files' instead"],
    ['/dht/findprovs?arg=x', "removed, use 'ipfs routing' instead"],
    ['/name/resolve?arg=x', /knows no IPNS names/],
    ['/files/ls', /has no files of its own/],
    ['/files/stat?arg=x', 'paths must start with a leading slash'],
    ['/pin/ls?type=x', "invalid type 'x', must be one of {direct, indirect, recursive, all}"],
    [`/pin/add?arg=${folder}&name=${'n'.repeat(256)}`, 'pin name is 256 bytes (max 255 bytes)'],
    [`/pin/rm?arg=${folder}`, 'not pinned or pinned indirectly'],
    [`/get?arg=${folder}&compress=true`, 'file is not regular'],
    [
      `/get?arg=${folder}&compress=true&archive=true&compression-level=10`,
      'compression level must be between 1 and 9',
    ],
    [`/dag/get?arg=${folder}&output-codec=nonsense`, 'unknown multicodec: "nonsense"'],
  ]
  for (const [path, message] of cases) {
    const answer = await post(path)
    assert.equal(answer.status, 500, `${path}: ${answer.text}`)
    assert.equal(answer.headers['content-type'], 'application/json')
    const [error] = answer.lines as [{ Code: number; Type: string }]
    assert.deepEqual([error.Code, error.Type], [0, 'error'])
    if (typeof message === 'string') assert.equal(answer.message, message, path)
    else assert.match(answer.message, message, path)
  }
})

test('arguments may come in the body, one a line, up to a limit', async t => {
  const { node, post } = await startRpc(t)
  const a = await add(node, file('a', 'first '))
  const b = await add(node, file('b', 'second'))
  const both = await post('/cat', { files: { stdin: `${a}\n${b}\n` } })
  assert.equal(both.text, 'first second')
  assert.equal((await post('/cat', { files: { stdin: '' } })).status, 400)
  const large = await post('/cat', { files: { stdin: 'x'.repeat(1024 * 1024 + 1) } })
  assert.deepEqual([large.status, large.text], [400, 'more than 1048576 bytes of arguments\n'])
  const many = await post('/cat', { files: { stdin: 'x\n'.repeat(10_001) } })
  assert.deepEqual([many.status, many.text], [400, 'more than 10000 arguments\n'])
})

test('an answer that fails under way says so in its trailer', async t => {
  const { node, post } = await startRpc(t)
  const cid = await add(node, file('big', bytes(600_000)))
  const parts = (await post(`/refs?arg=${cid}`)).lines as { Ref: string }[]
  assert.equal((await post(`/block/rm?arg=${parts[2]?.Ref}`)).status, 200)
  const broken = await post(`/cat?arg=${cid}&offline=true`)
  assert.deepEqual([broken.status, broken.headers['x-content-length']], [200, '600000'])
  assert.match(String(broken.trailers['x-stream-error']), /^block was not found locally/)
  assert.ok(broken.body.length < 600_000)
})

test('a client that leaves ends the work that it did not wait for', async t => {
  const { node, url, live } = await startRpc(t)
  const cid = await add(node, file('big', bytes(40_000_000)))
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  httpRequest(`${url}/cat?arg=${cid}`, { method: 'POST', agent: false }, resolve).on('error', reject).end()
  const response = await promise
  // Nothing of it is read: the answer waits for its client.
  const [signal] = live
  assert.equal(signal?.aborted, false)
  const aborted = once(signal as AbortSignal, 'abort')
  response.destroy()
  await aborted
  assert.equal(live.size, 0)
})

test('commands are listed as a tree', async t => {
  const { post } = await startRpc(t)
  const [root] = (await post('/commands')).lines as [
    { Name: string; Subcommands: { Name: string; Subcommands: { Name: string }[] }[] },
  ]
  assert.equal(root.Name, 'ipfs')
  const pin = root.Subcommands.find(({ Name }) => Name === 'pin')
  assert.deepEqual(
    pin?.Subcommands.map(({ Name }) => Name),
    ['add', 'ls', 'rm', 'update', 'verify'],
  )
})
