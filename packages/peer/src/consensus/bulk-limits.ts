/** What a call of `Consensus.Blocks` may cost. The client's figures must not exceed the server's. */

/** Nodes asked for in one call: as many as the CRDT fetches at once. */
export const MAX_WANTS = 64

/** Nodes sent unasked on one call, and their bytes. */
export const MAX_AHEAD = 2048
export const MAX_AHEAD_BYTES = 8 * 1024 * 1024

/** Nodes that the first call asks for ahead; also where shrinking ends. Calls of use grow by this factor. */
export const MIN_AHEAD = 16
export const GROWTH = 4

/**
 * A walk with fewer fetches under way asks in bulk. With more, bitswap needs few round trips, and as fast as it is then the two would often bring the
 * same nodes.
 */
export const NARROW_WALK = 4

/**
 * A client leaves a call that sends so many nodes in a row which it has. Not at the first: nodes of this implementation link to older ancestors too, which
 * a walk has before what lies between.
 */
export const KNOWN_IN_A_ROW = 16

/** Calls of one peer served at once; a client makes one. More than one for the moment in which it leaves one and starts another. */
export const MAX_CALLS_PER_PEER = 4

/** Nodes read from the store at once for one call. */
export const CONCURRENT_READS = 8

/** Bytes of nodes that came unasked and were not fetched yet. */
export const MAX_PREFETCHED_BYTES = 32 * 1024 * 1024

/** They are dropped when nothing has been fetched for this long. Milliseconds. */
export const PREFETCH_IDLE_MS = 10_000

/** A provider that sends nothing for this long is given up. Milliseconds. */
export const STALL_MS = 5_000

/** A provider that failed is left alone, doubling from the first to the second. Milliseconds: a Go peer is asked a few times an hour. */
export const MIN_PAUSE_MS = 30_000
export const MAX_PAUSE_MS = 60 * 60 * 1000

/** A provider that had nothing of what it was asked for is left alone for this long. Milliseconds. */
export const EMPTY_PAUSE_MS = 2_000

/** Peers whose abilities are remembered. */
export const MAX_PROVIDERS = 1_000

/** Announced heads remembered: see `ExchangeBlocks`. */
export const MAX_ANNOUNCED = 1_000
