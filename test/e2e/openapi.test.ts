/** The OpenAPI document held against a running peer: every route is asked, and its answers must be the documented ones. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { openApiDocument } from '@ipfs-cluster/api/openapi'
import { resolve, schemaProblems } from '../../packages/api/src/test-json-schema.ts'
import { startInProcessPeer, type InProcessPeer } from './in-process-peer.ts'

interface Documented {
  readonly content?: Readonly<Record<string, { schema: object; 'x-ndjson'?: boolean }>>
  readonly headers?: Readonly<Record<string, unknown>>
  readonly $ref?: string
}

interface Operation {
  readonly operationId: string
  readonly parameters?: readonly { name: string; in: string }[]
  readonly requestBody?: { content: Readonly<Record<string, { schema: object }>> }
  readonly responses: Readonly<Record<string, Documented>>
  readonly security?: readonly unknown[]
}

interface Request {
  readonly path?: Readonly<Record<string, string>>
  readonly query?: Readonly<Record<string, string>>
  readonly body?: object | FormData
}

const AUTHORIZATION = `Basic ${btoa('alice:secret')}`
/** Nothing in the cluster. */
const NOWHERE = 'bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy'
/** The raw block of "one", which is added first. */
const ONE = 'bafkreidwslb22nkaxoadyaqlhlxgntmiq4jdenhkbrxhcq6avxlt75br5u'

let here: InProcessPeer
// oxlint-disable-next-line typescript/no-explicit-any
let document: any
let operations: { method: string; path: string; operation: Operation }[]

before(async () => {
  here = await startInProcessPeer({ alice: 'secret' })
  const response = await fetch(`${here.url}/openapi.json`, { headers: { authorization: AUTHORIZATION } })
  document = await response.json()
  operations = Object.entries<Record<string, Operation>>(document.paths).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  )
})

after(async () => {
  await here[Symbol.asyncDispose]()
})

function form(...files: readonly string[]): FormData {
  const body = new FormData()
  for (const text of files) body.append('file', new Blob([text]), `${text}.txt`)
  return body
}

const RAW = { 'cid-version': '1', 'raw-leaves': 'true' }
const OPTIONS = {
  name: 'n',
  'replication-min': '1',
  'replication-max': '1',
  'meta-k': 'v',
  'expire-in': '24h',
  origins: '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH',
}

/** In this order, by the operation's id: what is asked, and the status it must have. */
const REQUESTS: readonly (readonly [string, number, Request?])[] = [
  ['health', 204],
  ['ready', 204],
  ['openapi', 200],
  ['token', 200],
  ['version', 200],
  ['id', 200],
  ['peers', 200],
  ['allocations', 204],
  ['statusAll', 204],
  ['recoverAll', 204],
  ['add', 200, { query: RAW, body: form('one') }],
  [
    'add',
    200,
    { query: { ...RAW, ...OPTIONS, progress: 'true', 'stream-channels': 'false' }, body: form('two') },
  ],
  ['add', 400, { query: { layout: 'round' }, body: form('three') }],
  ['pin', 200, { path: { hash: ONE }, query: OPTIONS }],
  ['pin', 400, { path: { hash: ONE }, query: { 'expire-at': 'tomorrow' } }],
  ['pin', 404, { path: { hash: ONE }, query: { 'pin-update': NOWHERE } }],
  ['pin', 500, { path: { hash: ONE }, query: { replication: '7' } }],
  ['pinPath', 200, { path: { keyType: 'ipfs', path: ONE } }],
  ['pinPath', 400, { path: { keyType: 'ipfs', path: 'x' } }],
  ['pinPath', 404, { path: { keyType: 'ipfs', path: ONE }, query: { 'pin-update': NOWHERE } }],
  ['allocations', 200, { query: { filter: 'pin' } }],
  ['allocations', 400, { query: { filter: 'nonsense' } }],
  ['allocation', 200, { path: { hash: ONE } }],
  ['allocation', 400, { path: { hash: 'x' } }],
  ['allocation', 404, { path: { hash: NOWHERE } }],
  ['exportCar', 400, { path: { hash: 'x' } }],
  ['exportCar', 404, { path: { hash: NOWHERE } }],
  ['statusAll', 200],
  ['statusAll', 200, { query: { local: 'true' } }],
  ['statusAll', 200, { query: { cids: `${ONE},${NOWHERE}` } }],
  ['statusAll', 400, { query: { filter: 'nonsense' } }],
  ['status', 200, { path: { hash: ONE }, query: { local: 'true' } }],
  ['status', 200, { path: { hash: NOWHERE } }],
  ['status', 400, { path: { hash: 'x' } }],
  ['recover', 200, { path: { hash: ONE } }],
  ['recover', 400, { path: { hash: 'x' } }],
  ['recover', 404, { path: { hash: NOWHERE }, query: { local: 'true' } }],
  ['repoGC', 200],
  ['connectGraph', 200],
  ['alerts', 200],
  ['bandwidth', 200],
  ['metricNames', 200],
  ['metrics', 200, { path: { name: 'freespace' } }],
  ['metrics', 200, { path: { name: 'nothing' } }],
  ['peerAdd', 400, { body: { peer_id: 'x' } }],
  ['peerRemove', 400, { path: { peer: 'x' } }],
  ['unpinPath', 200, { path: { keyType: 'ipfs', path: ONE } }],
  ['pin', 200, { path: { hash: ONE } }],
  ['unpin', 200, { path: { hash: ONE } }],
  ['unpin', 400, { path: { hash: 'x' } }],
  ['unpin', 404, { path: { hash: ONE } }],
  ['pinMany', 200, { body: { cid: ONE } }],
  ['pinMany', 200, { query: OPTIONS, body: { cid: ONE, name: 'own' } }],
  ['pinMany', 400, { query: { 'expire-at': 'tomorrow' }, body: { cid: ONE } }],
  ['unpinMany', 200, { body: { cid: ONE } }],
  ['unpinMany', 200, { body: { cid: NOWHERE } }],
  ['unpinPath', 400, { path: { keyType: 'ipns', path: '' } }],
  ['unpinPath', 404, { path: { keyType: 'ipfs', path: ONE } }],
]

/** Documented answers that one peer alone cannot be brought to give, or that others test. */
const NOT_ASKED = new Set([
  'peerAdd 200',
  'peerRemove 204',
  'recoverAll 200',
  'ready 503',
  'peers 204',
  'pinMany 204',
  'unpinMany 204',
  'exportCar 200',
])

const met = new Set<string>()

for (const [id, status, request = {}] of REQUESTS) {
  const { path = {}, query = {}, body } = request
  const what = JSON.stringify({ ...path, ...query })
  test(`${id} ${what}: ${status}`, async () => {
    const found = operations.find(({ operation }) => operation.operationId === id)
    assert.ok(found, `${id} is not documented`)
    checkRequest(found.operation, request)
    const response = await ask(found, request, AUTHORIZATION)
    const text = await response.text()
    assert.equal(response.status, status, text)
    checkAnswer(found.operation, response, text)
    met.add(`${id} ${status}`)
    assert.ok(body === undefined || found.operation.requestBody !== undefined)
  })
}

function ask(
  { method, path }: { method: string; path: string },
  { path: params = {}, query = {}, body }: Request,
  authorization?: string,
): Promise<Response> {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? 'x'))
  return fetch(`${here.url}${filled}?${new URLSearchParams(query)}`, {
    method,
    headers: authorization === undefined ? {} : { authorization },
    ...(body !== undefined && { body: body instanceof FormData ? body : JSON.stringify(body) }),
  })
}

/** The test itself asks only for what is documented. */
function checkRequest({ parameters = [], requestBody }: Operation, { path = {}, query = {}, body }: Request) {
  const names = (where: string) => parameters.filter(each => each.in === where).map(each => each.name)
  assert.deepEqual(Object.keys(path).sort(), names('path').sort())
  for (const name of Object.keys(query)) {
    assert.ok(names('query').includes(name.startsWith('meta-') ? 'metadata' : name), name)
  }
  const schema = requestBody?.content['application/json']?.schema
  if (schema !== undefined) assert.deepEqual(schemaProblems(body, schema, document), [])
}

function documented({ operationId, responses }: Operation, status: number): Documented {
  const found = responses[status]
  assert.ok(found, `${operationId}: ${status} is not documented`)
  return found.$ref === undefined ? found : (resolve(found.$ref, document) as Documented)
}

function checkAnswer(operation: Operation, response: Response, text: string): void {
  const { content, headers = {} } = documented(operation, response.status)
  const { schema, 'x-ndjson': ndjson = false } = content?.['application/json'] ?? {}
  if (schema === undefined) return assert.equal(text, '')
  assert.equal(response.headers.get('content-type'), 'application/json')
  assert.ok(text.endsWith('\n'))
  const lines = ndjson ? text.trimEnd().split('\n') : [text]
  for (const line of lines) assert.deepEqual(schemaProblems(JSON.parse(line), schema, document), [], line)
  if (headers['X-Stream-Error'] !== undefined && response.headers.has('transfer-encoding')) {
    assert.equal(response.headers.get('trailer'), 'X-Stream-Error')
  }
  if (headers['WWW-Authenticate'] !== undefined) assert.ok(response.headers.get('www-authenticate'))
}

test('without credentials, what is not open is refused as documented', async () => {
  for (const found of operations) {
    const { operation } = found
    const response = await ask(found, {})
    const text = await response.text()
    const open = operation.security?.length === 0
    assert.equal(response.status === 401, !open, operation.operationId)
    if (!open) checkAnswer(operation, response, text)
  }
  assert.deepEqual(document.security, [{ basic: [] }, { bearer: [] }, {}])
})

test('a token is as good as a password', async () => {
  const found = operations.find(({ operation }) => operation.operationId === 'token')
  assert.ok(found)
  const { token } = (await (await ask(found, {}, AUTHORIZATION)).json()) as { token: string }
  const version = await fetch(`${here.url}/version`, { headers: { authorization: `Bearer ${token}` } })
  assert.equal(version.status, 200)
  await version.body?.cancel()
})

test('nothing is documented that was not asked for', () => {
  const all = operations.flatMap(({ operation }) =>
    Object.keys(operation.responses).map(status => `${operation.operationId} ${status}`),
  )
  // Of any route: credentials, a pinset that is busy, a full disk, what no client can provoke.
  const general = / (401|429|500|507)$/
  assert.deepEqual(
    all.filter(each => !met.has(each) && !NOT_ASKED.has(each) && !general.test(each)),
    [],
  )
})

test('the document is the one of the package', () => {
  assert.deepEqual(document, JSON.parse(JSON.stringify(openApiDocument())))
})
