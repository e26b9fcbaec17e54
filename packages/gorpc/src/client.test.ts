import { fromHex, systemClock, utf8 } from '@ipfs-cluster/base'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as codec from './codec.ts'
import { EMPTY, encodeObject } from './codec.ts'
import { MUX_PROTOCOL, response, RPC_PROTOCOL } from './protocol.ts'
import { RpcError } from './rpc-error.ts'
import { createTestPair } from './test-hosts.ts'
import type { Codec } from './types.ts'
import {
  type Block,
  ECHO,
  FAIL,
  HANG,
  BAD_REPLY,
  CLOSED,
  UNSERVED,
  OPEN,
  NOT_THERE,
  COUNT,
  SUM,
  BLOCKS,
  ENDLESS,
  EARLY,
  BROKEN,
  handlers,
  createPair,
  fails,
  collect,
  newSeen,
} from './test-service.ts'

// What callers see is the same whether a call has a stream of its own or shares one.
for (const [name, protocol] of [
  ['a stream a call', RPC_PROTOCOL],
  ['one stream for all calls', MUX_PROTOCOL],
] as const) {
  test(`${name}: unary calls: replies, errors and refusals`, async () => {
    await using pair = await createPair({ protocol })
    const { client, serverId } = pair
    const arg = { data: utf8('hello'), size: 3 }
    assert.deepEqual(await client.call(serverId, ECHO, arg), arg)
    assert.deepEqual(pair.seen.peers, [pair.clientId])
    const large = { data: new Uint8Array(4 * 1024 * 1024).fill(7), size: 1 }
    assert.deepEqual(await client.call(serverId, ECHO, large), large)
    const many = await Promise.all(
      Array.from({ length: 100 }, (_, size) => client.call(serverId, ECHO, { ...arg, size })),
    )
    assert.deepEqual(
      many.map(reply => reply.size),
      Array.from({ length: 100 }, (_, size) => size),
    )

    await assert.rejects(
      client.call(serverId, FAIL, EMPTY),
      fails('RPC_REMOTE', 'crdt consensus component cannot remove peers'),
    )
    await assert.rejects(
      client.call(serverId, BAD_REPLY, EMPTY),
      fails('RPC_REMOTE', /not an integer of the wanted range/),
    )
    for (const method of [CLOSED, UNSERVED]) {
      const text = `client does not have permissions to call Test.${method.method}`
      await assert.rejects(client.call(serverId, method, EMPTY), fails('RPC_UNAUTHORIZED', text))
    }
    await assert.rejects(
      client.call(serverId, NOT_THERE, EMPTY),
      fails('RPC_PROTOCOL', "rpc: can't find method NotThere"),
    )
    await assert.rejects(
      client.call(serverId, { ...NOT_THERE, service: 'Nope' }, EMPTY),
      fails('RPC_PROTOCOL', "rpc: can't find service Nope"),
    )
    const wrongArg = { ...ECHO, arg: codec.int as Codec<unknown> as Codec<Block> }
    await assert.rejects(
      client.call(serverId, { ...wrongArg }, 5 as unknown as Block),
      fails('RPC_PROTOCOL', /^msgpack decode error \[pos \d+\]/),
    )
    await assert.rejects(
      client.call(serverId, { ...ECHO, reply: codec.int as Codec<unknown> as Codec<Block> }, arg),
      fails('RPC_PROTOCOL', /Test\.Echo on .*msgpack decode error/),
    )
  })

  test(`${name}: an argument that cannot be written fails before anything is sent`, async () => {
    await using pair = await createPair({ protocol })
    await assert.rejects(
      pair.client.call(
        pair.serverId,
        { ...OPEN, arg: codec.uint as Codec<unknown> as Codec<Uint8Array> },
        -1 as unknown as Uint8Array,
      ),
    )
    assert.deepEqual(await pair.client.call(pair.serverId, OPEN, new Uint8Array(9)), 9)
  })

  test(`${name}: strangers may send only small arguments`, async () => {
    await using pair = await createPair({ protocol })
    assert.equal(await pair.client.call(pair.serverId, OPEN, new Uint8Array(60_000)), 60_000)
    await assert.rejects(
      pair.client.call(pair.serverId, OPEN, new Uint8Array(70_000)),
      fails('RPC_PROTOCOL', /an object of more than 65536 bytes/),
    )
  })

  test(`${name}: too large an object is refused, whichever side sends it`, async () => {
    await using pair = await createPair({ protocol })
    const data = new Uint8Array(9 * 1024 * 1024)
    await assert.rejects(
      pair.client.call(pair.serverId, ECHO, { data, size: 0 }),
      fails('RPC_PROTOCOL', /an object of more than 8388608 bytes/),
    )
    const arg = { data: new Uint8Array(2000), size: 0 }
    await assert.rejects(
      pair.client.call(pair.serverId, { ...ECHO, maxReplyBytes: 1000 }, arg),
      fails('RPC_PROTOCOL', /an object of more than 1000 bytes/),
    )
  })

  test(`${name}: a call that takes too long, is cancelled, or loses its connection`, async () => {
    await using pair = await createPair({ timeoutMs: 50, protocol })
    const { client, serverId, seen } = pair
    await assert.rejects(
      client.call(serverId, HANG, EMPTY),
      fails('RPC_UNREACHABLE', /no answer from .* within 50 ms/),
    )
    assert.match(String(await seen.cancelled.promise), /StreamReset|cancelled/, 'the server hears of it')

    seen.entered = Promise.withResolvers()
    seen.cancelled = Promise.withResolvers()
    const controller = new AbortController()
    const calling = client.call(serverId, { ...HANG, timeoutMs: 60_000 }, EMPTY, {
      signal: controller.signal,
    })
    await seen.entered.promise
    const reason = new Error('not wanted any more')
    controller.abort(reason)
    await assert.rejects(calling, error => error === reason)
    await seen.cancelled.promise
    assert.deepEqual(await client.call(serverId, OPEN, new Uint8Array(1)), 1, 'the connection is still good')

    seen.entered = Promise.withResolvers()
    seen.cancelled = Promise.withResolvers()
    const lost = client.call(serverId, { ...HANG, timeoutMs: 60_000 }, EMPTY)
    await seen.entered.promise
    pair.cut()
    await assert.rejects(lost, fails('RPC_UNREACHABLE', /cut/))
    await seen.cancelled.promise
  })
}

test('streaming calls: arguments and replies flow at the same time', async () => {
  await using pair = await createPair()
  const { client, serverId } = pair
  assert.deepEqual(await collect(client.stream(serverId, COUNT, [3, 2])), [0, 1, 2, 0, 1])
  assert.deepEqual(await collect(client.stream(serverId, COUNT, [])), [])
  assert.equal((await collect(client.stream(serverId, COUNT, [50_000]))).length, 50_000)

  const numbers = new TransformStream<number, number>()
  const writer = numbers.writable.getWriter()
  const sums = client.stream(serverId, SUM, numbers.readable)
  for (let i = 1; i <= 5; i++) {
    const written = writer.write(i)
    assert.deepEqual(await sums.next(), { done: false, value: (i * (i + 1)) / 2 })
    await written
  }
  await writer.close()
  assert.equal((await sums.next()).done, true)
})

test('streaming calls: many megabytes of blocks, and an error in the middle', async () => {
  await using pair = await createPair()
  const { client, serverId, seen } = pair
  const data = new Uint8Array(1024 * 1024)
  const blocks = Array.from({ length: 24 }, () => ({ data, size: 0 }))
  assert.deepEqual(await collect(client.stream(serverId, BLOCKS, blocks)), [])
  assert.equal(seen.bytes, 24 * data.length)
  const withBad = [...blocks, { data: new Uint8Array(1), size: 0 }, ...blocks]
  await assert.rejects(collect(client.stream(serverId, BLOCKS, withBad)), fails('RPC_REMOTE', 'a bad block'))
  const replies: number[] = []
  await assert.rejects(
    async () => {
      for await (const reply of client.stream(serverId, BROKEN, [])) replies.push(reply)
    },
    fails('RPC_REMOTE', 'no more'),
  )
  assert.deepEqual(replies, [1, 2])
})

test('streaming calls: a reader that leaves stops the server, a slow one holds it back', async () => {
  await using pair = await createPair()
  const { client, serverId, seen } = pair
  let read = 0
  for await (const reply of client.stream(serverId, ENDLESS, [])) {
    assert.equal(reply.size, ++read)
    if (read === 5) {
      // Twenty turns around the loopback, in which nobody reads.
      for (let i = 0; i < 20; i++) await client.call(serverId, OPEN, new Uint8Array(1))
    }
    if (read === 1000) break
  }
  await seen.cancelled.promise
  // 64 KiB each: what both windows and buffers may hold ahead of the reader.
  assert.ok(seen.sent < 1000 + 700, `${seen.sent} sent`)
})

test('streaming calls: a server that ends early, arguments that fail, a signal', async () => {
  await using pair = await createPair()
  const { client, serverId, seen } = pair
  const stopped = Promise.withResolvers<void>()
  async function* endless() {
    try {
      for (let i = 0; ; i++) {
        yield i
        await systemClock.sleep(1)
      }
    } finally {
      stopped.resolve()
    }
  }
  assert.deepEqual(await collect(client.stream(serverId, EARLY, endless())), [1])
  await stopped.promise

  const bad = new Error('the disk is gone')
  async function* failing() {
    yield 1
    throw bad
  }
  await assert.rejects(collect(client.stream(serverId, SUM, failing())), error => error === bad)

  const controller = new AbortController()
  const reason = new Error('enough')
  const replies = client.stream(serverId, ENDLESS, [], { signal: controller.signal })
  await replies.next()
  controller.abort(reason)
  await assert.rejects(collect(replies), error => error === reason)
  await seen.cancelled.promise
  await assert.rejects(
    collect(client.stream(serverId, ENDLESS, [], { signal: controller.signal })),
    error => error === reason,
  )
})

test('client: misbehaving servers', async () => {
  await using pair = await createPair({ timeoutMs: 100 })
  const { client, serverId } = pair
  const ok = (method: string) =>
    encodeObject(response, { service: { service: 'Test', method }, error: '', errorType: 0 })
  const answering = async (...parts: Uint8Array[]) => {
    await pair.answerWith(stream => {
      for (const part of parts) stream.send(part)
      void stream.close()
    })
  }
  await answering()
  await assert.rejects(
    client.call(serverId, OPEN, new Uint8Array(1)),
    fails('RPC_PROTOCOL', /gave no answer/),
  )
  await answering(ok('Open'))
  await assert.rejects(
    client.call(serverId, OPEN, new Uint8Array(1)),
    fails('RPC_PROTOCOL', /ended before its reply/),
  )
  await answering(ok('Open'), fromHex('d1'))
  await assert.rejects(
    client.call(serverId, OPEN, new Uint8Array(1)),
    fails('RPC_PROTOCOL', /ended inside an object/),
  )
  await answering(
    encodeObject(response, { service: { service: '', method: '' }, error: 'nope', errorType: 0 }),
  )
  await assert.rejects(client.call(serverId, OPEN, new Uint8Array(1)), fails('RPC_REMOTE', 'nope'))
  await answering(
    fromHex('83 a753657276696365c0 a3666f6f01 a54572726f72a0'.replaceAll(' ', '')),
    fromHex('07'),
  )
  assert.equal(await client.call(serverId, OPEN, new Uint8Array(1)), 7, 'another form of the same response')
  await answering(ok('Count'), fromHex('07'), ok('Count'), fromHex('d1'))
  await assert.rejects(
    collect(client.stream(serverId, COUNT, [])),
    fails('RPC_PROTOCOL', /ended inside an object/),
  )
  await answering(ok('Count'), fromHex('07'), ok('Count'))
  await assert.rejects(
    collect(client.stream(serverId, COUNT, [])),
    fails('RPC_PROTOCOL', /ended before its reply/),
  )
  await answering(utf8('HTTP/1.1 400 Bad Request\r\n\r\n'))
  await assert.rejects(
    collect(client.stream(serverId, COUNT, [])),
    fails('RPC_PROTOCOL', /msgpack decode error/),
  )
  await pair.answerWith(stream => stream.abort(new Error('no')))
  await assert.rejects(client.call(serverId, OPEN, new Uint8Array(1)), fails('RPC_UNREACHABLE', /reset/))
  await pair.answerWith(() => undefined)
  await assert.rejects(client.call(serverId, OPEN, new Uint8Array(1)), fails('RPC_UNREACHABLE', /no answer/))
})

test('client: a reply counts although a reset came right behind it', async () => {
  await using pair = await createPair()
  await pair.answerWith(stream => {
    stream.addEventListener('message', () => {
      if (stream.status !== 'open') return
      stream.send(encodeObject(response, { service: OPEN, error: '', errorType: 0 }))
      stream.send(fromHex('07'))
      stream.abort(new Error('in the same turn'))
    })
  })
  assert.equal(await pair.client.call(pair.serverId, OPEN, new Uint8Array(1)), 7)
})

test('client: a connection lost between two replies is no end', async () => {
  await using pair = await createPair({ withWire: true })
  await pair.answerWith(stream => {
    stream.send(encodeObject(response, { service: COUNT, error: '', errorType: 0 }))
    stream.send(fromHex('07'))
  })
  const replies = pair.client.stream(pair.serverId, COUNT, [])
  assert.deepEqual(await replies.next(), { done: false, value: 7 })
  pair.cutWire()
  await assert.rejects(replies.next(), fails('RPC_UNREACHABLE', /Test\.Count on .*: the connection was lost/))
})

test('client: calls to ourselves go straight to the handler', async () => {
  const seen = newSeen()
  const own = new Map(handlers(seen).map(handler => [`Test.${handler.method.method}`, handler]))
  await using pair = await createTestPair(
    { handlers: [] },
    { selfId: 'me', localHandler: name => own.get(name) },
  )
  const { client } = pair
  const arg = { data: utf8('x'), size: 1 }
  assert.equal(await client.call('me', ECHO, arg), arg, 'the same object: no codec in between')
  assert.equal(await client.call('', ECHO, arg), arg)
  assert.deepEqual(seen.peers, ['me', 'me'])
  assert.deepEqual(await client.call('me', CLOSED, EMPTY), EMPTY)
  await assert.rejects(client.call('me', FAIL, EMPTY), error => !(error instanceof RpcError))
  await assert.rejects(
    client.call('me', NOT_THERE, EMPTY),
    fails('RPC_PROTOCOL', "rpc: can't find method Test.NotThere"),
  )
  assert.deepEqual(await collect(client.stream('me', COUNT, [2])), [0, 1])
  const controller = new AbortController()
  const calling = client.call('me', HANG, EMPTY, { signal: controller.signal })
  await seen.entered.promise
  controller.abort(new Error('enough'))
  await assert.rejects(calling, /enough/)
})
