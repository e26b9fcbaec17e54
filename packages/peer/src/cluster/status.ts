/** What every peer says of one pin (Go: `cluster.go` `Status…`, `globalPinInfo…`). */
import {
  TRACKER_STATUS,
  isPinEverywhere,
  type GlobalPinInfo,
  type PeerId,
  type Pin,
  type PinInfo,
  type PinInfoShort,
  type TrackerStatus,
} from '@ipfs-cluster/api'
import { asError, errorCode, errorMessage, type AbortOptions } from '@ipfs-cluster/base'
import type { CID } from 'multiformats/cid'
import type { PeerMonitor } from '../monitor/index.ts'
import { RPC } from '../net/index.ts'
import type { PinTracker } from '../pintracker/index.ts'
import { failedPeer, globalPinInfo } from './merge-status.ts'
import { createStatusAsker } from './ask-status.ts'
import { describePeer } from './peer-view.ts'
import { createStatusLists, type StatusListComponents, type StatusLists } from './status-lists.ts'
import type { ClusterConfig } from './types.ts'

export interface StatusComponents extends StatusListComponents {
  readonly monitor: PeerMonitor
  readonly tracker: PinTracker
}

export interface StatusQueries extends StatusLists {
  status(cid: CID, options?: AbortOptions): Promise<GlobalPinInfo>
  statusLocal(cid: CID, options?: AbortOptions): Promise<GlobalPinInfo>
  recover(cid: CID, options?: AbortOptions): Promise<GlobalPinInfo>
}

export function createStatusQueries(components: StatusComponents, config: ClusterConfig): StatusQueries {
  const { network, consensus, monitor, tracker, clock } = components
  const members = () => (config.followerMode ? [network.peerId] : monitor.members())

  const describeFailure = (peer: PeerId, error: Error): PinInfoShort =>
    failedPeer(describePeer(monitor, peer), errorMessage(error), clock.nowNs())

  const askStatus = createStatusAsker({ network, clock })

  /** A peer's status that follows from the pinset alone. */
  const implied = (peer: PeerId, cid: CID, pin: Pin | undefined, status: TrackerStatus): PinInfo => ({
    ...describePeer(monitor, peer),
    cid,
    peer,
    name: pin?.name ?? '',
    allocations: pin?.allocations ?? [],
    origins: pin?.origins ?? [],
    created: pin?.timestamp ?? null,
    metadata: pin?.metadata ?? null,
    status,
    ts: clock.nowNs(),
    error: '',
    attemptCount: 0,
    priorityPin: false,
  })

  const askOne = async (
    ask: (peer: PeerId, cid: CID, options: AbortOptions) => Promise<PinInfo>,
    cid: CID,
    { signal, reading = consensus.state.get(cid) }: AbortOptions & { readonly reading?: PinReading },
  ): Promise<GlobalPinInfo> => {
    const pin = await reading
    const all = members()
    if (pin === undefined) {
      const infos = all.map(peer => implied(peer, cid, undefined, TRACKER_STATUS.unpinned))
      return { ...globalPinInfo(infos), origins: null, created: clock.nowNs() }
    }
    // Nobody keeps the root of sharded content, and everybody says so.
    const isOfAll = isPinEverywhere(pin) || pin.type === 'meta-pin' || config.followerMode
    const asked = isOfAll ? all : pin.allocations
    const answers = await Promise.all(
      asked.map(async peer => {
        try {
          return await ask(peer, cid, { signal })
        } catch (error) {
          signal?.throwIfAborted()
          if (isUnauthorized(error)) return undefined
          return { ...implied(peer, cid, pin, 0), ...describeFailure(peer, asError(error)) }
        }
      }),
    )
    const remote = all
      .filter(peer => !asked.includes(peer))
      .map(peer => implied(peer, cid, pin, TRACKER_STATUS.remote))
    const infos = [...answers.filter(answer => answer !== undefined), ...remote]
    return { ...globalOfPin(pin), peerMap: infos.length === 0 ? {} : globalPinInfo(infos).peerMap }
  }

  return {
    async status(cid, { signal } = {}) {
      const reading = consensus.state.get(cid)
      // Begun before it is known whether the pin is here: most are, and to read the row together with the pin costs next to nothing.
      const own = tracker.status(cid, { signal, pin: reading })
      // Not everybody waits for it, and why the pin cannot be read is told by `reading`.
      own.catch(() => undefined)
      const ask: typeof askStatus = (peer, ...rest) =>
        peer === network.peerId ? own : askStatus(peer, ...rest)
      return await askOne(ask, cid, { signal, reading })
    },
    recover: (cid, options = {}) =>
      askOne(
        (peer, each, { signal }) => network.rpc.call(peer, RPC.PinTracker.Recover, each, { signal }),
        cid,
        options,
      ),
    async statusLocal(cid, options = {}) {
      const info = await tracker.status(cid, options)
      const pin = await consensus.state.get(cid)
      const global = globalPinInfo([info])
      return pin === undefined
        ? { ...global, allocations: null, origins: null, created: null }
        : { ...globalOfPin(pin), peerMap: global.peerMap }
    },
    ...createStatusLists(components, { members, describeFailure, isStranger: isUnauthorized }),
  }
}

type PinReading = Promise<Pin | undefined>

function globalOfPin(pin: Pin): Omit<GlobalPinInfo, 'peerMap'> {
  const { cid, name, allocations, origins, timestamp, metadata } = pin
  return { cid, name, allocations, origins, created: timestamp, metadata }
}

/** The peer does not trust us: it is left out, as if it were no member. */
function isUnauthorized(error: unknown): boolean {
  return errorCode(error) === 'RPC_UNAUTHORIZED'
}
