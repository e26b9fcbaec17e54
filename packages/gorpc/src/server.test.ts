import { concatBytes, fromHex, systemClock, toHex } from '@ipfs-cluster/base'
import type { Stream } from '@libp2p/interface'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { EMPTY, encodeObject } from './codec.ts'
import { ObjectReader } from './object-reader.ts'
import { FRAME, FrameWriter } from './mux-frame.ts'
import { MUX_PROTOCOL, response, RPC_PROTOCOL, serviceId } from './protocol.ts'
import {
  HANG,
  OPEN,
  STUBBORN,
  SUM,
  createPair,
  handlers,
  fails,
  collect,
  drain,
  header,
  errorBytes,
} from './test-service.ts'

test('server: the bytes of replies and refusals, whether the client half-closes or not', async () => {
  await using pair = await createPair()
  const exchange = async (request: Uint8Array, end: boolean) => {
    const stream = await pair.rawStream()
    const reply = drain(stream)
    stream.send(request)
    if (end) await stream.close()
    const bytes = await reply
    await stream.close()
    return bytes
  }
  const ask = (method: string, arg: string, end = true) =>
    exchange(concatBytes([header(method), fromHex(arg)]), end)
  const echoed = `${toHex(encodeObject(response, { service: { service: 'Test', method: 'Echo' }, error: '', errorType: 0 }))}81a17305`
  assert.equal(await ask('Echo', '81a17305'), echoed)
  assert.equal(await ask('Echo', '81a17305', false), echoed, 'answered although our side is open')
  assert.equal(await ask('Echo', '81a17305' + toHex(header('Echo')) + '80'), echoed, 'one call a stream')
  assert.equal(
    await ask('Fail', '80'),
    `${errorBytes('Fail', 'crdt consensus component cannot remove peers', 0)}80`,
  )
  assert.equal(await ask('Nope', '80'), `${errorBytes('Nope', "rpc: can't find method Nope", 1)}c0`)
  assert.equal(
    await ask('Closed', ''),
    `${errorBytes('Closed', 'client does not have permissions to call Test.Closed', 3)}c0`,
  )
  assert.equal(await ask('Echo', ''), `${errorBytes('Echo', 'EOF', 1)}c0`)
  assert.match(await ask('Echo', '81a1'), /c0$/)
  assert.equal(
    await ask('Count', '0201'),
    ['00', '01', '00'].map(item => `${errorBytes('Count', '', 0)}${item}`).join(''),
  )
  assert.equal(await ask('Count', ''), '')
  assert.equal(
    await ask('Broken', ''),
    `${errorBytes('Broken', '', 0)}01${errorBytes('Broken', '', 0)}02${errorBytes('Broken', 'no more', 0)}c0`,
  )
  assert.match(
    await ask('Sum', '01a161'),
    new RegExp(`^${errorBytes('Sum', '', 0)}0182.*c0$`),
    'undecodable second argument',
  )
  assert.match(await ask('Sum', '01d2'), /c0$/, 'truncated argument')
  assert.equal(await exchange(new Uint8Array(0), true), '')
  assert.match(await exchange(header('Echo').subarray(0, 9), true), /^82a54572726f72.*c0$/)
  assert.match(await exchange(fromHex('c1'), true), /^82a54572726f72.*c0$/)
})

test('server: requests in single bytes', async () => {
  await using pair = await createPair()
  const stream = await pair.rawStream()
  const reply = drain(stream)
  for (const byte of concatBytes([header('Echo'), fromHex('81a173d10100')])) {
    stream.send(Uint8Array.of(byte))
    await systemClock.sleep(0)
  }
  assert.match(await reply, /81a173d10100$/)
  await stream.close()
})

test('server: at most so many calls of one peer at once', async () => {
  await using pair = await createPair({ maxCallsPerPeer: 2 })
  const { client, serverId } = pair
  const controller = new AbortController()
  const { signal } = controller
  const hanging = [
    client.call(serverId, HANG, EMPTY, { signal }),
    client.call(serverId, HANG, EMPTY, { signal }),
  ]
  await pair.seen.entered.promise
  await assert.rejects(client.call(serverId, HANG, EMPTY), fails('RPC_UNREACHABLE', /reset/))
  controller.abort(new Error('enough'))
  for (const call of hanging) await assert.rejects(call, /enough/)
  await pair.seen.cancelled.promise
  while ((await client.call(serverId, OPEN, new Uint8Array(2)).catch(() => 0)) !== 2)
    await systemClock.sleep(5)
})

for (const protocol of [RPC_PROTOCOL, MUX_PROTOCOL])
  test(`server: stopping resets its calls and waits for them, ${protocol}`, async () => {
    await using pair = await createPair({ protocol })
    const calling = pair.client.call(pair.serverId, HANG, EMPTY)
    const failure = assert.rejects(calling, fails('RPC_UNREACHABLE', /reset/))
    await pair.seen.entered.promise
    await pair.server[Symbol.asyncDispose]()
    await pair.seen.cancelled.promise
    await failure
    await assert.rejects(
      pair.client.call(pair.serverId, OPEN, new Uint8Array(1)),
      fails('RPC_UNREACHABLE', /reset/),
    )
  })

test('a request that is there, with its end, before anybody listens', async () => {
  await using pair = await createPair()
  const handed = Promise.withResolvers<Stream>()
  await pair.answerWith(stream => handed.resolve(stream))
  const replies = collect(pair.client.stream(pair.serverId, SUM, [1, 2]))
  const stream = await handed.promise
  while (stream.remoteWriteStatus !== 'closed') await systemClock.sleep(1)
  assert.ok(stream.readBufferLength > 0)
  await pair.server.handleStream(stream, 'somebody')
  assert.deepEqual(await replies, [1, 3])

  const bare = Promise.withResolvers<Stream>()
  await pair.answerWith(stream => bare.resolve(stream))
  await (await pair.rawStream()).close()
  const ended = await bare.promise
  while (ended.remoteWriteStatus !== 'closed') await systemClock.sleep(1)
  assert.equal(await new ObjectReader(ended).next(100), undefined)
  await ended.close()
})

test('mux: requests that are there, with the end, before anybody listens', async () => {
  await using pair = await createPair()
  const handed = Promise.withResolvers<Stream>()
  await pair.answerWith(stream => handed.resolve(stream), MUX_PROTOCOL)
  const near = await pair.rawStream(MUX_PROTOCOL)
  const answers = drain(near)
  const writer = new FrameWriter()
  for (const id of [1, 2]) {
    writer.add(FRAME.request, id, concatBytes([header('Open'), fromHex('a2'), new Uint8Array(2)]), false)
  }
  near.send(writer.take())
  await near.close()
  const stream = await handed.promise
  while (stream.remoteWriteStatus !== 'closed') await systemClock.sleep(1)
  await pair.server.handleMux(stream, 'somebody')
  assert.equal(await answers, ['03', '01', '01', '02', '03', '01', '02', '02'].join(''))

  const empty = Promise.withResolvers<Stream>()
  await pair.answerWith(stream => empty.resolve(stream), MUX_PROTOCOL)
  await (await pair.rawStream(MUX_PROTOCOL)).close()
  const ended = await empty.promise
  while (ended.remoteWriteStatus !== 'closed') await systemClock.sleep(1)
  await pair.server.handleMux(ended, 'somebody')
})

test('mux: a caller that ends its side still gets its answers', async () => {
  await using pair = await createPair()
  const stream = await pair.rawStream(MUX_PROTOCOL)
  const answers = drain(stream)
  const writer = new FrameWriter()
  writer.add(FRAME.request, 1, concatBytes([header('Stubborn'), fromHex('80')]), false)
  stream.send(writer.take())
  await pair.seen.entered.promise
  await stream.close()
  pair.seen.release.resolve()
  assert.equal(await answers, '03010180')
})

test('server: other methods from one call to the next', async () => {
  await using pair = await createPair({ protocol: MUX_PROTOCOL })
  const { client, serverId, server, seen } = pair
  const under = client.call(serverId, STUBBORN, EMPTY)
  await seen.entered.promise
  server.replaceMethods({ handlers: [], authorize: () => false })
  await assert.rejects(
    client.call(serverId, OPEN, new Uint8Array(1)),
    fails('RPC_PROTOCOL', "rpc: can't find service Test"),
  )
  assert.equal(server.handler('Test.Open'), undefined)
  server.replaceMethods({ handlers: handlers(seen), authorize: () => true })
  assert.equal(await client.call(serverId, OPEN, new Uint8Array(1)), 1)
  seen.release.resolve()
  assert.deepEqual(await under, EMPTY, 'calls being served go on')
  assert.equal(pair.opened.length, 1)
})

test('golden vectors of requests and responses', () => {
  const cluster = { service: 'Cluster', method: 'ID' }
  const id = '82a44e616d65a7436c7573746572a64d6574686f64a24944'
  assert.equal(toHex(encodeObject(serviceId, cluster)), id)
  const respond = (error: string, errorType: number) =>
    toHex(encodeObject(response, { service: cluster, error, errorType }))
  assert.equal(respond('', 0), `81a753657276696365${id}`)
  assert.equal(respond('boom', 3), `83a753657276696365${id}a54572726f72a4626f6f6da74572725479706503`)
})

test('server: random requests disturb nobody', async () => {
  await using pair = await createPair()
  const requests = [header('Echo'), header('Sum'), header('Blocks'), fromHex('82'), fromHex('dfffffffff')]
  const byte = fc.oneof(
    fc.constantFrom(0x81, 0xa1, 0xc4, 0xdb, 0xdd, 0xdf, 0x64),
    fc.integer({ min: 0, max: 255 }),
  )
  const tails = fc.tuple(fc.constantFrom(...requests), fc.array(byte, { maxLength: 30 }), fc.boolean())
  const exchange = async ([request, tail, reset]: [Uint8Array, number[], boolean]) => {
    const stream = await pair.rawStream()
    const replies = drain(stream)
    stream.send(concatBytes([request, Uint8Array.from(tail)]))
    if (reset) stream.abort(new Error('changed my mind'))
    else await stream.close()
    // A reset stream has no replies; the others end, or this hangs.
    await replies.catch(() => undefined)
  }
  for (const round of fc.sample(fc.array(tails, { minLength: 10, maxLength: 10 }), 20)) {
    await Promise.all(round.map(exchange))
  }
  assert.equal(await pair.client.call(pair.serverId, OPEN, new Uint8Array(3)), 3)
})
