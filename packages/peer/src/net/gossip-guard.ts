import type { GossipSub } from '@libp2p/gossipsub'
import type { PeerId as Libp2pPeerId } from '@libp2p/interface'
import { peerIdFromMultihash } from '@libp2p/peer-id'
import * as Digest from 'multiformats/hashes/digest'
import {
  errorMessage,
  Limiter,
  type Clock,
  type Logger,
  type Refusals,
  type TaskScope,
} from '@ipfs-cluster/base'
import type { PeerId } from '@ipfs-cluster/api'
import { internalsOf, type GossipInternals, type RPC } from './gossip-internals.ts'
import { MAX_MESSAGE_BYTES } from './gossip-options.ts'
import { messageBytes, splitRpc, tidyControl } from './gossip-rpc.ts'
import { InboundWork, TURN_MESSAGES } from './inbound-work.ts'
import { SeenMessages } from './seen-messages.ts'

/** Hard-wired in Go, whatever `seen_messages_ttl` says. */
const SEEN_TTL_MS = 30 * 60 * 1000

/** About 14 MiB; at 50 messages a second, those of half an hour are 90,000. */
const MAX_SEEN_IDS = 200_000

/** Messages kept for peers that ask for them again: a minute's at the default heartbeat. Beyond it, new ones are only forwarded. */
const MAX_CACHED_BYTES = 64 * 1024 * 1024
const MAX_CACHED_MESSAGES = 50_000

/** Checking a message of this length takes about twice as long as checking an empty one. */
const USUAL_MESSAGE_BYTES = 16 * 1024

/**
 * Peers exchanged on PRUNE that are being dialled, and those that wait (Go: `GossipSubConnectors`,
 * `GossipSubMaxPendingConnections`).
 */
const EXCHANGE_CONNECTORS = 8
const MAX_EXCHANGES = 128

export interface GossipGuardComponents {
  readonly gossip: GossipSub
  readonly scope: Pick<TaskScope, 'run'>
  readonly clock: Clock
  readonly logger: Logger
  readonly refusals: Refusals
}

/**
 * Puts limits around js gossipsub, before it starts: on what one peer may have us keep and work on, and on the size of what
 * we send, which Go peers answer with a reset of the stream when it is above 1 MiB.
 */
export function guardGossip({ gossip, scope, clock, logger, refusals }: GossipGuardComponents): void {
  const internals = internalsOf(gossip)
  internals.seenCache = new SeenMessages(clock, { ttlMs: SEEN_TTL_MS, maxIds: MAX_SEEN_IDS })
  limitMessageCache(internals, refusals)
  guardReceiving(internals, clock, refusals)
  countJudgements(internals, refusals)
  limitSending(internals)
  limitPeerExchange(internals, { scope, logger, refusals })
}

function limitMessageCache({ mcache }: GossipInternals, refusals: Refusals): void {
  const put = mcache.put.bind(mcache)
  const shift = mcache.shift.bind(mcache)
  /** Bytes taken in each heartbeat interval, latest first; `shift` forgets the messages of the last one. */
  const windows = (mcache as unknown as { readonly history: readonly unknown[] }).history.map(() => 0)
  let bytes = 0
  mcache.put = (id, message, validated) => {
    const size = message.data?.length ?? 0
    if (bytes + size > MAX_CACHED_BYTES || mcache.size >= MAX_CACHED_MESSAGES) {
      refusals.count('message_cache_full')
      return false
    }
    const isNew = put(id, message, validated)
    if (isNew) {
      bytes += size
      windows[0] = (windows[0] ?? 0) + size
    }
    return isNew
  }
  mcache.shift = () => {
    shift()
    bytes -= windows.pop() ?? 0
    windows.unshift(0)
  }
}

/** Filters what comes, and stops reading from a peer that sends faster than we work. */
function guardReceiving(internals: GossipInternals, clock: Clock, refusals: Refusals): void {
  const sizes = new WeakMap<RPC, number>()
  const inbound = new InboundWork(clock)
  const decode = internals.decodeRpc.bind(internals)
  const handle = internals.handleReceivedRpc.bind(internals)
  const openStream = internals.createInboundStream.bind(internals)
  const subscribed = internals.handleReceivedSubscription.bind(internals)

  internals.createInboundStream = (peer, stream) => {
    inbound.opened(peer.toString(), stream)
    openStream(peer, stream)
  }
  internals.decodeRpc = bytes => {
    try {
      const rpc = decode(bytes)
      sizes.set(rpc, bytes.length)
      return rpc
    } catch (error) {
      refusals.count('malformed_rpc')
      throw error
    }
  }
  internals.handleReceivedSubscription = (from, topic, subscribe) => {
    const taken = subscribed(from, topic, subscribe)
    if (!taken) refusals.count('too_many_topics')
    return taken
  }
  internals.handleReceivedRpc = async (from, rpc) => {
    const peer = from.toString()
    const messages = rpc.messages.filter(message => {
      const reason = messageRefusal(message, internals)
      if (reason !== undefined) refusals.count(reason)
      return reason === undefined
    })
    const parts = [
      { subscriptions: rpc.subscriptions, messages: [] },
      ...turns(messages).map(some => ({ subscriptions: [], messages: some })),
    ]
    const steps = parts.map(part => ({ weight: weightOf(part.messages), run: () => handle(from, part) }))
    const handleControl = async () => {
      const inMesh = (topic: string) => internals.mesh.get(topic)?.has(peer) === true
      const control = tidyControl(rpc.control, inMesh, refusals)
      if (control !== undefined) await handle(from, { subscriptions: [], messages: [], control })
    }
    await inbound.run(peer, sizes.get(rpc) ?? 0, [...steps, { weight: 1, run: handleControl }])
  }
}

/** As so many messages of the usual size: a signature is checked over all bytes. */
function weightOf(messages: readonly RPC.Message[]): number {
  return messages.reduce((sum, { data }) => sum + 1 + (data?.length ?? 0) / USUAL_MESSAGE_BYTES, 0)
}

function turns<T>(list: readonly T[]): T[][] {
  return Array.from({ length: Math.ceil(list.length / TURN_MESSAGES) }, (_, turn) =>
    list.slice(turn * TURN_MESSAGES, (turn + 1) * TURN_MESSAGES),
  )
}

/**
 * As Go, which ignores what it has not subscribed to (js would check its signature, keep it and offer it to others), and resets
 * the stream of whoever forwards it too much.
 */
function messageRefusal(message: RPC.Message, { subscriptions }: GossipInternals): string | undefined {
  if (!subscriptions.has(message.topic)) return 'unknown_topic'
  return messageBytes(message) > MAX_MESSAGE_BYTES ? 'message_too_large' : undefined
}

function countJudgements(internals: GossipInternals, refusals: Refusals): void {
  const validate = internals.validateReceivedMessage.bind(internals)
  internals.validateReceivedMessage = async (from, message) => {
    const judgement = await validate(from, message)
    // Missing, forged or of another key than the author's; `reject` and `ignore` come from the validator of the topic.
    if (judgement.code === 'invalid' && judgement.reason === 'error') refusals.count('bad_signature')
    return judgement
  }
}

function limitSending(internals: GossipInternals): void {
  const send = internals.sendRpc.bind(internals)
  internals.sendRpc = (to, rpc) => {
    const parts = splitRpc(rpc, MAX_MESSAGE_BYTES)
    // What waits for the next RPC to this peer would come on top of a message that just fits.
    if (parts.large && (internals.gossip.has(to) || internals.control.has(to))) {
      send(to, { subscriptions: [], messages: [] })
    }
    return parts.rpcs.map(part => send(to, part)).every(Boolean)
  }
}

/** js would dial all peers that a PRUNE names, at once, and read nothing more of the one who sent it until that is done. */
function limitPeerExchange(
  internals: GossipInternals,
  { scope, logger, refusals }: Pick<GossipGuardComponents, 'scope' | 'logger' | 'refusals'>,
): void {
  const connect = internals.pxConnect.bind(internals)
  const limiter = new Limiter(EXCHANGE_CONNECTORS)
  const known = new Set<PeerId>()
  internals.pxConnect = async peers => {
    for (const info of peers) {
      const peer = exchangedPeer(info)
      if (peer === undefined || known.has(peer)) continue
      if (known.size >= MAX_EXCHANGES) {
        refusals.count('too_many_exchanged_peers')
        return
      }
      known.add(peer)
      scope.run('peer exchange', async signal => {
        try {
          await limiter.run(() => connect([info]), { signal })
        } catch (error) {
          logger.debug({ peer, err: error }, `cannot reach an exchanged peer: ${errorMessage(error)}`)
        } finally {
          known.delete(peer)
        }
      })
    }
  }
}

function exchangedPeer({ peerID }: RPC.PeerInfo): PeerId | undefined {
  if (peerID === undefined) return undefined
  try {
    const peer: Libp2pPeerId = peerIdFromMultihash(
      Digest.decode(peerID) as Parameters<typeof peerIdFromMultihash>[0],
    )
    return peer.toString()
  } catch {
    // Not a peer id: nothing to connect to.
    return undefined
  }
}
