import { TopicValidatorResult, type GossipSub } from '@libp2p/gossipsub'
import type { Libp2p, PeerId as Libp2pPeerId } from '@libp2p/interface'
import {
  errorMessage,
  refusalsOf,
  silentMeter,
  systemClock,
  type Clock,
  type Logger,
  type Meter,
} from '@ipfs-cluster/base'
import type { PeerId } from '@ipfs-cluster/api'
import { openConnection } from './dialer.ts'
import { NetworkError } from './errors.ts'
import { internalsOf, type RPC } from './gossip-internals.ts'
import { authorPrefix, MAX_PAYLOAD_BYTES } from './gossip-options.ts'
import { pubsubMetrics } from './pubsub-metrics.ts'
import { createRecentMessages } from './recent-messages.ts'
import type { Network, PubsubMessage } from './types.ts'

export type Pubsub = Pick<Network, 'publish' | 'subscribe'> & Disposable

/** One handler a topic on top of gossipsub, whose messages are checked for size, author and signature. */
export function createPubsub(
  libp2p: Libp2p,
  gossip: GossipSub,
  logger: Logger,
  meter: Meter = silentMeter,
  clock: Pick<Clock, 'nowNs'> = systemClock,
): Pubsub {
  const refusals = refusalsOf(meter, 'pubsub')
  const metrics = pubsubMetrics(meter)
  const handlers = new Map<string, (message: PubsubMessage) => void>()
  const greeters = new Map<string, (peer: PeerId) => void>()
  const self = libp2p.peerId.toString()

  const recent = createRecentMessages({
    now: () => clock.nowNs(),
    want: (peer, messageIDs) => void internalsOf(gossip).sendRpc(peer, wantRpc(messageIDs)),
  })

  const listeners = new AbortController()
  const { signal } = listeners
  gossip.addEventListener('gossipsub:message', onMessage, { signal })
  gossip.addEventListener(
    'subscription-change',
    ({ detail: { peerId, subscriptions } }) => {
      if (subscriptions.some(({ subscribe }) => subscribe)) recent.forget(peerId.toString())
      for (const { topic, subscribe } of subscriptions)
        if (subscribe) greeters.get(topic)?.(peerId.toString())
    },
    { signal },
  )
  const revive = () => reviveStreams(libp2p, gossip)
  gossip.addEventListener('gossipsub:heartbeat', revive, { signal })
  // After the streams of that connection have been told, which happens on the same event.
  libp2p.addEventListener('connection:close', () => queueMicrotask(revive), { signal })

  function onMessage(event: GossipEvent): void {
    const { msg, propagationSource } = event.detail
    const handler = handlers.get(msg.topic)
    if (handler === undefined || msg.type !== 'signed') return
    metrics.message(msg.topic, 'received', msg.data.length)
    const from = msg.from.toString()
    const forwarder = propagationSource.toString()
    const late =
      forwarder !== self &&
      recent.heard({
        author: from,
        idPrefix: authorPrefix(msg.from),
        sequence: msg.sequenceNumber,
        forwarder,
      })
    try {
      handler({
        data: msg.data,
        from,
        ...(forwarder === self ? {} : { forwarder }),
        ...(late ? { late } : {}),
      })
    } catch (error) {
      logger.error(
        { topic: msg.topic, from, err: error },
        `handler of a message failed: ${errorMessage(error)}`,
      )
    }
  }

  return {
    async publish(topic, data) {
      if (data.length > MAX_PAYLOAD_BYTES) {
        throw new NetworkError(
          `a message of ${data.length} bytes for topic ${topic} is too large: peers drop those above ${MAX_PAYLOAD_BYTES}`,
          { code: 'NET_MESSAGE_TOO_LARGE', topic, size: data.length, limit: MAX_PAYLOAD_BYTES },
        )
      }
      await gossip.publish(topic, data)
      metrics.message(topic, 'sent', data.length)
    },
    subscribe(topic, handler, { accept = () => true, onPeer } = {}) {
      if (handlers.has(topic)) {
        throw new NetworkError(`topic ${topic} has a subscriber already; share that one`, {
          code: 'NET_ALREADY_SUBSCRIBED',
          topic,
        })
      }
      handlers.set(topic, handler)
      if (onPeer !== undefined) greeters.set(topic, onPeer)
      gossip.topicValidators.set(topic, (_source, message) => {
        if (message.type !== 'signed') return TopicValidatorResult.Reject
        const from = message.from.toString()
        // Our own message come back, from before a restart: its signature is good, but we never publish through the wire.
        if (from === self) return TopicValidatorResult.Ignore
        if (accept(from)) return TopicValidatorResult.Accept
        refusals.count('untrusted_author')
        return TopicValidatorResult.Reject
      })
      gossip.subscribe(topic)
      // Connections are older than subscriptions: others dial as soon as we listen, while our store is still being opened.
      for (const peer of gossip.getSubscribers(topic)) onPeer?.(peer.toString())
      return {
        [Symbol.dispose]() {
          if (signal.aborted || handlers.get(topic) !== handler) return
          handlers.delete(topic)
          greeters.delete(topic)
          gossip.topicValidators.delete(topic)
          gossip.unsubscribe(topic)
        },
      }
    },
    [Symbol.dispose]: () => listeners.abort(),
  }
}

/** An RPC that asks for messages by id. */
function wantRpc(messageIDs: readonly Uint8Array[]): RPC {
  const control = { iwant: [{ messageIDs: [...messageIDs] }], ihave: [], graft: [], prune: [], idontwant: [] }
  return { subscriptions: [], messages: [], control }
}

type GossipEvent = CustomEvent<{
  readonly propagationSource: Libp2pPeerId
  readonly msg: Parameters<NonNullable<ReturnType<GossipSub['topicValidators']['get']>>>[1]
}>

/**
 * js gossipsub opens one stream to a peer, on its first connection, and never another one: when that connection closes or the
 * stream is reset while a second connection lives on, the peer would hear nothing of us any more.
 */
function reviveStreams(libp2p: Libp2p, gossip: GossipSub): void {
  const state = internalsOf(gossip)
  for (const peer of gossip.getPeers()) {
    if (state.streamsOutbound.has(peer.toString())) continue
    const connection = openConnection(libp2p, peer)
    if (connection !== undefined) state.onPeerConnected(peer, connection)
  }
}
