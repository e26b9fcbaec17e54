import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import type { RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { createServer, connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { waitFor } from '@ipfs-cluster/testkit'
import { mockCluster } from '../rest/mock-cluster.ts'
import { head, rawRequest, recordingLogger } from '../rest/test-api.ts'
import { createHttpUpstream, ProxyError } from './index.ts'
import { open, startDaemon, startProxy, textOf, type TestDaemon, type TestProxy } from './test-proxy.ts'
import { silentLogger, systemClock } from '@ipfs-cluster/base'

const MB = 1024 * 1024
/** More than all buffers on the way. */
const PIECES = 24

async function withDaemon(
  answer: RequestListener,
  work: (proxy: TestProxy, daemon: TestDaemon) => Promise<void>,
): Promise<void> {
  await using daemon = await startDaemon(answer)
  await using proxy = await startProxy({ cluster: mockCluster(), api: daemon.api })
  await work(proxy, daemon)
}

const echo: RequestListener = (request, response) => {
  response.end(JSON.stringify({ method: request.method, url: request.url, headers: request.headersDistinct }))
}

describe('what is passed on', () => {
  test('method, target, host and headers, but those of the connection; and where it comes from', () =>
    withDaemon(echo, async proxy => {
      const lines =
        'Host: a.example:1\r\nConnection: close, X-Named\r\nX-Named: no\r\nKeep-Alive: 1\r\nTE: gzip, trailers\r\nProxy-Connection: x\r\n' +
        'Upgrade: websocket\r\nX-Forwarded-For: 9.9.9.9\r\nX-Two: a\r\nX-Two: b\r\nUser-Agent: u\r\nOrigin: http://o\r\nContent-Length: 2\r\n'
      const path = '/api/v0/cat?arg=%2Fipfs%2Fa%20b&x=;y&&'
      const { body } = await rawRequest(proxy.url, `PATCH ${path} HTTP/1.1\r\n${lines}\r\nhi`)
      const text = body.slice(body.indexOf('{'), body.lastIndexOf('}') + 1)
      const { method, url, headers } = JSON.parse(text)
      assert.deepEqual([method, url], ['PATCH', path])
      const { connection, ...rest } = headers
      assert.deepEqual(rest, {
        host: ['a.example:1'],
        te: ['trailers'],
        'x-forwarded-for': ['9.9.9.9, 127.0.0.1'],
        'x-two': ['a', 'b'],
        'user-agent': ['u'],
        origin: ['http://o'],
        'content-length': ['2'],
      })
      assert.deepEqual(connection, ['close'])
    }))

  test('requests without a body have none, and share connections', () =>
    withDaemon(echo, async (proxy, daemon) => {
      for (const method of ['POST', 'GET', 'DELETE', 'POST']) {
        const { headers } = JSON.parse(await textOf(await open(`${proxy.url}/x`, { method })))
        assert.equal(headers['transfer-encoding'], undefined)
        assert.deepEqual(
          headers['content-length'],
          method === 'POST' || method === 'DELETE' ? ['0'] : undefined,
        )
        assert.equal(headers['user-agent'], undefined)
      }
      assert.equal(daemon.connections(), 1)
    }))

  test('an absolute target is that of our daemon', () =>
    withDaemon(echo, async proxy => {
      const { body } = await rawRequest(proxy.url, head('POST', 'http://elsewhere/api/v0/id?a=1'))
      assert.match(body, /"url":"\/api\/v0\/id\?a=1"/)
    }))

  test('Expect: 100-continue is answered here', () =>
    withDaemon(
      (request, response) =>
        void textOf(request).then(text => response.end(`${text}${request.headers.expect}`)),
      async proxy => {
        const lines = head('POST', '/x', { Expect: '100-continue', 'Content-Length': '2' })
        const { text } = await rawRequest(proxy.url, `${lines}hi`)
        assert.match(text, /^HTTP\/1.1 100 Continue\r\n\r\nHTTP\/1.1 200 OK/)
        assert.match(text, /hiundefined/)
      },
    ))
})

describe('what is passed back', () => {
  test('status, headers as they came and trailers', () =>
    withDaemon(
      (_request, response) => {
        response.writeHead(418, [
          ['X-Case', 'a'],
          ['X-Case', 'b'],
          ['Keep-Alive', 'timeout=9'],
          ['X-Named', 'no'],
          ['Connection', 'keep-alive, X-Named'],
          ['Server', 'kubo'],
          ['Trailer', 'X-Stream-Error'],
          ['Transfer-Encoding', 'chunked'],
        ])
        response.write('body')
        response.addTrailers({ 'X-Stream-Error': 'went wrong', 'X-Unannounced': '1' })
        response.end()
      },
      async proxy => {
        const { status, text, headers } = await rawRequest(proxy.url, head('POST', '/x'))
        assert.equal(status, 418)
        assert.match(text, /\r\nX-Case: a\r\nX-Case: b\r\nServer: kubo\r\n/)
        assert.equal(headers['trailer'], 'X-Stream-Error')
        assert.equal(headers['keep-alive'], undefined)
        assert.equal(headers['x-named'], undefined)
        assert.match(text, /0\r\nX-Stream-Error: went wrong\r\nX-Unannounced: 1\r\n\r\n$/)
        const old = await rawRequest(proxy.url, 'POST /x HTTP/1.0\r\n\r\n')
        assert.deepEqual([old.body, old.headers['trailer']], ['body', undefined])
      },
    ))

  test('answers without a body', () =>
    withDaemon(
      (request, response) => {
        if (request.method === 'HEAD') response.writeHead(200, { 'Content-Length': 77 }).end()
        // node:http would not send trailers that have no place; other servers do announce them.
        else
          request.socket.write(
            'HTTP/1.1 304 Not Modified\r\nEtag: x\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n',
          )
      },
      async proxy => {
        const headed = await rawRequest(proxy.url, head('HEAD', '/x'))
        assert.deepEqual([headed.status, headed.headers['content-length'], headed.body], [200, '77', ''])
        const cached = await rawRequest(proxy.url, head('GET', '/x'))
        assert.deepEqual([cached.status, cached.headers['etag'], cached.body], [304, 'x', ''])
      },
    ))

  test('each piece as it comes', async () => {
    const { promise: goOn, resolve } = Promise.withResolvers<void>()
    await withDaemon(
      (_request, response) => {
        response.write('first')
        void goOn.then(() => response.end('second'))
      },
      async proxy => {
        const answer = await open(`${proxy.url}/x`)
        const pieces: string[] = []
        for await (const piece of answer as AsyncIterable<Uint8Array>) {
          pieces.push(Buffer.from(piece).toString())
          resolve()
        }
        assert.deepEqual(pieces, ['first', 'second'])
      },
    )
  })
})

test('large bodies pass both ways at once, held back by whoever is slow', async () => {
  let taken = 0
  let given = 0
  const { promise: readOn, resolve: letDaemonRead } = Promise.withResolvers<void>()
  const piece = randomBytes(MB)
  const pipeBack = async (request: AsyncIterable<Uint8Array>, response: Parameters<RequestListener>[1]) => {
    await readOn
    for await (const chunk of request) {
      taken += chunk.length
      if (!response.write(chunk)) await new Promise(done => response.once('drain', done))
    }
    response.end()
  }
  await withDaemon(
    (request, response) => void pipeBack(request, response),
    async proxy => {
      const body = async function* () {
        for (let i = 0; i < PIECES; i++) {
          given++
          yield piece
        }
      }
      const asked = open(`${proxy.url}/x`, { body: body() })
      await stands(() => given)
      assert.ok(given < PIECES, 'the client is held back by a daemon that does not read')
      letDaemonRead()
      const answer = await asked
      answer.pause()
      await stands(() => taken)
      assert.ok(taken < PIECES * MB, 'the daemon is held back by a client that does not read')
      const hash = createHash('sha256')
      let size = 0
      for await (const chunk of answer as AsyncIterable<Uint8Array>) {
        size += chunk.length
        hash.update(chunk)
      }
      const expected = createHash('sha256')
      for (let i = 0; i < PIECES; i++) expected.update(piece)
      assert.equal(size, PIECES * MB)
      assert.equal(hash.digest('hex'), expected.digest('hex'))
    },
  )
})

describe('when one side fails', () => {
  test('a daemon that is down is a 502 without a body, also in mid-upload; and comes back', async () => {
    const { logger, lines } = recordingLogger()
    const daemon = await startDaemon(echo)
    await using proxy = await startProxy({ cluster: mockCluster(), api: daemon.api, logger })
    await textOf(await open(`${proxy.url}/x`))
    await daemon[Symbol.asyncDispose]()
    const zeros = async function* () {
      for (let i = 0; i < 20; i++) yield new Uint8Array(MB)
    }
    for (const options of [{}, { body: new Uint8Array(10) }, { body: zeros() }]) {
      const answer = await open(`${proxy.url}/x`, options)
      assert.deepEqual([answer.statusCode, await textOf(answer)], [502, ''])
      assert.equal(answer.headers['content-length'], '0')
    }
    const told = lines.filter(line => line.startsWith('warn'))
    assert.equal(told.length, 3)
    assert.match(
      told[0] as string,
      /cannot reach the IPFS daemon at .*tcp.* start it, or correct ipfsproxy.node_multiaddress/,
    )
    // Hijacked routes do without it.
    const stat = await open(`${proxy.url}/api/v0/repo/stat`)
    assert.equal(await textOf(stat), '{"RepoSize":1000,"StorageMax":10000}')
  })

  test('a connection that the daemon has closed meanwhile is no failure', () =>
    withDaemon(echo, async (proxy, daemon) => {
      const server = createServer(socket => {
        // Answers once, and closes the next request's connection without an answer.
        socket.once('data', () => {
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
          socket.once('data', () => socket.resetAndDestroy())
        })
        socket.on('error', () => undefined)
      })
      await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
      const api = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`
      await using other = await startProxy({ cluster: mockCluster(), api })
      for (let i = 0; i < 4; i++) assert.equal(await textOf(await open(`${other.url}/x`)), 'ok')
      server.close()
      assert.ok(proxy.url !== '' && daemon.connections() === 0)
    }))

  for (const [how, answer] of Object.entries<RequestListener>({
    'with chunks': (_request, response) => void response.write('half', () => response.destroy()),
    'with a length': (_request, response) => {
      response.writeHead(200, { 'Content-Length': 10 })
      response.write('half', () => response.destroy())
    },
  })) {
    test(`a daemon that dies in mid-answer ${how} breaks the connection of the client`, () =>
      withDaemon(answer, async proxy => {
        const started = await open(`${proxy.url}/x`)
        assert.equal(started.statusCode, 200)
        await assert.rejects(textOf(started), /aborted|ECONNRESET/)
      }))
  }

  test('a daemon that hangs up before it answers is a 502', () =>
    withDaemon(
      request => request.socket.destroy(),
      async proxy => {
        assert.equal((await open(`${proxy.url}/x`)).statusCode, 502)
      },
    ))

  test('a client that leaves ends the request to the daemon: waiting, in mid-answer, in mid-upload', async () => {
    let closed = 0
    let begun = 0
    const handler: RequestListener = (request, response) => {
      begun++
      response.once('close', () => closed++)
      if (request.url === '/answer') response.write('x')
      if (request.url === '/upload') request.resume()
    }
    await withDaemon(handler, async (proxy, daemon) => {
      const forever = async function* () {
        while (true) {
          yield new Uint8Array(1000)
          await new Promise(done => setImmediate(done))
        }
      }
      for (const [path, body] of [['/wait'], ['/answer'], ['/upload', forever()]] as const) {
        const left = new AbortController()
        const asked = open(proxy.url + path, { signal: left.signal, ...(body && { body }) })
        asked.then(
          answer => answer.on('error', () => undefined),
          () => undefined,
        )
        await waitFor(() => begun > closed, { what: 'the daemon has the request' })
        left.abort()
        await waitFor(() => closed === begun, { what: `the daemon hears that the client left (${path})` })
      }
      await waitFor(() => daemon.connections() === 0)
    })
  })

  test('a daemon that hangs holds neither other requests nor the end of the proxy', async () => {
    await using daemon = await startDaemon((request, response) => {
      if (request.url !== '/hang') response.end('ok')
    })
    const proxy = await startProxy({ cluster: mockCluster(), api: daemon.api })
    const hanging = Array.from({ length: 20 }, () => open(`${proxy.url}/hang`).catch(() => 'cut'))
    await waitFor(() => daemon.requests.length === 20)
    assert.equal(await textOf(await open(`${proxy.url}/x`)), 'ok')
    await proxy[Symbol.asyncDispose]()
    assert.ok((await Promise.all(hanging)).every(end => end === 'cut'))
  })

  test('an answer that comes before the upload is whole reaches the client', () =>
    withDaemon(
      (_request, response) => void response.writeHead(413, { Connection: 'close' }).end('too much'),
      async proxy => {
        const { port } = new URL(proxy.url)
        const socket = connect(Number(port), '127.0.0.1')
        socket.write('POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\npart of it')
        const [text] = (await Array.fromAsync(socket.take(1))) as [Buffer]
        assert.match(text.toString(), /^HTTP\/1.1 413 /)
        socket.destroy()
      },
    ))
})

test('a daemon at a unix socket', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'proxy-'))
  try {
    await using daemon = await startDaemon(echo, join(folder, 'api.sock'))
    await using proxy = await startProxy({ cluster: mockCluster(), api: daemon.api })
    assert.match(await textOf(await open(`${proxy.url}/x`)), /"url":"\/x"/)
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('with node_https the daemon has to have a certificate that is trusted', async () => {
  const fixture = (name: string) => readFile(new URL(`../common/fixtures/${name}`, import.meta.url), 'utf8')
  const server = createTlsServer({ cert: await fixture('cert.pem'), key: await fixture('key.pem') }, echo)
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  const api = `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`
  const { logger, lines } = recordingLogger()
  await using proxy = await startProxy({ cluster: mockCluster(), api, https: true, logger })
  assert.equal((await open(`${proxy.url}/x`)).statusCode, 502)
  assert.match(lines.find(line => line.startsWith('warn')) ?? '', /certificate/)
  server.close()
})

test('what is no address of a daemon is named', () => {
  const make = () =>
    createHttpUpstream(
      { clock: systemClock, logger: silentLogger },
      { nodeMultiaddress: '/ip4/1.2.3.4/udp/5', nodeHttps: false },
    )
  assert.throws(make, (error: unknown) => {
    assert.ok(error instanceof ProxyError)
    assert.match(error.message, /^ipfsproxy\.node_multiaddress: .*\/udp\/5/)
    return error.code === 'PROXY_BAD_ADDRESS'
  })
})

/** Resolves when a number has stopped to grow. */
async function stands(read: () => number): Promise<void> {
  let before = -1
  while (read() === 0 || before !== read()) {
    before = read()
    await new Promise(done => setTimeout(done, 150))
  }
}
