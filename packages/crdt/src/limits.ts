/** Limits on what others may send and on what is kept in memory. What a configuration may change is in `CrdtConfig`. */

/** Bytes of one DAG node: a bitswap message of Go peers cannot carry more. */
export const MAX_NODE_BYTES = 4 * 1024 * 1024

/** Links of one DAG node: heads that one writer joined, and ancestors. */
export const MAX_NODE_LINKS = 20_000

/** Elements and tombstones of one DAG node. Four times what fits in the largest node when they are those of pins. */
export const MAX_NODE_ELEMENTS = 131_072

/** Height of a DAG node; what claims more counts as this. Far above what writing can reach, far below where `height + 1` loses precision. */
export const MAX_PRIORITY = 2 ** 48

/** Heads kept. At the limit only nodes that link to one are taken: a node of ours links to all of them, and one announcement holds them. */
export const MAX_HEADS = 10_000

/** Bytes of one announcement; pubsub of Go peers carries no more. */
export const MAX_BROADCAST_BYTES = 1024 * 1024

/** Heads sent in one announcement (40 bytes each). */
export const MAX_BROADCAST_HEADS = 20_000

/** Heads remembered as announced by others since the last rebroadcast; beyond it some are announced twice. */
export const MAX_SEEN_HEADS = 100_000

/** Bytes of announcements taken from one peer: at once, and per second after that. Each message costs as if it had 64 bytes more. */
export const ANNOUNCED_BYTES_AT_ONCE = 4 * 1024 * 1024
export const ANNOUNCED_BYTES_PER_SECOND = 256 * 1024

/** Peers whose announcements are measured; of more, those silent for the longest are forgotten. */
export const MAX_ANNOUNCING_PEERS = 1_000

/** Announced nodes kept in memory that no merged node links to: of one peer, and of all. */
export const MAX_ANNOUNCED_OF_PEER = 4_096
export const MAX_ANNOUNCED = 16_384

/** Bytes of key and value of one operation: it has to fit in a node. */
export const MAX_OP_BYTES = 2 * 1024 * 1024

/** Operations waiting for a commit, when the configuration does not say otherwise. */
export const MAX_QUEUED_OPS = 200_000

/** Missing nodes kept in memory that merged ones link to; the rest is read from the store when there is room. */
export const MAX_FRONTIER_IN_MEMORY = 16_384

/** Nodes remembered as refused. */
export const MAX_REFUSED_IN_MEMORY = 10_000

/** Size of decoded nodes waiting to be merged, before fetching pauses: their bytes and what their parts take in memory. */
export const MAX_UNMERGED_BYTES = 32 * 1024 * 1024

/** Bytes of fetched nodes that wait until fewer are unmerged; what comes beyond it is dropped and fetched again. */
export const MAX_HELD_BYTES = 64 * 1024 * 1024

/** Nodes, bytes, and links, elements and tombstones together, merged in one batch of the store. */
export const MAX_MERGE_NODES = 1_000
export const MAX_MERGE_BYTES = 4 * 1024 * 1024
export const MAX_MERGE_ENTRIES = 20_000

/** Elements, tombstones and bytes of elements in the row of one key; more have rows of their own. */
export const MAX_ROW_ENTRIES = 32
export const MAX_ROW_BYTES = 64 * 1024

/** Peers remembered as likely to have a node. */
export const MAX_PROVIDERS = 4

/** Deadline of the first attempt to fetch a node, in milliseconds; it doubles up to the configured one. */
export const FIRST_FETCH_TIMEOUT_MS = 10_000

/** Time after which an attempt gives its slot to another and goes on beside it, in milliseconds; and how many may do so. */
export const STALL_MS = 500
export const MAX_STALLED = 256

/** Pause after a failed attempt, in milliseconds; it doubles from the first to the second. */
export const MIN_RETRY_MS = 1_000
export const MAX_RETRY_MS = 60_000

/** Attempts to fetch a head that no stored node links to; its next announcement starts anew. */
export const MAX_HEAD_ATTEMPTS = 6

/** Walking yields to everything else after this time, in milliseconds. */
export const MAX_TURN_MS = 5

/** Deadline of one broadcast, in milliseconds. */
export const BROADCAST_TIMEOUT_MS = 10_000

/** Time in which announcements to peers that have just begun to listen gather, ±50 %. Milliseconds. */
export const GREETING_DELAY_MS = 600

/**
 * Go peers hold 32 announcements and drop more without a word. After so many in a burst, all heads are announced once more: when nothing has been
 * heard for a while (±50 %), or at the latest after the longer time. Milliseconds.
 */
export const BURST_MESSAGES = 16
export const SETTLE_MS = 1_000
export const MAX_SETTLE_MS = 10_000
