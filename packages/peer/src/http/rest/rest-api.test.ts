import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Agent, request, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { ANY_PIN, newPin, pinCodec, type AddedOutput, type Pin } from '@ipfs-cluster/api'
import { createClient } from '@ipfs-cluster/api/client'
import { createNodeTransport } from '@ipfs-cluster/api/node'
import { CodedError, silentLogger, systemClock, utf8 } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import { ClusterError, type Cluster } from '../../cluster/index.ts'
import { waitFor } from '@ipfs-cluster/testkit'
import { createRestApi, type HttpApiConfig } from './index.ts'

const A = CID.parse('bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku')
const CONFIG: HttpApiConfig = {
  listen: ['/ip4/127.0.0.1/tcp/0'],
  readTimeoutMs: 0,
  readHeaderTimeoutMs: 5_000,
  writeTimeoutMs: 0,
  idleTimeoutMs: 120_000,
  maxHeaderBytes: 4096,
  headers: { 'X-Own': ['a', 'b'] },
}

async function withApi(
  cluster: Partial<Cluster>,
  body: (url: string) => Promise<void>,
  config: Partial<HttpApiConfig> = {},
): Promise<void> {
  await using api = await createRestApi(
    { cluster: cluster as Cluster, clock: systemClock, logger: silentLogger },
    { ...CONFIG, ...config },
  )
  await body(api.urls[0] as string)
}

const clientOf = (url: string) => createClient({ hosts: [url] }, { transport: createNodeTransport() })

test('a pin goes in and comes out as the table says, with the headers of every response', async () => {
  const pins: Pin[] = []
  const cluster: Partial<Cluster> = {
    pin(cid, options) {
      pins.push(newPin(cid, options))
      return Promise.resolve(pins[0] as Pin)
    },
  }
  await withApi(cluster, async url => {
    const response = await fetch(`${url}/pins/${A}?name=x&replication=2&meta-k=v&mode=direct`, {
      method: 'POST',
    })
    assert.equal(response.status, 200)
    assert.equal(response.headers.get('content-type'), 'application/json')
    assert.equal(response.headers.get('x-own'), 'a, b')
    const pin = (await response.json()) as Record<string, unknown>
    assert.deepEqual(
      [pin['name'], pin['mode'], pin['max_depth'], pin['metadata']],
      ['x', 'direct', 0, { k: 'v' }],
    )
    assert.equal(pins[0]?.replicationFactorMin, 2)
  })
})

test('bad input is a 400 that says what, and changes nothing', async () => {
  await withApi({}, async url => {
    const cases: [string, string, RegExp][] = [
      ['POST', '/pins/notacid', /^error decoding Cid: /],
      ['POST', `/pins/${A}?replication-min=x`, /^parameter replication-min invalid$/],
      ['POST', `/pins/${A}?expire-in=1ms`, /expire-in duration too short/],
      ['GET', '/pins?filter=nonsense', /^invalid filter value$/],
      ['GET', '/pins?cids=x', /^error decoding Cid: /],
      ['GET', '/allocations?filter=nonsense', /^invalid filter value$/],
      ['GET', '/allocations?match=prefix', /^parameter match needs a name$/],
      ['GET', '/allocations?name=a&match=odd', /^parameter match must be one of exact, /],
      ['GET', '/allocations?meta=[]', /^parameter meta must be a JSON object whose values are strings$/],
      ['GET', '/allocations?peer=x', /^parameter peer cannot be read: /],
      ['GET', '/allocations?after=x', /^parameter after cannot be read: parsing time "x"/],
      ['GET', '/allocations?before=x', /^parameter before cannot be read: parsing time "x"/],
      ['GET', '/allocations?limit=0', /^parameter limit must be a whole number of at least 1$/],
      ['GET', '/allocations?cursor=x', /^parameter cursor cannot be read: invalid cid/],
      ['POST', '/peers', /^error decoding request body/],
      ['POST', '/add?layout=round', /layout parameter is invalid/],
      ['POST', '/add', /isn't multipart/],
      ['DELETE', '/peers/x', /^error decoding Peer ID: /],
    ]
    for (const [method, path, message] of cases) {
      const response = await fetch(url + path, { method })
      const body = (await response.json()) as { code: number; message: string }
      assert.deepEqual([response.status, body.code], [400, 400], path)
      assert.match(body.message, message)
    }
  })
})

test('unknown paths, wrong methods and redirects follow the rules of Go', async () => {
  await withApi({}, async url => {
    const missing = await fetch(`${url}/nope`)
    assert.equal(missing.status, 404)
    assert.equal(await missing.text(), '{"code":404,"message":"not found"}\n')
    const method = await fetch(`${url}/id`, { method: 'PUT' })
    assert.deepEqual(
      [method.status, await method.text(), method.headers.get('content-type')],
      [405, '', null],
    )
    const slash = await fetch(`${url}/pins/?local=true`, { redirect: 'manual' })
    assert.deepEqual([slash.status, slash.headers.get('location')], [307, '/pins?local=true'])
    assert.equal((await fetch(`${url}/health`)).status, 204)
  })
})

test('coded failures have their status, all others are 500', async () => {
  const cluster: Partial<Cluster> = {
    pinGet: () =>
      Promise.reject(new ClusterError('pin is not part of the pinset', { code: 'PIN_NOT_FOUND', cid: 'x' })),
    status: () => Promise.reject(new Error('it <broke>')),
    pin: () => Promise.reject(new CodedError('200000 operations wait', { code: 'CRDT_QUEUE_FULL' })),
    unpin: () => Promise.reject(new CodedError('no space left', { code: 'STORE_FULL' })),
  }
  await withApi(cluster, async url => {
    assert.equal((await fetch(`${url}/allocations/${A}`)).status, 404)
    const full = await fetch(`${url}/pins/${A}`, { method: 'POST' })
    assert.deepEqual([full.status, full.headers.get('retry-after')], [429, '1'])
    assert.equal((await fetch(`${url}/pins/${A}`, { method: 'DELETE' })).status, 507)
    const broken = await fetch(`${url}/pins/${A}`)
    assert.equal(broken.status, 500)
    assert.equal(await broken.text(), '{"code":500,"message":"it \\u003cbroke\\u003e"}\n')
  })
})

const lineOf = (pin: Pin) => utf8(`${pinCodec.stringify(pin)}\n`)

test('lines that are made already are sent as they are, with the parameters of the listing, no faster than they are read', async () => {
  const chunk = Buffer.concat(Array.from({ length: 1000 }, (_, i) => lineOf(newPin(A, { name: `é ${i}` }))))
  let made = 0
  const asked: unknown[] = []
  const cluster: Partial<Cluster> = {
    async *pinLines(types, { filter, limit, cursor } = {}) {
      asked.push({ types, filter, limit, cursor })
      for (; made < 200; made++) yield chunk
    },
  }
  await withApi(cluster, async url => {
    const path = `/allocations?filter=pin&name=a&match=prefix&limit=5&cursor=${A},ab`
    const answer = await new Promise<IncomingMessage>((resolve, reject) =>
      request(url + path, resolve)
        .once('error', reject)
        .end(),
    )
    // Nobody reads: it stops when the buffers between are full.
    let before = -1
    await waitFor(() => {
      const isStill = before === made
      before = made
      return Promise.resolve(made > 1 && isStill)
    })
    assert.ok(made < 200, `${made} chunks made`)
    const bytes = Buffer.concat(await Array.fromAsync(answer as AsyncIterable<Buffer>))
    assert.ok(bytes.equals(Buffer.concat(Array.from({ length: 200 }, () => chunk))))
    assert.deepEqual(asked, [
      {
        types: 2,
        filter: { ...ANY_PIN, name: 'a', match: 'prefix' },
        limit: 5,
        cursor: { cid: A, name: 'ab', created: null },
      },
    ])
  })
})

test('streams: 204 when empty, 500 before the first item, a trailer after it', async () => {
  let failAfter = 0
  const cluster: Partial<Cluster> = {
    async *pinLines() {
      for (let i = 0; i < failAfter; i++) yield lineOf(newPin(A, { name: String(i) }))
      if (failAfter !== 3) throw new Error('broke off')
    },
    async *statusAll() {
      yield* []
    },
  }
  await withApi(cluster, async url => {
    assert.equal((await fetch(`${url}/pins`)).status, 204)
    assert.equal((await fetch(`${url}/allocations`)).status, 500)
    const client = clientOf(url)
    failAfter = 3
    assert.equal((await Array.fromAsync(client.allocations())).length, 3)
    failAfter = 2
    const seen: string[] = []
    await assert.rejects(async () => {
      for await (const pin of client.allocations()) seen.push(pin.name)
    }, /broke off/)
    assert.deepEqual(seen, ['0', '1'])
  })
})

test('a client that leaves ends the work', async () => {
  const ended = Promise.withResolvers<void>()
  const cluster: Partial<Cluster> = {
    async *pinLines(_bits, { signal } = {}) {
      try {
        while (true) {
          yield lineOf(newPin(A, { name: 'x'.repeat(1000) }))
          await systemClock.sleep(1, { signal })
        }
      } finally {
        ended.resolve()
      }
    },
  }
  await withApi(cluster, async url => {
    for await (const _pin of clientOf(url).allocations()) break
    await ended.promise
  })
})

test('uploads arrive part by part; outputs stream back; the error is in the trailer', async () => {
  const received: [string, string, string][] = []
  let failure: Error | undefined
  const cluster: Partial<Cluster> = {
    async *add(parts): AsyncGenerator<AddedOutput> {
      for await (const { path, kind, content } of parts) {
        // As the adder does: what a folder's part holds is not looked at.
        const text = kind === 'directory' ? '' : Buffer.concat(await Array.fromAsync(content)).toString()
        received.push([path, kind, text])
        yield { name: path, cid: A, bytes: 0n, size: BigInt(text.length), allocations: [] }
      }
      if (failure !== undefined) throw failure
    },
  }
  const parts = async function* () {
    yield { path: 'dir', kind: 'directory' as const, content: content('') }
    yield { path: 'dir/ä b+c%.txt', kind: 'file' as const, content: content('hello') }
    yield { path: 'dir/empty', kind: 'file' as const, content: content('') }
  }
  await withApi(cluster, async url => {
    const outputs = await Array.fromAsync(clientOf(url).add({ parts: parts() }))
    assert.deepEqual(received, [
      ['dir', 'directory', ''],
      ['dir/ä b+c%.txt', 'file', 'hello'],
      ['dir/empty', 'file', ''],
    ])
    assert.equal(outputs.length, 3)
    const list = await Array.fromAsync(
      clientOf(url).add({ params: { streamChannels: false }, parts: parts() }),
    )
    assert.equal(list.length, 3)
    failure = new Error('all peers said no')
    await assert.rejects(Array.fromAsync(clientOf(url).add({ parts: parts() })), /all peers said no/)
  })
})

test('an upload that is cut short fails instead of looking complete', async () => {
  const failed = Promise.withResolvers<unknown>()
  const cluster: Partial<Cluster> = {
    async *add(parts): AsyncGenerator<AddedOutput> {
      try {
        for await (const part of parts) for await (const _chunk of part.content);
        failed.resolve('looked complete')
      } catch (error) {
        failed.resolve(error)
      }
      yield* []
    },
  }
  await withApi(cluster, async url => {
    const { port } = new URL(url)
    const socket = connect(Number(port), '127.0.0.1')
    socket.on('error', () => undefined)
    socket.write(
      'POST /add HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 9999\r\n\r\n' +
        '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\nContent-Type: application/octet-stream\r\n\r\nabc',
    )
    await new Promise(resolve => socket.once('data', resolve))
    socket.destroy()
    const error = await failed.promise
    assert.ok(error instanceof Error, String(error))
  })
})

test('headers beyond the limit are refused with 431', async () => {
  await withApi({}, async url => {
    const response = await fetch(`${url}/health`, { headers: { 'X-Large': 'x'.repeat(9000) } })
    assert.equal(response.status, 431)
  })
})

test('a body beyond the limit is refused, and its connection serves the next request', async () => {
  await withApi({ version: () => ({ version: '1.1.6' }) }, async url => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const send = async (method: string, path: string, body: string) => {
      const call = request(url + path, { method, agent })
      call.end(body)
      const [response] = (await once(call, 'response')) as [IncomingMessage]
      const port = response.socket.localPort
      const text = Buffer.concat(await Array.fromAsync<Uint8Array>(response)).toString()
      return { status: response.statusCode, text, port }
    }
    const refused = await send('POST', '/peers', 'x'.repeat(3_000_000))
    assert.equal(refused.status, 400)
    assert.match(refused.text, /larger than 1048576 bytes/)
    const next = await send('GET', '/version', '')
    assert.equal(next.text, '{"version":"1.1.6"}\n')
    assert.equal(next.port, refused.port)
    agent.destroy()
  })
})

test('a port in use is named, and nothing stays open', async () => {
  await withApi({}, async url => {
    const { port } = new URL(url)
    const listen = ['/ip4/127.0.0.1/tcp/0', `/ip4/127.0.0.1/tcp/${port}`]
    await assert.rejects(
      withApi({}, () => Promise.resolve(), { listen }),
      {
        code: 'HTTP_LISTEN_FAILED',
        message: new RegExp(`cannot listen on /ip4/127\\.0\\.0\\.1/tcp/${port}: the port is in use.*restapi`),
      },
    )
  })
})

test('a unix socket serves, too, and is removed at the end', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rest-'))
  const path = join(folder, 'api-socket')
  await withApi(
    { version: () => ({ version: '1' }) },
    async () => {
      const client = createClient({ hosts: [`unix:${path}`] }, { transport: createNodeTransport() })
      assert.equal((await client.version()).version, '1')
    },
    { listen: [`/unix${path}`] },
  )
  await rm(folder, { recursive: true })
})

async function* content(text: string): AsyncGenerator<Uint8Array> {
  if (text !== '') yield new TextEncoder().encode(text)
}

test('an upload that is over leaves nothing listening to the server', async () => {
  const signals: AbortSignal[] = []
  const cluster: Partial<Cluster> = {
    async *add(parts, _params, { signal } = {}): AsyncGenerator<AddedOutput> {
      if (signal !== undefined) signals.push(signal)
      for await (const part of parts) await Array.fromAsync(part.content)
      yield* []
    },
  }
  const one = async function* () {
    yield { path: 'f', kind: 'file' as const, content: content('x') }
  }
  await withApi(cluster, async url => {
    await Array.fromAsync(clientOf(url).add({ parts: one() }))
    // Until it fires, a joined signal with a listener is kept by the server's own, and the request with it.
    await waitFor(() => signals[0]?.aborted === true)
  })
})

test('an upload that is refused before it was read gets its answer, not a broken connection', async () => {
  const cluster: Partial<Cluster> = {
    // oxlint-disable-next-line require-yield
    async *add(): AsyncGenerator<AddedOutput> {
      throw new Error('refused')
    },
  }
  await withApi(cluster, async url => {
    for (const channels of [true, false]) {
      for (let i = 0; i < 20; i++) {
        const body = new FormData()
        for (let n = 0; n < 8; n++) body.append('file', new Blob([new Uint8Array(64 * 1024)]), `f${n}`)
        const response = await fetch(`${url}/add?stream-channels=${channels}`, { method: 'POST', body })
        assert.equal(response.status, channels ? 200 : 500)
        assert.match(await response.text(), channels ? /^$/ : /refused/)
      }
    }
  })
})
