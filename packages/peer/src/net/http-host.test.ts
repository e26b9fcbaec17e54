import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import { createClient } from '@ipfs-cluster/api/client'
import { ApiError } from '@ipfs-cluster/api'
import { silentLogger, systemClock } from '@ipfs-cluster/base'
import { waitFor } from '@ipfs-cluster/testkit'
import { createIdentity } from '../identity/index.ts'
import { createHttpHost } from './http-host.ts'
import { createTestClient, serveHttp, textOf, type TestEndpoint } from './test-http.ts'
import { createTestNetwork, TEST_SECRET } from './test-network.ts'

const MIB = 1024 * 1024

/** An address nobody listens on, with a peer id. */
const NOBODY = '/ip4/127.0.0.1/tcp/1/p2p/12D3KooWAUjbd3CHGqy7nzCUu1hrM9KaD3D8K1XwaKFudXvCLqGH'

async function* chunksOf(bytes: Uint8Array, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

describe('HTTP over libp2p', () => {
  let endpoint: TestEndpoint
  let client: Awaited<ReturnType<typeof createTestClient>>

  before(async () => {
    endpoint = await serveHttp()
    client = await createTestClient()
  })

  after(async () => {
    await client[Symbol.asyncDispose]()
    await endpoint[Symbol.asyncDispose]()
  })

  test('answers with JSON; the server sees the peer id of the client, and the client names the peer as Go does', async () => {
    const { status, body } = await client.get(endpoint.address, '/id')
    const { from, host } = JSON.parse(await textOf(body)) as { from: string; host: string }
    assert.equal(status, 200)
    assert.match(from, /^12D3KooW/)
    assert.equal(host, endpoint.address.split('/p2p/')[1])
  })

  test('answers without a body', async () => {
    const { status, body } = await client.get(endpoint.address, '/health')
    assert.deepEqual([status, await textOf(body)], [204, ''])
  })

  test('carries every value of a trailer', async () => {
    const answer = await client.get(endpoint.address, '/stream')
    assert.equal(await textOf(answer.body), '{"n":1}\n{"n":2}\n')
    assert.deepEqual(answer.trailer('X-Stream-Error'), ['', 'half of it'])
  })

  test('carries an upload of 8 MiB whole', async () => {
    const bytes = randomBytes(8 * MIB)
    const answer = await client.transport.send({
      host: endpoint.address,
      method: 'POST',
      path: '/digest',
      headers: {},
      body: chunksOf(bytes, 100_000),
    })
    const sha256 = createHash('sha256').update(bytes).digest('hex')
    assert.deepEqual(JSON.parse(await textOf(answer.body)), { bytes: bytes.length, sha256 })
  })

  test('streams both ways at once, each waiting for the other', async () => {
    const sent = Promise.withResolvers<void>()
    async function* questions() {
      yield Buffer.from('first')
      await sent.promise
      yield Buffer.from('second')
    }
    const answer = await client.transport.send({
      host: endpoint.address,
      method: 'POST',
      path: '/echo',
      headers: {},
      body: questions(),
    })
    const heard: string[] = []
    for await (const chunk of answer.body) {
      heard.push(Buffer.from(chunk).toString())
      // Comes back before the upload goes on.
      sent.resolve()
    }
    assert.deepEqual(heard, ['first', 'second'])
  })

  test('brings back 8 MiB to a reader that takes its time', async () => {
    const bytes = randomBytes(8 * MIB)
    const answer = await client.transport.send({
      host: endpoint.address,
      method: 'POST',
      path: '/echo',
      headers: {},
      body: chunksOf(bytes, 65_536),
    })
    const hash = createHash('sha256')
    for await (const chunk of answer.body) {
      hash.update(chunk)
      await new Promise(resolve => setImmediate(resolve))
    }
    assert.equal(hash.digest('hex'), createHash('sha256').update(bytes).digest('hex'))
  })

  test('answers before it has read an upload, without losing the answer', async () => {
    const answer = await client.transport.send({
      host: endpoint.address,
      method: 'POST',
      path: '/denied',
      headers: {},
      body: chunksOf(randomBytes(2 * MIB), 65_536),
    })
    assert.equal(answer.status, 401)
    assert.match(await textOf(answer.body), /"code":401/)
  })

  test('shows an answer that was cut off', async () => {
    const answer = await client.get(endpoint.address, '/cut')
    await assert.rejects(textOf(answer.body))
  })

  test('answers 20 requests at once over one connection', async () => {
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => await textOf((await client.get(endpoint.address, '/id')).body)),
    )
    assert.equal(new Set(answers).size, 1)
    assert.equal(answers.length, 20)
  })

  test('tells the server when the client gives up, and the client why', async () => {
    const before = endpoint.gone.length
    const giveUp = new AbortController()
    const asked = client.get(endpoint.address, '/silent', { signal: giveUp.signal })
    // The request is there when the next one has been answered.
    await client.get(endpoint.address, '/health')
    giveUp.abort(new Error('enough'))
    await assert.rejects(asked, /enough/)
    await waitFor(() => endpoint.gone.length > before + 1)
  })

  test('goes on to the next host when one is not there, or is no HTTP endpoint', async () => {
    const network = await createTestNetwork({ secret: undefined })
    const [other = ''] = network.addresses()
    const api = createClient({ hosts: [NOBODY, other, endpoint.address] }, { transport: client.transport })
    await api.health()
    const none = createClient({ hosts: [NOBODY, other] }, { transport: client.transport })
    await assert.rejects(none.health(), (error: unknown) => {
      assert.ok(error instanceof ApiError)
      assert.equal(error.code, 'API_UNREACHABLE')
      assert.match(error.message, /cannot connect to .*; .*does not serve its API over libp2p/s)
      return true
    })
    await network[Symbol.asyncDispose]()
  })

  test('refuses a peer id other than the one that answers', async () => {
    const wrong = endpoint.address.replace(/\/p2p\/.*/, NOBODY.slice(NOBODY.indexOf('/p2p/')))
    await assert.rejects(client.get(wrong, '/id'), { code: 'NET_WRONG_PEER' })
  })

  test('does not stand in a private network: a secret keeps the client out', async () => {
    await using other = await createTestClient({ secret: TEST_SECRET })
    await assert.rejects(other.get(endpoint.address, '/id', { signal: AbortSignal.timeout(500) }))
  })
})

test('a client with the cluster secret comes as far as the protocol of a private peer', async () => {
  await using network = await createTestNetwork()
  await using client = await createTestClient({ secret: TEST_SECRET })
  await assert.rejects(client.get(network.addresses()[0] ?? '', '/id'), { code: 'NET_NO_HTTP' })
})

test('serves over WebSocket', async () => {
  const host = await createHttpHost(
    { clock: systemClock, logger: silentLogger },
    { identity: await createIdentity(), listen: ['/ip4/127.0.0.1/tcp/0/ws'], configKey: 'key' },
  )
  using _ = host.onConnection(connection => {
    connection
      .on('error', () => undefined)
      .resume()
      .end('HTTP/1.1 204 No Content\r\n\r\n')
  })
  await using client = await createTestClient()
  assert.equal((await client.get(host.addresses[0] ?? '', '/')).status, 204)
  await host[Symbol.asyncDispose]()
  await host[Symbol.asyncDispose]()
})

test('resolves /dnsaddr', async () => {
  await using endpoint = await serveHttp()
  const answer = { name: '_dnsaddr.example.test', type: 16, TTL: 1, data: `dnsaddr=${endpoint.address}` }
  const dns = {
    query: async () => ({
      Status: 0,
      TC: false,
      RD: false,
      RA: false,
      AD: false,
      CD: false,
      Question: [],
      Answer: [answer],
    }),
  } as never
  await using client = await createTestClient({ dns })
  assert.equal((await client.get('/dnsaddr/example.test', '/health')).status, 204)
})

test('names the key when no address can be listened on', async () => {
  const components = { clock: systemClock, logger: silentLogger }
  await assert.rejects(
    createHttpHost(components, {
      identity: await createIdentity(),
      listen: ['/ip4/127.0.0.1/udp/0/quic-v1'],
      configKey: 'restapi.libp2p_listen_multiaddress',
    }),
    { code: 'NET_LISTEN_FAILED', message: /restapi\.libp2p_listen_multiaddress/ },
  )
})

test('stops while requests are under way: they are cut, and new streams are refused', async () => {
  const endpoint = await serveHttp()
  await using client = await createTestClient()
  const asked = client.get(endpoint.address, '/silent')
  const failed = assert.rejects(asked)
  await client.get(endpoint.address, '/health')
  await endpoint[Symbol.asyncDispose]()
  await failed
  await assert.rejects(client.get(endpoint.address, '/health'))
})

test('keeps a connection for several requests, as Go clients of other kinds may', async () => {
  await using endpoint = await serveHttp()
  await using client = await createTestClient()
  const socket = await client.dialer.connect(endpoint.address)
  const request = 'GET /health HTTP/1.1\r\nHost: x\r\n\r\n'
  for (let count = 0; count < 3; count++) {
    socket.write(request)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    assert.match(answer.toString(), /^HTTP\/1\.1 204/)
  }
  socket.end()
  await once(socket, 'close')
})
