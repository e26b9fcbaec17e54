import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MultiaddrConnection } from '@libp2p/interface'
import { multiaddrConnectionPair } from '@libp2p/utils'
import { silentLogger } from '@ipfs-cluster/base'
import { waitFor } from '@ipfs-cluster/testkit'
import { connectionProtector } from './private-network.ts'

const SECRET = new Uint8Array(32).fill(1)

async function pair(secrets: readonly [Uint8Array, Uint8Array]) {
  const plain = multiaddrConnectionPair()
  const wire: Uint8Array[] = []
  const send = plain[0].send.bind(plain[0])
  plain[0].send = data => {
    wire.push(Uint8Array.from(data.subarray()))
    return send(data)
  }
  const ends = await Promise.all(
    plain.map((connection, i) => {
      const protector = connectionProtector(secrets[i], silentLogger)?.()
      assert.ok(protector)
      return protector.protect(connection, { signal: AbortSignal.timeout(5000) })
    }),
  )
  return { ends: ends as unknown as readonly [MultiaddrConnection, MultiaddrConnection], wire }
}

function received(connection: MultiaddrConnection) {
  const pieces: Uint8Array[] = []
  connection.addEventListener('message', ({ data }) => pieces.push(data.subarray()))
  return () => Buffer.concat(pieces)
}

const message = Uint8Array.from({ length: 200_000 }, (_, i) => i % 253)

test('what is sent arrives, in both directions, and cannot be read on the way', async () => {
  const { ends, wire } = await pair([SECRET, SECRET])
  const [left, right] = [received(ends[0]), received(ends[1])]
  const copy = Uint8Array.from(message)
  ends[0].send(message)
  ends[0].send(message.subarray(0, 1))
  ends[1].send(message.subarray(5))
  await waitFor(() => right().length === message.length + 1 && left().length === message.length - 5, {
    what: 'both messages',
  })
  assert.ok(right().equals(Buffer.concat([message, message.subarray(0, 1)])))
  assert.ok(left().equals(message.subarray(5)))
  assert.deepEqual(message, copy, 'what was sent is left as it is')
  assert.ok(!Buffer.concat(wire).includes(message.subarray(0, 64)))
  await ends[0].close()
  await waitFor(() => ends[1].status === 'closed', { what: 'the other end is closed' })
})

test('another secret makes nothing of it', async () => {
  const { ends } = await pair([SECRET, new Uint8Array(32).fill(2)])
  const right = received(ends[1])
  ends[0].send(message)
  await waitFor(() => right().length === message.length, { what: 'the message' })
  assert.ok(!right().includes(message.subarray(0, 16)))
})

test('a secret has 32 bytes', () => {
  assert.throws(() => connectionProtector(new Uint8Array(31), silentLogger), { code: 'NET_BAD_SECRET' })
})
