import { Buffer } from 'node:buffer'
import type { GossipsubOpts, Message } from '@libp2p/gossipsub'
import { assert, concatBytes } from '@ipfs-cluster/base'
import type { NetworkConfig } from './types.ts'

/** A message of Go's pubsub, with its envelope, is at most this long (go-libp2p-pubsub: `DefaultMaxMessageSize`). */
const MAX_MESSAGE_BYTES = 1024 * 1024

/** Envelope: author, sequence number, signature and key; an RSA-4096 key needs the most, about 1.1 KiB. */
const MAX_ENVELOPE_BYTES = 2048

/** Largest payload that every Go peer takes. */
export const MAX_PAYLOAD_BYTES = MAX_MESSAGE_BYTES - MAX_ENVELOPE_BYTES

/** Bytes waiting for one slow peer before its stream is reset (Go: 128 messages of at most 1 MiB). */
const MAX_OUTBOUND_BUFFER_BYTES = 32 * 1024 * 1024

/** Bytes of one frame of another peer: a message, plus the gossip that js-libp2p sends along. */
const MAX_FRAME_BYTES = 4 * 1024 * 1024

/** Hard-wired in Go, whatever `seen_messages_ttl` says. */
const SEEN_TTL_MS = 30 * 60 * 1000

/** Bytes of the author's multihash that stand in a message id. */
const ID_AUTHOR_BYTES = 16

/**
 * The message id of cluster peers: first 16 bytes of the author's multihash, then the sequence number (8 bytes, big-endian).
 * With another rule peers would deliver duplicates and answer no IWANT (reference wire.md 2).
 */
export function messageId(message: Message): Uint8Array {
  assert(message.type === 'signed', 'StrictSign lets unsigned messages through')
  const sequence = new Uint8Array(8)
  new DataView(sequence.buffer).setBigUint64(0, message.sequenceNumber)
  return concatBytes([message.from.toMultihash().bytes.subarray(0, ID_AUTHOR_BYTES), sequence])
}

/** Gossipsub as Go's `newPubSub` sets it up (reference wire.md 2). */
export function gossipOptions(config: NetworkConfig): Partial<GossipsubOpts> {
  const { heartbeatIntervalMs, dFactor, historyGossip, historyLength, floodPublish } = config.pubsub
  return {
    globalSignaturePolicy: 'StrictSign',
    msgIdFn: messageId,
    msgIdToStrFn: id => Buffer.from(id.buffer, id.byteOffset, id.byteLength).toString('latin1'),
    emitSelf: true,
    allowPublishToZeroTopicPeers: true,
    fallbackToFloodsub: true,
    floodPublish,
    doPX: !config.followerMode,
    D: 6 * dFactor,
    Dlo: 5 * dFactor,
    Dhi: 12 * dFactor,
    Dscore: 4 * dFactor,
    Dout: 2 * dFactor,
    Dlazy: 6 * dFactor,
    heartbeatInterval: heartbeatIntervalMs,
    mcacheLength: historyLength,
    mcacheGossip: historyGossip,
    seenTTL: SEEN_TTL_MS,
    maxOutboundBufferSize: MAX_OUTBOUND_BUFFER_BYTES,
    maxInboundDataLength: MAX_FRAME_BYTES,
    ...withoutScoring,
  }
}

/**
 * Go scores nobody. js-libp2p always does, and by default would graylist peers that share an address (more than ten behind
 * one NAT or on one host) and take peer exchange from none.
 */
const withoutScoring: Partial<GossipsubOpts> = {
  scoreParams: { IPColocationFactorWeight: 0, behaviourPenaltyWeight: 0 },
  scoreThresholds: { acceptPXThreshold: 0, opportunisticGraftThreshold: 0 },
}
