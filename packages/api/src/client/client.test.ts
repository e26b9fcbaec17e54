import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { CID } from 'multiformats/cid'
import {
  newPin,
  type AddedOutput,
  type AddPart,
  type GlobalPinInfo,
  type Pin,
  type RouteHandlers,
} from '../index.ts'
import { HttpError, serveRoutes } from '../test-server.ts'
import { createClient, createFetchTransport, type HttpTransport } from './index.ts'
import { createNodeTransport } from './node-transport.ts'

const cid = CID.parse('QmbrCtydGyPeHiLURSPMqrvE5mCgMCwFYq3UD4XLCeAYw6')
const A = '12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'

async function* pins(count: number, error?: Error): AsyncGenerator<Pin> {
  for (let i = 0; i < count; i++) yield newPin(cid, { name: `p${i}` })
  if (error !== undefined) throw error
}

async function* bytes(...chunks: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk
}

async function* from<T>(...items: T[]): AsyncGenerator<T> {
  yield* items
}

/** Says what the server got: one output a part, its name the part's path, its size the content's. */
async function* echo(parts: AsyncIterable<AddPart>): AsyncGenerator<AddedOutput> {
  for await (const part of parts) {
    let size = 0n
    for await (const chunk of part.content) size += BigInt(chunk.length)
    yield { name: `${part.kind}:${part.path}`, cid, bytes: 0n, size, allocations: [] }
  }
}

async function setup(handlers: Partial<RouteHandlers>, transport: HttpTransport = createNodeTransport()) {
  const server = await serveRoutes(handlers)
  const client = createClient({ hosts: [server.url] }, { transport })
  return { server, client, [Symbol.asyncDispose]: () => server[Symbol.asyncDispose]() }
}

const TRANSPORTS = [
  ['node', createNodeTransport()],
  ['fetch', createFetchTransport()],
] as const

for (const [name, transport] of TRANSPORTS) {
  test(`${name}: documents, streams, empty answers and errors`, async () => {
    await using all = await setup(
      {
        version: () => ({ version: '1.1.6' }),
        allocations: () => pins(300),
        peerRemove: () => undefined,
        statusAll: () => from<GlobalPinInfo>(),
        pinPath: ({ path, options }) => newPin(cid, { name: `${path} ${options.name}` }),
        allocation() {
          throw new HttpError(404, 'pin is not part of the pinset')
        },
        recoverAll() {
          throw new HttpError(500, 'all is lost')
        },
      },
      transport,
    )
    const { client } = all
    assert.deepEqual(await client.version(), { version: '1.1.6' })
    const listed = await Array.fromAsync(client.allocations())
    assert.deepEqual(
      listed.map(pin => pin.name),
      Array.from({ length: 300 }, (_, i) => `p${i}`),
    )
    assert.equal(await client.peerRemove({ peer: A }), undefined)
    assert.deepEqual(await Array.fromAsync(client.statusAll()), [])
    const pinned = await client.pinPath({ path: `/ipns/a b/ü`, options: { name: 'n&m' } })
    assert.equal(pinned.name, '/ipns/a b/ü n&m')
    const notFound = { code: 'API_ERROR', message: 'pin is not part of the pinset' }
    await assert.rejects(client.allocation({ cid }), { ...notFound, data: { ...notFound, status: 404 } })
    await assert.rejects(Array.fromAsync(client.recoverAll()), { code: 'API_ERROR', message: 'all is lost' })
    await assert.rejects(client.metrics({ name: '' }), { code: 'BAD_PARAMETER' })
  })

  test(`${name}: upload`, async () => {
    await using all = await setup({ add: ({ parts }) => echo(parts) }, transport)
    const parts = from<AddPart>(
      { path: 'dir', kind: 'directory', content: bytes() },
      { path: 'dir/a b+ü(1).txt', kind: 'file', content: bytes('hello ', 'world') },
      { path: 'dir/link', kind: 'symlink', content: bytes('target') },
      {
        path: 'big',
        kind: 'file',
        content: bytes(...Array.from({ length: 40 }, () => new Uint8Array(65536))),
      },
      { path: 'empty', kind: 'file', content: bytes() },
    )
    const outputs = await Array.fromAsync(all.client.add({ params: { wrap: true }, parts }))
    assert.deepEqual(
      outputs.map(output => [output.name, output.size]),
      [
        ['directory:dir', 0n],
        ['file:dir/a b+ü(1).txt', 11n],
        ['symlink:dir/link', 6n],
        ['file:big', 40n * 65536n],
        ['file:empty', 0n],
      ],
    )
    assert.match(all.server.requests[0]?.url ?? '', /wrap-with-directory=true/)
  })

  test(`${name}: a part that cannot be read ends the upload with its own error`, async () => {
    await using all = await setup({ add: ({ parts }) => echo(parts) }, transport)
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield new Uint8Array(10)
      throw new Error('the file vanished')
    }
    const parts = from<AddPart>({ path: 'a', kind: 'file', content: broken() })
    await assert.rejects(Array.fromAsync(all.client.add({ parts })), { message: 'the file vanished' })
  })
}

test('an error in the middle of a stream arrives after the items', async () => {
  await using all = await setup({ allocations: () => pins(2, new Error('first\nsecond')) })
  const seen: string[] = []
  const listing = async () => {
    for await (const pin of all.client.allocations()) seen.push(pin.name)
  }
  await assert.rejects(listing, {
    code: 'API_ERROR',
    message: 'first; second',
    data: { status: 500, code: 'API_ERROR', message: 'first; second' },
  })
  assert.deepEqual(seen, ['p0', 'p1'])
})

test('an upload can fail after its outputs', async () => {
  async function* failing(parts: AsyncIterable<AddPart>) {
    yield* echo(parts)
    throw new Error('cannot pin')
  }
  await using all = await setup({ add: ({ parts }) => failing(parts) })
  const content = () => from<AddPart>({ path: 'a', kind: 'file', content: bytes('x') })
  const outputs = all.client.add({ parts: content() })
  assert.equal((await outputs.next()).value.name, 'file:a')
  await assert.rejects(outputs.next(), { code: 'API_ERROR', message: 'cannot pin' })
  // Without trailers the client asks for a buffered answer, whose status tells.
  const browser = createClient({ hosts: [all.server.url] }, { transport: createFetchTransport() })
  await assert.rejects(Array.fromAsync(browser.add({ parts: content() })), {
    code: 'API_ERROR',
    message: 'cannot pin',
  })
})

test('outputs of an upload arrive while it is still being read', async () => {
  await using all = await setup({ add: ({ parts }) => echo(parts) })
  const gate = Promise.withResolvers<void>()
  async function* slow(): AsyncGenerator<Uint8Array> {
    yield Buffer.from('y')
    await gate.promise
  }
  async function* parts(): AsyncGenerator<AddPart> {
    yield { path: 'a', kind: 'file', content: bytes('x') }
    yield { path: 'b', kind: 'file', content: slow() }
  }
  const outputs = all.client.add({ parts: parts() })
  assert.equal((await outputs.next()).value.name, 'file:a')
  gate.resolve()
  assert.equal((await outputs.next()).value.name, 'file:b')
})

test('an upload is not read faster than it is sent', async () => {
  const stop = Promise.withResolvers<void>()
  async function* stuck(): AsyncGenerator<AddedOutput> {
    await stop.promise
    yield* []
  }
  await using all = await setup({ add: () => stuck() })
  let read = 0
  const grown = Promise.withResolvers<void>()
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (; read < 4000; read++) {
      if (read === 20) grown.resolve()
      yield new Uint8Array(65536)
    }
  }
  const abort = new AbortController()
  const parts = from<AddPart>({ path: 'a', kind: 'file', content: endless() })
  const done = Array.fromAsync(all.client.add({ parts }, { signal: abort.signal }))
  await grown.promise
  // The kernel's buffers take some megabytes; 4000 chunks would be 250 MB.
  let [before, idleTurns] = [read, 0]
  while (idleTurns < 200) {
    await new Promise(resolve => setImmediate(resolve))
    idleTurns = before === read ? idleTurns + 1 : 0
    before = read
  }
  assert.ok(read < 1000, `${read} chunks were read`)
  abort.abort(new Error('enough'))
  await assert.rejects(done, { message: 'enough' })
  stop.resolve()
})

test('the next host is asked when one is down, and not when one answers', async () => {
  await using up = await setup({ version: () => ({ version: 'b' }), add: ({ parts }) => echo(parts) })
  await using bad = await serveRoutes({
    version() {
      throw new HttpError(500, 'broken')
    },
  })
  const closed = await closedPort()
  const transport = createNodeTransport()
  const client = createClient({ hosts: [`http://127.0.0.1:${closed}`, up.server.url] }, { transport })
  assert.deepEqual(await client.version(), { version: 'b' })
  const parts = from<AddPart>({ path: 'a', kind: 'file', content: bytes('x') })
  assert.equal((await Array.fromAsync(client.add({ parts }))).length, 1)
  const other = createClient({ hosts: [bad.url, up.server.url] }, { transport })
  await assert.rejects(other.version(), { code: 'API_ERROR', message: 'broken' })
  const none = createClient({ hosts: [`http://127.0.0.1:${closed}`] }, { transport })
  await assert.rejects(none.version(), { code: 'API_UNREACHABLE', message: /ECONNREFUSED/ })
  await assert.rejects(Array.fromAsync(none.peers()), { code: 'API_UNREACHABLE' })
})

async function closedPort(): Promise<number> {
  const server = net.createServer()
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise(resolve => server.close(resolve))
  return port
}

/** A server that answers every request with these bytes and closes. */
async function rawServer(answer: string) {
  const server = net.createServer(socket => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.end(answer))
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { url, [Symbol.asyncDispose]: async () => void server.close() }
}

const RAW: readonly (readonly [string, string, object])[] = [
  [
    'a stream that breaks off',
    'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"cid',
    { code: 'API_UNREACHABLE', message: /broke off/ },
  ],
  [
    'an error that is not JSON',
    'HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\noops',
    { code: 'API_ERROR', message: 'oops' },
  ],
  [
    'a strange status',
    'HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n',
    { code: 'API_ERROR', message: 'expected streaming response with code 200/204' },
  ],
  ['no HTTP', 'SSH-2.0\r\n', { code: 'API_UNREACHABLE' }],
  ['no answer', '', { code: 'API_UNREACHABLE' }],
  [
    'a document that is no pin',
    'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}\n',
    { code: 'API_BAD_JSON', message: /pin\.cid/ },
  ],
]

for (const [name, answer, error] of RAW) {
  test(`from the network: ${name}`, async () => {
    await using server = await rawServer(answer)
    const client = createClient({ hosts: [server.url] }, { transport: createNodeTransport() })
    await assert.rejects(Array.fromAsync(client.allocations()), error)
  })
}

test('a connection that the server closed while idle is replaced', async () => {
  const sockets = new Set<net.Socket>()
  const server = http.createServer((_, response) => response.end('{"version":"x"}'))
  server.on('connection', socket => sockets.add(socket))
  server.keepAliveTimeout = 60_000
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = createClient({ hosts: [url] }, { transport: createNodeTransport() })
  await client.version()
  for (const socket of sockets) socket.resetAndDestroy()
  assert.deepEqual(await client.version(), { version: 'x' })
  assert.equal(sockets.size, 2)
  server.closeAllConnections()
  server.close()
})

test('abort and deadline', async () => {
  const never = new Promise<never>(() => undefined)
  await using all = await setup({ version: () => never, allocations: () => endlessPins() })
  async function* endlessPins(): AsyncGenerator<Pin> {
    yield* pins(1)
    await never
  }
  const abort = new AbortController()
  const call = all.client.version({}, { signal: abort.signal })
  abort.abort(new Error('stop'))
  await assert.rejects(call, { message: 'stop' })
  await assert.rejects(all.client.version({}, { signal: abort.signal }), { message: 'stop' })

  const mid = new AbortController()
  const stream = all.client.allocations({}, { signal: mid.signal })
  await stream.next()
  const next = stream.next()
  mid.abort(new Error('stop now'))
  await assert.rejects(next, { message: 'stop now' })

  const hurried = createClient(
    { hosts: [all.server.url], timeoutMs: 50 },
    { transport: createNodeTransport() },
  )
  await assert.rejects(hurried.version(), { code: 'API_UNREACHABLE' })
  await assert.rejects(Array.fromAsync(hurried.allocations()), { code: 'API_UNREACHABLE' })
})

test('leaving a stream early closes its connection', async () => {
  const closed = Promise.withResolvers<void>()
  async function* endless(): AsyncGenerator<Pin> {
    try {
      for (let i = 0; ; i++) {
        yield newPin(cid, { name: `p${i}` })
        await new Promise(resolve => setImmediate(resolve))
        if (server.requests.length > 1) return
      }
    } finally {
      closed.resolve()
    }
  }
  await using server = await serveRoutes({ allocations: () => endless(), version: () => ({ version: 'x' }) })
  const client = createClient({ hosts: [server.url] }, { transport: createNodeTransport() })
  for await (const pin of client.allocations()) {
    if (pin.name === 'p3') break
  }
  await client.version()
  await closed.promise
})

test('credentials and headers are sent', async () => {
  await using server = await serveRoutes({ health: () => undefined })
  const credentials = { user: 'ü', password: 'a:b' }
  const headers = { 'X-Test': 'yes' }
  const client = createClient(
    { hosts: [server.url], credentials, headers },
    { transport: createNodeTransport() },
  )
  await client.health()
  const sent = server.requests[0]?.headers
  assert.equal(sent?.authorization, `Basic ${Buffer.from('ü:a:b').toString('base64')}`)
  assert.equal(sent?.['x-test'], 'yes')
})

test('over a Unix socket', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'api-'))
  try {
    await using server = await serveRoutes({ version: () => ({ version: 'unix' }) }, join(folder, 's'))
    const client = createClient({ hosts: [server.url] }, { transport: createNodeTransport() })
    assert.deepEqual(await client.version(), { version: 'unix' })
    assert.equal(server.requests[0]?.headers.host, 'restapi')
  } finally {
    await rm(folder, { recursive: true })
  }
})
