/** Callers that mean no good, or do not keep to the protocol: each limit is there, counted, and harms nobody else. */
import { concatBytes, fromHex, systemClock } from '@ipfs-cluster/base'
import type { Stream } from '@libp2p/interface'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as fc from 'fast-check'
import * as codec from './codec.ts'
import { EMPTY, encodeObject } from './codec.ts'
import { REPLY_STALL_MS, REQUEST_TIMEOUT_MS } from './limits.ts'
import { FRAME, FrameReader, FrameWriter, MAX_CHUNK_BYTES, type Frame, type FrameType } from './mux-frame.ts'
import { MUX_PROTOCOL, response, RPC_PROTOCOL } from './protocol.ts'
import { ECHO, OPEN, HANG, createPair, drain, fails, hasty, header, until } from './test-service.ts'

const MIB = 1024 * 1024
const ONE = new Uint8Array(1)
type Pair = Awaited<ReturnType<typeof createPair>>

function frameOf(type: FrameType, id: number, payload: Uint8Array, more = false): Uint8Array {
  const writer = new FrameWriter()
  writer.add(type, id, payload, more)
  return writer.take()
}

/** Speaks the protocol by hand. */
class Caller {
  readonly stream: Stream
  readonly answers: Frame[] = []

  constructor(stream: Stream) {
    this.stream = stream
    const reader = new FrameReader()
    stream.addEventListener('message', ({ data }) =>
      reader.push(new Uint8Array(data.subarray()), frame => this.answers.push(frame)),
    )
  }

  static async on(pair: Pair): Promise<Caller> {
    return new Caller(await pair.rawStream(MUX_PROTOCOL))
  }

  send(type: FrameType, id: number, payload: Uint8Array = new Uint8Array(0), more = false): this {
    this.stream.send(frameOf(type, id, payload, more))
    return this
  }

  request(id: number, method: string, arg: Uint8Array, more = false): this {
    return this.send(FRAME.request, id, concatBytes([header(method), arg]), more)
  }

  /** The text of the error that came for this call. */
  async error(id: number): Promise<string> {
    await until(() => this.answers.some(answer => answer.id === id))
    const { type, payload } = this.answers.find(answer => answer.id === id) as Frame
    assert.equal(type, FRAME.error)
    return codec.decodeObject(response, payload).error
  }

  async wasReset(): Promise<void> {
    await until(() => this.stream.status !== 'open')
    assert.equal(this.stream.status, 'reset')
  }
}

async function stillServes(pair: Pair): Promise<void> {
  assert.equal(await pair.client.call(pair.serverId, OPEN, ONE), 1)
}

const mux = { protocol: MUX_PROTOCOL }
const empty = fromHex('80')

test('mux: what is no protocol resets the stream', async () => {
  await using pair = await createPair(mux)
  const abuse = async (reason: string, act: (caller: Caller) => unknown) => {
    const before = pair.refused()[reason] ?? 0
    const caller = await Caller.on(pair)
    act(caller)
    await caller.wasReset()
    assert.equal(pair.refused()[reason], before + 1, reason)
  }
  await abuse('malformed', caller => caller.send(FRAME.reply, 1, empty))
  await abuse('malformed', caller => caller.send(FRAME.error, 1, empty))
  await abuse('malformed', caller => caller.request(5, 'Hang', empty).request(5, 'Hang', empty))
  await abuse('malformed', caller => caller.request(5, 'Hang', empty).request(4, 'Hang', empty))
  await abuse('malformed', caller => caller.stream.send(fromHex('00')))
  await abuse('too_large', caller => caller.stream.send(fromHex('ffffff7f')))
  await stillServes(pair)
})

test('mux: what is wrong with one call fails that call', async () => {
  await using pair = await createPair(mux)
  const caller = await Caller.on(pair)
  const ask = async (id: number, payload: Uint8Array) =>
    await caller.send(FRAME.request, id, payload).error(id)
  assert.match(await ask(1, new Uint8Array(0)), /^error reading service ID: .*unexpected end of input/)
  assert.match(await ask(2, fromHex('c1')), /^error reading service ID: .*0xc1/)
  const longName = encodeObject(codec.map(codec.string), { Name: 'x'.repeat(2000), Method: 'y' })
  assert.match(await ask(3, longName), /^error reading service ID: .*more than 1024 bytes/)
  assert.equal(await ask(4, header('Echo')), 'EOF')
  assert.match(await ask(5, concatBytes([header('Echo'), fromHex('81a1')])), /unexpected end of input/)
  assert.match(await ask(6, concatBytes([header('Echo'), fromHex('07')])), /want map/)
  assert.equal(
    await ask(7, concatBytes([header('Count'), fromHex('07')])),
    'rpc: Test.Count needs a stream of its own',
  )
  assert.match(await ask(8, concatBytes([header('Closed'), empty])), /does not have permissions/)
  assert.match(await ask(9, concatBytes([header('Nope'), empty])), /can't find method Nope/)
  // Announcing 2^32 elements, in either kind of container, and bytes that never come.
  for (const [id, head] of [
    [10, 'ddffffffff'],
    [11, 'dfffffffff'],
    [12, 'dbffffffff'],
  ] as const) {
    assert.match(await ask(id, concatBytes([header('Echo'), fromHex(head)])), /an object of more than/)
  }
  assert.deepEqual(pair.refused(), { malformed: 6, too_large: 4, unauthorized: 1, unknown_method: 1 })
  assert.equal(caller.stream.status, 'open')
  await stillServes(pair)
})

test('mux: nothing is kept of a large request that is not allowed', async () => {
  await using pair = await createPair(mux)
  const caller = await Caller.on(pair)
  const piece = new Uint8Array(MAX_CHUNK_BYTES)
  caller.request(1, 'Closed', fromHex('81a164dbffffffff'), true)
  assert.match(await caller.error(1), /does not have permissions/)
  // Refused by what its first bytes announce: 9 MiB for anybody, 128 KiB where strangers may call.
  caller.request(2, 'Echo', fromHex('81a164db00900000'), true)
  assert.match(await caller.error(2), /more than 8388608 bytes/)
  caller.request(3, 'Open', fromHex('db00020000'), true)
  assert.match(await caller.error(3), /more than 65536 bytes/)
  // By what has come, where the header came late.
  const manyItems = concatBytes([fromHex('dd0000fff0'), new Uint8Array(60_000)])
  caller.request(4, 'Open', manyItems, true).send(FRAME.request, 4, new Uint8Array(10_000), true)
  assert.match(await caller.error(4), /more than 65536 bytes/)
  // The rest is passed over, and the id is free for nothing else.
  for (const id of [1, 2, 3, 4]) caller.send(FRAME.request, id, piece, true).send(FRAME.request, id, piece)
  caller.request(5, 'Open', fromHex('a161'))
  await until(() => caller.answers.length === 5)
  assert.deepEqual(caller.answers.at(-1), {
    type: FRAME.reply,
    more: false,
    id: 5,
    payload: Uint8Array.of(1),
  })
})

test('mux: requests in single bytes, and one that is cancelled before it is whole', async () => {
  await using pair = await createPair(mux)
  const caller = await Caller.on(pair)
  for (const byte of frameOf(FRAME.request, 1, concatBytes([header('Open'), fromHex('a3616161')]))) {
    caller.stream.send(Uint8Array.of(byte))
    await systemClock.sleep(0)
  }
  await until(() => caller.answers.length === 1)
  assert.deepEqual(caller.answers[0]?.payload, Uint8Array.of(3))
  caller.request(2, 'Echo', fromHex('81a164a3'), true).send(FRAME.cancel, 2).send(FRAME.cancel, 77)
  caller.send(FRAME.request, 2, ONE)
  await caller.wasReset()
  assert.deepEqual(pair.refused(), { malformed: 1 })
})

test('mux: a request or a frame that stays unfinished', async () => {
  await using pair = await createPair({ ...mux, clock: hasty(REQUEST_TIMEOUT_MS) })
  const slow = await Caller.on(pair)
  slow.request(1, 'Echo', fromHex('81a164a3'), true)
  await slow.wasReset()
  const slower = await Caller.on(pair)
  slower.stream.send(fromHex('8001'))
  await slower.wasReset()
  assert.deepEqual(pair.refused(), { slow_request: 2 })
  const silent = await Caller.on(pair)
  await systemClock.sleep(100)
  assert.equal(silent.stream.status, 'open', 'a caller with nothing to ask may stay')
  await stillServes(pair)
})

test('mux: too many calls, which share their limit with the other protocol', async () => {
  await using pair = await createPair({ ...mux, maxCallsPerPeer: 2 })
  const { client, serverId, seen } = pair
  const caller = await Caller.on(pair)
  const other = await pair.rawStream()
  other.send(concatBytes([header('Hang'), empty]))
  await seen.entered.promise
  caller.request(1, 'Echo', fromHex('81a164a3'), true).request(2, 'Open', empty)
  await until(() => caller.answers.length === 1)
  assert.deepEqual(caller.answers[0], { type: FRAME.cancel, more: false, id: 2, payload: new Uint8Array(0) })
  await assert.rejects(client.call(serverId, HANG, EMPTY), fails('RPC_UNREACHABLE', /reset by the peer/))
  assert.deepEqual(pair.refused(), { too_many_calls: 2 })
  caller.send(FRAME.cancel, 1)
  await stillServes(pair)
  other.abort(new Error('enough'))
})

test('mux: a call that its caller cancelled counts until it has ended', async () => {
  await using pair = await createPair({ ...mux, maxCallsPerPeer: 1 })
  const caller = await Caller.on(pair)
  caller.request(1, 'Stubborn', empty)
  await pair.seen.entered.promise
  caller.send(FRAME.cancel, 1).request(2, 'Open', fromHex('a0'))
  await until(() => caller.answers.length === 1)
  assert.deepEqual(pair.refused(), { too_many_calls: 1 })
  pair.seen.release.resolve()
  await until(() => pair.seen.released)
  await stillServes(pair)
  assert.equal(caller.answers.length, 1, 'nobody is told of the cancelled call')
})

test('mux: random frames disturb nobody and leave nothing behind', async () => {
  // Whatever a stream that is over leaves in the account of its peer would use these up.
  await using pair = await createPair({ ...mux, maxCallsPerPeer: 4, maxRequestBytesPerPeer: 100_000 })
  // Keeps the account open, as the streams of each round are no more than one may have beside this one.
  await stillServes(pair)
  const starts = ['Echo', 'Open', 'Hang', 'Closed', 'Count', 'Large'].map(method => header(method))
  const piece = fc.record({
    type: fc.constantFrom(FRAME.request, FRAME.request, FRAME.request, FRAME.cancel, FRAME.reply),
    id: fc.integer({ min: 1, max: 9 }),
    start: fc.constantFrom(...starts, new Uint8Array(0)),
    rest: fc.oneof(
      fc.constantFrom(...['80', '81a17305', 'a0', '07', '81a164db00090000', 'ddffffffff'].map(fromHex)),
      fc.uint8Array({ maxLength: 20 }),
      fc.constant(new Uint8Array(40_000)),
    ),
    more: fc.boolean(),
  })
  const ways = fc.record({ pieces: fc.array(piece, { minLength: 1, maxLength: 12 }), reset: fc.boolean() })
  const attack = async ({ pieces, reset }: typeof ways extends fc.Arbitrary<infer Way> ? Way : never) => {
    const { stream } = await Caller.on(pair)
    for (const { type, id, start, rest, more } of pieces) {
      if (stream.status !== 'open') return
      stream.send(frameOf(type, id, concatBytes([start, rest, ...(more ? [ONE] : [])]), more))
    }
    if (reset) stream.abort(new Error('changed my mind'))
    else await Promise.race([stream.close(), until(() => stream.status !== 'open')])
    // Calls that hang keep a stream which was ended; they end with it.
    stream.abort(new Error('enough'))
  }
  for (const round of fc.sample(fc.array(ways, { minLength: 3, maxLength: 3 }), 50)) {
    // A stream may be reset before it is handed out.
    await Promise.allSettled(round.map(attack))
  }
  while ((await pair.client.call(pair.serverId, OPEN, ONE).catch(() => 0)) !== 1) await systemClock.sleep(2)
  const data = new Uint8Array(90_000)
  assert.deepEqual(await pair.client.call(pair.serverId, ECHO, { data, size: 1 }), { data, size: 1 })
  assert.equal(pair.opened.length, 1)
  const four = Array.from({ length: 4 }, () => pair.client.call(pair.serverId, OPEN, ONE))
  assert.deepEqual(await Promise.all(four), [1, 1, 1, 1])
})

test('mux: too many streams cost the oldest', async () => {
  await using pair = await createPair(mux)
  const callers: Caller[] = []
  for (let i = 0; i < 6; i++) callers.push(await Caller.on(pair))
  await callers[0]?.wasReset()
  await callers[1]?.wasReset()
  await stillServes(pair)
  assert.deepEqual(pair.refused(), { too_many_streams: 3 })
})

for (const protocol of [RPC_PROTOCOL, MUX_PROTOCOL]) {
  /** Asks for 8 MiB. */
  const askLarge = (stream: Stream, id: number) => {
    const request = concatBytes([header('Large'), fromHex('ce007ffff0')])
    if (protocol === RPC_PROTOCOL) stream.send(request)
    else stream.send(frameOf(FRAME.request, id, request))
  }

  test(`${protocol}: a caller that does not read is reset when too much waits for it`, async () => {
    await using pair = await createPair({ protocol })
    const streams: Stream[] = []
    for (let id = 1; id <= 10; id++) {
      let stream = protocol === MUX_PROTOCOL ? streams[0] : undefined
      if (stream === undefined) {
        stream = await pair.rawStream(protocol)
        stream.pause()
        streams.push(stream)
      }
      askLarge(stream, id)
    }
    await until(() => (pair.refused()['slow_reader'] ?? 0) > 0)
    await until(() => streams.some(({ status }) => status === 'reset'))
    await stillServes(pair)
    for (const stream of streams) stream.abort(new Error('enough'))
  })

  test(`${protocol}: a caller that reads nothing for long is reset`, async () => {
    await using pair = await createPair({ protocol, clock: hasty(REPLY_STALL_MS) })
    const stream = await pair.rawStream(protocol)
    stream.pause()
    askLarge(stream, 1)
    await until(() => stream.status === 'reset')
    assert.deepEqual(pair.refused(), { slow_reader: 1 })
    await stillServes(pair)
  })

  test(`${protocol}: too many bytes of unfinished requests`, async () => {
    await using pair = await createPair({ protocol, maxRequestBytesPerPeer: 4 * MIB })
    const part = concatBytes([fromHex('81a164db007ffff0'), new Uint8Array(40_000)])
    if (protocol === MUX_PROTOCOL) {
      const caller = await Caller.on(pair)
      for (let id = 1; id <= 80; id++) {
        caller.request(id, 'Echo', part, true).send(FRAME.request, id, new Uint8Array(40_000), true)
      }
      await caller.wasReset()
    } else {
      const streams: Stream[] = []
      for (let i = 0; i < 120; i++) {
        const stream = await pair.rawStream()
        stream.send(concatBytes([header('Echo'), part]))
        streams.push(stream)
      }
      await until(() => streams.some(({ status }) => status === 'reset'))
      for (const stream of streams) stream.abort(new Error('enough'))
    }
    assert.ok((pair.refused()['too_many_request_bytes'] ?? 0) > 0)
    await stillServes(pair)
  })

  test(`${protocol}: deep nesting, invalid text and unknown fields are read or refused, never more`, async () => {
    await using pair = await createPair({ protocol })
    const exchange = async (object: Uint8Array): Promise<string> => {
      const request = concatBytes([header('Echo'), object])
      const stream = await pair.rawStream(protocol)
      if (protocol === RPC_PROTOCOL) {
        const reply = drain(stream)
        stream.send(request)
        await stream.close()
        return await reply
      }
      const caller = new Caller(stream).send(FRAME.request, 1, request)
      await until(() => caller.answers.length === 1)
      stream.abort(new Error('enough'))
      return Buffer.from(caller.answers[0]?.payload ?? []).toString('hex')
    }
    const deep = concatBytes([fromHex('82a178'), new Uint8Array(50_000).fill(0x91), fromHex('c0a17305')])
    assert.match(await exchange(deep), /81a17305$/, 'an unknown field, however deep')
    assert.match(await exchange(new Uint8Array(50_000).fill(0x91)), /./)
    assert.match(
      await exchange(fromHex('82a4fffefdfc01a17305')),
      /81a17305$/,
      'an unknown key that is no text',
    )
    await stillServes(pair)
  })
}
