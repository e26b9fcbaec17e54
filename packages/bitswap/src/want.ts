import type { CID } from 'multiformats/cid'
import type { BlockKey } from './cid-bytes.ts'
import type { BitswapConfig } from './config.ts'
import type { PeerWants } from './peer-wants.ts'

/**
 * What one peer has to do with one of our wants:
 * - `waiting`: a want-have for it waits for a free slot;
 * - `have`, `block`: asked, unanswered (these occupy a slot);
 * - `candidate`: believed to have it, to be asked for the block when nobody else is being asked;
 * - `lacks`: said so, or did not answer in time;
 * - `refused`: sent wrong bytes; not asked again for this block.
 */
export type AskState = 'waiting' | 'have' | 'block' | 'candidate' | 'lacks' | 'refused'

export interface Ask {
  state: AskState
  /** The peer remembers this want and answers it whenever it can, so it must hear of a cancel. */
  sent: boolean
  /** `clock.monotonic()` of the latest question. */
  askedAt: number
  /** The peer has sent bytes nobody asked for, perhaps for this want. */
  suspect: boolean
}

/** One caller of `get`. */
export interface Waiter {
  readonly session: SessionState
  readonly signal: AbortSignal | undefined
  readonly resolve: (data: Uint8Array) => void
  readonly reject: (reason: unknown) => void
}

/** A block we want, for whoever asked: there is one per multihash. */
export interface Want {
  readonly key: BlockKey
  readonly cid: CID
  readonly waiters: Set<Waiter>
  readonly sessions: Set<SessionState>
  /** Text ids of peers the callers named. */
  readonly hints: Set<string>
  readonly asks: Map<PeerWants, Ask>
  /** The peer whose block we are waiting for at present. */
  assigned: PeerWants | undefined
  /** Rounds in which nobody had it. */
  rounds: number
  /** `clock.monotonic()` of the next round; 0 while a round is under way. */
  nextRoundAt: number
}

/** What the wants of one session share. */
export interface SessionState {
  /** Named by the caller. */
  readonly hints: Set<string>
  /** Peers that had blocks of this session, with their DONT_HAVEs since the last one they had. */
  readonly good: Map<string, number>
  readonly wants: Set<Want>
  /** Ask around now and then to learn of more peers. Not worth it for a single block. */
  readonly probing: boolean
  issued: number
  /** Reason to reject further calls with. */
  closed: Error | undefined
}

export function createSessionState(hints: Iterable<string>, probing: boolean): SessionState {
  return {
    hints: new Set(hints),
    good: new Map(),
    wants: new Set(),
    probing,
    issued: 0,
    closed: undefined,
  }
}

/** Answer times after which even a busy peer is given up. */
const MAX_ANSWER_TIMEOUTS = 3

/** DONT_HAVEs in a row after which a session stops asking a peer first. */
const MAX_MISSES = 8

export function countHit(session: SessionState, peer: string): void {
  session.good.set(peer, 0)
}

export function countMiss(session: SessionState, peer: string): void {
  const misses = session.good.get(peer)
  if (misses === undefined) return
  if (misses + 1 >= MAX_MISSES) session.good.delete(peer)
  else session.good.set(peer, misses + 1)
}

/** Is there reason to think that `peer` has this block? */
export function isPreferred(want: Want, peer: string): boolean {
  if (want.hints.has(peer)) return true
  for (const session of want.sessions) {
    if (session.hints.has(peer) || session.good.has(peer)) return true
  }
  return false
}

/** Text ids of the peers for which `isPreferred` holds. */
export function preferredPeers(want: Want): Set<string> {
  const ids = new Set(want.hints)
  for (const session of want.sessions) {
    for (const id of session.hints) ids.add(id)
    for (const id of session.good.keys()) ids.add(id)
  }
  return ids
}

export function isAsked(ask: Ask): boolean {
  return ask.state === 'have' || ask.state === 'block'
}

export function newWant(key: BlockKey, cid: CID): Want {
  return {
    key,
    cid,
    waiters: new Set(),
    sessions: new Set(),
    hints: new Set(),
    asks: new Map(),
    assigned: undefined,
    rounds: 0,
    nextRoundAt: 0,
  }
}

/** Is there an answer to wait for? */
export function isActive(want: Want): boolean {
  for (const { state } of want.asks.values()) {
    if (state !== 'lacks' && state !== 'refused') return true
  }
  return false
}

/**
 * What to think of an unanswered ask: `stalled` means that others should be asked too; `lacks` and `refused`, to count as answered so.
 * A peer at work is waited for, as it may have much to send before; but not for ever, as it may have dropped the want.
 *
 * @param now as `lastHeardAt`, when the peer last sent anything: milliseconds of a monotonic clock
 */
export function judge(
  ask: Ask,
  now: number,
  lastHeardAt: number,
  { stallMs, answerTimeoutMs }: Pick<BitswapConfig, 'stallMs' | 'answerTimeoutMs'>,
): 'fine' | 'stalled' | 'lacks' | 'refused' {
  const age = now - ask.askedAt
  const silence = Math.min(age, now - lastHeardAt)
  if (ask.suspect && age >= answerTimeoutMs) return 'refused'
  if (silence >= answerTimeoutMs || age >= MAX_ANSWER_TIMEOUTS * answerTimeoutMs) return 'lacks'
  return silence >= stallMs || (ask.suspect && age >= stallMs) ? 'stalled' : 'fine'
}
