import type { Pin, PinListing } from '@ipfs-cluster/api'
import type { AbortOptions, StoreOp } from '@ipfs-cluster/base'
import type { ReadOptions } from '@ipfs-cluster/crdt'
import type { CID } from 'multiformats/cid'
import type { CountOptions, NewestOptions } from './newest.ts'

export interface PinListOptions extends AbortOptions, Partial<PinListing> {
  /** Bits of `PIN_TYPE_BITS`. @default any */
  readonly types?: number
  /** As a `cursor` of this CID, where the order is that of CIDs. */
  readonly after?: CID
}

export interface PinState {
  get(cid: CID): Promise<Pin | undefined>
  /** Pins in the order of `cids`; to be told when they are about to be written (`toChange`), which is quicker then. */
  getMany(cids: readonly CID[], options?: ReadOptions): Promise<(Pin | undefined)[]>
  /**
   * Pins of one consistent state, in batches (`batchesOf`): all, or those that match. The order is `pinOrder(filter)`, without one that of the keys; a listing in
   * that order is resumed behind a `cursor`. A filter with an exact name or the beginning of one, or with a time costs its result; any other looks
   * at every pin.
   */
  list(options?: PinListOptions): AsyncIterable<Pin>
  /** The same as lines of JSON, the bytes of `pinCodec` and a line break each, in chunks of whole lines. */
  lines(options?: PinListOptions): AsyncIterable<Uint8Array>
  /** By `listingTime`, the latest first, in batches. Costs what is read, unless the filter lets few of many pins pass and has no exact name. */
  newest(options?: NewestOptions): AsyncIterable<Pin>
  /** How many there are, `most` at most. Fewer than there are when very many would have to be looked at. */
  count(options: CountOptions): Promise<number>
  /** Pins whose expiry is before `now` (Unix seconds), soonest first: costs its result. */
  expired(now: number, options?: AbortOptions): AsyncIterable<Pin>
  /** When the soonest pin expires (Unix seconds), of those that expire at `from` or later. */
  nextExpiry(from: number): Promise<number | undefined>
  /** Tells when pins come in that expire: the soonest of a batch (Unix seconds). */
  onExpiry(listener: (seconds: number) => void): Disposable
}

/** The pin of `cid` as it is now; `undefined` when it left the pinset. */
export interface PinChange {
  readonly cid: CID
  readonly pin: Pin | undefined
}

/** What is not acknowledged yet, as far as it is known without reading. */
export interface PinChangesBacklog {
  /** About how many. */
  readonly count: number
  /** Whether there may be one among them that is more than a new pin of unknown size: a pin that left or is another now, or one that room must be kept for. */
  readonly hasPressing: boolean
  /** Rises with each batch that comes in. */
  readonly version: number
}

/** Every change of the pinset not yet acknowledged, coalesced per CID. Durable: nothing is missed over a restart. */
export interface PinChanges {
  /**
   * Waits until there is at least one; the oldest, at most `limit`. Those of one batch are in the order of their CIDs: what is looked up and
   * written for one of them lies near that of the next. Returns the same ones again until they are acknowledged.
   */
  next(limit: number, options?: AbortOptions): Promise<PinChangeBatch>
  /**
   * Binary CIDs of those pins that changed, in order, each once: the oldest `limit` changes at least, and what is on its way to become one. To be
   * read before the follower's own rows, then no pin is missed between the two.
   */
  cids(limit: number, options?: PendingOptions): Promise<readonly Uint8Array[]>
  backlog(): PinChangesBacklog
  /** Waits until there is at least one in the backlog. */
  waitForAny(options?: AbortOptions): Promise<void>
}

export interface PendingOptions extends AbortOptions {
  /** Only those behind this CID. */
  readonly after?: CID | undefined
}

export interface PinChangeBatch {
  /** At most `limit` at a time, with their pins as they are when they are asked for; without those that nobody can read. */
  changes(limit: number): AsyncIterable<readonly PinChange[]>
  /** Root-store operations that acknowledge the batch: write them together with the effects. */
  readonly ack: readonly StoreOp[]
  /** Call once `ack` is written: the backlog is without the batch from then on. */
  acknowledged(): void
}
