import type { GossipSub } from '@libp2p/gossipsub'
import type { Meter } from '@ipfs-cluster/base'
import { internalsOf } from './gossip-internals.ts'

export interface PubsubMetrics {
  message(topic: string, direction: 'sent' | 'received', bytes: number): void
}

/** Topics are those that we subscribe to or publish on: the pinset's and the one of metrics. Our own messages are received, too. */
export function pubsubMetrics(meter: Meter): PubsubMetrics {
  const messages = meter.counter(
    'ipfscluster_pubsub_messages_total',
    'Messages of topics, by topic and direction; our own are received too',
  )
  const bytes = meter.counter(
    'ipfscluster_pubsub_bytes_total',
    'Bytes of messages, without envelopes, by topic and direction',
  )
  return {
    message(topic, direction, length) {
      messages.add({ topic, direction })
      bytes.add({ topic, direction }, length)
    },
  }
}

/** Who hears us: peers that speak pubsub, and those in the mesh of a topic. */
export function measureGossip(meter: Meter, gossip: GossipSub): void {
  const { mesh } = internalsOf(gossip)
  meter.gauge('ipfscluster_pubsub_peers', 'Peers that speak pubsub with us', () => gossip.getPeers().length)
  meter.gauge(
    'ipfscluster_pubsub_topics',
    'Topics that we are subscribed to',
    () => gossip.getTopics().length,
  )
  meter.gauge('ipfscluster_pubsub_mesh_peers', 'Peers in the meshes of our topics', () =>
    gossip.getTopics().reduce((sum, topic) => sum + (mesh.get(topic)?.size ?? 0), 0),
  )
}
