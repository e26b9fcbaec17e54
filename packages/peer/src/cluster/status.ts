/** What every peer says of a pin: local, of one CID, of everything (Go: `cluster.go` `Status…`, `globalPinInfo…`). */
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
import {
  anySignal,
  asError,
  createStallGuard,
  errorCode,
  errorMessage,
  type AbortOptions,
  type Clock,
} from '@ipfs-cluster/base'
import type { StreamingMethod, UnaryMethod } from '@ipfs-cluster/gorpc'
import type { CID } from 'multiformats/cid'
import type { Consensus } from '../consensus/index.ts'
import type { PeerMonitor } from '../monitor/index.ts'
import { RPC, type Network } from '../net/index.ts'
import type { PinTracker } from '../pintracker/index.ts'
import { failedPeer, globalPinInfo, mergeStatus, sortedByCid, type StatusSource } from './merge-status.ts'
import { describePeer } from './peer-view.ts'
import type { ClusterConfig } from './types.ts'

/** A peer that takes longer than this for an answer, or for the next item of one, is reported as failed. */
const PEER_DEADLINE_MS = 15_000

export interface StatusComponents {
  readonly network: Pick<Network, 'peerId' | 'rpc'>
  readonly consensus: Pick<Consensus, 'state'>
  readonly monitor: PeerMonitor
  readonly tracker: PinTracker
  readonly clock: Clock
}

export interface StatusQueries {
  status(cid: CID, options?: AbortOptions): Promise<GlobalPinInfo>
  statusLocal(cid: CID, options?: AbortOptions): Promise<GlobalPinInfo>
  statusAll(filter: TrackerStatus, options?: AbortOptions): AsyncGenerator<GlobalPinInfo>
  statusAllLocal(filter: TrackerStatus, options?: AbortOptions): AsyncGenerator<GlobalPinInfo>
  recover(cid: CID, options?: AbortOptions): Promise<GlobalPinInfo>
  recoverAll(options?: AbortOptions): AsyncGenerator<GlobalPinInfo>
}

export function createStatusQueries(components: StatusComponents, config: ClusterConfig): StatusQueries {
  const { network, consensus, monitor, tracker, clock } = components
  const members = () => (config.followerMode ? [network.peerId] : monitor.members())

  const describeFailure = (peer: PeerId, error: Error): PinInfoShort =>
    failedPeer(describePeer(monitor, peer), errorMessage(error), clock.nowNs())

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
    method: UnaryMethod<CID, PinInfo>,
    cid: CID,
    { signal }: AbortOptions,
  ): Promise<GlobalPinInfo> => {
    const pin = await consensus.state.get(cid)
    const all = members()
    if (pin === undefined) {
      const infos = all.map(peer => implied(peer, cid, undefined, TRACKER_STATUS.unpinned))
      return { ...globalPinInfo(infos), origins: null, created: clock.nowNs() }
    }
    const asked = isPinEverywhere(pin) ? all : config.followerMode ? all : pin.allocations
    const answers = await Promise.all(
      asked.map(async peer => {
        try {
          return await network.rpc.call(peer, method, cid, { signal })
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

  /** Lists of all members, merged. `open` starts a peer's ordered list. */
  const askAll = (
    open: (peer: PeerId, signal: AbortSignal) => AsyncIterable<PinInfo>,
    { signal }: AbortOptions,
  ) => {
    const stop = new AbortController()
    const joined = anySignal(signal, stop.signal) ?? stop.signal
    const sources = members().map<StatusSource>(peer => ({
      peer,
      items: withoutStalls(clock, joined, each => open(peer, each)),
    }))
    return mergeStatus(sources, {
      describeFailure,
      ignoreFailure: isUnauthorized,
      stop: () => stop.abort(new DOMException('the listing is over', 'AbortError')),
    })
  }

  const openStatusAll = (filter: TrackerStatus) => (peer: PeerId, signal: AbortSignal) =>
    peer === network.peerId
      ? tracker.statusAll(filter, { signal })
      : remoteStatusAll(network, peer, filter, signal)

  return {
    status: (cid, options = {}) => askOne(RPC.PinTracker.Status, cid, options),
    recover: (cid, options = {}) => askOne(RPC.PinTracker.Recover, cid, options),
    async statusLocal(cid, options = {}) {
      const info = await tracker.status(cid, options)
      const pin = await consensus.state.get(cid)
      const global = globalPinInfo([info])
      return pin === undefined
        ? { ...global, allocations: null, origins: null, created: null }
        : { ...globalOfPin(pin), peerMap: global.peerMap }
    },
    statusAll: (filter, options = {}) => askAll(openStatusAll(filter), options),
    async *statusAllLocal(filter, options = {}) {
      for await (const info of tracker.statusAll(filter, options)) yield globalPinInfo([info])
    },
    recoverAll: (options = {}) =>
      askAll(
        (peer, signal) =>
          peer === network.peerId
            ? tracker.recoverAll({ signal })
            : sortedByCid(stream(network, peer, RPC.Cluster.RecoverAllLocal, [], signal)),
        options,
      ),
  }
}

/**
 * A remote list in CID order. Peers of this implementation offer it so; a Go peer's list is of no certain order and has to be
 * collected first.
 */
async function* remoteStatusAll(
  network: StatusComponents['network'],
  peer: PeerId,
  filter: TrackerStatus,
  signal: AbortSignal,
): AsyncGenerator<PinInfo> {
  try {
    yield* stream(network, peer, RPC.PinTracker.StatusAllOrdered, [filter], signal)
  } catch (error) {
    if (!isUnknownMethod(error)) throw error
    yield* sortedByCid(stream(network, peer, RPC.PinTracker.StatusAll, [filter], signal))
  }
}

function stream<Arg, Reply>(
  network: StatusComponents['network'],
  peer: PeerId,
  method: StreamingMethod<Arg, Reply>,
  args: readonly Arg[],
  signal: AbortSignal,
): AsyncGenerator<Reply> {
  return network.rpc.stream(peer, method, args, { signal })
}

/** Fails a list that is waited for and gives nothing for too long. */
async function* withoutStalls(
  clock: Clock,
  signal: AbortSignal,
  open: (signal: AbortSignal) => AsyncIterable<PinInfo>,
): AsyncGenerator<PinInfo> {
  let waiting = true
  using guard = createStallGuard(clock, PEER_DEADLINE_MS, () => waiting)
  for await (const item of open(AbortSignal.any([signal, guard.signal]))) {
    waiting = false
    yield item
    waiting = true
    guard.progress()
  }
}

function globalOfPin(pin: Pin): Omit<GlobalPinInfo, 'peerMap'> {
  const { cid, name, allocations, origins, timestamp, metadata } = pin
  return { cid, name, allocations, origins, created: timestamp, metadata }
}

/** The peer does not trust us: it is left out, as if it were no member. */
function isUnauthorized(error: unknown): boolean {
  return errorCode(error) === 'RPC_UNAUTHORIZED'
}

function isUnknownMethod(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("rpc: can't find method")
}
