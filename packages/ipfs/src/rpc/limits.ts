/** What one request to the RPC may take. */

/** Of one request, in its query and body together. */
export const MAX_ARGUMENTS = 10_000
/** Bytes of arguments that come in the body, one a line. */
export const MAX_ARGUMENT_BYTES = 1024 * 1024
/** Names of one path. */
export const MAX_PATH_NAMES = 1024
/** Bytes of a block that any node takes over bitswap (Kubo: `SoftBlockLimit`); larger ones only with `allow-big-block`. */
export const SOFT_BLOCK_BYTES = 2 * 1024 * 1024
/** Bytes of an object to be stored in another format than it came in. */
export const MAX_OBJECT_BYTES = 4 * 1024 * 1024
/** Bytes of the name of a pin, as in Kubo. */
export const MAX_PIN_NAME_BYTES = 255
/** Entries of a listing that is answered as one object, and pins. */
export const MAX_LISTED_AT_ONCE = 100_000
/** Directories within directories that `get` goes into, and blocks below blocks that `refs` does. */
export const MAX_DEPTH = 1024
/** Bytes of the path of one entry of an archive. */
export const MAX_ARCHIVE_PATH_BYTES = 64 * 1024
/** Entries of a directory that are looked at ahead of the listing. */
export const LOOK_AHEAD_ENTRIES = 16
/** Of one `swarm/connect`. */
export const MAX_ADDRESSES = 64
/** Roots of the CARs of one import. */
export const MAX_CAR_ROOTS = 1024
/** Blocks of an import written together, and their bytes. */
export const IMPORT_BLOCKS_AT_ONCE = 256
export const IMPORT_BYTES_AT_ONCE = 8 * 1024 * 1024
/** Damaged or missing blocks that `pin/verify` names for one pin. */
export const MAX_BAD_NODES = 1000
/** Pings of one request. */
export const MAX_PINGS = 1000
/** Milliseconds between two lines that only tell of progress. */
export const PROGRESS_MS = 500
/** How long `block/rm` waits for adds and pins that protect a block, and between two looks. */
export const BUSY_BLOCK_MS = 5_000
export const BUSY_BLOCK_PAUSE_MS = 50
