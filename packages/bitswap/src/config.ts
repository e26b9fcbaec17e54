import { BitswapError } from './errors.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** Go drops larger blocks and messages grow by one block at most, so no batch is planned above this. Bytes. */
const MAX_OUTGOING_TARGET = 2 * MIB

export interface BitswapConfig {
  /** Answer wants of others; otherwise they get DONT_HAVE. @default true */
  readonly serve: boolean
  /** Largest message taken from a peer, as in Go. Bytes. @default 4 MiB */
  readonly maxMessageBytes: number
  /** A message is sent off once it holds this much; at most 2 MiB, exceeded only by a block that is larger itself. Bytes. @default 256 KiB */
  readonly maxOutgoingBytes: number
  /** Up to this size a block itself answers a want-have. Bytes. @default 1024 */
  readonly haveInsteadOfBlockBytes: number
  /** Wants of one peer that are kept, queued ones and those we cannot satisfy yet. The oldest unsatisfiable goes first. @default 16_384 */
  readonly maxWantsPerPeer: number
  /** Our unanswered wants at one peer; the rest wait here. Below the 1024 that a Go peer keeps. @default 768 */
  readonly maxWantsInFlight: number
  /** Peers asked for one block by want-have at a time. @default 64 */
  readonly maxBroadcastPeers: number
  /** Bitswap streams per connection and direction: Go opens one per answer. @default 2048 */
  readonly maxStreams: number
  /** Bytes of unfinished messages kept per peer, over all its streams. @default 64 MiB */
  readonly maxPartialBytes: number
  /** Deadline for opening a stream. Milliseconds. @default 10_000 */
  readonly openTimeoutMs: number
  /** A peer that takes nothing for so long loses its stream. Milliseconds. @default 60_000 */
  readonly drainTimeoutMs: number
  /** After so long without a sound from the peer asked, another one is asked too. Milliseconds. @default 1_000 */
  readonly stallMs: number
  /** After so long without a sound a want counts as refused; after three times as long whatever else came. Milliseconds. @default 10_000 */
  readonly answerTimeoutMs: number
  /** First and longest pause before peers without the block are asked again; doubles in between. Milliseconds. @default 500 */
  readonly retryMinMs: number
  /** @default 30_000 */
  readonly retryMaxMs: number
}

export const DEFAULT_BITSWAP_CONFIG: BitswapConfig = {
  serve: true,
  maxMessageBytes: 4 * MIB,
  maxOutgoingBytes: 256 * KIB,
  haveInsteadOfBlockBytes: 1024,
  maxWantsPerPeer: 16_384,
  maxWantsInFlight: 768,
  maxBroadcastPeers: 64,
  maxStreams: 2048,
  maxPartialBytes: 64 * MIB,
  openTimeoutMs: 10_000,
  drainTimeoutMs: 60_000,
  stallMs: 1_000,
  answerTimeoutMs: 10_000,
  retryMinMs: 500,
  retryMaxMs: 30_000,
}

/** Fills in defaults. @throws BitswapError `BITSWAP_BAD_CONFIG`. */
export function bitswapConfig(config: Partial<BitswapConfig>): BitswapConfig {
  const full = { ...DEFAULT_BITSWAP_CONFIG, ...config }
  for (const [option, value] of Object.entries(full)) {
    if (option !== 'haveInsteadOfBlockBytes' && typeof value === 'number' && !(value > 0)) {
      throw badConfig(option, 'must be above 0')
    }
  }
  if (full.maxOutgoingBytes > MAX_OUTGOING_TARGET)
    throw badConfig('maxOutgoingBytes', 'must be 2 MiB at most')
  return full
}

function badConfig(option: string, rule: string): BitswapError {
  return new BitswapError(`bitswap option ${option} ${rule}`, { code: 'BITSWAP_BAD_CONFIG', option })
}
