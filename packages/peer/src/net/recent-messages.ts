import type { PeerId } from '@ipfs-cluster/api'
import { concatBytes } from '@ipfs-cluster/base'

/**
 * Messages before the first one that we ask for. A Go peer numbers them one by one and says a few a minute while nobody writes; it keeps
 * those of the last minute (`history_length` heartbeats).
 */
const ASKED_MESSAGES = 256n

/** Authors remembered as asked for. */
const MAX_AUTHORS = 10_000

/** Go counts up from the nanoseconds of its start; js-libp2p takes random numbers, which hardly ever look like that. */
const MAX_UPTIME_NS = 10n * 365n * 86_400n * 1_000_000_000n

export interface RecentMessagesComponents {
  /** Sends an IWANT. */
  readonly want: (peer: PeerId, messageIds: readonly Uint8Array[]) => void
  /** Unix nanoseconds. */
  readonly now: () => bigint
}

/**
 * What others said in the minute before we listened. Gossip tells nobody of it, and a cluster of Go peers announces its heads only once in one
 * to two minutes: a peer that comes would know nothing of the pinset for so long. But their message ids can be guessed: Go counts up
 * its sequence numbers, so the first message that arrives from an author tells those before it.
 */
export interface RecentMessages {
  /**
   * A message has arrived: `idPrefix` is the author's part of its id.
   *
   * @returns whether it is an old one, that is, said before the first that we heard of this author.
   */
  heard(message: {
    readonly author: PeerId
    readonly idPrefix: Uint8Array
    readonly sequence: bigint
    readonly forwarder: PeerId
  }): boolean
  /** The peer has subscribed anew: it, or we, may have been away. */
  forget(author: PeerId): void
}

export function createRecentMessages({ want, now }: RecentMessagesComponents): RecentMessages {
  /** The sequence number of the first message heard, by author. */
  const first = new Map<PeerId, bigint>()
  return {
    heard({ author, idPrefix, sequence, forwarder }) {
      const known = first.get(author)
      if (known !== undefined) return sequence < known && known - sequence <= ASKED_MESSAGES
      if (first.size >= MAX_AUTHORS || !isCounted(sequence, now())) return false
      first.set(author, sequence)
      const ids = Array.from({ length: Number(ASKED_MESSAGES) }, (_, i) =>
        concatBytes([idPrefix, sequenceBytes(sequence - BigInt(i) - 1n)]),
      )
      want(forwarder, ids)
      return false
    },
    forget: author => void first.delete(author),
  }
}

/** A clock that is ahead of ours by a day is still one. */
function isCounted(sequence: bigint, now: bigint): boolean {
  return sequence > now - MAX_UPTIME_NS && sequence < now + 86_400_000_000_000n
}

/** 8 bytes, big-endian. */
export function sequenceBytes(sequence: bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, sequence)
  return bytes
}
