import { utf8, type TraceHeaders } from '@ipfs-cluster/base'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as codec from './codec.ts'
import { encodeObject } from './codec.ts'
import { streamingHandler, unaryHandler } from './handler.ts'
import { MsgpackReader } from './msgpack-reader.ts'
import { MsgpackWriter } from './msgpack-writer.ts'
import { encodeOpening, MUX_PROTOCOL, opening, RPC_PROTOCOL, serviceId, traceOf } from './protocol.ts'
import { createTestPair } from './test-hosts.ts'
import { collect, drain } from './test-service.ts'
import type { StreamingMethod, UnaryMethod } from './types.ts'

const ID = { service: 'Test', method: 'Take' }
const TAKE: UnaryMethod<Uint8Array, number> = {
  ...ID,
  kind: 'unary',
  policy: 'trusted',
  arg: codec.bytes,
  reply: codec.int,
}
const FLOW: StreamingMethod<number, number> = {
  service: 'Test',
  method: 'Flow',
  kind: 'streaming',
  policy: 'trusted',
  arg: codec.int,
  reply: codec.int,
}
const TRACE = { traceparent: `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`, tracestate: `x=${'y'.repeat(255)}` }

async function createPair(protocol: string, trace: () => TraceHeaders | undefined) {
  const seen: (TraceHeaders | undefined)[] = []
  const handlers = [
    unaryHandler(TAKE, async (data, { trace }) => {
      seen.push(trace)
      return data.length
    }),
    streamingHandler(FLOW, async function* (items, { trace }) {
      seen.push(trace)
      yield* items
    }),
  ]
  return { seen, pair: await createTestPair({ handlers }, { trace }, { protocol }) }
}

test('peers of our own kind are told of the trace, in small calls, large ones and streams', async () => {
  let current: TraceHeaders | undefined = TRACE
  const { seen, pair } = await createPair(MUX_PROTOCOL, () => current)
  await using _ = pair
  const { client, serverId } = pair
  // The first call of all may be a stream: then nothing is known of the peer yet.
  assert.deepEqual(await collect(client.stream(serverId, FLOW, [1])), [1])
  assert.equal(await client.call(serverId, TAKE, utf8('x')), 1)
  assert.equal(await client.call(serverId, TAKE, new Uint8Array(300_000)), 300_000)
  assert.deepEqual(await collect(client.stream(serverId, FLOW, [1, 2])), [1, 2])
  current = { traceparent: TRACE.traceparent }
  assert.equal(await client.call(serverId, TAKE, utf8('x')), 1)
  current = undefined
  assert.equal(await client.call(serverId, TAKE, utf8('x')), 1)
  assert.deepEqual(seen, [undefined, TRACE, TRACE, TRACE, { traceparent: TRACE.traceparent }, undefined])
})

test('peers that may be of the Go kind are told nothing', async () => {
  const { seen, pair } = await createPair(MUX_PROTOCOL, () => TRACE)
  await using _ = pair
  await pair.refuse(MUX_PROTOCOL)
  await pair.client.call(pair.serverId, TAKE, utf8('x'))
  await collect(pair.client.stream(pair.serverId, FLOW, [1]))
  assert.deepEqual(seen, [undefined, undefined])
})

test('who knows nothing of traces passes over them', () => {
  const writer = new MsgpackWriter()
  encodeOpening(writer, TAKE, TRACE)
  const bytes = writer.take()
  assert.deepEqual(serviceId.decode(new MsgpackReader(bytes)), ID)
  const opened = opening.decode(new MsgpackReader(bytes))
  assert.deepEqual([opened.service, opened.method, traceOf(opened)], ['Test', 'Take', TRACE])
  encodeOpening(writer, TAKE)
  assert.deepEqual(writer.take(), encodeObject(serviceId, TAKE), 'without a trace, the bytes of Go')
})

test('a trace may be anything: it is not looked at, but no more than an opening may be', async () => {
  const { seen, pair } = await createPair(RPC_PROTOCOL, () => undefined)
  await using _ = pair
  const ask = async (trace: TraceHeaders) => {
    const stream = await pair.rawStream()
    const writer = new MsgpackWriter()
    encodeOpening(writer, TAKE, trace)
    TAKE.arg.encode(writer, utf8('x'))
    stream.send(writer.take())
    return await drain(stream)
  }
  await ask({ traceparent: 'nonsense' })
  assert.deepEqual(seen, [{ traceparent: 'nonsense' }])
  assert.match(
    Buffer.from(await ask({ traceparent: 'x'.repeat(2000) }), 'hex').toString(),
    /error reading service ID/,
  )
  assert.equal(seen.length, 1)
})
