import type { Pin } from '@ipfs-cluster/api'
import type { AbortOptions, StoreOp } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'

export interface PinState {
  get(cid: CID): Promise<Pin | undefined>
  /** Pins in the order of `cids`. */
  getMany(cids: readonly CID[]): Promise<(Pin | undefined)[]>
  /** Every pin in key order, of one consistent state. `after` resumes behind that CID. */
  list(options?: AbortOptions & { readonly after?: CID }): AsyncIterable<Pin>
  /** Pins whose expiry is before `now` (Unix seconds), soonest first: costs its result. */
  expired(now: number, options?: AbortOptions): AsyncIterable<Pin>
}

/** The pin of `cid` as it is now; `undefined` when it left the pinset. */
export interface PinChange {
  readonly cid: CID
  readonly pin: Pin | undefined
}

/** Every change of the pinset not yet acknowledged, coalesced per CID. Durable: nothing is missed over a restart. */
export interface PinChanges {
  /** Waits until there is at least one; at most `limit`. Returns the same ones again until they are acknowledged. */
  next(limit: number, options?: AbortOptions): Promise<PinChangeBatch>
}

export interface PinChangeBatch {
  readonly changes: readonly PinChange[]
  /** Root-store operations that acknowledge the batch: write them together with the effects. */
  readonly ack: readonly StoreOp[]
}
