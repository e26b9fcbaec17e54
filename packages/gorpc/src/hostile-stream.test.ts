/** As `hostile.test.ts`, on streams with a call each. */
import { concatBytes, fromHex, systemClock } from '@ipfs-cluster/base'
import type { Stream } from '@libp2p/interface'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ARG_TIMEOUT_MS, MAX_CALLS_PER_PEER, MAX_OPEN_CALL_BYTES, REQUEST_TIMEOUT_MS } from './limits.ts'
import { OPEN, createPair, hasty, header, until } from './test-service.ts'

const MIB = 1024 * 1024
const ONE = new Uint8Array(1)
const empty = fromHex('80')

async function stillServes({ client, serverId }: Awaited<ReturnType<typeof createPair>>): Promise<void> {
  assert.equal(await client.call(serverId, OPEN, ONE), 1)
}

/** As much of a stream as a server sees of one on which nothing happens. */
class SilentStream extends EventTarget {
  status = 'open'
  readonly remoteWriteStatus = 'writable'
  readonly readStatus = 'readable'
  readonly readBufferLength = 0
  readonly writeBufferLength = 0
  readonly writableNeedsDrain = false
  maxReadBufferLength = 0

  abort(): void {
    this.status = 'aborted'
    this.dispatchEvent(new Event('close'))
  }

  async close(): Promise<void> {
    this.abort()
  }
}

test('stream: ten thousand at once', async () => {
  await using pair = await createPair()
  const streams = Array.from({ length: 10_000 }, () => new SilentStream())
  const served = streams.map(stream => pair.server.handleStream(stream as unknown as Stream, pair.clientId))
  const open = streams.filter(({ status }) => status === 'open')
  assert.equal(open.length, MAX_CALLS_PER_PEER)
  assert.deepEqual(pair.refused(), { too_many_calls: 10_000 - MAX_CALLS_PER_PEER })
  for (const stream of open) stream.abort()
  await Promise.all(served)
  await stillServes(pair)
})

test('stream: opened and left silent, in the beginning, in the argument, and between arguments', async () => {
  await using pair = await createPair({ clock: hasty(REQUEST_TIMEOUT_MS, ARG_TIMEOUT_MS) })
  for (const request of [
    new Uint8Array(0),
    header('Echo').subarray(0, 9),
    header('Echo'),
    concatBytes([header('Echo'), fromHex('81')]),
    header('Sum'),
    concatBytes([header('Sum'), fromHex('01')]),
    concatBytes([header('Sum'), fromHex('01d1')]),
  ]) {
    const stream = await pair.rawStream()
    stream.send(request)
    await until(() => stream.status === 'reset')
  }
  assert.deepEqual(pair.refused(), { slow_request: 7 })
  await stillServes(pair)
})

test('stream: arguments without end, where strangers may call', async () => {
  await using pair = await createPair()
  const stream = await pair.rawStream()
  stream.send(header('OpenStream'))
  const arg = concatBytes([fromHex('da1000'), new Uint8Array(4096)])
  let sent = 0
  while (stream.status === 'open') {
    stream.send(arg)
    sent += arg.length
    await systemClock.sleep(0)
  }
  assert.equal(stream.status, 'reset')
  assert.ok(sent > MAX_OPEN_CALL_BYTES)
  assert.deepEqual(pair.refused(), { endless_request: 1 })
  await stillServes(pair)
})

test('stream: bytes without end behind a request', async () => {
  await using pair = await createPair()
  const stream = await pair.rawStream()
  stream.send(concatBytes([header('Hang'), empty]))
  const piece = new Uint8Array(MIB)
  let sent = 0
  while (stream.status === 'open') {
    if (stream.writeBufferLength < 4 * MIB) {
      stream.send(piece)
      sent++
    }
    await systemClock.sleep(0)
  }
  assert.ok(sent > 32, `${sent} MiB`)
  await pair.seen.cancelled.promise
  assert.deepEqual(pair.refused(), { endless_request: 1 })
  await stillServes(pair)
})
