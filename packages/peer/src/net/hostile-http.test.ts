import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { noise } from '@libp2p/noise'
import type { Connection, Stream } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { systemClock, type Clock } from '@ipfs-cluster/base'
import { waitFor } from '@ipfs-cluster/testkit'
import {
  HTTP_CONNECTION_LIMITS,
  IDLE_CHECK_MS,
  IDLE_CONNECTION_MS,
  MAX_HTTP_STREAMS_PER_PEER,
} from './http-limits.ts'
import { HTTP_PROTOCOL } from './http-protocol.ts'
import { createTestClient, serveHttp, textOf } from './test-http.ts'
import { createLibp2p } from 'libp2p'

/** A client without our manners, and with more streams than it may have. */
async function createAttacker() {
  const libp2p = await createLibp2p({
    addresses: { listen: [] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ maxOutboundStreams: 10_000 })],
    connectionMonitor: { enabled: false },
  })
  return {
    libp2p,
    dial: async (address: string): Promise<Connection> =>
      await libp2p.dial(multiaddr(address), { force: true }),
    [Symbol.asyncDispose]: async () => await libp2p.stop(),
  }
}

async function open(connection: Connection): Promise<Stream> {
  return await connection.newStream(HTTP_PROTOCOL, { maxOutboundStreams: 10_000 })
}

/** What comes on a stream until its end, orderly or not. */
function listen(stream: Stream): { text: () => string; ended: Promise<void> } {
  let text = ''
  stream.addEventListener('message', ({ data }) => (text += Buffer.from(data.subarray()).toString()))
  const { promise, resolve } = Promise.withResolvers<void>()
  for (const event of ['remoteCloseWrite', 'close', 'end'] as const) {
    stream.addEventListener(event, () => resolve())
  }
  return { text: () => text, ended: promise }
}

const utf8 = (text: string) => new TextEncoder().encode(text)

describe('hostile clients of HTTP over libp2p', () => {
  test('a stream that says nothing is ended after the time-out of headers, like one that does not end them', async () => {
    await using endpoint = await serveHttp({ readHeaderTimeoutMs: 300 })
    await using attacker = await createAttacker()
    const connection = await attacker.dial(endpoint.address)
    const [silent, slow] = [await open(connection), await open(connection)]
    slow.send(utf8('GET /id HTTP/1.1\r\nHost: x\r\nX-Slow: '))
    for (const stream of [silent, slow]) {
      const heard = listen(stream)
      await heard.ended
      assert.match(heard.text(), /^HTTP\/1\.1 408/)
    }
  })

  test('a connection kept open between requests is ended after the idle time-out', async () => {
    await using endpoint = await serveHttp({ idleTimeoutMs: 200 })
    await using attacker = await createAttacker()
    const stream = await open(await attacker.dial(endpoint.address))
    const heard = listen(stream)
    stream.send(utf8('GET /health HTTP/1.1\r\nHost: x\r\n\r\n'))
    await heard.ended
    assert.match(heard.text(), /^HTTP\/1\.1 204/)
  })

  test('garbage is a bad request, huge headers are too large; both end their stream only', async () => {
    await using endpoint = await serveHttp()
    await using attacker = await createAttacker()
    const connection = await attacker.dial(endpoint.address)
    const cases: [Uint8Array, RegExp][] = [
      [Uint8Array.from({ length: 1000 }, (_, at) => (at * 37) & 255), /^HTTP\/1\.1 400/],
      [utf8('\x16\x03\x01 this is TLS\r\n\r\n'), /^HTTP\/1\.1 400/],
      [utf8(`GET /id HTTP/1.1\r\nHost: x\r\nX-Long: ${'a'.repeat(100_000)}\r\n\r\n`), /^HTTP\/1\.1 431/],
    ]
    for (const [bytes, answer] of cases) {
      const stream = await open(connection)
      const heard = listen(stream)
      stream.send(bytes)
      await heard.ended
      assert.match(heard.text(), answer)
    }
    const stream = await open(connection)
    const heard = listen(stream)
    stream.send(utf8('GET /id HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'))
    await heard.ended
    assert.match(heard.text(), /^HTTP\/1\.1 200/)
  })

  test('one that takes all the streams it may have keeps nobody else from being served', async () => {
    await using endpoint = await serveHttp()
    await using attacker = await createAttacker()
    const more = 20
    const connections = [await attacker.dial(endpoint.address), await attacker.dial(endpoint.address)]
    const streams: Stream[] = []
    for (let count = 0; count < MAX_HTTP_STREAMS_PER_PEER + more; count++) {
      const connection = connections[count % 2]
      if (connection !== undefined) streams.push(await open(connection))
    }
    await waitFor(() => streams.filter(({ status }) => status !== 'open').length === more)
    assert.equal(endpoint.refused('too_many_streams_of_peer'), more)
    await using client = await createTestClient()
    assert.equal((await client.get(endpoint.address, '/health')).status, 204)
    // Room again once they are gone.
    for (const stream of streams) stream.abort(new Error('enough'))
    await client.get(endpoint.address, '/health')
    const [connection] = connections
    assert.ok(connection)
    const stream = await open(connection)
    const heard = listen(stream)
    stream.send(utf8('GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'))
    await heard.ended
    assert.match(heard.text(), /^HTTP\/1\.1 204/)
  })

  test('one that asks for much and reads nothing is not served more than its window', async () => {
    await using endpoint = await serveHttp()
    await using attacker = await createAttacker()
    const stream = await open(await attacker.dial(endpoint.address))
    stream.pause()
    const body = new Uint8Array(64 * 1024)
    const head = 'POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n'
    stream.send(utf8(head))
    let sent = 0
    // Ends when the server takes no more: what it cannot send back, it does not read.
    while (stream.send(body)) sent += body.length
    await new Promise(resolve => setImmediate(resolve))
    assert.ok(sent < 16 * 1024 * 1024, `took ${sent} bytes`)
    await using client = await createTestClient()
    assert.equal((await client.get(endpoint.address, '/health')).status, 204)
  })

  test('more connections of one peer than it may have are refused', async () => {
    await using endpoint = await serveHttp()
    await using attacker = await createAttacker()
    const outcomes: string[] = []
    for (let count = 0; count < HTTP_CONNECTION_LIMITS.perPeer + 2; count++) {
      // Of a connection that is refused after the handshake the dialler learns when it uses it.
      outcomes.push(
        await attacker
          .dial(endpoint.address)
          .then(open)
          .then(
            () => 'open',
            () => 'refused',
          ),
      )
    }
    assert.equal(outcomes.filter(outcome => outcome === 'open').length, HTTP_CONNECTION_LIMITS.perPeer)
    assert.equal(endpoint.refused('too_many_connections_of_peer'), 2)
  })

  test('a connection that carries no HTTP for long is closed, one that does is not', async () => {
    let later = 0
    let check = Promise.withResolvers<void>()
    const clock: Clock = {
      ...systemClock,
      monotonic: () => systemClock.monotonic() + later,
      sleep: async (ms, options = {}) => {
        if (ms !== IDLE_CHECK_MS) return await systemClock.sleep(ms, options)
        const { signal } = options
        signal?.addEventListener('abort', () => check.reject(signal.reason))
        await check.promise
        check = Promise.withResolvers()
      },
    }
    await using endpoint = await serveHttp({ clock })
    await using attacker = await createAttacker()
    const [idle, busy] = [await attacker.dial(endpoint.address), await attacker.dial(endpoint.address)]
    const ended = once(idle, 'close')
    const stream = await open(busy)
    stream.send(utf8('GET /silent HTTP/1.1\r\nHost: x\r\n\r\n'))
    await using client = await createTestClient()
    assert.equal(await textOf((await client.get(endpoint.address, '/health')).body), '')
    later = IDLE_CONNECTION_MS + 1
    check.resolve()
    await ended
    assert.equal(busy.status, 'open')
    assert.equal(stream.status, 'open')
  })
})
