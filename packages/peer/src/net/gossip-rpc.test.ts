import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { RPC } from '@libp2p/gossipsub/message'
import { createMeter, refusalsOf } from '@ipfs-cluster/base'
import { messageBytes, splitRpc, tidyControl } from './gossip-rpc.ts'
import { refused } from './test-attacker.ts'

const LIMIT = 10_000
const message = (size: number): RPC.Message => ({
  data: new Uint8Array(size),
  from: new Uint8Array(38),
  seqno: new Uint8Array(8),
  signature: new Uint8Array(64),
  key: new Uint8Array(36),
  topic: 'töpic',
})
const rpcOf = (messages: RPC.Message[], control?: RPC.ControlMessage): RPC => ({
  subscriptions: [],
  messages,
  ...(control && { control }),
})
const empty: RPC.ControlMessage = { ihave: [], iwant: [], graft: [], prune: [], idontwant: [] }

describe('what we send', () => {
  test('a message takes no more than is reckoned', () => {
    for (const size of [0, 1, 127, 128, 20_000, 3_000_000]) {
      const one = message(size)
      const encoded = RPC.encode(rpcOf([one])).length
      assert.ok(messageBytes(one) >= encoded && messageBytes(one) < encoded + 40, `${size}`)
    }
  })

  test('small RPCs go as they are', () => {
    const rpc = rpcOf([message(1000), message(1000)], empty)
    assert.deepEqual(splitRpc(rpc, LIMIT), { rpcs: [rpc], large: false })
  })

  test('large ones are cut to the limit, in order, and nothing is lost', () => {
    const messages = [4000, 4000, 4000, 100, 9000, 50_000, 10].map(message)
    const control = { ...empty, graft: [{ topicID: 't' }] }
    const { rpcs, large } = splitRpc(rpcOf(messages, control), LIMIT)
    assert.ok(large)
    assert.deepEqual(
      rpcs.map(rpc => rpc.messages.map(({ data }) => data?.length)),
      [[], [4000, 4000], [4000, 100], [9000], [50_000], [10]],
    )
    assert.deepEqual(rpcs[0]?.control, control)
    for (const rpc of rpcs) {
      assert.ok(RPC.encode(rpc).length <= LIMIT || rpc.messages.length === 1)
    }
  })
})

describe('what peers tell', () => {
  const meter = createMeter()
  const refusals = refusalsOf(meter, 'pubsub')
  const peers = Array.from({ length: 40 }, () => ({ peerID: new Uint8Array(38) }))

  test('each topic is grafted and pruned once, and backs off for a while', () => {
    const graft = ['a', 'b', 'a', 'a'].map(topicID => ({ topicID }))
    const prune = ['a', 'a'].map(topicID => ({ topicID, peers: [], backoff: 1e15 }))
    const tidy = tidyControl({ ...empty, graft, prune }, () => true, refusals)
    assert.deepEqual(tidy?.graft, [{ topicID: 'a' }, { topicID: 'b' }])
    assert.deepEqual(tidy?.prune, [{ topicID: 'a', peers: [], backoff: 600 }])
    assert.equal(refused(meter, 'pubsub', 'repeated_control'), 1)
    assert.equal(
      tidyControl(undefined, () => true, refusals),
      undefined,
    )
  })

  test('peers to exchange come from the mesh only, and not too many', () => {
    const prune = ['mesh', 'other'].map(topicID => ({ topicID, peers }))
    const tidy = tidyControl({ ...empty, prune }, topic => topic === 'mesh', refusals)
    assert.deepEqual(
      tidy?.prune.map(one => one.peers.length),
      [16, 0],
    )
    assert.equal(refused(meter, 'pubsub', 'unsolicited_peer_exchange'), 1)
  })
})
