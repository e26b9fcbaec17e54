import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { PinRequest } from '@ipfs-cluster/api'
import { CodedError, type AbortOptions } from '@ipfs-cluster/base'
import { waitFor } from '@ipfs-cluster/testkit'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { create } from 'multiformats/hashes/digest'
import type { Cluster, Outcomes, PinAsked } from '../../cluster/index.ts'
import { ClusterError } from '../../cluster/index.ts'
import { startTestApi } from './test-api.ts'

const cidOf = (n: number) => {
  const bytes = new Uint8Array(32)
  new DataView(bytes.buffer).setUint32(0, n)
  return CID.createV1(raw.code, create(0x12, bytes))
}
const lineOf = (n: number) => `{"cid":"${cidOf(n)}"}\n`
const many = (count: number) => Array.from({ length: count }, (_, i) => lineOf(i)).join('')

interface World {
  readonly groups: (readonly PinAsked[])[]
  ended: unknown
  signal: AbortSignal | undefined
}

/** Remembers what it is asked, and pins all but those named `bad`. */
function clusterOf(
  act: (group: readonly PinAsked[]) => Promise<Outcomes> | Outcomes = group =>
    group.map(each => (each instanceof Error ? each : refusalOf(each.options.name))),
) {
  const world: World = { groups: [], ended: undefined, signal: undefined }
  const cluster: Partial<Cluster> = {
    async *pinMany(groups, options: AbortOptions = {}) {
      world.signal = options.signal
      try {
        for await (const group of groups) {
          world.groups.push(group)
          yield await act(group)
        }
        world.ended = 'well'
      } catch (error) {
        world.ended = error
        throw error
      }
    },
    async *unpinMany(groups) {
      for await (const group of groups) yield group.map(each => (each instanceof Error ? each : undefined))
    },
  }
  return { world, cluster }
}

function refusalOf(name: string): Error | undefined {
  if (name !== 'bad') return undefined
  return new ClusterError('pin.ExpireAt set before current time', { code: 'BAD_EXPIRY', expireAt: 0n })
}

async function post(url: string, body: BodyInit, query = '', method = 'POST') {
  const response = await fetch(`${url}/pins${query}`, { method, body, duplex: 'half' } as RequestInit)
  const text = await response.text()
  return { status: response.status, text, lines: text.split('\n').filter(line => line !== ''), response }
}

test('each line has its answer in its place; a bad line is an error of that line', async () => {
  const { world, cluster } = clusterOf()
  await using api = await startTestApi(cluster)
  const url = api.urls[0] as string
  const long = `{"cid":"${cidOf(3)}","name":"${'x'.repeat(128 * 1024)}"}`
  const body = [
    lineOf(1).trim(),
    'nonsense',
    '',
    `"${cidOf(2)}"`,
    '{"cid":"bafy"}',
    long,
    `{"cid":"${cidOf(4)}","name":"bad"}`,
    '[]',
    '{"name":"x"}',
    `{"cid":"${cidOf(5)}","name":"own"}`,
  ].join('\r\n')
  const { status, lines } = await post(url, body, '?name=all&replication=2')
  assert.equal(status, 200)
  const answers = lines.map(line => JSON.parse(line))
  assert.deepEqual(
    answers.map(({ cid, error }) => [cid, error?.code]),
    [
      [`${cidOf(1)}`, undefined],
      ['', 400],
      [`${cidOf(2)}`, undefined],
      ['bafy', 400],
      ['', 400],
      [`${cidOf(4)}`, 500],
      ['', 400],
      ['', 400],
      [`${cidOf(5)}`, undefined],
    ],
  )
  assert.equal(answers[4].error.message, 'the line is longer than 131072 bytes')
  assert.equal(answers[5].error.message, 'pin.ExpireAt set before current time')
  const asked = world.groups.flat().filter((each): each is PinRequest => !(each instanceof Error))
  assert.deepEqual(
    asked.map(({ options }) => [options.name, options.replicationFactorMin]),
    [
      ['all', 2],
      ['all', 2],
      ['bad', 2],
      ['own', 2],
    ],
  )
})

test('unpinning likewise', async () => {
  const { cluster } = clusterOf()
  await using api = await startTestApi(cluster)
  const { lines } = await post(api.urls[0] as string, `${lineOf(1)}"x"\n`, '', 'DELETE')
  assert.equal(lines[0], lineOf(1).trim())
  assert.match(lines[1] ?? '', /^\{"cid":"x","error":\{"code":400,"message":"error decoding Cid: /)
})

test('nothing to do, bad options, binary noise', async () => {
  const { world, cluster } = clusterOf()
  await using api = await startTestApi(cluster)
  const url = api.urls[0] as string
  for (const body of ['', '\n\n  \n']) assert.equal((await post(url, body)).status, 204)
  assert.equal(world.groups.length, 0)
  const bad = await post(url, many(3), '?replication-min=x')
  assert.deepEqual(
    [bad.status, bad.text],
    [400, '{"code":400,"message":"parameter replication-min invalid"}\n'],
  )
  const noise = await post(
    url,
    Uint8Array.from({ length: 5_000 }, (_, i) => (i * 7) % 256),
  )
  assert.equal(noise.status, 200)
  assert.ok(noise.lines.length > 10 && noise.lines.every(line => JSON.parse(line).error.code === 400))
})

test('a large body is read in groups, one answer a line', async () => {
  const { world, cluster } = clusterOf()
  await using api = await startTestApi(cluster)
  const { text } = await post(api.urls[0] as string, many(10_000))
  assert.equal(text, many(10_000))
  assert.ok(world.groups.every(group => group.length <= 2_000))
})

test('a failure before the first answer has a status, a later one a trailer', async () => {
  const full = () => new CodedError('too many wait', { code: 'CRDT_QUEUE_FULL' })
  let groups = 0
  const { cluster } = clusterOf(group => {
    if (++groups > 1) throw full()
    return group.map(() => undefined)
  })
  await using api = await startTestApi(cluster)
  const port = Number(new URL(api.urls[0] as string).port)
  const socket = await open(port)
  socket.send(many(3))
  await waitFor(() => socket.answers() === 3)
  socket.send(many(3))
  await waitFor(() => socket.text.includes('X-Stream-Error: '))
  assert.match(socket.text, /^HTTP\/1\.1 200 /)
  assert.match(socket.text, /X-Stream-Error: too many wait\r\n/)
  assert.equal(socket.answers(), 3)
  // What is still sent is dropped, and the connection serves on.
  socket.send(many(5_000))
  socket.end()
  socket.socket.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n')
  await waitFor(() => socket.text.includes('HTTP/1.1 204'))
  socket.socket.destroy()
  const early = await post(api.urls[0] as string, many(3))
  assert.deepEqual([early.status, early.response.headers.get('retry-after')], [429, '1'])
  const follower: Partial<Cluster> = {
    pinMany() {
      throw new ClusterError('follower mode', { code: 'FOLLOWER_MODE' })
    },
  }
  await using other = await startTestApi(follower)
  const refused = await post(other.urls[0] as string, many(5_000))
  assert.deepEqual([refused.status, refused.text], [500, '{"code":500,"message":"follower mode"}\n'])
})

/** A chunked request by hand; what comes is collected, unless it is told not to read. */
async function open(port: number, read = true) {
  const socket: Socket = connect(port, '127.0.0.1')
  await new Promise(resolve => socket.once('connect', resolve))
  const state = { text: '', closed: false }
  socket.on('error', () => undefined).on('close', () => (state.closed = true))
  if (read) socket.on('data', data => (state.text += data.toString('latin1')))
  socket.write('POST /pins HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
  return {
    socket,
    get text() {
      return state.text
    },
    get closed() {
      return state.closed
    },
    answers: () => state.text.split('"}\n').length - 1,
    send: (body: string) => socket.write(`${body.length.toString(16)}\r\n${body}\r\n`),
    end: () => socket.write('0\r\n\r\n'),
  }
}

test('answers come while the body is still to come', async () => {
  const { cluster } = clusterOf()
  await using api = await startTestApi(cluster)
  const client = await open(Number(new URL(api.urls[0] as string).port))
  for (let i = 1; i <= 3; i++) {
    client.send(lineOf(i))
    await waitFor(() => client.answers() === i)
  }
  client.end()
  await waitFor(() => client.text.endsWith('0\r\nX-Stream-Error: \r\n\r\n'))
  // The connection is good for more.
  client.socket.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n')
  await waitFor(() => client.text.includes('HTTP/1.1 204'))
  client.socket.destroy()
})

test('a client that does not read stops the reading, and gets the rest when it does', async () => {
  const { world, cluster } = clusterOf()
  await using api = await startTestApi(cluster)
  const client = await open(Number(new URL(api.urls[0] as string).port), false)
  const total = 150_000
  const block = 1_000
  let sent = 0
  const sending = (async () => {
    for (; sent < total; sent += block) {
      const body = Array.from({ length: block }, (_, i) => lineOf(sent + i)).join('')
      if (!client.send(body)) await new Promise(resolve => client.socket.once('drain', resolve))
    }
    client.end()
  })()
  const taken = () => world.groups.reduce((sum, group) => sum + group.length, 0)
  let before = -1
  // Until nothing moves any more.
  while (taken() !== before) {
    before = taken()
    await delay(200)
  }
  assert.ok(taken() < total / 2, `${taken()} lines were taken of a client that does not read`)
  let received = 0
  client.socket.on('data', data => {
    for (const byte of data) if (byte === 0x7d) received++
  })
  await sending
  await waitFor(() => received === total, { timeoutMs: 30_000 })
  client.socket.destroy()
})

test('a client that leaves in the middle ends the work', async () => {
  const { world, cluster } = clusterOf()
  await using api = await startTestApi(cluster)
  const port = Number(new URL(api.urls[0] as string).port)
  for (const leave of ['destroy', 'resetAndDestroy'] as const) {
    world.ended = undefined
    const client = await open(port)
    client.send(lineOf(1).repeat(3))
    await waitFor(() => client.answers() === 3)
    client.send('{"cid":')
    client.socket[leave]()
    await waitFor(() => world.ended !== undefined)
    assert.ok(world.ended instanceof Error)
    assert.equal(world.signal?.aborted, true)
  }
})

test('time-outs do not cut what moves, and cut what does not', async () => {
  const { cluster } = clusterOf()
  await using api = await startTestApi(cluster, { readTimeoutMs: 700, writeTimeoutMs: 700 })
  const port = Number(new URL(api.urls[0] as string).port)
  const moving = await open(port)
  for (let i = 0; i < 12; i++) {
    moving.send(lineOf(i))
    await delay(200)
  }
  assert.equal(moving.closed, false)
  moving.end()
  await waitFor(() => moving.text.endsWith('X-Stream-Error: \r\n\r\n'))
  assert.equal(moving.answers(), 12)
  moving.socket.destroy()
  const began = performance.now()
  const stuck = await open(port)
  stuck.send(lineOf(1))
  await waitFor(() => stuck.closed, { timeoutMs: 10_000 })
  assert.ok(performance.now() - began > 600)
  assert.equal(stuck.answers(), 1)
})
