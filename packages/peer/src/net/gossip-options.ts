import { Buffer } from 'node:buffer'
import type { GossipsubOpts, Message } from '@libp2p/gossipsub'
import type { PeerId } from '@libp2p/interface'
import { assert, concatBytes } from '@ipfs-cluster/base'
import type { NetworkConfig } from './types.ts'

/** An RPC of Go's pubsub, and so a message with its envelope, is at most this long (go-libp2p-pubsub: `DefaultMaxMessageSize`). */
export const MAX_MESSAGE_BYTES = 1024 * 1024

/** Envelope: author, sequence number, signature and key; an RSA-4096 key needs the most, about 1.1 KiB. */
const MAX_ENVELOPE_BYTES = 2048

/** Largest payload that every Go peer takes. */
export const MAX_PAYLOAD_BYTES = MAX_MESSAGE_BYTES - MAX_ENVELOPE_BYTES

/** Bytes waiting for one slow peer before its stream is reset, to be opened again (Go drops what is above 128 messages). */
const MAX_OUTBOUND_BUFFER_BYTES = 8 * 1024 * 1024

/** Bytes of one frame of another peer: a message, plus the gossip that js-libp2p sends along. */
const MAX_FRAME_BYTES = 4 * 1024 * 1024

/** Streams that one connection may open to us for gossip; one is in use, others replace it. */
const MAX_INBOUND_STREAMS = 4

/** What a peer may subscribe to: js counts the length of a topic and 1 KiB. Cluster peers have two topics. */
const MAX_TOPIC_BYTES = 128 * 1024

/**
 * Limits of one RPC; more makes all of it malformed. Go sends at most 10,000 ids of messages it has (`MaxIHaveLength` of
 * cluster), asks for as many, and names 16 peers in a PRUNE; 1 MiB holds about 6,000 of the smallest messages.
 */
export const RPC_LIMITS = {
  maxSubscriptions: 1024,
  maxMessages: 8192,
  maxIhaveMessageIDs: 10_000,
  maxIwantMessageIDs: 10_000,
  maxIdontwantMessageIDs: 1024,
  maxControlMessages: 1024,
  maxPeerInfos: 64,
}

/** Messages above which peers of version 1.2 are told not to send their copies, as in Go. */
const MIN_UNWANTED_BYTES = 1024

/** How many of those a peer may tell us in a heartbeat (Go: `GossipSubMaxIDontWantMessages`). */
const MAX_UNWANTED_MESSAGES = 1000

/** Ids seen are kept by `SeenMessages`; this is for our own publications, a few a minute. */
const PUBLISHED_TTL_MS = 2 * 60 * 1000

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
  return concatBytes([authorPrefix(message.from), sequence])
}

/** The author's part of its messages' ids. */
export function authorPrefix(author: PeerId): Uint8Array {
  return author.toMultihash().bytes.subarray(0, ID_AUTHOR_BYTES)
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
    seenTTL: PUBLISHED_TTL_MS,
    maxOutboundBufferSize: MAX_OUTBOUND_BUFFER_BYTES,
    maxInboundDataLength: MAX_FRAME_BYTES,
    maxInboundStreams: MAX_INBOUND_STREAMS,
    maxTopicBytesPerPeer: MAX_TOPIC_BYTES,
    decodeRpcLimits: RPC_LIMITS,
    idontwantMinDataSize: MIN_UNWANTED_BYTES,
    idontwantMaxMessages: MAX_UNWANTED_MESSAGES,
    // One signature after the other; `inbound-work.ts` counts on it.
    awaitRpcMessageHandler: true,
    // `trim.ts` looks at the mesh itself; js would also tag peers whose GRAFT it refuses.
    tagMeshPeers: false,
    runOnLimitedConnection: true,
    ...withoutScoring,
  }
}

/** Of peers that are gone; what js remembers of them is of no use without scores. */
const RETAIN_SCORE_MS = 1000

/**
 * Go scores nobody. js-libp2p always does, and by default would graylist peers that share an address (more than ten behind
 * one NAT or on one host) and take peer exchange from none.
 */
const withoutScoring: Partial<GossipsubOpts> = {
  scoreParams: { IPColocationFactorWeight: 0, behaviourPenaltyWeight: 0, retainScore: RETAIN_SCORE_MS },
  scoreThresholds: { acceptPXThreshold: 0, opportunisticGraftThreshold: 0 },
}
