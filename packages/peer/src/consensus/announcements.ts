import type { PeerId } from '@ipfs-cluster/api'
import { decodeBroadcast, InvalidNodeError, type CrdtBroadcast } from '@ipfs-cluster/crdt'
import type { CID } from 'multiformats/cid'
import type { Network } from '../net/index.ts'

/** Who wants to know what goes on in the topic besides the CRDT. */
export interface AnnouncementWatcher {
  /** Another peer has announced these heads; the CRDT is about to fetch those it does not know. */
  onHeads(heads: readonly CID[]): void
  /** Another peer listens to the topic from now on. */
  onPeer(peer: PeerId): void
}

/** The CRDT's announcements over pubsub, those of trusted authors alone. */
export function announcementsOver(
  network: Pick<Network, 'publish' | 'subscribe'>,
  topic: string,
  isTrusted: (peer: PeerId) => boolean,
  watcher: AnnouncementWatcher,
): CrdtBroadcast {
  return {
    publish: data => network.publish(topic, data),
    subscribe: (handler, onPeer) =>
      network.subscribe(
        topic,
        message => {
          // Without a forwarder it is our own.
          if (message.forwarder !== undefined) watcher.onHeads(headsIn(message.data))
          handler(message)
        },
        {
          accept: isTrusted,
          onPeer: peer => {
            watcher.onPeer(peer)
            onPeer()
          },
        },
      ),
  }
}

function headsIn(data: Uint8Array): readonly CID[] {
  try {
    return decodeBroadcast(data)
  } catch (error) {
    // The CRDT refuses and counts it.
    if (error instanceof InvalidNodeError) return []
    throw error
  }
}
