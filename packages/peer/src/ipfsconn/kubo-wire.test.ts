import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { describe, it } from 'node:test'
import { newPin } from '@ipfs-cluster/api'
import { silentLogger, systemClock } from '@ipfs-cluster/base'
import { rawBlock, waitFor } from '@ipfs-cluster/testkit'
import { createKuboConnector } from './index.ts'

async function setUp(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const sockets = new Set<Socket>()
  const requests: string[] = []
  const server = createServer((request, response) => {
    requests.push(request.url ?? '')
    sockets.add(request.socket)
    answer(request, response)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const connector = createKuboConnector(
    { clock: systemClock, logger: silentLogger },
    {
      nodeMultiaddress: `/ip4/127.0.0.1/tcp/${(server.address() as AddressInfo).port}`,
      ipfsRequestTimeoutMs: 5_000,
      pinTimeoutMs: 5_000,
      unpinTimeoutMs: 5_000,
      repogcTimeoutMs: 5_000,
      unpinDisable: false,
    },
  )
  return {
    connector,
    requests,
    sockets,
    async [Symbol.asyncDispose]() {
      await connector[Symbol.asyncDispose]()
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

const { cid } = rawBlock('content')
const notPinned = (response: ServerResponse) =>
  response.writeHead(500).end('{"Message":"path is not pinned","Code":0,"Type":"error"}')

describe('short requests to Kubo', () => {
  it('a pin that is no longer wanted closes the connection of its request at once', async () => {
    let closed = false
    await using t = await setUp((request, response) => {
      request.socket.once('close', () => (closed = true))
      response.write('{"Progress":0}\n')
    })
    const stop = new AbortController()
    const pinning = t.connector.pin(newPin(cid), { signal: stop.signal, isAbsent: true })
    await waitFor(() => t.requests.length === 1)
    assert.equal(closed, false)
    stop.abort(new DOMException('no longer wanted', 'AbortError'))
    await assert.rejects(pinning, { message: 'no longer wanted' })
    await waitFor(() => closed)
    assert.match(t.requests[0] ?? '', /^\/api\/v0\/pin\/add\?/)
  })

  it('go over one connection as long as one is enough', async () => {
    await using t = await setUp((_request, response) => void response.end('{"Pins":[]}\n'))
    for (let i = 0; i < 5; i++) await t.connector.unpin(cid)
    assert.deepEqual([t.requests.length, t.sockets.size], [5, 1])
  })

  it('ask for many pins in one piece, each with its own answer', async () => {
    const pins = ['a', 'b', 'c', 'd'].map(text => newPin(rawBlock(text).cid))
    const [a, b, c] = pins.map(pin => pin.cid.toString())
    await using t = await setUp((request, response) => {
      const url = request.url ?? ''
      if (url.includes(`${a}`)) return void response.end(`{"Cid":"${a}","Type":"recursive"}\n`)
      if (url.includes(`${b}`)) return void response.end(`{"Cid":"${b}","Type":"direct"}\n`)
      if (url.includes(`${c}`)) return void notPinned(response)
      response.writeHead(500).end('{"Message":"disk on fire"}')
    })
    assert.deepEqual(await t.connector.arePinned?.(pins), [true, false, false, undefined])
    assert.deepEqual([t.requests.length, t.sockets.size], [4, 1])
  })

  it('ask with one question for pins that are thought to be there, and for each when one is not', async () => {
    const pins = ['a', 'b', 'c'].map(text => newPin(rawBlock(text).cid))
    const texts = pins.map(pin => pin.cid.toString())
    const there = new Set(texts)
    await using t = await setUp((request, response) => {
      const asked = new URL(request.url ?? '', 'http://daemon').searchParams.getAll('arg')
      if (!asked.every(text => there.has(text))) return void notPinned(response)
      const keys = Object.fromEntries(asked.map(text => [text, { Type: 'recursive' }]))
      const one = { Cid: asked[0], Type: 'recursive' }
      response.end(`${JSON.stringify(asked.length > 1 ? { Keys: keys } : one)}\n`)
    })
    assert.deepEqual(await t.connector.arePinned?.(pins, { areLikely: true }), [true, true, true])
    assert.equal(t.requests.length, 1)
    there.delete(texts[1] as string)
    assert.deepEqual(await t.connector.arePinned?.(pins, { areLikely: true }), [true, false, true])
    assert.equal(t.requests.length, 1 + 1 + 3)
    const many = Array.from({ length: 200 }, (_, i) => newPin(rawBlock(`${i}`).cid))
    for (const { cid } of many) there.add(cid.toString())
    assert.ok(
      (await t.connector.arePinned?.(many, { areLikely: true }))?.every(isPinned => isPinned === true),
    )
    assert.equal(t.requests.length, 1 + 1 + 3 + 200, 'a question must not be longer than servers take')
  })

  it('fail when the daemon is gone in the middle, and say so', async () => {
    await using t = await setUp((request, response) => {
      response.write('{"Progress":1}\n', () => request.socket.destroy())
    })
    await assert.rejects(t.connector.pin(newPin(cid), { isAbsent: true }), (error: { data?: unknown }) => {
      assert.ok(error.data !== null && typeof error.data === 'object' && 'broken' in error.data)
      return true
    })
  })

  it('say what is wrong with an answer that is no HTTP', async () => {
    await using t = await setUp((request, _response) => void request.socket.end('hello there\r\n\r\n'))
    await assert.rejects(t.connector.unpin(cid), /not an HTTP answer/)
  })
})
