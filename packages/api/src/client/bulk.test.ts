import assert from 'node:assert/strict'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { systemClock, type Clock } from '@ipfs-cluster/base'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { create } from 'multiformats/hashes/digest'
import { DEFAULT_PIN_OPTIONS, newPin, parsePinLine, writeDone, type BulkAnswer } from '../index.ts'
import { HttpError, serveRoutes } from '../test-server.ts'
import { createClient, createFetchTransport } from './index.ts'
import { createNodeTransport } from './node.ts'

const cidOf = (n: number) =>
  CID.createV1(raw.code, create(0x12, new Uint8Array(32).fill(n & 255, 0, 31).fill(n >> 8, 31)))
const cids = (count: number) => Array.from({ length: count }, (_, i) => cidOf(i))
/** Pauses are remembered, not waited for; gathering lines takes its turn. */
function hurriedClock(pauses: number[] = []): Clock {
  return {
    ...systemClock,
    async sleep(ms, options) {
      if (ms > 1) pauses.push(ms)
      await systemClock.sleep(0, options)
    },
  }
}

const client = (hosts: readonly string[], pauses?: number[]) =>
  createClient({ hosts }, { transport: createNodeTransport(), clock: hurriedClock(pauses) })

async function collect(answers: AsyncIterable<BulkAnswer>): Promise<BulkAnswer[]> {
  return await Array.fromAsync(answers)
}

type Behave = (request: http.IncomingMessage, response: http.ServerResponse, seen: string[]) => Promise<void>

/** A server that treats each connection in turn as told; the last of the list treats all further ones. */
async function serverOf(...behaviours: Behave[]) {
  const requests: string[][] = []
  const server = http.createServer((request, response) => {
    const seen: string[] = []
    const behave = behaviours[Math.min(requests.length, behaviours.length - 1)] as Behave
    requests.push(seen)
    behave(request, response, seen).catch(() => response.destroy())
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

async function* linesOf(request: http.IncomingMessage): AsyncGenerator<string> {
  let rest = ''
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    const lines = (rest + String(chunk)).split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
}

const answerOf = (line: string) => writeDone(parsePinLine(line, DEFAULT_PIN_OPTIONS).cid)

/** Answers `count` lines, then does `end`. */
function answering(count: number, end: (response: http.ServerResponse) => void): Behave {
  return async (request, response, seen) => {
    response.writeHead(200, { Trailer: 'X-Stream-Error' })
    for await (const line of linesOf(request)) {
      if (seen.length < count) response.write(answerOf(line))
      seen.push(line)
      if (seen.length === count) return end(response)
    }
    response.addTrailers({ 'X-Stream-Error': '' })
    response.end()
  }
}
const well = answering(Number.POSITIVE_INFINITY, () => undefined)
const breaking = (count: number) => answering(count, response => setTimeout(() => response.destroy(), 5))
const saying = (status: number, message: string): Behave => {
  return async (request, response) => {
    request.resume()
    response.writeHead(status).end(JSON.stringify({ code: status, message }))
  }
}

test('answers come in order, also of refused lines; options stand in the query', async () => {
  await using server = await serveRoutes({
    async *pinMany({ lines, options }) {
      assert.equal(options.name, 'all')
      for await (const group of lines) {
        for (const line of group) {
          const pin = parsePinLine(line ?? '', options)
          const failed = pin.options.name === 'own'
          yield failed
            ? `{"cid":"${pin.cid}","error":{"code":500,"message":"not enough peers"}}\n`
            : writeDone(pin.cid)
        }
      }
    },
    async *unpinMany({ lines }) {
      for await (const group of lines) yield group.map(line => answerOf(line ?? '')).join('')
    },
  })
  const { pinMany, unpinMany } = client([server.url])
  const pins = [cidOf(1), { cid: cidOf(2), name: 'own' }, cidOf(3)]
  assert.deepEqual(await collect(pinMany({ pins, options: { name: 'all' } })), [
    { cid: `${cidOf(1)}`, error: null },
    { cid: `${cidOf(2)}`, error: { code: 500, message: 'not enough peers' } },
    { cid: `${cidOf(3)}`, error: null },
  ])
  assert.equal((await collect(unpinMany({ cids: cids(3000) }))).length, 3000)
  assert.deepEqual(await collect(pinMany({ pins: [] })), [])
  assert.equal(server.requests.length, 2, 'nothing is asked for nothing')
})

test('answers come while lines are still to come', async () => {
  await using server = await serverOf(well)
  const got: string[] = []
  async function* source() {
    for (let i = 0; i < 3; i++) {
      assert.equal(got.length, i, 'the next one is made when the one before is answered')
      yield cidOf(i)
      while (got.length === i) await systemClock.sleep(1)
    }
  }
  for await (const { cid } of client([server.url]).pinMany({ pins: source() })) got.push(cid)
  assert.equal(got.length, 3)
})

test('after a broken connection, what has no answer is sent again, to the next host if need be', async () => {
  await using first = await serverOf(breaking(10), breaking(700), breaking(1))
  await using second = await serverOf(well)
  const pauses: number[] = []
  const own = client([first.url, second.url], pauses)
  let served = 0
  const answers: BulkAnswer[] = []
  for await (const answer of own.pinMany({ pins: cids(2000) })) {
    answers.push(answer)
    // The first host goes away for good.
    if (++served === 711) await first[Symbol.asyncDispose]()
  }
  assert.deepEqual(
    answers.map(({ cid }) => cid),
    cids(2000).map(String),
  )
  assert.equal(first.requests[1]?.[0], `{"cid":"${cidOf(10)}"}`)
  assert.equal(second.requests[0]?.[0], `{"cid":"${cidOf(711)}"}`)
  assert.ok(pauses.every(ms => ms === 250))
})

test('a stream that ends with an error is taken up again; one that brings nothing ends in time', async () => {
  const failing = answering(5, response => {
    response.addTrailers({ 'X-Stream-Error': 'the queue is full' })
    response.end()
  })
  await using server = await serverOf(failing, well)
  assert.equal((await collect(client([server.url]).pinMany({ pins: cids(50) }))).length, 50)

  await using dead = await serverOf(async (_request, response) => void response.destroy())
  const pauses: number[] = []
  const answers = collect(client([dead.url], pauses).pinMany({ pins: cids(3) }))
  await assert.rejects(answers, { code: 'API_UNREACHABLE' })
  assert.deepEqual(pauses, [500, 1000, 2000, 4000, 4000])
  assert.equal(dead.requests.length, 6)

  await using short = await serverOf(
    answering(2, response => response.end()),
    saying(500, 'no'),
  )
  await assert.rejects(collect(client([short.url]).pinMany({ pins: cids(3) })), {
    code: 'API_ERROR',
    message: 'no',
  })
})

test('429 is waited for, other refusals are not', async () => {
  await using busy = await serverOf(saying(429, 'try again later'), saying(429, 'try again later'), well)
  assert.equal((await collect(client([busy.url]).pinMany({ pins: cids(3) }))).length, 3)
  assert.equal(busy.requests.length, 3)
  await using follower = await serverOf(saying(500, 'follower mode'))
  await assert.rejects(collect(client([follower.url]).unpinMany({ cids: cids(3) })), {
    message: 'follower mode',
  })
  assert.equal(follower.requests.length, 1)
})

for (const status of [404, 405]) {
  test(`a peer without the route (${status}) is asked one by one, 32 at a time`, async () => {
    let [atOnce, most] = [0, 0]
    await using server = await serveRoutes({
      pinMany() {
        throw new HttpError(status, 'not found')
      },
      unpinMany() {
        throw new HttpError(status, 'not found')
      },
      async pin({ cid, options }) {
        most = Math.max(most, ++atOnce)
        // So that they come back in another order.
        await systemClock.sleep(cid.bytes[10] === 0 ? 10 : 1)
        atOnce--
        if (options.name === 'bad') throw new HttpError(500, 'not enough peers')
        assert.equal(options.replicationFactorMin, 2)
        return newPin(cid, options)
      },
      async unpin({ cid }) {
        if (cid.equals(cidOf(1))) throw new HttpError(404, 'pin is not part of the pinset')
        return newPin(cid)
      },
    })
    const pins = cids(100).map((cid, i) => ({ cid, name: i === 50 ? 'bad' : '' }))
    const answers = await collect(
      client([server.url]).pinMany({ pins, options: { replicationFactorMin: 2, replicationFactorMax: 2 } }),
    )
    assert.deepEqual(
      answers.map(({ cid }) => cid),
      cids(100).map(String),
    )
    assert.deepEqual(
      answers.filter(({ error }) => error !== null),
      [{ cid: `${cidOf(50)}`, error: { code: 500, message: 'not enough peers' } }],
    )
    assert.ok(most <= 32 && most > 8, `${most} at once`)
    const removed = await collect(client([server.url]).unpinMany({ cids: cids(3) }))
    assert.deepEqual(
      removed.map(({ error }) => error?.code),
      [undefined, 404, undefined],
    )
  })
}

test('a source is read as its lines are answered, and left when the reader leaves', async () => {
  let made = 0
  const left = Promise.withResolvers<void>()
  function* endless() {
    try {
      while (true) yield cidOf(made++)
    } finally {
      left.resolve()
    }
  }
  await using server = await serverOf(async (request, response) => {
    response.writeHead(200).flushHeaders()
    let answered = 0
    for await (const line of linesOf(request)) if (answered++ < 10) response.write(answerOf(line))
  })
  let got = 0
  for await (const _ of client([server.url]).pinMany({ pins: endless() })) {
    if (++got < 10) continue
    await systemClock.sleep(50)
    break
  }
  assert.ok(made > 10 && made <= 16_384 + 11, `${made}`)
  await left.promise
})

test('what the source throws comes to the reader, after the answers before it', async () => {
  await using server = await serverOf(well)
  async function* broken() {
    yield* cids(5)
    throw new RangeError('no such file')
  }
  const got: string[] = []
  await assert.rejects(async () => {
    for await (const { cid } of client([server.url]).pinMany({ pins: broken() })) got.push(cid)
  }, RangeError)
  assert.equal(got.length, 5)
})

test('an abort ends it with its reason', async () => {
  await using server = await serverOf(async () => undefined)
  const abort = new AbortController()
  const answers = collect(client([server.url]).pinMany({ pins: cids(3) }, { signal: abort.signal }))
  setTimeout(() => abort.abort(new RangeError('enough')), 20)
  await assert.rejects(answers, { message: 'enough' })
})

test('fetch sends request after request, each with what fits', async () => {
  await using server = await serverOf(well)
  const fetching = createClient(
    { hosts: [server.url] },
    { transport: createFetchTransport(), clock: hurriedClock() },
  )
  const count = 16_384 + 100
  const answers = await collect(fetching.pinMany({ pins: cids(count) }))
  assert.equal(answers.length, count)
  assert.deepEqual(
    server.requests.map(lines => lines.length),
    [16_384, 100],
  )
  await using broken = await serverOf(breaking(10), well)
  const again = createClient(
    { hosts: [broken.url] },
    { transport: createFetchTransport(), clock: hurriedClock() },
  )
  assert.equal((await collect(again.pinMany({ pins: cids(100) }))).length, 100)
})
