import { concatBytes, utf8 } from '@ipfs-cluster/base'
import type { Stream } from '@libp2p/interface'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EMPTY, encodeObject, int } from './codec.ts'
import { REQUEST_TIMEOUT_MS } from './limits.ts'
import { FRAME, FrameReader, FrameWriter, MAX_CHUNK_BYTES, type Frame, type FrameType } from './mux-frame.ts'
import { MUX_PROTOCOL, response, RPC_PROTOCOL } from './protocol.ts'
import { COUNT, ECHO, HANG, LARGE, OPEN, collect, createPair, fails, hasty, until } from './test-service.ts'

const MIB = 1024 * 1024
const ONE = new Uint8Array(1)
const options = { protocol: MUX_PROTOCOL }
const protocolsOf = (streams: readonly Stream[]) => streams.map(({ protocol }) => protocol)

function frame(type: FrameType, id: number, payload: Uint8Array, more = false): Uint8Array {
  const writer = new FrameWriter()
  writer.add(type, id, payload, more)
  return writer.take()
}

function onFrames(stream: Stream, onFrame: (frame: Frame) => void): void {
  const reader = new FrameReader()
  stream.addEventListener('message', ({ data }) => reader.push(data.subarray(), onFrame))
}

test('all calls share one stream, and those of one turn one message', async () => {
  await using pair = await createPair(options)
  const { client, serverId } = pair
  await Promise.all(Array.from({ length: 100 }, () => client.call(serverId, OPEN, ONE)))
  assert.deepEqual(protocolsOf(pair.opened), [MUX_PROTOCOL], 'concurrent first calls share one opening')
  const [stream] = pair.opened as [Stream]
  let messages = 0
  const send = stream.send.bind(stream)
  stream.send = data => {
    messages++
    return send(data)
  }
  await Promise.all(Array.from({ length: 100 }, () => client.call(serverId, OPEN, ONE)))
  assert.equal(messages, 1)
  assert.equal(pair.opened.length, 1)
  assert.deepEqual(pair.calls(), { in: { mux: 200 }, out: { mux: 200 } })
})

test('streaming calls and calls with large replies have streams of their own', async () => {
  await using pair = await createPair(options)
  const { client, serverId } = pair
  const large = { ...LARGE, maxReplyBytes: 20 * MIB }
  assert.equal((await client.call(serverId, large, 9 * MIB)).length, 9 * MIB)
  assert.deepEqual(await collect(client.stream(serverId, COUNT, [2])), [0, 1])
  assert.deepEqual(protocolsOf(pair.opened), [RPC_PROTOCOL, RPC_PROTOCOL])
  assert.deepEqual(pair.calls(), { in: { stream: 2 }, out: { stream: 2 } })
})

test('a peer that does not speak the protocol refuses it once, and no call is lost or slower for it', async () => {
  await using pair = await createPair(options)
  const { client, serverId } = pair
  await pair.refuse(MUX_PROTOCOL)
  await Promise.all(Array.from({ length: 20 }, () => client.call(serverId, OPEN, ONE)))
  assert.equal(pair.opened.length, 20, 'the stream of the attempt served one of the calls')
  await client.call(serverId, OPEN, ONE)
  assert.deepEqual(new Set(protocolsOf(pair.opened)), new Set([RPC_PROTOCOL]))
  assert.deepEqual(pair.calls(), { in: { stream: 21 }, out: { stream: 21 } })
})

test('an opening that is shared goes on while anybody waits for it', async () => {
  await using pair = await createPair(options)
  const { client, serverId } = pair
  const [first, second] = [new AbortController(), new AbortController()]
  const left = client.call(serverId, OPEN, ONE, { signal: first.signal })
  const stays = client.call(serverId, OPEN, ONE)
  const reason = new Error('changed my mind')
  first.abort(reason)
  await assert.rejects(left, error => error === reason)
  assert.equal(await stays, 1)
  assert.equal(pair.opened.length, 1)

  const other = await createPair(options)
  await using _ = other
  const alone = other.client.call(other.serverId, OPEN, ONE, { signal: second.signal })
  second.abort(reason)
  // In the same turn: an attempt that everybody has left is not joined.
  const next = other.client.call(other.serverId, OPEN, ONE)
  await assert.rejects(alone, error => error === reason)
  assert.equal(await next, 1)
})

test('a small reply does not wait for a large one', async () => {
  await using pair = await createPair(options)
  const { client, serverId } = pair
  const order: string[] = []
  const noted = async (name: string, call: Promise<unknown>) => {
    await call
    order.push(name)
  }
  const large = { data: new Uint8Array(7 * MIB).fill(1), size: 1 }
  const echo = client.call(serverId, ECHO, large)
  await Promise.all([
    noted('large', echo),
    noted('large', client.call(serverId, LARGE, 8 * MIB - 16)),
    noted('small', client.call(serverId, OPEN, ONE)),
    noted('small', client.call(serverId, OPEN, ONE)),
  ])
  assert.deepEqual(order, ['small', 'small', 'large', 'large'])
  assert.deepEqual(await echo, large)
})

test('a stream that ends fails its calls, and the next call opens another; no call is made twice', async () => {
  await using pair = await createPair(options)
  const { client, serverId, seen } = pair
  const hanging = client.call(serverId, HANG, EMPTY)
  await seen.entered.promise
  pair.opened[0]?.abort(new Error('reset on purpose'))
  await assert.rejects(hanging, fails('RPC_UNREACHABLE', /Test\.Hang on .*: reset on purpose/))
  await seen.cancelled.promise
  const echo = { data: utf8('x'), size: 1 }
  assert.deepEqual(await client.call(serverId, ECHO, echo), echo)
  assert.deepEqual(protocolsOf(pair.opened), [MUX_PROTOCOL, MUX_PROTOCOL])
  assert.equal(seen.peers.length, 1)
  assert.deepEqual(pair.calls().in, { mux: 2 })
})

test('a stream that fails while sending fails its calls, and nothing else', async () => {
  await using pair = await createPair(options)
  const { client, serverId } = pair
  await client.call(serverId, OPEN, ONE)
  const [stream] = pair.opened as [Stream]
  stream.send = () => {
    throw new Error('no way out')
  }
  await assert.rejects(client.call(serverId, OPEN, ONE), fails('RPC_UNREACHABLE', /no way out/))
  assert.equal(await client.call(serverId, OPEN, ONE), 1)
})

test('misbehaving servers', async () => {
  await using pair = await createPair(options)
  const { client, serverId } = pair
  const behaving = async (handler: (stream: Stream) => void) => {
    await pair.answerWith(handler, MUX_PROTOCOL)
    // The stream of the server before.
    pair.opened.at(-1)?.abort(new Error('next'))
  }
  const answering = (...parts: Uint8Array[]) =>
    behaving(stream => onFrames(stream, () => stream.send(concatBytes(parts))))
  const ask = () => client.call(serverId, OPEN, ONE)
  await answering(frame(FRAME.reply, 1, encodeObject(int, 7)))
  assert.equal(await ask(), 7)
  await answering(frame(FRAME.reply, 2, encodeObject(int, 7)))
  await assert.rejects(ask(), fails('RPC_PROTOCOL', /a call that was never made/))
  await answering(frame(FRAME.request, 1, encodeObject(int, 7)))
  await assert.rejects(ask(), fails('RPC_PROTOCOL', /a call that was never made/))
  await answering(frame(FRAME.reply, 1, new Uint8Array(0)))
  await assert.rejects(ask(), fails('RPC_PROTOCOL', /unexpected end of input/))
  await answering(frame(FRAME.error, 1, utf8('no response')))
  await assert.rejects(ask(), fails('RPC_PROTOCOL', /msgpack decode error/))
  await answering(
    frame(FRAME.error, 1, encodeObject(response, { service: OPEN, error: 'nope', errorType: 0 })),
  )
  await assert.rejects(ask(), fails('RPC_REMOTE', 'nope'))
  await answering(frame(FRAME.cancel, 1, new Uint8Array(0)))
  await assert.rejects(ask(), fails('RPC_UNREACHABLE', /reset by the peer/))
  await answering(utf8('HTTP/1.1 400 Bad Request\r\n'.repeat(4)))
  await assert.rejects(ask(), fails('RPC_PROTOCOL', /a frame of type 84/))
  const piece = frame(FRAME.reply, 1, new Uint8Array(MAX_CHUNK_BYTES), true)
  await answering(...Array.from({ length: 129 }, () => piece))
  await assert.rejects(ask(), fails('RPC_PROTOCOL', /an object of more than 8388608 bytes/))
  await behaving(stream => void stream.close())
  await assert.rejects(ask(), fails('RPC_UNREACHABLE', /the peer ended the stream/))
  await behaving(stream => stream.abort(new Error('no')))
  await assert.rejects(ask(), fails('RPC_UNREACHABLE', /reset/))
  assert.deepEqual(pair.refusedByClient(), { malformed: 5, too_large: 1 })
})

test('a server that stops within a frame', async () => {
  await using pair = await createPair({ ...options, clock: hasty(REQUEST_TIMEOUT_MS) })
  const piece = frame(FRAME.reply, 1, new Uint8Array(1000))
  await pair.answerWith(stream => onFrames(stream, () => stream.send(piece.subarray(0, 500))), MUX_PROTOCOL)
  await assert.rejects(
    pair.client.call(pair.serverId, OPEN, ONE),
    fails('RPC_UNREACHABLE', /a frame was not whole/),
  )
  assert.deepEqual(pair.refusedByClient(), { slow_request: 1 })
})

test('a stream of which nothing comes is not used again once a deadline has passed', async () => {
  await using pair = await createPair({ ...options, timeoutMs: 50 })
  const { client, serverId } = pair
  await pair.answerWith(() => undefined, MUX_PROTOCOL)
  const patient = client.call(serverId, { ...OPEN, timeoutMs: 300 }, ONE)
  await assert.rejects(client.call(serverId, OPEN, ONE), fails('RPC_UNREACHABLE', /no answer from/))
  await assert.rejects(client.call(serverId, OPEN, ONE), fails('RPC_UNREACHABLE', /no answer from/))
  assert.equal(pair.opened.length, 2)
  assert.equal(pair.opened[0]?.status, 'open', 'as long as a call waits on it')
  await assert.rejects(patient, fails('RPC_UNREACHABLE', /no answer from/))
  await until(() => pair.opened[0]?.writeStatus === 'closed')
})

test('a server that refuses before it has read all is not sent the rest', async () => {
  await using pair = await createPair(options)
  const { client, serverId } = pair
  const cancelled = Promise.withResolvers<void>()
  let received = 0
  await pair.answerWith(stream => {
    onFrames(stream, ({ type, id, payload }) => {
      received += payload.length
      if (type === FRAME.cancel) return cancelled.resolve()
      stream.send(
        frame(FRAME.error, id, encodeObject(response, { service: ECHO, error: 'enough', errorType: 0 })),
      )
    })
  }, MUX_PROTOCOL)
  const data = new Uint8Array(8 * MIB)
  await assert.rejects(client.call(serverId, ECHO, { data, size: 0 }), fails('RPC_REMOTE', 'enough'))
  await cancelled.promise
  assert.ok(received < 4 * MIB, `${received} bytes`)
})

test('disposing fails what is under way, closes the streams, and may be done twice', async () => {
  await using pair = await createPair(options)
  const { client, serverId, seen } = pair
  const failed = assert.rejects(client.call(serverId, HANG, EMPTY), fails('RPC_UNREACHABLE', /stopping/))
  await seen.entered.promise
  await Promise.all([client[Symbol.asyncDispose](), client[Symbol.asyncDispose]()])
  await failed
  await seen.cancelled.promise
  assert.equal(pair.opened[0]?.status, 'aborted')
  await assert.rejects(client.call(serverId, OPEN, ONE), fails('RPC_UNREACHABLE', /stopping/))

  await using other = await createPair(options)
  const opening = assert.rejects(
    other.client.call(other.serverId, OPEN, ONE),
    fails('RPC_UNREACHABLE', /stopping/),
  )
  await other.client[Symbol.asyncDispose]()
  await opening
})
