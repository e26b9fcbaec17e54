import { Buffer } from 'node:buffer'
import type { RPC } from '@libp2p/gossipsub/message'
import type { Refusals } from '@ipfs-cluster/base'

/** A peer that says it backs off for longer does so on its own; we do not remember it. */
const MAX_BACKOFF_SECONDS = 10 * 60

/** Peers that one PRUNE may name (Go: `GossipSubPrunePeers`). */
const MAX_EXCHANGED_PEERS = 16

/**
 * The control messages of an RPC, each topic grafted and pruned once: answers and their signed records are otherwise many
 * times what a peer sends. Peers to exchange are taken only from a peer in our mesh, who alone has something to prune us
 * from.
 */
export function tidyControl(
  control: RPC.ControlMessage | undefined,
  inMesh: (topic: string) => boolean,
  refusals: Refusals,
): RPC.ControlMessage | undefined {
  if (control === undefined) return undefined
  const graft = uniqueTopics(control.graft)
  const prune = uniqueTopics(control.prune)
  const repeated = control.graft.length + control.prune.length - graft.length - prune.length
  if (repeated > 0) refusals.count('repeated_control')
  return {
    ...control,
    graft,
    prune: prune.map(({ topicID, peers, backoff }) => {
      const solicited = peers.length === 0 || (topicID !== undefined && inMesh(topicID))
      if (!solicited) refusals.count('unsolicited_peer_exchange')
      return {
        ...(topicID === undefined ? {} : { topicID }),
        peers: solicited ? peers.slice(0, MAX_EXCHANGED_PEERS) : [],
        ...(backoff === undefined ? {} : { backoff: Math.min(backoff, MAX_BACKOFF_SECONDS) }),
      }
    }),
  }
}

function uniqueTopics<T extends { readonly topicID?: string }>(list: readonly T[]): T[] {
  return [...new Map(list.map(entry => [entry.topicID, entry])).values()]
}

/**
 * The same in RPCs that stay below `limit` bytes, as far as single messages do. `large` when one of them is more than half
 * of that, so that nothing should be sent along with it.
 */
export function splitRpc(
  rpc: RPC,
  limit: number,
): { readonly rpcs: readonly RPC[]; readonly large: boolean } {
  const size = rpc.messages.reduce((sum, message) => sum + messageBytes(message), 0)
  if (size <= limit / 2) return { rpcs: [rpc], large: false }
  const groups: RPC.Message[][] = []
  let room = 0
  for (const message of rpc.messages) {
    const needed = messageBytes(message)
    const last = groups.at(-1)
    if (last === undefined || needed > room) {
      groups.push([message])
      room = limit - needed
    } else {
      last.push(message)
      room -= needed
    }
  }
  const rest: RPC = { ...rpc, messages: [] }
  const hasRest = rpc.subscriptions.length > 0 || rpc.control !== undefined
  return {
    rpcs: [...(hasRest ? [rest] : []), ...groups.map(messages => ({ subscriptions: [], messages }))],
    large: true,
  }
}

/** Tags and lengths of a message's six fields, its sequence number, and its own tag and length in the RPC. */
const FIELD_BYTES = 40

/** No less than what a message takes in an RPC. */
export function messageBytes({ data, from, key, signature, topic }: RPC.Message): number {
  const parts = [data, from, key, signature].reduce((sum, part) => sum + (part?.length ?? 0), 0)
  return parts + Buffer.byteLength(topic) + FIELD_BYTES
}
