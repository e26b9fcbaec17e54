import { newPin, type Pin } from '@ipfs-cluster/api'
import type { AbortOptions, Clock } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { Consensus } from '../consensus/index.ts'
import { updatedPin } from './prepare.ts'
import type { Turns } from './turns.ts'
import type { PinReplacement } from './types.ts'

export interface ReplaceSteps {
  readonly consensus: Pick<Consensus, 'state' | 'logPin'>
  readonly clock: Clock
  readonly turns: Pick<Turns, 'change'>
  readonly pinGet: (cid: CID) => Promise<Pin>
  readonly prepare: (pin: Pin, existing: Pin | undefined, now: bigint) => Pin
  readonly unpin: (cid: CID, options: AbortOptions) => Promise<Pin>
}

/** As `pin update` and an unpin behind it, so that the daemons keep blocks that both have. */
export async function replacePin(
  { consensus, clock, turns, pinGet, prepare, unpin }: ReplaceSteps,
  fromCid: CID,
  { cid, name, metadata, origins }: PinReplacement,
  options: AbortOptions,
): Promise<Pin> {
  const replaced = await turns.change(async () => {
    const from = await pinGet(fromCid)
    const now = clock.nowNs()
    const to = { ...updatedPin(from, newPin(cid), now), name, metadata, origins, expireAt: null }
    const pin = prepare(to, await consensus.state.get(cid), now)
    await consensus.logPin(pin, options)
    return pin
  }, options)
  // Behind that turn, not within it: it takes one of its own.
  await unpin(fromCid, options)
  return replaced
}
