/** What the pinset says of pins whose statuses have been merged: in ours, else as a peer tells that has the pin. */
import {
  cidOfBytes,
  TRACKER_STATUS,
  type GlobalPinInfo,
  type PeerId,
  type Pin,
  type PinInfoShort,
} from '@ipfs-cluster/api'
import type { Clock } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { Consensus } from '../consensus/index.ts'
import { RPC, type Network } from '../net/index.ts'
import { factsOf, type MergedStatus, type PinFacts } from './merge-status.ts'

/** A peer that takes longer than this to tell of pins that we do not have is not waited for. */
const FACTS_DEADLINE_MS = 3_000

export interface FactsComponents {
  readonly network: Pick<Network, 'peerId' | 'rpc'>
  readonly consensus: Pick<Consensus, 'state'>
  readonly clock: Clock
}

/** Of a pin of which nobody knows more than that it is, or was, there. */
const NO_FACTS: PinFacts = { name: '', allocations: [], origins: [], created: null, metadata: null }

export async function withFacts(
  components: FactsComponents,
  merged: readonly MergedStatus[],
  signal: AbortSignal,
): Promise<GlobalPinInfo[]> {
  const cids = merged.map(({ cid }) => cidOfBytes(cid))
  const pins = await components.consensus.state.getMany(cids)
  const told = pins.includes(undefined) ? await askOthers(components, merged, cids, pins, signal) : undefined
  return merged.map(({ peerMap, facts }, i) => {
    const cid = cids[i] as CID
    const pin = pins[i]
    return { cid, ...(pin === undefined ? (facts ?? told?.[i] ?? NO_FACTS) : factsOfPin(pin)), peerMap }
  })
}

export function factsOfPin({ name, allocations, origins, timestamp, metadata }: Pin): PinFacts {
  return { name, allocations, origins, created: timestamp, metadata }
}

/** Asks, for each pin that we do not have, the first peer that has it; what cannot be asked stays unknown. */
async function askOthers(
  { network, clock }: FactsComponents,
  merged: readonly MergedStatus[],
  cids: readonly CID[],
  pins: readonly (Pin | undefined)[],
  signal: AbortSignal,
): Promise<readonly (PinFacts | undefined)[]> {
  const wanted = new Map<PeerId, number[]>()
  merged.forEach(({ peerMap, facts }, i) => {
    if (pins[i] !== undefined || facts !== undefined) return
    const knower = Object.entries(peerMap).find(
      ([peer, info]) => peer !== network.peerId && isKept(info),
    )?.[0]
    if (knower === undefined) return
    const list = wanted.get(knower)
    if (list === undefined) wanted.set(knower, [i])
    else list.push(i)
  })
  const told: (PinFacts | undefined)[] = []
  await Promise.all(
    [...wanted].map(async ([peer, places]) => {
      const limited = AbortSignal.any([signal, clock.timeout(FACTS_DEADLINE_MS)])
      try {
        const asked = places.map(i => cids[i] as CID)
        const infos = await network.rpc.call(peer, RPC.PinTracker.StatusMany, asked, { signal: limited })
        places.forEach((place, i) => {
          const info = infos[i]
          if (info !== undefined && info.created !== null) told[place] = factsOf(info)
        })
      } catch {
        // The statuses are what was asked for: without the names they are still true.
        signal.throwIfAborted()
      }
    }),
  )
  return told
}

/** The peer has the pin in its pinset: it is neither failed nor on its way out. */
function isKept({ status }: PinInfoShort): boolean {
  const gone =
    TRACKER_STATUS.cluster_error |
    TRACKER_STATUS.unpinning |
    TRACKER_STATUS.unpin_queued |
    TRACKER_STATUS.unpin_error |
    TRACKER_STATUS.unpinned
  return (status & gone) === 0
}
