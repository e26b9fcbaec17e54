/** What is known of a peer as a source of `Consensus.Blocks`, and what follows from it. */
import { EMPTY_PAUSE_MS, GROWTH, MAX_AHEAD, MAX_PAUSE_MS, MIN_AHEAD, MIN_PAUSE_MS } from './bulk-limits.ts'

export interface ProviderState {
  /** It has answered a call. */
  readonly speaks: boolean
  /** Nodes to ask for ahead next time. */
  readonly ahead: number
  /** Calls that failed since one worked. */
  readonly failures: number
  /** By the monotonic clock. */
  readonly pausedUntil: number
}

export const NEW_PROVIDER: ProviderState = { speaks: false, ahead: MIN_AHEAD, failures: 0, pausedUntil: 0 }

/** Of the nodes that came unasked since the last call. */
export interface Prefetched {
  readonly used: number
  /** They were here already, or were dropped before anybody asked. */
  readonly wasted: number
}

/** How far ahead to read: several times as far while it is of use, half as far when it is mostly not. */
export function nextAhead(ahead: number, { used, wasted }: Prefetched): number {
  if (wasted > used) return Math.max(MIN_AHEAD, Math.floor(ahead / 2))
  return used > 0 ? Math.min(MAX_AHEAD, ahead * GROWTH) : ahead
}

/** After a call that was answered to its end, or that we left. */
export function answered(state: ProviderState, delivered: number, now: number): ProviderState {
  const pausedUntil = delivered > 0 ? 0 : now + EMPTY_PAUSE_MS
  return { ...state, speaks: true, failures: 0, pausedUntil }
}

/**
 * After a call that failed: the peer does not know the method (Go), does not trust us, is gone, stalled or lied. Doubling lets a peer that was
 * asked in the moment of its start be asked again soon.
 */
export function failed(state: ProviderState, now: number): ProviderState {
  const pause = Math.min(MAX_PAUSE_MS, MIN_PAUSE_MS * 2 ** state.failures)
  return {
    speaks: false,
    ahead: MIN_AHEAD,
    failures: state.failures + 1,
    pausedUntil: now + pause,
  }
}

/**
 * Whom to ask: the best of those connected that are not paused. Peers that have answered before others, and those believed to have the node before
 * all others: probing costs a round trip.
 *
 * @param hinted believed to have it, best first.
 */
export function chooseProvider(
  hinted: readonly string[],
  connected: readonly string[],
  stateOf: (peer: string) => ProviderState | undefined,
  now: number,
): string | undefined {
  const isUsable = (peer: string) => (stateOf(peer)?.pausedUntil ?? 0) <= now
  const speaks = (peer: string) => stateOf(peer)?.speaks === true
  const likely = hinted.filter(peer => connected.includes(peer) && isUsable(peer))
  const others = connected.filter(isUsable)
  return likely.find(speaks) ?? likely[0] ?? others.find(speaks) ?? others[0]
}
