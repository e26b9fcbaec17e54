/** What comes as a stream of documents or frames from outside: gossip between peers, and the pins of `state import`. */
import { silentMeter, refusalsOf, utf8 } from '@ipfs-cluster/base'
import { pinCodec } from '@ipfs-cluster/api'
import { RPC } from '@libp2p/gossipsub/message'
import * as arbitrary from '../../../packages/api/src/test-arbitraries.ts'
import { JsonStreamError } from '../../../packages/peer/src/bin/json-documents.ts'
import { pinLine, readPins } from '../../../packages/peer/src/bin/pin-lines.ts'
import { RPC_LIMITS } from '../../../packages/peer/src/net/gossip-options.ts'
import { messageBytes, splitRpc, tidyControl } from '../../../packages/peer/src/net/gossip-rpc.ts'
import { samples, texts } from '../corpus.ts'
import { check, checkStable, pieces, PropertyError, refusedBy, type Target } from '../target.ts'

const MIB = 1024 * 1024
const pins = samples(arbitrary.anyPin(), 8)
const lines = pins.map(pinLine)
const overrides = { replicationMin: 0, replicationMax: 0, allocations: [] }

const stateImport: Target = {
  name: 'state import',
  format: 'json',
  corpus: () =>
    texts([...lines, lines.join('\n'), lines.slice(0, 3).join(''), ` ${lines[0]}\t\n\n${lines[1]} `]),
  refusal: refusedBy(JsonStreamError),
  maxBytes: MIB,
  allocation: { perByte: 4_000, constant: 2 * MIB },
  share: 0.3,
  async run(input, random) {
    async function* body() {
      yield* pieces(input, random)
    }
    for await (const pin of readPins(body(), overrides)) {
      const [again] = await Array.fromAsync(readPins([utf8(pinLine(pin))] as never, overrides))
      check(again !== undefined, 'an exported pin is imported again')
      check(pinCodec.stringify(again) === pinCodec.stringify(pin), 'an exported pin is the same again')
    }
    return true
  },
}

const topic = 'monitor.metrics'
const RPCS: readonly RPC[] = [
  {
    subscriptions: [
      { subscribe: true, topic },
      { subscribe: false, topic: 'x' },
    ],
    messages: [],
  },
  {
    subscriptions: [],
    messages: [1, 2].map(n => ({
      from: new Uint8Array(38),
      data: new Uint8Array(60 * n),
      sequenceNumber: new Uint8Array(8),
      topic,
      signature: new Uint8Array(64),
      key: new Uint8Array(36),
    })),
  },
  {
    subscriptions: [],
    messages: [],
    control: {
      ihave: [{ topicID: topic, messageIDs: [new Uint8Array(46), new Uint8Array(46)] }],
      iwant: [{ messageIDs: [new Uint8Array(46)] }],
      graft: [{ topicID: topic }, { topicID: topic }],
      prune: [
        {
          topicID: topic,
          peers: [{ peerID: new Uint8Array(38), signedPeerRecord: new Uint8Array(90) }],
          backoff: 60,
        },
      ],
      idontwant: [{ messageIDs: [new Uint8Array(46)] }],
    },
  } as unknown as RPC,
]

class MalformedRpc extends Error {
  readonly code = 'malformed_rpc'
}

/** As gossipsub applies them. */
const limits = {
  subscriptions: RPC_LIMITS.maxSubscriptions,
  messages: RPC_LIMITS.maxMessages,
  control: {
    ihave: RPC_LIMITS.maxControlMessages,
    ihave$: { messageIDs: RPC_LIMITS.maxIhaveMessageIDs },
    iwant: RPC_LIMITS.maxControlMessages,
    iwant$: { messageIDs: RPC_LIMITS.maxIwantMessageIDs },
    graft: RPC_LIMITS.maxControlMessages,
    prune: RPC_LIMITS.maxControlMessages,
    prune$: { peers: RPC_LIMITS.maxPeerInfos },
    idontwant: RPC_LIMITS.maxControlMessages,
    idontwant$: { messageIDs: RPC_LIMITS.maxIdontwantMessageIDs },
  },
}

/** As the guard around gossipsub decodes and sorts an RPC; the decoder is libp2p's, and any error of it a refusal. */
const gossip: Target = {
  name: 'gossip rpc',
  format: 'protobuf',
  corpus: () => RPCS.map(rpc => RPC.encode(rpc)),
  refusal: refusedBy(MalformedRpc),
  maxBytes: MIB,
  run(input) {
    let rpc: RPC
    try {
      rpc = RPC.decode(input, { limits })
    } catch (cause) {
      throw new MalformedRpc('no rpc', { cause })
    }
    const refusals = refusalsOf(silentMeter, 'gossip')
    const control = tidyControl(rpc.control, each => each === topic, refusals)
    check(
      (control?.prune ?? []).every(({ peers }) => peers.length <= 16),
      'few peers are exchanged',
    )
    const limit = 1_000
    const { rpcs } = splitRpc(rpc, limit)
    const sent = rpcs.flatMap(each => each.messages)
    if (sent.length !== rpc.messages.length) throw new PropertyError('every message is sent')
    for (const { messages } of rpcs) {
      const size = messages.reduce((sum, message) => sum + messageBytes(message), 0)
      check(messages.length <= 1 || size <= limit, 'no part is too large')
    }
    checkStable(
      rpc,
      each => RPC.encode(each),
      bytes => RPC.decode(bytes),
    )
    return true
  },
}

export const streamTargets: readonly Target[] = [gossip, stateImport]
