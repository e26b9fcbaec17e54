import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import type { Message } from '@libp2p/gossipsub'
import { peerIdFromMultihash } from '@libp2p/peer-id'
import * as Digest from 'multiformats/hashes/digest'
import { fromHex, toHex, utf8 } from '@ipfs-cluster/base'
import { gossipOptions, messageId } from './gossip-options.ts'
import { testNetworkConfig } from './test-network.ts'

interface Vector {
  readonly message_id_hex: string
  readonly from_hex: string
  readonly seqno_hex: string
}

test('message ids are those of Go peers', async () => {
  const text = await readFile(new URL('./fixtures/gossipsub.json', import.meta.url), 'utf8')
  const { messages } = JSON.parse(text) as { messages: Vector[] }
  assert.ok(messages.length > 0)
  for (const { message_id_hex, from_hex, seqno_hex } of messages) {
    const from = peerIdFromMultihash(Digest.decode(fromHex(from_hex)))
    assert.ok(from.publicKey)
    const message: Message = {
      type: 'signed',
      from,
      sequenceNumber: BigInt(`0x${seqno_hex}`),
      topic: 't',
      data: utf8('data'),
      signature: utf8('signature'),
      key: from.publicKey,
    }
    assert.equal(toHex(messageId(message)), message_id_hex)
  }
})

test('parameters are those of Go', () => {
  const config = testNetworkConfig({
    pubsub: {
      heartbeatIntervalMs: 10_000,
      dFactor: 4,
      historyGossip: 2,
      historyLength: 6,
      floodPublish: false,
    },
  })
  const { msgIdFn, msgIdToStrFn, ...options } = gossipOptions(config)
  assert.equal(msgIdFn, messageId)
  assert.equal(msgIdToStrFn?.(Uint8Array.of(0, 255)), '\u0000\u00ff')
  const expected = {
    D: 24,
    Dlo: 20,
    Dhi: 48,
    Dscore: 16,
    Dout: 8,
    Dlazy: 24,
    mcacheLength: 6,
    mcacheGossip: 2,
    doPX: true,
  }
  assert.deepEqual({ ...options, ...expected }, options)
  assert.equal(gossipOptions({ ...config, followerMode: true }).doPX, false)
})

test('a long message id of another peer is no danger', () => {
  const { msgIdToStrFn } = gossipOptions(testNetworkConfig())
  assert.equal(msgIdToStrFn?.(new Uint8Array(1_000_000)).length, 1_000_000)
})
