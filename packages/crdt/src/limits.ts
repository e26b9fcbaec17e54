/** Limits on what others may send and on what is kept in memory. What a configuration may change is in `CrdtConfig`. */

/** Bytes of one DAG node: a bitswap message of Go peers cannot carry more. */
export const MAX_NODE_BYTES = 4 * 1024 * 1024

/** Links of one DAG node, that is heads that one writer joined. */
export const MAX_NODE_LINKS = 20_000

/** Height of a DAG node. Far above what writing can reach, far below where `height + 1` loses precision. */
export const MAX_PRIORITY = 2 ** 48

/** Bytes of one announcement; pubsub of Go peers carries no more. */
export const MAX_BROADCAST_BYTES = 1024 * 1024

/** Heads sent in one announcement (40 bytes each). */
export const MAX_BROADCAST_HEADS = 20_000

/** Heads remembered as announced by others since the last rebroadcast; beyond it some are announced twice. */
export const MAX_SEEN_HEADS = 100_000

/** Bytes of key and value of one operation: it has to fit in a node. */
export const MAX_OP_BYTES = 2 * 1024 * 1024

/** Operations waiting for a commit, when the configuration does not say otherwise. */
export const MAX_QUEUED_OPS = 200_000

/** Missing nodes kept in memory; the rest is read from the store when there is room. */
export const MAX_FRONTIER_IN_MEMORY = 16_384

/** Nodes remembered as refused. */
export const MAX_REFUSED_IN_MEMORY = 10_000

/** Bytes of fetched nodes waiting to be merged, before fetching pauses. */
export const MAX_UNMERGED_BYTES = 32 * 1024 * 1024

/** Nodes and bytes merged in one batch of the store. */
export const MAX_MERGE_NODES = 1_000
export const MAX_MERGE_BYTES = 4 * 1024 * 1024

/** Peers remembered as likely to have a node. */
export const MAX_PROVIDERS = 4

/** Deadline of the first attempt to fetch a node, in milliseconds; it doubles up to the configured one. */
export const FIRST_FETCH_TIMEOUT_MS = 10_000

/** Pause after a failed attempt, in milliseconds; it doubles from the first to the second. */
export const MIN_RETRY_MS = 1_000
export const MAX_RETRY_MS = 60_000

/** Attempts to fetch a head that no stored node links to; its next announcement starts anew. */
export const MAX_HEAD_ATTEMPTS = 6

/** Deadline of one broadcast, in milliseconds. */
export const BROADCAST_TIMEOUT_MS = 10_000

/** Time in which announcements to peers that have just begun to listen gather, ±50 %. Milliseconds. */
export const GREETING_DELAY_MS = 600
